//! `identity.oidc`: callers by the access tokens of OAuth and OpenID Connect issuers.
//!
//! A token is presented as `Authorization: Bearer <token>`. A signed one (a JWT) is judged by the configured issuer that its
//! `iss` names, whose keys are fetched in the background; an opaque one by the issuer that has `introspection`. Tokens of
//! issuers that are not configured are left to the next provider.
//!
//! INVARIANTS:
//! - A token is for this endpoint: `aud` has one of `audiences`, or the endpoint's own URL.
//! - A token that has been verified is remembered no longer than it lasts, nor than `cache.ttl_max_ms`. A hit allocates
//!   nothing and waits for nothing.
//! - What cannot be known now is refused as such (503), never taken for valid.
//!
//! docs/IDENTITY.md lists what is refused, with the words that audit rows and logs have for it.

mod build;
mod cache;
mod introspection;
mod issuer;
mod keys;
mod mapping;
mod metadata;
mod replay;
mod settings;
mod shared;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

pub use settings::{
    CacheSettings, ClaimSettings, ClientAuth, IntrospectionSettings, IssuerSettings, IssuerTlsSettings,
    JwksSettings, OidcSettings, Replay,
};
pub use shared::Issuers;

use super::jwt::{Claims, JwtError, Unverified, looks_signed};
use super::{Credentials, Outcome, Presented};
use cache::{TokenCache, TokenKey, Verified};
use introspection::Answer;
use issuer::{Denied, Introspection, Issuer, Source};

/// The built-in's id.
pub const ID: &str = "identity.oidc";

/// How the gateway's own keys begin (`identity.api-key`): they are never sent to an issuer.
const OWN_KEY: &[u8] = b"mcpg_";

/// The provider.
#[derive(Debug)]
pub struct Oidc {
    issuers: Vec<Issuer>,
    cache: TokenCache,
    required_scope: Arc<str>,
    scopes_supported: Vec<String>,
}

impl Oidc {
    /// Finds the caller of a request's token.
    pub async fn resolve(&self, credentials: &Credentials<'_>, now: SystemTime) -> Outcome {
        let token = match bearer(credentials.authorization) {
            Bearer::Token(token) if !token.starts_with(OWN_KEY) => token,
            Bearer::Token(_) | Bearer::None => return Outcome::Absent,
            Bearer::Malformed(code) => return Outcome::Malformed(code),
        };
        let key = self.cache.key(credentials.resource, token);
        if let Some(verified) = self.cache.find(&key, now) {
            return resolved(verified, credentials);
        }
        // In a box, so that what waits does not make every request larger.
        Box::pin(self.judge(token, key, credentials, now)).await
    }

    /// Begins to fetch keys.
    pub fn start(&self) {
        self.issuers.iter().for_each(|issuer| issuer.keys.start());
    }

    /// Whose tokens are accepted.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|issuer| issuer.id.as_str())
    }

    /// The scopes that every token must have, separated by spaces.
    pub fn required_scope(&self) -> &Arc<str> {
        &self.required_scope
    }

    /// The scopes that clients are told of.
    pub fn scopes_supported(&self) -> &[String] {
        &self.scopes_supported
    }

    async fn judge(
        &self,
        token: &[u8],
        key: TokenKey,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Outcome {
        let judged = if looks_signed(token) {
            self.judge_signed(token, credentials, now).await
        } else {
            self.judge_opaque(token, key, credentials, now).await
        };
        match judged {
            Ok(None) => Outcome::Absent,
            Ok(Some((issuer, verified))) => {
                // What may be used once is not known a second time.
                if issuer.used.is_none() {
                    self.cache.insert(key, verified.clone(), now);
                }
                resolved(verified, credentials)
            }
            Err(denied) => denied.into(),
        }
    }

    async fn judge_signed(
        &self,
        token: &[u8],
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Option<(&Issuer, Verified)>, Denied> {
        let unverified = Unverified::parse(token)?;
        let claimed = unverified.claimed_issuer();
        let Some(issuer) = self.issuers.iter().find(|issuer| claimed == Some(issuer.id.as_str())) else {
            return Ok(None);
        };
        let source = issuer.check_header(unverified.header())?;
        drop(unverified);
        let claims = issuer.verify(token).await?;
        let verified = issuer.judge(&claims, source, credentials, now)?;
        Ok(Some((issuer, verified)))
    }

    async fn judge_opaque(
        &self,
        token: &[u8],
        key: TokenKey,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Option<(&Issuer, Verified)>, Denied> {
        let introspecting =
            self.issuers.iter().find_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)));
        let Some((issuer, introspection)) = introspecting else { return Ok(None) };
        let claims = match issuer.ask(introspection, key, token).await? {
            Answer::Active(claims) => claims,
            Answer::Inactive => return Err(Denied::Invalid("inactive")),
            Answer::Failed(code) => return Err(Denied::Unavailable(code)),
        };
        let source = Source::Told { without_audience: introspection.allow_missing_audience };
        let verified = issuer.judge(&claims, source, credentials, now)?;
        Ok(Some((issuer, verified)))
    }
}

