//! Tokens of callers: which may be exchanged, and what they were exchanged for. Source: RFC 8693.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_sdk::AuthMethod;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::OnBehalf;
use super::slot::Slot;
use crate::lru::Lru;

/// The value of `grant_type`.
pub(super) const GRANT_TYPE: &[u8] = b"urn:ietf:params:oauth:grant-type:token-exchange";
/// Tokens of callers that are kept for one binding.
const TOKENS_MAX: usize = 10_000;
/// How long the exchange of a token is remembered that does not say when it expires.
const OPAQUE_LIFETIME_MAX: Duration = Duration::from_secs(300);
/// The longest token that is looked into.
const JWT_BYTES_MAX: usize = 32 * 1024;

/// A caller's own token.
pub(super) struct Subject<'a> {
    /// As presented.
    pub(super) token: &'a [u8],
    /// How long it lives from now on, where that is known; else how long what it was exchanged for may be used.
    pub(super) lifetime_max: Duration,
    caller: &'a str,
    method: AuthMethod,
}

/// Why a caller's token is not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubjectError {
    /// The request has none.
    #[error("the caller presented no bearer token to exchange")]
    Absent,
    /// It is not what the caller was identified by.
    #[error("the caller was identified by `{0}`, which is no token that can be exchanged")]
    Unverified(&'static str),
    /// Its life is over.
    #[error("the caller's token has expired")]
    Expired,
}

