//! The registry of built-ins: from a plugin entry's id and settings to a filter.
//!
//! An entry whose id is here is a built-in; every other id is a third-party plugin's.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::policy::PolicyEngine;
use mcpg_sdk::{Base, Scope, Settings, SettingsError};
use schemars::{Schema, schema_for};

use crate::gate::{self, ApprovalGate, LocalSettings, SlackSettings, WebhookSettings};
use crate::identity::IdentityProvider;
use crate::identity::anonymous::{self, Anonymous, AnonymousSettings};
use crate::identity::api_key::{self, ApiKeySettings, ApiKeys};
use crate::identity::basic::{self, Basic, BasicSettings};
use crate::identity::mtls::{self, Mtls, MtlsSettings};
use crate::identity::oidc::{self, Oidc, OidcSettings};
use crate::identity::workload::{self, Workload, WorkloadSettings};
use crate::observability::audit::{self, AuditSettings};
use crate::observability::metrics::{self, MetricsSettings};
use crate::observability::traces::{self, TracesSettings};
use crate::policy::casbin::{CasbinEngine, CasbinSettings};
use crate::policy::cedar::{BundleContext, CedarEngine, CedarSettings};
use crate::policy::opa::{OpaEngine, OpaError, OpaSettings};
use crate::reliability::rate_limit::{self, RateLimit, RateLimitSettings};
use crate::secret::{self, SecretResolver, SecretSettings};
use crate::shared::Shared;
use crate::transform::redact::{self, RedactSettings, Redactor};

/// The ids of the built-ins, in the order of the pipeline's stages.
pub const IDS: &[&str] = &[
    api_key::ID,
    basic::ID,
    mtls::ID,
    oidc::ID,
    workload::ID,
    anonymous::ID,
    rate_limit::ID,
    CedarEngine::ID,
    OpaEngine::ID,
    CasbinEngine::ID,
    gate::SLACK_ID,
    gate::WEBHOOK_ID,
    gate::LOCAL_ID,
    redact::ID,
    audit::ID,
    metrics::ID,
    traces::ID,
    secret::IDS[0],
    secret::IDS[1],
];

/// Other names of built-ins.
pub const ALIASES: &[(&str, &str)] = &[("api-keys", api_key::ID), (gate::SLACK_ALIAS, gate::SLACK_ID)];

/// Planned built-ins: an entry with such an id is an error, not a third-party plugin.
const NOT_IN_THIS_BUILD: &[&str] = &[
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
    pub base: &'a Base,
    /// Resolves secret references.
    pub secrets: &'a SecretResolver,
    /// The ids of the configured bindings.
    pub bindings: &'a [&'a str],
    /// The scope that it is built for.
    pub scope: &'a Scope,
    /// What it has of the process.
    pub shared: &'a Arc<Shared>,
    /// When the revision is built.
    pub now: SystemTime,
}

/// A built-in, built.
#[non_exhaustive]
pub enum Filter {
    /// An identity provider: the scope's chain takes it.
    Identity(IdentityProvider),
    /// A policy engine: the scope's chain takes it.
    Policy(Arc<dyn PolicyEngine>),
    /// A gate: calls wait at it for people.
    Gate(Arc<ApprovalGate>),
    /// The scope's rate limits.
    RateLimit(RateLimit),
    /// What is redacted from every response of the scope.
    Redact(Redactor),
    /// The ledger of decisions.
    Audit(AuditSettings),
    /// Metrics.
    Metrics(MetricsSettings),
    /// Traces.
    Traces(TracesSettings),
    /// A secret provider, which the resolver has anyway.
    Secret(SecretSettings),
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
        Some(basic::ID) => Basic::build(settings, context).map(IdentityProvider::Basic).map(Filter::Identity),
        Some(mtls::ID) => Mtls::build(settings, context).map(IdentityProvider::Mtls).map(Filter::Identity),
        Some(oidc::ID) => Oidc::build(settings, context).map(IdentityProvider::Oidc).map(Filter::Identity),
        Some(workload::ID) => {
            Workload::build(settings, context).map(IdentityProvider::Workload).map(Filter::Identity)
        }
        Some(anonymous::ID) => {
            Anonymous::build(settings).map(IdentityProvider::Anonymous).map(Filter::Identity)
        }
        Some(rate_limit::ID) => RateLimit::build(settings, context).map(Filter::RateLimit),
        Some(CedarEngine::ID) => cedar(settings, context).map(|engine| Filter::Policy(Arc::new(engine))),
        Some(OpaEngine::ID) => opa(settings, context).map(|engine| Filter::Policy(Arc::new(engine))),
        Some(CasbinEngine::ID) => casbin(settings, context).map(|engine| Filter::Policy(Arc::new(engine))),
        Some(gate::SLACK_ID) => ApprovalGate::slack(settings, context).map(Arc::new).map(Filter::Gate),
        Some(gate::WEBHOOK_ID) => ApprovalGate::webhook(settings, context).map(Arc::new).map(Filter::Gate),
        Some(gate::LOCAL_ID) => ApprovalGate::local(settings, context).map(Arc::new).map(Filter::Gate),
        Some(redact::ID) => Redactor::build(settings).map(Filter::Redact),
        Some(audit::ID) => AuditSettings::build(settings).map(Filter::Audit),
        Some(metrics::ID) => MetricsSettings::build(settings).map(Filter::Metrics),
        Some(traces::ID) => TracesSettings::build(settings).map(Filter::Traces),
        Some(id) if secret::IDS.contains(&id) => SecretSettings::build(settings).map(Filter::Secret),
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
        (basic::ID, schema_for!(BasicSettings)),
        (mtls::ID, schema_for!(MtlsSettings)),
        (oidc::ID, schema_for!(OidcSettings)),
        (workload::ID, schema_for!(WorkloadSettings)),
        (anonymous::ID, schema_for!(AnonymousSettings)),
        (rate_limit::ID, schema_for!(RateLimitSettings)),
        (CedarEngine::ID, schema_for!(CedarSettings)),
        (OpaEngine::ID, schema_for!(OpaSettings)),
        (CasbinEngine::ID, schema_for!(CasbinSettings)),
        (gate::SLACK_ID, schema_for!(SlackSettings)),
        (gate::WEBHOOK_ID, schema_for!(WebhookSettings)),
        (gate::LOCAL_ID, schema_for!(LocalSettings)),
        (redact::ID, schema_for!(RedactSettings)),
        (audit::ID, schema_for!(AuditSettings)),
        (metrics::ID, schema_for!(MetricsSettings)),
        (traces::ID, schema_for!(TracesSettings)),
        (secret::IDS[0], schema_for!(SecretSettings)),
        (secret::IDS[1], schema_for!(SecretSettings)),
    ]
}