impl Issuer {
    /// The claims of a token that one of the issuer's keys has signed. A key that is not known is looked for once.
    async fn verify(&self, token: &[u8]) -> Result<Claims, Denied> {
        let first = self.verify_with_known(token);
        let Err(refused) = &first else { return first };
        if !refused.may_be_cured_by_new_keys() || !self.keys.renew().await {
            return first;
        }
        self.verify_with_known(token)
    }

    fn verify_with_known(&self, token: &[u8]) -> Result<Claims, Denied> {
        let unverified = Unverified::parse(token)?;
        let names_key = unverified.header().key_id().is_some();
        let Some(known) = self.keys.known(Instant::now()) else { return Err(Denied::Unavailable("keys")) };
        match unverified.verify(&known.jwks, self.algorithms) {
            // Without a name for its key, it may be of one that is not known yet.
            Err(JwtError::Signature) if !names_key => Err(JwtError::UnknownKey.into()),
            verified => verified.map_err(Denied::from),
        }
    }

    async fn ask(
        &self,
        introspection: &Introspection,
        key: TokenKey,
        token: &[u8],
    ) -> Result<Answer, Denied> {
        let endpoint = match &introspection.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.introspection_endpoint().await?,
        };
        Ok(introspection.introspector.ask(endpoint, key, token).await)
    }

    async fn introspection_endpoint(&self) -> Result<crate::net::Target, Denied> {
        let known = match self.keys.known(Instant::now()) {
            Some(known) => Some(known),
            None if self.keys.renew().await => self.keys.known(Instant::now()),
            None => None,
        };
        let known = known.ok_or(Denied::Unavailable("keys"))?;
        let endpoint = known.metadata.as_ref().and_then(|metadata| metadata.introspection_endpoint.clone());
        endpoint.map(|url| self.keys.target(url)).ok_or(Denied::Unavailable("no_introspection_endpoint"))
    }
}

impl Denied {
    fn may_be_cured_by_new_keys(&self) -> bool {
        *self == Self::from(JwtError::UnknownKey) || *self == Self::Unavailable("keys")
    }
}

/// The caller, if the client has what the token is bound to.
fn resolved(verified: Verified, credentials: &Credentials<'_>) -> Outcome {
    if !issuer::proves(credentials, verified.certificate.as_ref()) {
        return Outcome::Invalid("certificate");
    }
    Outcome::Resolved { caller: verified.caller, credential: verified.credential }
}

enum Bearer<'a> {
    None,
    Token(&'a [u8]),
    Malformed(&'static str),
}

/// The token of `Authorization` (RFC 6750 section 2.1: `Bearer`, one space or more, a `b64token`).
fn bearer(authorization: Presented<'_>) -> Bearer<'_> {
    const SCHEME: &[u8] = b"bearer";
    let value = match authorization {
        Presented::Nothing => return Bearer::None,
        Presented::Repeated => return Bearer::Malformed("repeated"),
        Presented::Once(value) => value,
    };
    let split = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(split);
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Bearer::None;
    }
    let token = rest.trim_ascii_start();
    let body = token.trim_ascii_end().strip_suffix(b"=").map_or(token, |rest| {
        let padding = rest.iter().rev().take_while(|byte| **byte == b'=').count();
        rest.get(..rest.len() - padding).unwrap_or_default()
    });
    if body.is_empty() || !is_b64token(body) || token.len() != token.trim_ascii_end().len() {
        return Bearer::Malformed("token_form");
    }
    Bearer::Token(token)
}

/// Whether there are only characters of a `b64token`, its padding aside. Without a branch in the loop, so that many bytes are looked at
/// at once: every request comes by here with a whole token.
fn is_b64token(bytes: &[u8]) -> bool {
    let is_letter = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits are neighbours.
    let is_digit_or_so = |byte: u8| byte.wrapping_sub(b'-') <= b'9' - b'-';
    let is_other = |byte: u8| (byte == b'_') | (byte == b'~') | (byte == b'+');
    bytes.iter().fold(true, |all, byte| all & (is_letter(*byte) | is_digit_or_so(*byte) | is_other(*byte)))
}

#[cfg(test)]
pub(super) mod tests;
