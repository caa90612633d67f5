//! JWK Sets: bounded, and forgiving of single keys that are not understood.
//!
//! Source: RFC 7517 section 5.

use serde_json::Value;

use super::json::{self, JsonError};
use super::key::{Key, KeyUse, Skipped};
use super::{Algorithm, Header};

/// The largest set.
pub const JWKS_BYTES_MAX: usize = 512 * 1024;
/// The most keys of a set.
pub const KEYS_MAX: usize = 256;
/// The most keys that one token is tried with: without a `kid`, or where several keys have the same.
const TRIES_MAX: usize = 8;

/// The public keys of one issuer.
#[derive(Debug, Default)]
pub struct Jwks {
    keys: Vec<Key>,
    skipped: Vec<(usize, Skipped)>,
}

impl Jwks {
    /// Reads a set. Keys that are not understood are skipped.
    ///
    /// # Errors
    /// When it is no set at all, or over the limits.
    pub fn parse(bytes: &[u8], key_use: KeyUse) -> Result<Self, JwksError> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(JwksError::Size);
        }
        let mut set = json::object(bytes)?;
        let Some(Value::Array(members)) = set.remove("keys") else { return Err(JwksError::NoKeys) };
        if members.len() > KEYS_MAX {
            return Err(JwksError::Keys);
        }
        let mut jwks = Self::default();
        for (index, member) in members.iter().enumerate() {
            let key = member.as_object().ok_or(Skipped::Shape).and_then(|jwk| Key::read(jwk, key_use));
            match key {
                Ok(key) => jwks.keys.push(key),
                Err(skipped) => jwks.skipped.push((index, skipped)),
            }
        }
        Ok(jwks)
    }

    /// The keys that may verify signatures.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys that were passed over, by their place in the set.
    pub fn skipped(&self) -> &[(usize, Skipped)] {
        &self.skipped
    }

    /// Whether a token with this header could be verified at all.
    pub fn knows(&self, header: &Header) -> bool {
        self.candidates(header.algorithm(), header.key_id()).next().is_some()
    }

    /// The keys to try: those of the algorithm and, where the header names one, of exactly this `kid`.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        key_id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| key.permits(algorithm) && (key_id.is_none() || key.id() == key_id))
            .take(TRIES_MAX)
    }
}

/// Why bytes are no JWK Set.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Too large.
    #[error("the JWK Set has over {JWKS_BYTES_MAX} bytes")]
    Size,
    /// Too many keys.
    #[error("the JWK Set has over {KEYS_MAX} keys")]
    Keys,
    /// No array `keys`.
    #[error("the JWK Set has no array `keys`")]
    NoKeys,
    /// Not JSON.
    #[error("the JWK Set cannot be read")]
    Json(#[from] JsonError),
}
