//! The `config:` of `identity.workload`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::{Base, Settings, SettingsError};
use serde::Deserialize;
use serde_json::Value;

use super::Workload;
use super::api::WorkloadApi;
use super::bundle::Bundle;
use super::id::{Pattern, check_trust_domain};
use super::jwt_svid::TokenRules;
use super::source::Domain;
use crate::identity::certificate::watched::{RELOAD_MS, Watched};
use crate::identity::jwt::Tolerance;
use crate::registry::BuildContext;

/// How far the clock of a trust domain may be from ours: "no more than a few minutes" (JWT-SVID section 3.3).
const CLOCK_SKEW_MS_MAX: u64 = 300_000;
/// How long bundles are used after the Workload API was lost.
const STALE_MS: u64 = 3_600_000;

/// The `config:` of `identity.workload`.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSettings {
    /// The trust domains whose workloads may come in.
    pub trust_domains: Vec<TrustDomainSettings>,
    /// The SPIFFE Workload API that sends the bundles of trust domains without a `bundle`: `unix:///run/spire/agent.sock`.
    pub workload_api: Option<String>,
    /// For how long bundles are used after the Workload API was lost, in milliseconds.
    #[serde(default = "stale_ms")]
    pub stale_ms: u64,
    /// Accept JWT-SVIDs too, as bearer tokens.
    pub jwt: Option<JwtSettings>,
    /// The SPIFFE IDs that may come in: `spiffe://acme.org/sa/cron`, or all below a path, `spiffe://acme.org/sa/*`.
    /// Absent: every one of the trust domains.
    #[serde(default)]
    pub allowed_ids: Vec<String>,
    /// How often the files of bundles are looked at, in milliseconds. 0: never.
    #[serde(default = "reload_ms")]
    pub reload_ms: u64,
    /// What policy sees as the caller's attributes, beside `trust_domain`.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// A trust domain.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustDomainSettings {
    /// Its name, without `spiffe://`.
    pub name: String,
    /// Its bundle: a file of the SPIFFE bundle format (JSON), or PEM. A relative path is below the configuration's
    /// folder. Absent: from `workload_api`.
    pub bundle: Option<String>,
}

/// What JWT-SVIDs are held against.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// Whom they must be for, one of these. Absent: the URL of the endpoint that was asked.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How far the clocks of those who issue them may be from this one, in milliseconds: at most 300,000.
    #[serde(default = "clock_skew_ms")]
    pub clock_skew_ms: u64,
}

fn stale_ms() -> u64 {
    STALE_MS
}

fn reload_ms() -> u64 {
    RELOAD_MS
}

fn clock_skew_ms() -> u64 {
    30_000
}

impl Workload {
    /// Builds the provider, and reads the bundles that are in files.
    ///
    /// # Errors
    /// When the settings do not parse or contradict one another, or a bundle cannot be used.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: WorkloadSettings = settings.parse()?;
        if settings.trust_domains.is_empty() {
            return Err(SettingsError::at("/trust_domains", "no trust domain is configured"));
        }
        let from_api = settings.trust_domains.iter().filter(|domain| domain.bundle.is_none());
        let names: Vec<_> = from_api.map(|domain| domain.name.as_str()).collect();
        let api = workload_api(&settings, &names, context.base)?;
        let domains = domains(&settings, api.as_ref(), context.base)?;
        let tokens = settings.jwt.map(token_rules).transpose()?;
        let allowed = allowed(&settings.allowed_ids, &domains)?;
        if settings.attributes.contains_key("trust_domain") {
            return Err(SettingsError::at(
                "/attributes/trust_domain",
                "`trust_domain` is what the SVID says",
            ));
        }
        let attributes = settings.attributes.into_iter().collect();
        Ok(Self { domains: domains.into(), api, tokens, allowed, attributes, known: Default::default() })
    }
}

