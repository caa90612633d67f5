//! How a registry is reached: the setting `registry` of the policy engines.

use std::time::Duration;

use mcpg_sdk::{Base, Secret, SecretRef, Settings, SettingsError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::BundleForm;
use super::reference::BundleReference;
use super::registry::Login;
use crate::net::{AllowAddresses, ClientTls, ClientTlsSettings, HttpUrl, Roots, Target};
use crate::secret::{SecretResolver, file};

const CA_BYTES_MAX: usize = 1024 * 1024;
const DAY_MS: u64 = 86_400_000;

/// How a registry is reached, and how often a tag is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// As whom the gateway asks. Without it, it asks for what everybody may read.
    pub username: Option<String>,
    /// The password or access token: a reference to a secret.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretRef>,
    /// Blocks of addresses (CIDR) that the registry, its stores and its token service may have although they are not public.
    pub allow_addresses: AllowAddresses,
    /// How the registry is verified.
    pub tls: RegistryTlsSettings,
    /// Whether the registry speaks HTTP without TLS: only on this machine.
    pub plain_http: bool,
    /// How often a tag without a digest is looked at: 5 seconds to a day.
    pub refresh_ms: u64,
    /// The time for each answer of the registry.
    pub timeout_ms: u64,
}

/// How a registry is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryTlsSettings {
    /// A PEM file with the only roots that are trusted. Default: the system's.
    pub ca: Option<String>,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            allow_addresses: AllowAddresses::default(),
            tls: RegistryTlsSettings::default(),
            plain_http: false,
            refresh_ms: 60_000,
            timeout_ms: 10_000,
        }
    }
}

/// A bundle of a registry that a plugin names, with all that fetching it takes.
#[derive(Debug, Clone)]
pub struct BundleOrder {
    /// The setting `bundle`.
    pub(super) written: String,
    pub(super) reference: BundleReference,
    pub(super) target: Target,
    pub(super) login: Option<Login>,
    pub(super) refresh: Duration,
    pub(super) timeout: Duration,
}

/// What is looked at in the settings of any policy engine; the engine itself looks at all of them.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    bundle: Option<String>,
    #[serde(default)]
    registry: RegistrySettings,
}

impl BundleOrder {
    /// The order that the settings of a plugin amount to; none if its bundle is of no registry.
    ///
    /// # Errors
    /// When the settings name a registry, and that or how to reach it is wrong.
    pub fn of(
        settings: &Settings,
        base: &Base,
        secrets: &SecretResolver,
    ) -> Result<Option<Self>, SettingsError> {
        let written = settings.0.get("bundle").and_then(|bundle| bundle.as_str());
        if written.is_none_or(|written| BundleForm::of(written) != BundleForm::Registry) {
            return Ok(None);
        }
        let Named { bundle: Some(written), registry } = settings.parse()? else { return Ok(None) };
        let at = |pointer: &str, message: String| SettingsError::at(pointer, message);
        let reference: BundleReference =
            written.parse().map_err(|error| at("/bundle", format!("`{written}`: {error}")))?;
        if !(5_000..=DAY_MS).contains(&registry.refresh_ms) {
            return Err(at("/registry/refresh_ms", "5000 (5 seconds) to 86400000 (1 day)".to_owned()));
        }
        if !(100..=60_000).contains(&registry.timeout_ms) {
            return Err(at("/registry/timeout_ms", "100 to 60000 (1 minute)".to_owned()));
        }
        Ok(Some(Self {
            target: target(&reference, &registry, base)?,
            login: login(&registry, secrets)?,
            refresh: Duration::from_millis(registry.refresh_ms),
            timeout: Duration::from_millis(registry.timeout_ms),
            written,
            reference,
        }))
    }
}

fn target(
    reference: &BundleReference,
    settings: &RegistrySettings,
    base: &Base,
) -> Result<Target, SettingsError> {
    let scheme = if settings.plain_http { "http" } else { "https" };
    let url: HttpUrl = format!("{scheme}://{}/", reference.registry)
        .parse()
        .map_err(|error| SettingsError::at("/bundle", format!("`{}`: {error}", reference.registry)))?;
    let roots = match &settings.tls.ca {
        None => Roots::System,
        Some(path) => {
            let pem = file::read_named(base, path, CA_BYTES_MAX).map_err(|error| {
                SettingsError::at("/registry/tls/ca", format!("cannot read `{path}`: {error}"))
            })?;
            Roots::Pem(pem)
        }
    };
    let tls = ClientTls::new(ClientTlsSettings { roots, ..ClientTlsSettings::default() })
        .map_err(|error| SettingsError::at("/registry/tls/ca", error.to_string()))?;
    Ok(Target::configured(url, &settings.allow_addresses, tls))
}

fn login(settings: &RegistrySettings, secrets: &SecretResolver) -> Result<Option<Login>, SettingsError> {
    match (&settings.username, &settings.password) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => {
            if username.is_empty() || username.chars().any(|one| one == ':' || one.is_control()) {
                let message = "a user's name is not empty and has no `:`";
                return Err(SettingsError::at("/registry/username", message));
            }
            let password: Secret = secrets
                .resolve(password)
                .map_err(|error| SettingsError::at("/registry/password", error.to_string()))?;
            Ok(Some(Login { username: username.clone(), password }))
        }
        (Some(_), None) => Err(SettingsError::at("/registry/username", "needs `password` beside it")),
        (None, Some(_)) => Err(SettingsError::at("/registry/password", "needs `username` beside it")),
    }
}
