//! What one issuer's tokens must be, and what a token that is all of it is worth.
//!
//! Sources: RFC 9068 section 4 (access tokens), RFC 8725 section 3.11 (tokens of another kind), RFC 8705 section 3 and
//! RFC 9449 section 7 (tokens that are bound to a key), RFC 8707 (for whom a token is).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::cache::Verified;
use super::introspection::Introspector;
use super::keys::KeySource;
use super::mapping::{self, Mapping, Path};
use super::replay::{ReplayError, Used};
use crate::identity::jwt::{Algorithms, Claims, Header, JwtError, Tolerance};
use crate::identity::{Credentials, Outcome, Resource};
use crate::net::Target;

/// The longest `jti` that is recorded.
const CREDENTIAL_BYTES_MAX: usize = 128;

/// One issuer, as configured.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) id: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Algorithms,
    pub(super) types: Types,
    pub(super) mapping: Mapping,
    pub(super) required_scopes: Vec<String>,
    /// The same in one text, for the client.
    pub(super) required_scope: Arc<str>,
    pub(super) tenant: Option<Tenant>,
    pub(super) used: Option<Arc<Used>>,
    pub(super) tolerance: Tolerance,
    pub(super) keys: Arc<KeySource>,
    pub(super) introspection: Option<Introspection>,
}

/// The media types that a token may have.
#[derive(Debug)]
pub(super) struct Types {
    pub(super) names: Vec<String>,
    /// Whether a token may say nothing.
    pub(super) none: bool,
}

/// Whose a token must be.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) claim: Path,
    pub(super) organization: String,
}

/// How opaque tokens are looked up.
#[derive(Debug)]
pub(super) struct Introspection {
    pub(super) introspector: Introspector,
    /// Where; where the metadata says if none.
    pub(super) endpoint: Option<Target>,
    pub(super) allow_missing_audience: bool,
}

