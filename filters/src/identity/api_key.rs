//! `identity.api-key` (alias `api-keys`): callers by keys that the operator issues.
//!
//! A key is presented as `Authorization: Bearer <key>` or `X-API-Key: <key>`. Its form and checksum are checked
//! before any look-up; then its keyed BLAKE3 hash is looked up and compared in constant time. Keys are stored by
//! hash only (`keys`, `keys_file`); whole tokens behind secret references (`tokens`) are hashed when the revision
//! is loaded. A bearer token that does not begin with `mcpg_` is left to the next provider.
//!
//! INVARIANT: a hit allocates nothing; callers are built at load and shared.

mod issue;
mod settings;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashTable;
use mcpg_sdk::Caller;
use subtle::ConstantTimeEq;

pub use issue::{GenerateError, NewKey, generate};
pub(super) use settings::check_subject;
pub use settings::{ApiKeySettings, KeyRecord, TokenEntry, TokenRecord};
pub use token::{HASH_KEY_BYTES_MIN, HashKey, HashKeyError};

use super::{Credentials, Outcome, Presented};
use token::{Form, KeyHash};

/// The built-in's id.
pub const ID: &str = "identity.api-key";

/// The keys of one scope.
#[derive(Debug)]
pub struct ApiKeys {
    hash_key: HashKey,
    keys: HashTable<Key>,
}

#[derive(Debug)]
struct Key {
    hash: KeyHash,
    id: Arc<str>,
    caller: Arc<Caller>,
    expires_at: Option<SystemTime>,
}

impl ApiKeys {
    /// Finds the caller of a request's key.
    ///
    /// Codes: `repeated`, `ambiguous` (two credentials), `malformed`, `checksum`, `unknown`, `expired`.
    pub fn resolve(&self, credentials: &Credentials<'_>, now: SystemTime) -> Outcome {
        let token = match presented(credentials) {
            Ok(Some(token)) => token,
            Ok(None) => return Outcome::Absent,
            Err(code) => return Outcome::Invalid(code),
        };
        match token::form(token) {
            Form::Key => {}
            Form::Malformed => return Outcome::Invalid("malformed"),
            Form::Checksum => return Outcome::Invalid("checksum"),
        }
        let hash = self.hash_key.hash(token);
        match self.keys.find(hash.bucket(), |key| key.hash.ct_eq(&hash).into()) {
            None => Outcome::Invalid("unknown"),
            Some(key) if key.expires_at.is_some_and(|expires_at| now >= expires_at) => {
                Outcome::Invalid("expired")
            }
            Some(key) => {
                Outcome::Resolved { caller: Arc::clone(&key.caller), credential: Some(Arc::clone(&key.id)) }
            }
        }
    }

    /// How many keys are loaded.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is loaded.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The one token that the headers agree on, if it is for this provider.
fn presented<'a>(credentials: &Credentials<'a>) -> Result<Option<&'a [u8]>, &'static str> {
    match (credentials.authorization, credentials.api_key) {
        (Presented::Repeated, _) | (_, Presented::Repeated) => Err("repeated"),
        (Presented::Nothing, Presented::Nothing) => Ok(None),
        // The header is ours alone, so whatever is in it must be a key.
        (Presented::Nothing, Presented::Once(key)) => Ok(Some(key)),
        (Presented::Once(value), Presented::Nothing) => {
            Ok(bearer(value).filter(|token| token.starts_with(token::PREFIX)))
        }
        (Presented::Once(value), Presented::Once(key)) => match bearer(value) {
            Some(token) if token == key => Ok(Some(key)),
            _ => Err("ambiguous"),
        },
    }
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1; the scheme's case does not matter, RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii_start())
}

#[cfg(test)]
mod tests;
