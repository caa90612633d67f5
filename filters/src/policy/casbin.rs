//! `policy.casbin`: models and policies of Casbin, checked and compiled when they are loaded.
//!
//! The evaluator is the gateway's own. The `casbin` crate panics on requests and patterns that it does not like, compiles patterns for
//! each rule of each request, runs matchers in an engine whose limits it has compiled out, and looks at every rule
//! (`docs/adr/0014-policy-bundles-and-casbin.md` has the figures). What matchers mean is tested against the Python implementation.
//! For authors it is in `docs/POLICY_CASBIN.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::policy::{EngineDecision, EngineError, PolicyEngine, PolicyInput, ReadSet, Reads};
use mcpg_sdk::{Base, Obligation};
use schemars::JsonSchema;
use serde::Deserialize;

use super::bundle::{Bundle, BundleError, BundleRequest, FetchedBundles, RegistrySettings};
use super::cedar::{self, Protocol};

mod compile;
mod evaluate;
mod expression;
mod index;
mod model;
mod part;
mod pattern;
mod policy;
mod program;
mod roles;
mod value;

/// Settings of `policy.casbin`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasbinSettings {
    /// The model and the policy: in a folder, a `.tar.gz`, or `oci://REGISTRY/REPOSITORY:TAG@sha256:DIGEST`. A relative path is below
    /// the configuration's folder.
    pub bundle: String,
    /// How the registry of an `oci://` bundle is reached.
    #[serde(default)]
    pub registry: RegistrySettings,
    /// The model's file in the bundle.
    #[serde(default = "default_model")]
    pub model: String,
    /// The policy's file in the bundle.
    #[serde(default = "default_policy")]
    pub policy: String,
    /// What each field of a request stands for, by its path in the input document. Without it: `sub: caller.subject`, `dom:
    /// tenant.organization`, `obj: resource.id`, `act: action.method`.
    #[serde(default)]
    pub request: BTreeMap<String, String>,
    /// Whether clients may connect and list without a policy that says so.
    #[serde(default)]
    pub protocol: Protocol,
    /// Bounds of the bundle and of a decision.
    #[serde(default)]
    pub limits: CasbinLimits,
}

/// Bounds of a bundle and of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CasbinLimits {
    /// Lines of the policy: rules and role links.
    pub rules_max: usize,
    /// Different patterns for functions such as `regexMatch`.
    pub patterns_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Milliseconds for one decision; a longer one denies.
    pub evaluation_ms_max: u64,
}

impl Default for CasbinLimits {
    fn default() -> Self {
        Self { rules_max: 100_000, patterns_max: 5_000, file_bytes_max: 16 << 20, evaluation_ms_max: 250 }
    }
}

fn default_model() -> String {
    "model.conf".to_owned()
}

fn default_policy() -> String {
    "policy.csv".to_owned()
}

/// The policy that lets clients connect.
const PROTOCOL_POLICY: &str = "mcpg.protocol";

/// A loaded bundle.
pub struct CasbinEngine {
    program: program::Program,
    file: String,
    reads: Reads,
    obligations: Vec<Obligation>,
    warnings: Vec<String>,
    protocol: Protocol,
    limit: Duration,
}

impl CasbinEngine {
    /// The plugin's id.
    pub const ID: &'static str = "policy.casbin";

    /// Loads a bundle.
    ///
    /// # Errors
    /// Everything that is wrong with it, with file and line.
    pub fn load(
        settings: &CasbinSettings,
        base: &Base,
        fetched: &FetchedBundles,
    ) -> Result<Self, CasbinError> {
        let wants = |path: &str| path == settings.model || path == settings.policy;
        let bundle = Bundle::load(&BundleRequest {
            base,
            written: &settings.bundle,
            wants: &wants,
            file_bytes_max: settings.limits.file_bytes_max,
            fetched,
        })?;
        let text = |name: &str| {
            let contents = bundle.files.get(name);
            let contents =
                contents.ok_or_else(|| CasbinError::one(format!("the bundle has no file `{name}`")))?;
            std::str::from_utf8(contents).map_err(|error| {
                CasbinError::one(format!("{name}: is not UTF-8 at byte {}", error.valid_up_to()))
            })
        };
        let program = program::Program::compile(text(&settings.model)?, text(&settings.policy)?, settings)
            .map_err(|wrongs| CasbinError::of(settings, wrongs))?;
        let mut obligations: Vec<_> =
            program.rules.iter().flat_map(|rule| rule.obligations.iter().cloned()).collect();
        obligations.sort();
        obligations.dedup();
        let mut warnings = bundle.warnings;
        warnings.extend(program.warnings.iter().map(|warning| match warning.strip_prefix("0: ") {
            Some(warning) => format!("{}: {warning}", settings.model),
            None => format!("{}:{warning}", settings.policy),
        }));
        Ok(Self {
            reads: reads(&program, settings.protocol),
            obligations,
            warnings,
            file: settings.policy.clone(),
            program,
            protocol: settings.protocol,
            limit: Duration::from_millis(settings.limits.evaluation_ms_max),
        })
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.program.rules.len()
    }
}

fn reads(program: &program::Program, protocol: Protocol) -> Reads {
    let mut reads = Reads::new(&Arc::new(program.reads()));
    if protocol == Protocol::Builtin {
        let nothing = Arc::new(ReadSet::default());
        cedar::protocol_methods().for_each(|method| reads.set_method(method, Arc::clone(&nothing)));
    }
    reads
}

impl PolicyEngine for CasbinEngine {
    fn id(&self) -> &str {
        Self::ID
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn named_tools(&self) -> Vec<(String, String)> {
        self.program.named_tools()
    }

    fn obligations(&self) -> Option<Vec<Obligation>> {
        Some(self.obligations.clone())
    }

    fn limit(&self) -> Duration {
        self.limit
    }

    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Result<EngineDecision, EngineError> {
        if self.protocol == Protocol::Builtin && cedar::is_protocol(input) {
            return Ok(EngineDecision::Permit {
                policies: vec![PROTOCOL_POLICY.to_owned()],
                obligations: Vec::new(),
            });
        }
        evaluate::decide(&self.program, &self.file, input, (within, self.limit))
    }
}

impl fmt::Debug for CasbinEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasbinEngine").field("rules", &self.rules()).finish_non_exhaustive()
    }
}

/// Why a bundle does not load.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct CasbinError {
    /// What is wrong, each with its place.
    pub problems: Vec<String>,
    /// Whether the settings are at fault, not the bundle.
    pub of_request: bool,
}

impl CasbinError {
    fn one(problem: String) -> Self {
        Self { problems: vec![problem], of_request: false }
    }

    fn of(settings: &CasbinSettings, wrongs: program::Wrongs) -> Self {
        let place = |file: &str, (line, message): (usize, String)| match line {
            0 => format!("{file}: {message}"),
            line => format!("{file}:{line}: {message}"),
        };
        let of_model = wrongs.model.into_iter().map(|wrong| place(&settings.model, wrong));
        let of_policy = wrongs.policy.into_iter().map(|wrong| place(&settings.policy, wrong));
        let of_request = !wrongs.settings.is_empty();
        Self { problems: of_model.chain(of_policy).chain(wrongs.settings).collect(), of_request }
    }
}

impl From<BundleError> for CasbinError {
    fn from(error: BundleError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::one(format!("{error}{cause}"))
    }
}

#[cfg(test)]
mod tests;