fn workload_api(
    settings: &WorkloadSettings,
    names: &[&str],
    base: &Base,
) -> Result<Option<Arc<WorkloadApi>>, SettingsError> {
    let at = |message: &str| SettingsError::at("/workload_api", message);
    let Some(address) = &settings.workload_api else { return Ok(None) };
    let path = address.strip_prefix("unix://").or(address.strip_prefix("unix:")).map(Path::new);
    let path = path.filter(|path| path.is_absolute());
    let path = path.ok_or_else(|| at("write the socket's absolute path: `unix:///run/spire/agent.sock`"))?;
    if base.is_bounded() {
        return Err(at(
            "a socket of this machine is for the gateway's own file to name: give each trust domain its `bundle`",
        ));
    }
    if names.is_empty() {
        return Err(at("every trust domain has a `bundle` of its own: leave this out, or one of those"));
    }
    let stale = Duration::from_millis(settings.stale_ms);
    Ok(Some(WorkloadApi::new(path.to_owned(), names, settings.jwt.is_some(), stale)))
}

fn domains(
    settings: &WorkloadSettings,
    api: Option<&Arc<WorkloadApi>>,
    base: &Base,
) -> Result<Vec<Domain>, SettingsError> {
    let mut domains: Vec<Domain> = Vec::new();
    for (index, domain) in settings.trust_domains.iter().enumerate() {
        let at = |member: &str, message: String| {
            SettingsError::at(format!("/trust_domains/{index}/{member}"), message)
        };
        check_trust_domain(&domain.name)
            .map_err(|error| at("name", format!("`{}`: {error}", domain.name)))?;
        if domains.iter().any(|other| other.name() == domain.name) {
            return Err(at("name", format!("`{}` is there twice", domain.name)));
        }
        domains.push(match (&domain.bundle, api) {
            (Some(path), _) => {
                let path = base.file(path).map_err(|error| at("bundle", error.to_string()))?;
                let file = watched(path, Duration::from_millis(settings.reload_ms));
                Domain::from_file(&domain.name, file.map_err(|message| at("bundle", message))?)
            }
            (None, Some(api)) => Domain::from_api(&domain.name, Arc::clone(api)),
            (None, None) => {
                return Err(at("bundle", "name the file of its bundle, or set `workload_api`".to_owned()));
            }
        });
    }
    Ok(domains)
}

/// A document with a lower number than the one in force is an old one come back.
fn watched(path: PathBuf, interval: Duration) -> Result<Arc<Watched<Bundle>>, String> {
    let newest = parking_lot::Mutex::new(0);
    Watched::read(vec![path], interval, move |parts| {
        let bundle = Bundle::read(parts)?;
        if let Some(sequence) = bundle.sequence {
            let mut newest = newest.lock();
            if sequence < *newest {
                return Err(format!(
                    "`spiffe_sequence` {sequence} is older than {newest}, which is in force"
                ));
            }
            *newest = sequence;
        }
        Ok(bundle)
    })
}

fn token_rules(settings: JwtSettings) -> Result<TokenRules, SettingsError> {
    if settings.clock_skew_ms > CLOCK_SKEW_MS_MAX {
        let message = format!("at most {CLOCK_SKEW_MS_MAX} are a few minutes");
        return Err(SettingsError::at("/jwt/clock_skew_ms", message));
    }
    if let Some(index) = settings.audiences.iter().position(String::is_empty) {
        return Err(SettingsError::at(format!("/jwt/audiences/{index}"), "an audience has a name"));
    }
    let clock_skew = Duration::from_millis(settings.clock_skew_ms);
    let audiences = settings.audiences.into_iter().map(Into::into).collect();
    Ok(TokenRules { audiences, tolerance: Tolerance { clock_skew, age_max: None } })
}

fn allowed(ids: &[String], domains: &[Domain]) -> Result<Box<[Pattern]>, SettingsError> {
    let parse = |(index, id): (usize, &String)| {
        let at = |message: String| SettingsError::at(format!("/allowed_ids/{index}"), message);
        let pattern = Pattern::parse(id).map_err(|error| at(format!("`{id}` is no SPIFFE ID: {error}")))?;
        let is_known = domains.iter().any(|domain| domain.name() == pattern.trust_domain());
        if is_known { Ok(pattern) } else { Err(at(format!("the trust domain of `{id}` is not configured"))) }
    };
    ids.iter().enumerate().map(parse).collect()
}
