//! The `config:` of `identity.oidc`.
//!
//! Names are those of the specifications: RFC 8414 (`issuer`, `jwks_uri`), RFC 7519 (`typ`, `aud`), RFC 7662.

use std::collections::BTreeMap;

use mcpg_sdk::SecretRef;
use serde::Deserialize;

use crate::identity::jwt::Algorithm;
use crate::net::AllowAddresses;

/// The `config:` of `identity.oidc`.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Whose tokens are accepted. A token is judged by the issuer that its `iss` names, and by no other.
    pub issuers: Vec<IssuerSettings>,
    /// What is remembered of verified tokens.
    #[serde(default)]
    pub cache: CacheSettings,
}

/// One issuer.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The issuer's identifier, exactly as it stands in `iss` and in its metadata.
    pub issuer: String,
    /// What `aud` must have one of. Default: the URL of the endpoint as the client addressed it.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The signature algorithms that are accepted. Default: RS256, PS256, ES256, ES384 and EdDSA.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The media types that a token's `typ` may be; `none` stands for a token without one. Default: `at+jwt`.
    #[serde(default = "default_typ")]
    pub typ: Vec<String>,
    /// Where the keys are. Default: where the issuer's metadata says.
    pub jwks_uri: Option<String>,
    /// Where the issuer's metadata is. Default: the well-known places of OpenID Connect Discovery and RFC 8414.
    pub discovery: Option<String>,
    /// How opaque tokens are looked up. Default: they are not accepted.
    pub introspection: Option<IntrospectionSettings>,
    /// How claims become a caller.
    #[serde(default)]
    pub claims: ClaimSettings,
    /// Scopes that every token must have.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Scopes that clients are told of beside those that are required (`scopes_supported`).
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// The claim that must equal the organization of the scope. Default: none is asked for.
    pub tenant_claim: Option<String>,
    /// Whether a token may be used more than once.
    #[serde(default)]
    pub replay: Replay,
    /// How far the issuer's clock may be from this one's.
    #[serde(default = "default_clock_skew_ms")]
    pub clock_skew_ms: u64,
    /// How old a token may be by its `iat`, whatever its `exp` says. Default: any age.
    pub token_age_max_ms: Option<u64>,
    /// How keys are kept.
    #[serde(default)]
    pub jwks: JwksSettings,
    /// Blocks of addresses (CIDR) that the issuer may have although they are not public.
    #[serde(default)]
    pub allow_addresses: AllowAddresses,
    /// How the issuer's servers are verified.
    #[serde(default)]
    pub tls: IssuerTlsSettings,
}

/// How opaque tokens are looked up (RFC 7662).
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionSettings {
    /// The endpoint. Default: `introspection_endpoint` of the issuer's metadata.
    pub url: Option<String>,
    /// As whom the gateway asks.
    pub client_id: String,
    /// The secret of that client.
    #[schemars(with = "String")]
    pub client_secret: SecretRef,
    /// How the gateway proves it.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Whether an answer without `aud` will do: then any token of the issuer is accepted, whoever it was meant for.
    #[serde(default)]
    pub allow_missing_audience: bool,
}

/// How a client proves who it is (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `client_secret_basic`: in `Authorization`.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// How claims become a caller. A claim is named, or pointed at (`/realm_access/roles`, RFC 6901).
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimSettings {
    /// The claim that is the subject. `email` counts only with `email_verified: true`.
    pub subject: String,
    /// What stands before it.
    pub prefix: String,
    /// The claim with the groups.
    pub groups: String,
    /// The claim with the roles.
    pub roles: String,
    /// Further attributes, by the claim that each comes from.
    pub attributes: BTreeMap<String, String>,
}

impl Default for ClaimSettings {
    fn default() -> Self {
        Self {
            subject: "sub".to_owned(),
            prefix: "user:".to_owned(),
            groups: "groups".to_owned(),
            roles: "roles".to_owned(),
            attributes: BTreeMap::new(),
        }
    }
}

/// Whether a token may be used more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// As often as it lasts.
    #[default]
    Off,
    /// Once, by its `jti`.
    JtiOnce,
}

/// How keys are kept.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwksSettings {
    /// How often they are fetched.
    pub refresh_ms: u64,
    /// How long they are used after the last fetch that succeeded.
    pub stale_ms: u64,
    /// How long after a fetch no token with an unknown key causes another.
    pub cooldown_ms: u64,
}

impl Default for JwksSettings {
    fn default() -> Self {
        Self { refresh_ms: 300_000, stale_ms: 3_600_000, cooldown_ms: 30_000 }
    }
}

/// How the issuer's servers are verified.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerTlsSettings {
    /// A PEM file with the only roots that are trusted. Default: the system's.
    pub ca: Option<String>,
}

/// What is remembered of verified tokens.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// The most tokens.
    pub entries_max: usize,
    /// The longest time: what is revoked or withdrawn may be accepted so long.
    pub ttl_max_ms: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { entries_max: 10_000, ttl_max_ms: 60_000 }
    }
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::Ed25519]
}

fn default_typ() -> Vec<String> {
    vec!["at+jwt".to_owned()]
}

fn default_clock_skew_ms() -> u64 {
    30_000
}
