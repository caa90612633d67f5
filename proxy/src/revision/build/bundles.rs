//! Bundles of registries: fetched before a revision is built, looked at again while it is in force.

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use mcpg_config::Config;
use mcpg_filters::policy::bundle::{BundleOrder, FetchedBundles};
use mcpg_filters::secret::SecretResolver;

use super::revoked::revoked;
use super::{BuildError, Builder, digest};

/// Scopes whose registries are asked at once.
const ASKED_AT_ONCE: usize = 8;

/// A bundle that cannot be had.
struct Missed {
    problem: String,
    may_pass: bool,
}

impl Builder {
    /// The digest of a configuration whose files have this one: what has been fetched for it is a part of it.
    pub fn digest(&self, config: &Config, of_files: [u8; 32]) -> [u8; 32] {
        digest::with_fetched(of_files, config, &self.filters.bundles)
    }

    /// Fetches the bundles that a configuration names in registries and that are not here, and looks at their tags.
    ///
    /// # Errors
    /// Every bundle that cannot be had.
    pub async fn fetch_bundles(&self, config: &Config) -> Result<(), BuildError> {
        let asked: Vec<_> = config.scopes().map(|config| self.fetch_of_scope(config)).collect();
        let found: Vec<Vec<Missed>> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        let missed: Vec<Missed> = found.into_iter().flatten().collect();
        let may_pass = missed.iter().all(|missed| missed.may_pass);
        let problems: Vec<String> = missed.into_iter().map(|missed| missed.problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(BuildError { problems, may_pass }) }
    }

    /// Looks at the tags whose time has come. True if one stands for something else now.
    pub async fn poll_bundles(&self) -> bool {
        self.filters.bundles.poll(&self.filters.http).await
    }

    /// When there is a tag to be looked at.
    pub fn next_poll(&self) -> Option<Instant> {
        self.filters.bundles.next_poll()
    }

    async fn fetch_of_scope(&self, config: &Config) -> Vec<Missed> {
        let secrets = SecretResolver::new(config.base());
        let (mut orders, mut places, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let unfetched = FetchedBundles::default();
        for (index, plugin) in config.plugins.load.iter().enumerate() {
            // What must not run is not asked for: its registry may have let it go.
            if revoked(config, plugin, &unfetched).is_some() {
                continue;
            }
            match BundleOrder::of(&plugin.settings, config.base(), &secrets) {
                Ok(None) => {}
                Ok(Some(order)) => {
                    orders.push(order);
                    places.push(index);
                }
                Err(error) => {
                    let problem = config.locate(index, &error).to_string();
                    problems.push(Missed { problem, may_pass: false });
                }
            }
        }
        let state_dir = self.keeps_state.then_some(config.state.dir.as_path());
        let store = &self.filters.bundles;
        let missed = store.fetch(&self.filters.http, &config.tenancy.scope, orders, state_dir).await;
        problems.extend(missed.into_iter().map(|(at, error)| {
            let may_pass = error.reason.may_pass();
            let error = mcpg_sdk::SettingsError::at("/bundle", error.to_string());
            let problem = config.locate(places.get(at).copied().unwrap_or_default(), &error).to_string();
            Missed { problem, may_pass }
        }));
        problems
    }
}
