//! JWT-SVIDs (JWT-SVID sections 2 to 4).

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::id::SCHEME;
use super::{Known, Refused, SpiffeId, Workload};
use crate::identity::certificate::Validity;
use crate::identity::jwt::{Algorithm, Claims, JwtError, Tolerance, Unverified};
use crate::identity::{Credentials, Presented, Resource};

/// Section 2.1: these and no others.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// What tokens are held against beside their keys.
#[derive(Debug)]
pub(super) struct TokenRules {
    /// Whom they must be for, one of these; empty: the endpoint that was asked.
    pub(super) audiences: Box<[Box<str>]>,
    pub(super) tolerance: Tolerance,
}

impl TokenRules {
    /// The first audience of a token that means us.
    fn audience<'t>(
        &self,
        mut audiences: impl Iterator<Item = &'t str>,
        resource: &Resource<'_>,
    ) -> Option<&'t str> {
        audiences.find(|audience| match &*self.audiences {
            [] => resource.is(audience),
            ours => ours.iter().any(|our| **our == **audience),
        })
    }
}

impl Workload {
    /// The workload of a bearer token. One whose subject is no SPIFFE ID is left to other providers.
    pub(super) fn by_token(
        &self,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Arc<Known>, Refused> {
        let rules = self.tokens.as_ref().ok_or(Refused::Absent)?;
        let token = match credentials.authorization {
            Presented::Nothing => return Err(Refused::Absent),
            Presented::Once(value) => bearer(value).ok_or(Refused::Absent)?,
            Presented::Repeated => return Err(Refused::Invalid("repeated")),
        };
        let key = blake3::derive_key("mcpg identity.workload token v1", token);
        if let Some(known) = self.find(&key, now, true)? {
            let audiences = known.audiences.iter().map(AsRef::as_ref);
            let is_ours = rules.audience(audiences, &credentials.resource).is_some();
            return if is_ours { Ok(known) } else { Err(Refused::Invalid("audience")) };
        }
        let (known, validity) = self.verify_token(rules, token, &credentials.resource, now)?;
        self.known.insert(key, validity, Arc::clone(&known));
        Ok(known)
    }

    fn verify_token(
        &self,
        rules: &TokenRules,
        token: &[u8],
        resource: &Resource<'_>,
        now: SystemTime,
    ) -> Result<(Arc<Known>, Validity), Refused> {
        // What cannot be read is nobody's: the chain refuses it in the end.
        let unverified = Unverified::parse(token).map_err(|_| Refused::Absent)?;
        let claimed = unverified.claimed("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !claimed.starts_with(SCHEME) {
            return Err(Refused::Absent);
        }
        let invalid = |error: JwtError| Refused::Invalid(error.code());
        // Section 2.3.
        if !matches!(unverified.header().media_type(), None | Some("JWT" | "JOSE")) {
            return Err(Refused::Invalid("token_type"));
        }
        let id = SpiffeId::parse(&claimed).map_err(|_| Refused::Invalid("spiffe_id"))?;
        let (place, domain) = self.domain(id)?;
        self.permit(id)?;
        let bundle = domain.bundle(true, now)?;
        let keys = bundle.keys.iter().find(|keys| keys.knows(unverified.header())).or(bundle.keys.first());
        let keys = keys.ok_or(Refused::Invalid("bundle_withdrawn"))?;
        let claims = unverified.verify(keys, ALGORITHMS.into_iter().collect()).map_err(invalid)?;
        claims.times().check(now, rules.tolerance).map_err(invalid)?;
        if claims.subject() != Some(id.as_str()) {
            return Err(Refused::Invalid("spiffe_id"));
        }
        let audience = rules.audience(claims.audiences(), resource).ok_or(Refused::Invalid("audience"))?;
        let known = Arc::new(Known {
            generation: bundle.generation,
            domain: place,
            caller: self.caller(id, Some(audience.to_owned())),
            credential: claims.token_id().map(Arc::from),
            audiences: claims.audiences().map(Box::from).collect(),
        });
        Ok((known, validity(&claims)?))
    }
}

/// While the token holds by its own dates, without a tolerance: beyond it is judged anew.
fn validity(claims: &Claims) -> Result<Validity, Refused> {
    let times = claims.times();
    let until = times.expires_at.ok_or(Refused::Invalid("claim"))?;
    Ok(Validity::between(times.not_before, until))
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1; the scheme's case does not matter, RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii_start())
}
