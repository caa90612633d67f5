//! From settings to the provider.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::{Settings, SettingsError};

use super::Oidc;
use super::cache::TokenCache;
use super::introspection::{Client, Introspector};
use super::issuer::{Introspection, Issuer, Tenant, Types};
use super::keys::{KeySource, Origin};
use super::mapping::{Mapping, Path};
use super::settings::{
    CacheSettings, IntrospectionSettings, IssuerSettings, JwksSettings, OidcSettings, Replay,
};
use crate::identity::jwt::Tolerance;
use crate::net::{AllowAddresses, ClientTls, ClientTlsSettings, Host, HttpUrl, Roots, Target};
use crate::registry::BuildContext;
use crate::secret::file;

const ISSUERS_MAX: usize = 100;
const CA_BYTES_MAX: usize = 1024 * 1024;
const HOUR_MS: u64 = 3_600_000;

impl Oidc {
    /// Builds the provider. Nothing is fetched before it is started.
    ///
    /// # Errors
    /// When the settings do not parse, contradict each other, or name a file or a secret that cannot be read.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: OidcSettings = settings.parse()?;
        check_cache(settings.cache)?;
        if !(1..=ISSUERS_MAX).contains(&settings.issuers.len()) {
            let message = format!("1 to {ISSUERS_MAX} issuers are needed");
            return Err(SettingsError::at("/issuers", message));
        }
        let mut ids = HashSet::new();
        let mut issuers = Vec::new();
        let mut scopes_supported: Vec<String> = Vec::new();
        let mut required: Vec<String> = Vec::new();
        for (index, one) in settings.issuers.into_iter().enumerate() {
            let at = Place(format!("/issuers/{index}"));
            if !ids.insert(one.issuer.clone()) {
                return Err(at.error("/issuer", format!("`{}` is configured twice", one.issuer)));
            }
            add_new(&mut required, &one.required_scopes);
            add_new(&mut scopes_supported, &one.required_scopes);
            add_new(&mut scopes_supported, &one.scopes_supported);
            issuers.push(issuer(one, &at, context)?);
        }
        if issuers.iter().filter(|issuer: &&Issuer| issuer.introspection.is_some()).count() > 1 {
            let message = "only one issuer can have `introspection`: nobody can tell whose an opaque token is, and a token \
                           must not be shown to another issuer";
            return Err(SettingsError::at("/issuers", message));
        }
        let cache =
            TokenCache::new(settings.cache).map_err(|error| SettingsError::at("", error.to_string()))?;
        Ok(Self { issuers, cache, required_scope: required.join(" ").into(), scopes_supported })
    }
}

/// Where in the settings.
struct Place(String);

impl Place {
    fn error(&self, below: &str, message: impl Into<String>) -> SettingsError {
        SettingsError::at(format!("{}{below}", self.0), message)
    }
}

