//! Which entries of a scope name or have fetched an artifact that is revoked.
//!
//! A bundle of a registry is known by every digest that leads to it: the one that the configuration names, that of the manifest that a tag stood for, and
//! that of the archive in it. So a tag is no way around the list.

use mcpg_config::{Config, Plugin, RevocationList};
use mcpg_filters::policy::bundle::{self, FetchedBundles};
use mcpg_sdk::policy::EngineError;

/// What the policies of an entry in force came from.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The engine's id.
    pub engine: String,
    /// The digests by which its bundle goes.
    pub digests: Vec<String>,
}

impl Artifacts {
    /// Those of an entry. None where its bundle is of no registry.
    pub(super) fn of(plugin: &Plugin, fetched: &FetchedBundles) -> Self {
        let digests = bundle::artifacts(&plugin.settings, fetched);
        Self { engine: plugin.id.to_owned(), digests: digests.iter().map(ToString::to_string).collect() }
    }

    /// Why they must not be in force: the artifact, the list, and its reason.
    pub fn revoked(&self, list: &RevocationList) -> Option<EngineError> {
        let revoked = self.digests.iter().find_map(|digest| list.find(digest))?;
        let entry = format!("revocation-list/{}/{}", revoked.version, revoked.digest);
        Some(EngineError::Revoked { entry, problem: revoked.to_string() })
    }
}

/// Why an entry's bundle must not be loaded, as far as it is known.
pub(super) fn revoked(config: &Config, plugin: &Plugin, fetched: &FetchedBundles) -> Option<EngineError> {
    let list = &config.plugins.revocation_list;
    if list.is_empty() { None } else { Artifacts::of(plugin, fetched).revoked(list) }
}
