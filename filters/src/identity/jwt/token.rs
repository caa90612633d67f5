//! A signed token in compact form, and its header.
//!
//! Sources: RFC 7515 sections 3.1, 4.1 and 5.2; RFC 7797; RFC 8725 (best current practices).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Algorithm, Algorithms, Claims, Jwks, JwtError, json};

/// The longest token.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
const KID_BYTES_MAX: usize = 512;

/// A token as it was presented: its form holds, nothing in it is to be trusted.
pub struct Unverified<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
    header: Header,
    members: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// When it is not exactly of the form that is verified here.
    pub fn parse(token: &'a [u8]) -> Result<Self, JwtError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(JwtError::Size);
        }
        let [header, payload, signature] = parts(token).ok_or(JwtError::Form)?;
        let signed = token.get(..header.len() + 1 + payload.len()).ok_or(JwtError::Form)?;
        let header = Header::read(&object(header)?)?;
        Ok(Self { signed, signature: decode(signature)?, header, members: object(payload)? })
    }

    /// The header, untrusted.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The issuer that the token claims, to choose whose keys it must be verified with. Untrusted.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.members.get("iss").and_then(Value::as_str)
    }

    /// Any claim, to choose whose keys it must be verified with. Untrusted.
    pub fn claimed(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The claims, if one of the keys has signed them by an algorithm that is allowed. Dates are not judged here.
    ///
    /// # Errors
    /// When the algorithm is not allowed, no key fits the header, none of those that fit has signed the token, or a
    /// registered claim has the wrong type.
    pub fn verify(self, keys: &Jwks, allowed: Algorithms) -> Result<Claims, JwtError> {
        let Header { algorithm, ref key_id, .. } = self.header;
        if !allowed.contains(algorithm) {
            return Err(JwtError::Algorithm);
        }
        let mut candidates = keys.candidates(algorithm, key_id.as_deref()).peekable();
        if candidates.peek().is_none() {
            return Err(JwtError::UnknownKey);
        }
        if !candidates.any(|key| key.verifies(algorithm, self.signed, &self.signature)) {
            return Err(JwtError::Signature);
        }
        Claims::read(self.members)
    }
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Whether a credential has the outward form of a signed token: three parts with dots between them. What has not is opaque.
pub fn looks_signed(token: &[u8]) -> bool {
    parts(token).is_some()
}

/// The members of a header that mean anything here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    media_type: Option<Box<str>>,
}

impl Header {
    fn read(members: &Map<String, Value>) -> Result<Self, JwtError> {
        // RFC 7515 section 4.1.11: no extension is understood here, so none can be critical. `b64` changes what is signed
        // (RFC 7797), `enc` and `zip` are of encrypted tokens.
        for name in ["crit", "b64", "enc", "zip"] {
            if members.contains_key(name) {
                return Err(JwtError::Extension);
            }
        }
        // A token does not choose the keys that it is verified with.
        for name in ["jku", "jwk", "x5u", "x5c"] {
            if members.contains_key(name) {
                return Err(JwtError::OwnKey);
            }
        }
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(JwtError::Header(name)),
        };
        let algorithm =
            text("alg")?.ok_or(JwtError::Header("alg"))?.parse().map_err(|_| JwtError::Algorithm)?;
        let key_id = text("kid")?;
        if key_id.is_some_and(|key_id| key_id.len() > KID_BYTES_MAX) {
            return Err(JwtError::Header("kid"));
        }
        Ok(Self { algorithm, key_id: key_id.map(Box::from), media_type: text("typ")?.map(Box::from) })
    }

    /// `alg`.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`: bytes to compare, never a path or an address.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `typ` as it stands.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Whether `typ` is this media type: in any case, with or without `application/` (RFC 7515 section 4.1.9).
    pub fn is_type(&self, name: &str) -> bool {
        const PREFIX: &str = "application/";
        let bare = |text: &'_ str| -> usize {
            let prefixed = text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
            if prefixed { PREFIX.len() } else { 0 }
        };
        self.media_type().is_some_and(|found| {
            let (found, name) = (found.get(bare(found)..), name.get(bare(name)..));
            matches!((found, name), (Some(found), Some(name)) if found.eq_ignore_ascii_case(name))
        })
    }
}

/// Exactly three parts, none empty.
fn parts(token: &[u8]) -> Option<[&[u8]; 3]> {
    let mut parts = token.split(|byte| *byte == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => {
            let parts = [header, payload, signature];
            parts.iter().all(|part| !part.is_empty()).then_some(parts)
        }
        _ => None,
    }
}

/// The one encoding of the bytes: no padding, no other alphabet, no bits left over.
fn decode(part: &[u8]) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Base64)
}

fn object(part: &[u8]) -> Result<Map<String, Value>, JwtError> {
    json::object(&decode(part)?).map_err(|_| JwtError::Json)
}