impl<'a> Subject<'a> {
    /// The token of whoever is spoken for.
    ///
    /// # Errors
    /// When there is none that may be exchanged.
    pub(super) fn of(on_behalf: &OnBehalf<'a>, now: SystemTime) -> Result<Self, SubjectError> {
        let caller = on_behalf.caller;
        if !matches!(caller.auth_method, AuthMethod::Oidc | AuthMethod::Workload) {
            return Err(match on_behalf.bearer {
                Some(_) => SubjectError::Unverified(caller.auth_method.as_str()),
                None => SubjectError::Absent,
            });
        }
        let token = on_behalf.bearer.filter(|token| !token.is_empty()).ok_or(SubjectError::Absent)?;
        let lifetime_max = match expiry(token) {
            Some(expiry) => expiry
                .duration_since(now)
                .ok()
                .filter(|left| *left >= Duration::from_secs(1))
                .ok_or(SubjectError::Expired)?,
            None => OPAQUE_LIFETIME_MAX,
        };
        Ok(Self { token, lifetime_max, caller: &caller.subject, method: caller.auth_method })
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// What callers' tokens were exchanged for.
pub(super) struct PerCaller {
    /// By a hash of the whole token and of who presented it.
    slots: Mutex<Lru<[u8; 32], Arc<Slot>>>,
}

impl Default for PerCaller {
    fn default() -> Self {
        Self { slots: Mutex::new(Lru::new(TOKENS_MAX)) }
    }
}

impl PerCaller {
    /// Where the token for a caller's token is, or will be.
    pub(super) fn slot(&self, subject: &Subject<'_>) -> Arc<Slot> {
        let key = key(subject);
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.touch(&key) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        let gone = slots.insert(key, Arc::clone(&slot), |slot| Arc::strong_count(slot) == 1);
        drop(slots);
        drop(gone);
        slot
    }

    /// Where the token for a caller's token is.
    pub(super) fn known(&self, subject: &Subject<'_>) -> Option<Arc<Slot>> {
        self.slots.lock().peek(&key(subject)).cloned()
    }

    /// How many are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Drops what has expired.
    pub(super) fn sweep(&self, now: Instant) {
        drop(self.slots.lock().retain(|slot| Arc::strong_count(slot) > 1 || slot.is_worth_keeping(now)));
    }
}

fn key(subject: &Subject<'_>) -> [u8; 32] {
    const CONTEXT: &[u8; 32] = b"mcpg 2026-08 tokens of callers  ";
    let mut hasher = blake3::Hasher::new_keyed(CONTEXT);
    for part in [subject.caller.as_bytes(), subject.method.as_str().as_bytes(), subject.token] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize().into()
}

/// When a JWT says that it expires. It was verified before; here it can only shorten what is remembered.
fn expiry(token: &[u8]) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    if token.len() > JWT_BYTES_MAX {
        return None;
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims).ok()?);
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp.max(0.0)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use mcpg_sdk::Caller;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn caller(subject: &str, auth_method: AuthMethod) -> Arc<Caller> {
        Arc::new(Caller { subject: subject.into(), audience: None, attributes: HashMap::new(), auth_method })
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    /// How long what a token is exchanged for may be used.
    fn check(method: AuthMethod, bearer: Option<&str>, expected: Result<u64, SubjectError>) {
        let caller = caller("user:alice", method);
        let on_behalf = OnBehalf { caller: &caller, bearer: bearer.map(str::as_bytes), traceparent: None };
        let subject = Subject::of(&on_behalf, now());
        assert_eq!(subject.map(|subject| subject.lifetime_max.as_secs()), expected, "{bearer:?}");
    }

    #[test]
    fn nothing_outlives_the_callers_token() {
        let expiring = |exp: &str| jwt(&format!(r#"{{"sub":"alice","exp":{exp}}}"#));
        for (token, expected) in [
            (expiring("1790000060"), Ok(60)),
            (expiring("1790000060.5"), Ok(60)),
            (expiring("1790000001"), Ok(1)),
            (expiring("1790000000"), Err(SubjectError::Expired)),
            (expiring("1789999999"), Err(SubjectError::Expired)),
            (expiring("-5"), Err(SubjectError::Expired)),
            // Says nothing that can be read of its life.
            (expiring("\"1790000060\""), Ok(300)),
            (expiring("null"), Ok(300)),
            (expiring("1e300"), Ok(300)),
            (jwt("{}"), Ok(300)),
            (jwt("no json"), Ok(300)),
            ("a.b".into(), Ok(300)),
            ("a.!.c".into(), Ok(300)),
            ("a.b.c.d".into(), Ok(300)),
            ("opaque".into(), Ok(300)),
            ("x".repeat(100_000), Ok(300)),
        ] {
            check(AuthMethod::Oidc, Some(&token), expected);
        }
    }

    #[test]
    fn only_a_verified_token_is_exchanged() {
        check(AuthMethod::Workload, Some("t"), Ok(300));
        for method in [AuthMethod::ApiKey, AuthMethod::Basic, AuthMethod::Mtls, AuthMethod::Anonymous] {
            check(method, Some("t"), Err(SubjectError::Unverified(method.as_str())));
            check(method, None, Err(SubjectError::Absent));
        }
        check(AuthMethod::Oidc, None, Err(SubjectError::Absent));
        check(AuthMethod::Oidc, Some(""), Err(SubjectError::Absent));
    }

    #[test]
    fn every_token_of_every_caller_has_its_own_place() {
        let tokens = PerCaller::default();
        let slot = |subject: &str, method, token: &str| {
            let caller = caller(subject, method);
            let on_behalf = OnBehalf { caller: &caller, bearer: Some(token.as_bytes()), traceparent: None };
            tokens.slot(&Subject::of(&on_behalf, now()).unwrap())
        };
        let slots = [
            slot("user:alice", AuthMethod::Oidc, "t"),
            slot("user:alice", AuthMethod::Oidc, "u"),
            slot("user:alice", AuthMethod::Workload, "t"),
            slot("user:bob", AuthMethod::Oidc, "t"),
            slot("user:bo", AuthMethod::Oidc, "bt"),
        ];
        for (index, one) in slots.iter().enumerate() {
            assert!(slots[index + 1..].iter().all(|other| !Arc::ptr_eq(one, other)), "{index}");
        }
        assert!(Arc::ptr_eq(&slots[0], &slot("user:alice", AuthMethod::Oidc, "t")));
        drop(slots);
        tokens.sweep(Instant::now());
        assert_eq!(tokens.len(), 0, "none of them has a token");
    }

    #[test]
    fn tokens_of_callers_are_bounded() {
        let tokens = PerCaller::default();
        let caller = caller("user:alice", AuthMethod::Oidc);
        for index in 0..TOKENS_MAX + 10 {
            let token = index.to_string();
            let on_behalf = OnBehalf { caller: &caller, bearer: Some(token.as_bytes()), traceparent: None };
            tokens.slot(&Subject::of(&on_behalf, now()).unwrap());
        }
        assert_eq!(tokens.len(), TOKENS_MAX);
    }
}