fn add_new(all: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

fn issuer(settings: IssuerSettings, at: &Place, context: &BuildContext<'_>) -> Result<Issuer, SettingsError> {
    check(&settings, at)?;
    let mapping = Mapping::new(&settings.claims)
        .map_err(|(below, message)| at.error(&format!("/claims{below}"), message))?;
    let tenant = match &settings.tenant_claim {
        None => None,
        Some(claim) => Some(Tenant {
            claim: Path::parse(claim).map_err(|message| at.error("/tenant_claim", message))?,
            organization: context.scope.organization().to_owned(),
        }),
    };
    let (keys, target) = keys(&settings, at, context)?;
    let introspection = match &settings.introspection {
        None => None,
        Some(asked) => Some(introspection(asked, &settings.allow_addresses, &target, at, context)?),
    };
    let used = match settings.replay {
        Replay::Off => None,
        Replay::JtiOnce => Some(context.shared.issuers.used(&settings.issuer, context.now)),
    };
    Ok(Issuer {
        required_scope: settings.required_scopes.join(" ").into(),
        types: Types {
            none: settings.typ.iter().any(|name| name == "none"),
            names: settings.typ.into_iter().filter(|name| name != "none").collect(),
        },
        algorithms: settings.algorithms.into_iter().collect(),
        tolerance: Tolerance {
            clock_skew: Duration::from_millis(settings.clock_skew_ms),
            age_max: settings.token_age_max_ms.map(Duration::from_millis),
        },
        id: settings.issuer,
        audiences: settings.audiences,
        required_scopes: settings.required_scopes,
        mapping,
        tenant,
        used,
        keys,
        introspection,
    })
}

fn check(settings: &IssuerSettings, at: &Place) -> Result<(), SettingsError> {
    if settings.algorithms.is_empty() {
        return Err(at.error("/algorithms", "at least one algorithm is needed"));
    }
    if settings.typ.is_empty() || settings.typ.iter().any(String::is_empty) {
        let message =
            "at least one media type is needed, such as `at+jwt`; `none` stands for tokens without `typ`";
        return Err(at.error("/typ", message));
    }
    for (index, audience) in settings.audiences.iter().enumerate() {
        if audience.is_empty() {
            return Err(at.error(&format!("/audiences/{index}"), "an audience is not empty"));
        }
    }
    for (name, scopes) in
        [("required_scopes", &settings.required_scopes), ("scopes_supported", &settings.scopes_supported)]
    {
        if let Some(index) = scopes.iter().position(|scope| !is_scope(scope)) {
            let message = "a scope is one word of visible ASCII without quotation marks and backslashes";
            return Err(at.error(&format!("/{name}/{index}"), message));
        }
    }
    if settings.clock_skew_ms > 600_000 {
        return Err(at.error("/clock_skew_ms", "at most 600000 (10 minutes)"));
    }
    let JwksSettings { refresh_ms, stale_ms, cooldown_ms } = settings.jwks;
    if !(1_000..=24 * HOUR_MS).contains(&refresh_ms) {
        return Err(at.error("/jwks/refresh_ms", "1000 (1 second) to 86400000 (1 day)"));
    }
    if stale_ms < refresh_ms || stale_ms > 7 * 24 * HOUR_MS {
        return Err(at.error("/jwks/stale_ms", "at least `refresh_ms`, at most 604800000 (7 days)"));
    }
    if !(1_000..=HOUR_MS).contains(&cooldown_ms) {
        return Err(at.error("/jwks/cooldown_ms", "1000 (1 second) to 3600000 (1 hour)"));
    }
    Ok(())
}

fn check_cache(settings: CacheSettings) -> Result<(), SettingsError> {
    if settings.entries_max > 10_000_000 {
        return Err(SettingsError::at("/cache/entries_max", "at most 10000000"));
    }
    if settings.ttl_max_ms > HOUR_MS {
        return Err(SettingsError::at(
            "/cache/ttl_max_ms",
            "at most 3600000 (1 hour): what is revoked is accepted so long",
        ));
    }
    Ok(())
}

/// `scope-token` of RFC 6749 section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn keys(
    settings: &IssuerSettings,
    at: &Place,
    context: &BuildContext<'_>,
) -> Result<(Arc<KeySource>, Target), SettingsError> {
    let url = |below: &str, text: &str| url(text).map_err(|message| at.error(below, message));
    let issuer = url("/issuer", &settings.issuer)?;
    if settings.issuer.contains('?') {
        return Err(at.error("/issuer", "an issuer has no query (RFC 8414 section 2)"));
    }
    let optional =
        |below: &str, text: &Option<String>| text.as_deref().map(|text| url(below, text)).transpose();
    let jwks_uri = optional("/jwks_uri", &settings.jwks_uri)?;
    let discovery = optional("/discovery", &settings.discovery)?;
    if jwks_uri.is_some() && discovery.is_some() {
        return Err(at.error("/discovery", "with `jwks_uri` nothing is discovered: remove one of the two"));
    }
    let mut way = blake3::Hasher::new();
    let mut roots = Roots::System;
    if let Some(path) = &settings.tls.ca {
        let pem = file::read_named(context.base, path, CA_BYTES_MAX)
            .map_err(|error| at.error("/tls/ca", format!("cannot read `{path}`: {error}")))?;
        way.update(&pem);
        roots = Roots::Pem(pem);
    }
    let tls = ClientTls::new(ClientTlsSettings { roots, ..ClientTlsSettings::default() })
        .map_err(|error| at.error("/tls/ca", error.to_string()))?;
    let configured = |url| Target::configured(url, &settings.allow_addresses, tls.clone());
    let target = configured(issuer);
    let rest =
        (&settings.issuer, &settings.jwks_uri, &settings.discovery, settings.jwks, &settings.allow_addresses);
    way.update(format!("{rest:?}").as_bytes());
    let origin = Origin {
        issuer: settings.issuer.clone(),
        target: target.clone(),
        jwks_uri: jwks_uri.map(configured),
        discovery: discovery.map(configured),
    };
    let (http, fetches) = (context.shared.http.clone(), Arc::clone(&context.shared.key_fetches));
    let keys = context
        .shared
        .issuers
        .keys(*way.finalize().as_bytes(), || KeySource::new(origin, http, settings.jwks, fetches));
    Ok((keys, target))
}

/// A URL of an issuer: `https`, or on this machine.
fn url(text: &str) -> Result<HttpUrl, String> {
    let url: HttpUrl = text.parse().map_err(|error| format!("`{text}`: {error}"))?;
    let is_here = match url.host() {
        Host::Ip(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
    };
    if url.is_secure() || is_here {
        return Ok(url);
    }
    Err(format!("`{text}` is not `https`, and not an address of this machine"))
}

fn introspection(
    settings: &IntrospectionSettings,
    allowed: &AllowAddresses,
    issuer: &Target,
    at: &Place,
    context: &BuildContext<'_>,
) -> Result<Introspection, SettingsError> {
    let endpoint = match &settings.url {
        None => None,
        Some(text) => {
            let url = url(text).map_err(|message| at.error("/introspection/url", message))?;
            Some(Target::configured(url, allowed, issuer.tls.clone()))
        }
    };
    let secret = context
        .secrets
        .resolve(&settings.client_secret)
        .map_err(|error| at.error("/introspection/client_secret", error.to_string()))?;
    let client = Client { id: settings.client_id.clone(), secret, auth: settings.client_auth };
    Ok(Introspection {
        introspector: Introspector::new(
            client,
            context.shared.http.clone(),
            Arc::clone(&context.shared.introspections),
        ),
        endpoint,
        allow_missing_audience: settings.allow_missing_audience,
    })
}
