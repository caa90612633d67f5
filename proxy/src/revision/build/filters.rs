//! The filters of a scope, sorted by stage.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_config::{Config, Plugin};
use mcpg_filters::gate::ApprovalGate;
use mcpg_filters::identity::IdentityProvider;
use mcpg_filters::policy::{RevokedEngine, Shadow};
use mcpg_filters::registry::{self, BuildContext, Filter};
use mcpg_filters::reliability::rate_limit::RateLimit;
use mcpg_filters::secret::SecretResolver;
use mcpg_filters::shared::Shared;
use mcpg_filters::transform::redact::Redactor;
use mcpg_sdk::policy::{EngineError, PolicyEngine};
use mcpg_sdk::{Obligation, SettingsError};

use super::revoked::{Artifacts, revoked};
use crate::metrics::Metrics;
use crate::revision::Revision;

/// The filters of a scope, sorted by stage.
#[derive(Default)]
pub(super) struct Filters {
    pub(super) identity: Vec<IdentityProvider>,
    pub(super) policy: Vec<Arc<dyn PolicyEngine>>,
    pub(super) shadows: Vec<Shadow>,
    pub(super) gates: Vec<Arc<ApprovalGate>>,
    pub(super) quotas: Vec<RateLimit>,
    pub(super) redactor: Option<Redactor>,
    pub(super) problems: Vec<String>,
    /// What the policies that decide came from.
    pub(super) artifacts: Vec<Artifacts>,
    /// Entries whose bundles are revoked.
    pub(super) revoked: usize,
    /// What is to be said of those in shadow mode.
    pub(super) shadows_revoked: Vec<String>,
}

/// Builds every plugin that is loaded.
pub(super) fn filters(
    config: &Config,
    secrets: &SecretResolver,
    shared: &Arc<Shared>,
    metrics: &Metrics,
    now: SystemTime,
) -> Filters {
    let bindings: Vec<&str> = config.bindings.iter().map(|binding| binding.id.as_str()).collect();
    let scope = &config.tenancy.scope;
    let context = BuildContext { base: config.base(), secrets, bindings: &bindings, scope, shared, now };
    let mut filters = Filters::default();
    let fetched = shared.bundles.of(scope);
    for (index, plugin) in config.plugins.load.iter().enumerate() {
        if plugin.kind() == "policy" {
            if let Some(error) = revoked(config, plugin, &fetched) {
                filters.revoke(plugin, error);
                continue;
            }
            filters.artifacts.extend((!plugin.shadow).then(|| Artifacts::of(plugin, &fetched)));
        }
        let added = filters.add(plugin, &context);
        if plugin.kind() == "policy" {
            metrics.policy_loaded(plugin.label(), added.is_ok());
        }
        if let Err(error) = added {
            filters.problems.push(config.locate(index, &error).to_string());
        }
    }
    filters.check_classes();
    filters
}

/// An engine with its label, and whether it only shadows.
pub(super) type Labelled = (String, bool, Arc<dyn PolicyEngine>);

/// Builds the policy engines alone.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn engines(
    config: &Config,
    secrets: &SecretResolver,
    shared: &Arc<Shared>,
    now: SystemTime,
) -> Result<Vec<Labelled>, Vec<String>> {
    let bindings: Vec<&str> = config.bindings.iter().map(|binding| binding.id.as_str()).collect();
    let scope = &config.tenancy.scope;
    let context = BuildContext { base: config.base(), secrets, bindings: &bindings, scope, shared, now };
    let (mut engines, mut problems) = (Vec::<Labelled>::new(), Vec::new());
    let fetched = shared.bundles.of(scope);
    for (index, plugin) in config.plugins.of_kind("policy") {
        if let Some(error) = revoked(config, plugin, &fetched) {
            let engine = Arc::new(RevokedEngine::new(plugin.id, error));
            engines.push((plugin.label().to_owned(), plugin.shadow, engine));
            continue;
        }
        match registry::build(plugin.id, &plugin.settings, &context) {
            Ok(Filter::Policy(engine)) => engines.push((plugin.label().to_owned(), plugin.shadow, engine)),
            Ok(_) => {}
            Err(error) => problems.push(config.locate(index, &error).to_string()),
        }
    }
    if problems.is_empty() { Ok(engines) } else { Err(problems) }
}

impl Filters {
    fn add(&mut self, plugin: &Plugin, context: &BuildContext<'_>) -> Result<(), SettingsError> {
        match registry::build(plugin.id, &plugin.settings, context)? {
            Filter::Identity(provider) => self.identity.push(provider),
            Filter::Policy(engine) if plugin.shadow => {
                self.shadows.push(Shadow { label: plugin.label().into(), engine });
            }
            Filter::Policy(engine) => self.policy.push(engine),
            Filter::Gate(gate) => self.gates.push(gate),
            Filter::RateLimit(limit) => self.quotas.push(limit),
            Filter::Redact(redactor) => {
                if self.redactor.replace(redactor).is_some() {
                    return Err(SettingsError::at(
                        "",
                        "`transform.redact` is loaded twice: name all fields in one",
                    ));
                }
            }
            // These have settings that are read elsewhere, or none.
            Filter::Audit(_) | Filter::Metrics(_) | Filter::Traces(_) | Filter::Secret(_) => {}
            _ => return Err(SettingsError::at("", "this filter has no stage in this build")),
        }
        Ok(())
    }

    /// Has an entry deny everything; one in shadow mode has nothing to say.
    fn revoke(&mut self, plugin: &Plugin, error: EngineError) {
        self.revoked += 1;
        if plugin.shadow {
            self.shadows_revoked.push(format!("{}: it has no opinion: {error}", plugin.label()));
        } else {
            self.policy.push(Arc::new(RevokedEngine::new(plugin.id, error)));
        }
    }

    /// A class that policy names and no limit has would refuse every call that gets it.
    fn check_classes(&mut self) {
        let known: Vec<&str> = self.quotas.iter().flat_map(RateLimit::classes).collect();
        for engine in &self.policy {
            for obligation in engine.obligations().into_iter().flatten() {
                if let Obligation::RateClass { class } = &obligation
                    && !known.contains(&class.as_str())
                {
                    let known = if known.is_empty() { "none".to_owned() } else { known.join("`, `") };
                    self.problems.push(format!(
                        "{}: a policy charges the rate class `{class}`, which no `reliability.rate-limit` has in `classes:` \
                         (there: `{known}`)",
                        engine.id()
                    ));
                }
            }
        }
    }

    /// The policy engines, those in shadow mode too.
    pub(super) fn engines(&self) -> impl Iterator<Item = &Arc<dyn PolicyEngine>> {
        self.policy.iter().chain(self.shadows.iter().map(|shadow| &shadow.engine))
    }

    /// Limits keep what callers have used, entry by entry, so that a reload hands nobody a fresh burst.
    pub(super) fn inherit(&mut self, previous: Option<&Revision>) {
        let Some(previous) = previous else { return };
        for (quota, old) in self.quotas.iter_mut().zip(&previous.scope.quotas) {
            quota.inherit(old);
        }
    }
}
