//! The policy engines of a scope by themselves, for tools that decide without serving.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_config::Config;
use mcpg_filters::policy::{CacheLimits, PolicyChain};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Scope;

use super::filters::engines;
use super::{BuildError, Builder};

/// The engines of a scope.
pub struct Engines {
    /// The scope.
    pub scope: Scope,
    /// All that decide, as the gateway asks them.
    pub chain: PolicyChain,
    /// Each by itself, by its label; those in shadow mode too.
    pub each: Vec<Engine>,
    /// The ids of the bindings.
    pub bindings: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// One engine of a scope.
pub struct Engine {
    /// The entry's name, else the engine's id.
    pub label: String,
    /// Asked and recorded, but not followed.
    pub shadow: bool,
    /// It alone.
    pub chain: PolicyChain,
}

impl Builder {
    /// Builds the policy engines of a scope and nothing else: no identity provider, no binding, no secret of theirs.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn engines(&self, config: &Config, now: SystemTime) -> Result<Engines, BuildError> {
        let secrets = SecretResolver::new(config.base());
        let built = engines(config, &secrets, &self.filters, now).map_err(BuildError::lasting)?;
        let alone = |engine: &Arc<_>| {
            PolicyChain::new(vec![Arc::clone(engine)], CacheLimits::default()).on(self.filters.policy.clone())
        };
        let deciding = built.iter().filter(|(_, shadow, _)| !shadow).map(|(_, _, engine)| Arc::clone(engine));
        let chain =
            PolicyChain::new(deciding.collect(), CacheLimits::default()).on(self.filters.policy.clone());
        let warnings = built.iter().flat_map(|(label, _, engine)| {
            engine.warnings().iter().map(move |warning| format!("{label}: {warning}"))
        });
        Ok(Engines {
            scope: config.tenancy.scope.clone(),
            chain,
            warnings: warnings.collect(),
            each: built
                .iter()
                .map(|(label, shadow, engine)| Engine {
                    label: label.clone(),
                    shadow: *shadow,
                    chain: alone(engine),
                })
                .collect(),
            bindings: config.bindings.iter().map(|binding| binding.id.clone()).collect(),
        })
    }
}
