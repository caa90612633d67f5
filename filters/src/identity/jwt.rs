//! Signed tokens (JWS in compact form) and the keys that verify them: strict, and the same for every provider.
//!
//! ```text
//! bytes --parse--> Unverified --verify(keys, allowed algorithms)--> Claims --times().check(now)--> use
//! ```
//!
//! INVARIANTS:
//! - Claims exist only behind a signature that held, by an algorithm that the caller allowed and the key's own type,
//!   curve, `alg`, `use` and `key_ops` permit. What a token says of itself only ever narrows that.
//! - Nothing in a token is fetched, opened or looked up: `kid` is compared, `jku`, `jwk`, `x5u` and `x5c` refuse it.
//! - What two readers may read differently is refused: other base64, duplicate members, extensions, bytes left over.
//!
//! Sources: RFC 7515, 7517, 7518, 7519, 8037, 8725. docs/adr/0009 says why this is not a crate of others.

mod algorithm;
mod claims;
pub(crate) mod json;
mod jwks;
mod key;
mod token;

pub use algorithm::{Algorithm, Algorithms, UnknownAlgorithm};
pub use claims::{Claims, Times, Tolerance};
pub use json::JsonError;
pub use jwks::{JWKS_BYTES_MAX, Jwks, JwksError, KEYS_MAX};
pub use key::{Key, KeyUse, Skipped};
pub use token::{Header, TOKEN_BYTES_MAX, Unverified, looks_signed};

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Too long.
    #[error("the token has over {TOKEN_BYTES_MAX} bytes")]
    Size,
    /// Not three parts.
    #[error("the token is not three parts with dots between them")]
    Form,
    /// Not base64url in its one form.
    #[error("a part of the token is not base64url without padding")]
    Base64,
    /// Not a JSON object that every reader reads alike.
    #[error("the token's header or claims are no strict JSON object")]
    Json,
    /// A header member that is missing or has the wrong type.
    #[error("the token's header has no usable `{0}`")]
    Header(&'static str),
    /// `crit`, `b64`, `enc` or `zip`.
    #[error("the token's header asks for an extension that is not understood")]
    Extension,
    /// `jku`, `jwk`, `x5u` or `x5c`.
    #[error("the token's header brings or names a key of its own")]
    OwnKey,
    /// An algorithm that is unknown, or not allowed here.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No key fits the header.
    #[error("no known key fits the token")]
    UnknownKey,
    /// No key that fits has signed it.
    #[error("the token's signature does not hold")]
    Signature,
    /// A claim that is missing or has the wrong type.
    #[error("the token has no usable `{0}`")]
    Claim(&'static str),
    /// Its life is over.
    #[error("the token has expired")]
    Expired,
    /// Its life has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// Issued too long ago.
    #[error("the token was issued too long ago")]
    Age,
}

impl JwtError {
    /// The stable word for logs, metrics and audit rows.
    pub fn code(self) -> &'static str {
        match self {
            Self::Size => "token_size",
            Self::Form => "token_form",
            Self::Base64 => "token_base64",
            Self::Json => "token_json",
            Self::Header(_) => "token_header",
            Self::Extension => "token_extension",
            Self::OwnKey => "token_own_key",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Expired => "expired",
            Self::NotYet => "not_yet_valid",
            Self::Age => "too_old",
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod testing;
