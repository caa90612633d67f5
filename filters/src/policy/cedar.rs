//! `policy.cedar`: Cedar policies from a bundle, checked against the gateway's schema when they are loaded.
//!
//! Cedar skips a policy that fails to evaluate, even a `forbid`; here any failure denies. What each policy reads is
//! taken from its syntax tree, so the engine is given, and decisions are keyed by, exactly that. The mapping of
//! callers and calls to Cedar is in `names`; for authors it is in `docs/POLICY.md`.

use std::fmt;
use std::time::Duration;

use mcpg_sdk::policy::{EngineDecision, EngineError, Kind, PolicyEngine, PolicyInput, Reads};
use mcpg_sdk::{Base, Obligation};
use schemars::JsonSchema;
use serde::Deserialize;

mod analysis;
mod bundle;
mod convert;
mod declared;
mod entities;
mod evaluate;
mod hierarchy;
mod index;
mod infer;
mod load;
mod names;
mod obligations;
mod paths;
mod problem;
mod published;
mod schema;
mod slots;
mod source;
mod types;
mod uses;

pub(super) use problem::did_you_mean;
pub use problem::nearest as nearest_name;
pub use problem::{CedarError, Problem};
pub use published::{ListedTool, schema_text};

use super::bundle::{FetchedBundles, RegistrySettings};

/// Settings of `policy.cedar`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CedarSettings {
    /// The policies: every `*.cedar`, at most one `*.cedarschema`, and `entities.json` of a folder, a `.tar.gz`, or
    /// `oci://REGISTRY/REPOSITORY:TAG@sha256:DIGEST`. A relative path is below the configuration's folder.
    pub bundle: String,
    /// How the registry of an `oci://` bundle is reached.
    #[serde(default)]
    pub registry: RegistrySettings,
    /// Whether clients may connect and list without a policy that says so.
    #[serde(default)]
    pub protocol: Protocol,
    /// Bounds of the bundle and of a decision.
    #[serde(default)]
    pub limits: CedarLimits,
}

/// Who permits the protocol's plumbing: `initialize`, `ping`, the lists, notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A built-in policy permits `Action::"protocol"`; a `forbid` overrides it. Tools, resources, prompts and tasks stay
    /// denied by default.
    #[default]
    Builtin,
    /// The bundle's policies alone.
    Explicit,
}

/// Bounds of a bundle and of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CedarLimits {
    /// Policies in the bundle.
    pub policies_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Milliseconds for one decision; a longer one denies.
    pub evaluation_ms_max: u64,
}

impl Default for CedarLimits {
    fn default() -> Self {
        Self { policies_max: 20_000, file_bytes_max: 16 << 20, evaluation_ms_max: 250 }
    }
}

/// What a bundle is loaded for.
#[derive(Debug, Clone, Copy)]
pub struct BundleContext<'a> {
    /// The configuration's folder.
    pub base: &'a Base,
    /// Ids of the configured bindings.
    pub bindings: &'a [String],
    /// What has been fetched from registries.
    pub fetched: &'a FetchedBundles,
}

/// The methods that `protocol: builtin` is about, as far as they have names of their own.
pub(super) fn protocol_methods() -> impl Iterator<Item = &'static str> {
    names::binding_methods().filter(|method| is_protocol_method(method))
}

/// Whether a call is one that `protocol: builtin` is about.
pub(super) fn is_protocol(input: &PolicyInput<'_>) -> bool {
    input.kind() == Kind::Method && is_protocol_method(input.method())
}

fn is_protocol_method(method: &str) -> bool {
    names::method_action(method).1 == Some(names::PROTOCOL)
}

/// A loaded bundle.
pub struct CedarEngine {
    compiled: load::Compiled,
    evaluation_max: Duration,
    nothing: types::Record,
}

impl CedarEngine {
    /// The plugin's id.
    pub const ID: &'static str = "policy.cedar";

    /// Loads a bundle.
    ///
    /// # Errors
    /// Everything that is wrong with it, with positions.
    pub fn load(settings: &CedarSettings, context: &BundleContext<'_>) -> Result<Self, CedarError> {
        Ok(Self {
            compiled: load::load(settings, context)?,
            evaluation_max: Duration::from_millis(settings.limits.evaluation_ms_max),
            nothing: types::Record::default(),
        })
    }

    /// How many policies there are, with the built-in one.
    pub fn policies(&self) -> usize {
        self.compiled.policies
    }
}

impl PolicyEngine for CedarEngine {
    fn id(&self) -> &str {
        Self::ID
    }

    fn reads(&self) -> &Reads {
        &self.compiled.reads
    }

    fn warnings(&self) -> &[String] {
        &self.compiled.warnings
    }

    fn obligations(&self) -> Option<Vec<Obligation>> {
        Some(self.compiled.obligations.values().flatten().cloned().collect())
    }

    fn limit(&self) -> Duration {
        self.evaluation_max
    }

    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Result<EngineDecision, EngineError> {
        self.evaluate(input, within)
    }
}

impl fmt::Debug for CedarEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CedarEngine").field("policies", &self.compiled.policies).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