/// How claims became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The issuer has signed them, as an access token if `typ` says so.
    Signed { access_token: bool },
    /// The issuer has told them.
    Told { without_audience: bool },
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Denied {
    Invalid(&'static str),
    Insufficient(Arc<str>),
    Foreign(&'static str),
    Unavailable(&'static str),
}

impl From<JwtError> for Denied {
    fn from(error: JwtError) -> Self {
        Self::Invalid(error.code())
    }
}

impl From<Denied> for Outcome {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Invalid(code) => Self::Invalid(code),
            Denied::Insufficient(scope) => Self::Insufficient { scope },
            Denied::Foreign(code) => Self::Foreign(code),
            Denied::Unavailable(code) => Self::Unavailable(code),
        }
    }
}

impl Issuer {
    /// Passes a token's header. What is passed may be verified.
    pub(super) fn check_header(&self, header: &Header) -> Result<Source, Denied> {
        let permitted = match header.media_type() {
            None => self.types.none,
            Some(_) => self.types.names.iter().any(|name| header.is_type(name)),
        };
        if permitted {
            Ok(Source::Signed { access_token: header.is_type("at+jwt") })
        } else {
            Err(Denied::Invalid("typ"))
        }
    }

    /// What claims are worth that the issuer has signed or told.
    pub(super) fn judge(
        &self,
        claims: &Claims,
        source: Source,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Verified, Denied> {
        self.check_issuer(claims, source)?;
        let expires_at = self.check_times(claims, source, now)?;
        check_kind(claims, source)?;
        let audience = self.audience(claims, source, credentials.resource)?;
        let certificate = bound_to(claims)?;
        if !proves(credentials, certificate.as_ref()) {
            return Err(Denied::Invalid("certificate"));
        }
        if let Some(tenant) = &self.tenant {
            tenant.check(claims)?;
        }
        let scopes = mapping::scopes(claims.members()).map_err(Denied::Invalid)?;
        if !self.required_scopes.iter().all(|required| scopes.contains(required)) {
            return Err(Denied::Insufficient(Arc::clone(&self.required_scope)));
        }
        let caller =
            self.mapping.caller(claims.members(), &self.id, audience, scopes).map_err(Denied::Invalid)?;
        if let Some(used) = &self.used {
            self.take(used, claims, expires_at, now)?;
        }
        let credential = claims.token_id().filter(|id| is_printable(id)).map(Arc::from);
        Ok(Verified { caller, credential, expires_at, certificate })
    }

    fn check_issuer(&self, claims: &Claims, source: Source) -> Result<(), Denied> {
        let same = match (claims.issuer(), source) {
            (Some(found), _) => found == self.id,
            // Who was asked is who has answered.
            (None, Source::Told { .. }) => true,
            (None, Source::Signed { .. }) => false,
        };
        if same { Ok(()) } else { Err(Denied::Invalid("issuer")) }
    }

    fn check_times(&self, claims: &Claims, source: Source, now: SystemTime) -> Result<SystemTime, Denied> {
        let mut times = claims.times();
        if matches!(source, Source::Told { .. }) && times.expires_at.is_none() {
            // RFC 7662 section 2.2: the answer may leave it out. It holds for as long as answers are remembered.
            times.expires_at = now.checked_add(Duration::from_secs(24 * 60 * 60));
        }
        times.check(now, self.tolerance)?;
        times.expires_at.ok_or(Denied::Invalid("claim"))
    }

    /// For whom the token is, and this is who.
    fn audience(
        &self,
        claims: &Claims,
        source: Source,
        resource: Resource<'_>,
    ) -> Result<Option<String>, Denied> {
        let is_ours = |found: &&str| {
            if self.audiences.is_empty() {
                resource.is(found)
            } else {
                self.audiences.iter().any(|ours| ours == found)
            }
        };
        match claims.audiences().find(is_ours) {
            Some(found) => Ok(Some(found.to_owned())),
            None if source == (Source::Told { without_audience: true }) && claims.claim("aud").is_none() => {
                Ok(None)
            }
            None => Err(Denied::Invalid("audience")),
        }
    }

    fn take(
        &self,
        used: &Used,
        claims: &Claims,
        expires_at: SystemTime,
        now: SystemTime,
    ) -> Result<(), Denied> {
        let token_id = claims.token_id().filter(|id| !id.is_empty()).ok_or(Denied::Invalid("claim"))?;
        let issued_at = claims.times().issued_at.ok_or(Denied::Invalid("claim"))?;
        let until = expires_at.checked_add(self.tolerance.clock_skew).ok_or(Denied::Invalid("claim"))?;
        used.take(token_id, issued_at, until, now).map_err(|error| match error {
            ReplayError::Used => Denied::Invalid("replayed"),
            ReplayError::Full => Denied::Unavailable("replay_table_full"),
        })
    }
}

impl Tenant {
    fn check(&self, claims: &Claims) -> Result<(), Denied> {
        match self.claim.find(claims.members()) {
            Some(Value::String(found)) if *found == self.organization => Ok(()),
            Some(_) => Err(Denied::Foreign("tenant")),
            None => Err(Denied::Foreign("no_tenant")),
        }
    }
}

/// An access token and nothing else. One with `typ: at+jwt` is; of any other, its claims must not be those of another kind.
fn check_kind(claims: &Claims, source: Source) -> Result<(), Denied> {
    if source != (Source::Signed { access_token: false }) {
        return Ok(());
    }
    // OpenID Connect Core sections 2 and 3.3.2.11 (ID tokens), RFC 8417 (security events, logout tokens).
    let foreign = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    let is_foreign = foreign.iter().any(|name| claims.claim(name).is_some());
    // What single products write: Keycloak `typ`, Amazon Cognito `token_use`.
    let says = |name: &str, ours: &[&str]| {
        claims.claim(name).is_none_or(|found| found.as_str().is_some_and(|found| ours.contains(&found)))
    };
    if is_foreign || !says("typ", &["Bearer", "at+jwt"]) || !says("token_use", &["access"]) {
        return Err(Denied::Invalid("not_an_access_token"));
    }
    Ok(())
}

/// The certificate that a token is bound to. A token that is bound to anything else is of no use to who only bears it.
fn bound_to(claims: &Claims) -> Result<Option<[u8; 32]>, Denied> {
    let Some(confirmation) = claims.claim("cnf") else { return Ok(None) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
    let thumbprint = thumbprint.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let thumbprint = thumbprint.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    thumbprint.map(Some).ok_or(Denied::Invalid("bound_to_a_key"))
}

/// Whether the client has the certificate that its token is bound to, if any.
pub(super) fn proves(credentials: &Credentials<'_>, bound: Option<&[u8; 32]>) -> bool {
    bound.is_none_or(|bound| credentials.certificate.is_some_and(|certificate| certificate.sha256() == bound))
}

fn is_printable(id: &str) -> bool {
    (1..=CREDENTIAL_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}