fn cedar(settings: &Settings, context: &BuildContext<'_>) -> Result<CedarEngine, SettingsError> {
    let settings: CedarSettings = settings.parse()?;
    let bindings: Vec<String> = context.bindings.iter().map(|id| (*id).to_owned()).collect();
    let fetched = context.shared.bundles.of(context.scope);
    let context = BundleContext { base: context.base, bindings: &bindings, fetched: &fetched };
    CedarEngine::load(&settings, &context).map_err(|error| {
        let mut message = error.to_string();
        if let Some(source) = error.source() {
            message += &format!(": {source}");
        }
        SettingsError::at("/bundle", message)
    })
}

fn opa(settings: &Settings, context: &BuildContext<'_>) -> Result<OpaEngine, SettingsError> {
    let settings: OpaSettings = settings.parse()?;
    OpaEngine::build(&settings, context).map_err(|error| {
        let pointer = match &error {
            OpaError::Setting { pointer, .. } => pointer,
            OpaError::Bundle(_) | OpaError::Policies(_) => "/bundle",
        };
        SettingsError::at(pointer, error.to_string())
    })
}

fn casbin(settings: &Settings, context: &BuildContext<'_>) -> Result<CasbinEngine, SettingsError> {
    let settings: CasbinSettings = settings.parse()?;
    let fetched = context.shared.bundles.of(context.scope);
    CasbinEngine::load(&settings, context.base, &fetched).map_err(|error| {
        SettingsError::at(if error.of_request { "/request" } else { "/bundle" }, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn build_in(folder: &Path, id: &str, settings: Value) -> Result<Filter, SettingsError> {
        let base = Base::trusted(folder);
        let secrets = SecretResolver::new(&base);
        let now = SystemTime::UNIX_EPOCH;
        let (scope, shared) = (Scope::default(), Arc::default());
        let context = BuildContext {
            base: &base,
            secrets: &secrets,
            bindings: &["files"],
            scope: &scope,
            shared: &shared,
            now,
        };
        build(id, &Settings(settings), &context)
    }

    fn error(id: &str, settings: Value) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let error = build_in(folder.path(), id, settings).err().unwrap();
        (error.pointer, error.message)
    }

    #[test]
    fn each_built_in_has_a_schema_that_refuses_unknown_settings() {
        let schemas = schemas();
        assert_eq!(schemas.iter().map(|(id, _)| *id).collect::<Vec<_>>(), IDS);
        for (id, schema) in schemas {
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{id}");
            let (pointer, message) = error(id, json!({"colour": "red"}));
            assert_eq!(pointer, "/colour", "{id}: {message}");
        }
    }

    #[test]
    fn ids_and_aliases_are_distinct() {
        let aliases = ALIASES.iter().map(|(alias, _)| alias);
        let mut names: Vec<_> = IDS.iter().chain(aliases).chain(NOT_IN_THIS_BUILD).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(canonical("api-keys"), Some("identity.api-key"));
        assert_eq!(canonical("policy.cedar"), Some("policy.cedar"));
        assert_eq!(canonical("redact-emails"), None);
    }

    #[test]
    fn what_is_not_here_says_so() {
        let message = "`reliability.quota` is not in this build".to_owned();
        assert_eq!(error("reliability.quota", Value::Null), (String::new(), message));
        let message = "no built-in filter is called `redact-emails`".to_owned();
        assert_eq!(error("redact-emails", Value::Null), (String::new(), message));
    }

    #[test]
    fn filters_come_as_their_kind() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/all.cedar"), "permit (principal, action, resource);")
            .unwrap();
        let build = |id: &str, settings| build_in(folder.path(), id, settings).unwrap();
        assert!(matches!(build("identity.anonymous", Value::Null), Filter::Identity(_)));
        assert!(matches!(build("reliability.rate-limit", Value::Null), Filter::RateLimit(_)));
        assert!(matches!(build("policy.cedar", json!({"bundle": "policies"})), Filter::Policy(_)));
        assert!(matches!(build("transform.redact", json!({"fields": ["email"]})), Filter::Redact(_)));
        assert!(matches!(build("observability.audit", Value::Null), Filter::Audit(_)));
        assert!(matches!(build("observability.metrics", Value::Null), Filter::Metrics(_)));
        assert!(matches!(build("observability.traces", Value::Null), Filter::Traces(_)));
        assert!(matches!(build("secret.env", Value::Null), Filter::Secret(_)));
        assert!(matches!(build("secret.file", Value::Null), Filter::Secret(_)));
    }

    #[test]
    fn a_bundle_that_does_not_load_says_why() {
        let (pointer, message) = error("policy.cedar", json!({"bundle": "none"}));
        assert_eq!(pointer, "/bundle");
        assert!(message.contains("none"), "{message}");
    }
}
