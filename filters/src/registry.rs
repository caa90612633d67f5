//! The registry of built-ins: from a plugin entry's id and settings to a filter.
//!
//! An entry whose id is here is a built-in; every other id is a third-party plugin's.

use std::path::Path;
use std::time::SystemTime;

use mcpg_sdk::{Settings, SettingsError};
use schemars::{Schema, schema_for};

use crate::identity::IdentityProvider;
use crate::identity::anonymous::{self, Anonymous, AnonymousSettings};
use crate::identity::api_key::{self, ApiKeySettings, ApiKeys};
use crate::observability::audit::{self, AuditSettings};
use crate::observability::metrics::{self, MetricsSettings};
use crate::observability::traces::{self, TracesSettings};
use crate::reliability::rate_limit::{self, RateLimit, RateLimitSettings};
use crate::secret::SecretResolver;
use crate::transform::redact::{self, RedactSettings, Redactor};

/// The ids of the built-ins, in the order of the pipeline's stages.
pub const IDS: &[&str] =
    &[api_key::ID, anonymous::ID, rate_limit::ID, redact::ID, audit::ID, metrics::ID, traces::ID];

/// Other names of built-ins.
pub const ALIASES: &[(&str, &str)] = &[("api-keys", api_key::ID)];

/// Planned built-ins: an entry with such an id is an error, not a third-party plugin.
const NOT_IN_THIS_BUILD: &[&str] = &[
    "identity.basic",
    "identity.mtls",
    "identity.oidc",
    "identity.workload",
    "policy.opa",
    "policy.casbin",
    "gate.slack-approval",
    "tool-gate-slack-approval",
    "reliability.quota",
    "reliability.timeout",
    "reliability.retry",
    "reliability.breaker",
    "secret.vault",
    "secret-vault",
];

/// What building a filter may draw on.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext<'a> {
    /// The configuration's folder: what relative paths in settings are below.
    pub base_dir: &'a Path,
    /// Resolves secret references.
    pub secrets: &'a SecretResolver,
    /// The ids of the configured bindings.
    pub bindings: &'a [&'a str],
    /// When the revision is built.
    pub now: SystemTime,
}

/// A built-in, built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Filter {
    /// An identity provider: the scope's chain takes it.
    Identity(IdentityProvider),
    /// The scope's rate limits.
    RateLimit(RateLimit),
    /// What is redacted from every response of the scope.
    Redact(Redactor),
    /// The guarantee of the audit log.
    Audit(AuditSettings),
    /// Metrics.
    Metrics(MetricsSettings),
    /// Traces.
    Traces(TracesSettings),
}

/// The built-in that an id or an alias names.
pub fn canonical(id: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == id).map(|(_, id)| *id);
    alias.or_else(|| IDS.iter().copied().find(|built_in| *built_in == id))
}

/// Builds a filter.
///
/// # Errors
/// When the id is no built-in's, or its settings do not hold. The pointer is below the entry's `config:`.
pub fn build(id: &str, settings: &Settings, context: &BuildContext<'_>) -> Result<Filter, SettingsError> {
    match canonical(id) {
        Some(api_key::ID) => {
            ApiKeys::build(settings, context).map(IdentityProvider::ApiKey).map(Filter::Identity)
        }
        Some(anonymous::ID) => {
            Anonymous::build(settings).map(IdentityProvider::Anonymous).map(Filter::Identity)
        }
        Some(rate_limit::ID) => RateLimit::build(settings, context).map(Filter::RateLimit),
        Some(redact::ID) => Redactor::build(settings).map(Filter::Redact),
        Some(audit::ID) => AuditSettings::build(settings).map(Filter::Audit),
        Some(metrics::ID) => MetricsSettings::build(settings).map(Filter::Metrics),
        Some(traces::ID) => TracesSettings::build(settings).map(Filter::Traces),
        _ if NOT_IN_THIS_BUILD.contains(&id) => {
            Err(SettingsError::at("", format!("`{id}` is not in this build")))
        }
        _ => Err(SettingsError::at("", format!("no built-in filter is called `{id}`"))),
    }
}

/// The JSON Schema of each built-in's `config:`.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        (api_key::ID, schema_for!(ApiKeySettings)),
        (anonymous::ID, schema_for!(AnonymousSettings)),
        (rate_limit::ID, schema_for!(RateLimitSettings)),
        (redact::ID, schema_for!(RedactSettings)),
        (audit::ID, schema_for!(AuditSettings)),
        (metrics::ID, schema_for!(MetricsSettings)),
        (traces::ID, schema_for!(TracesSettings)),
    ]
}
