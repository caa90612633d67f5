//! Assertions: a compact JWS (RFC 7515, EdDSA by RFC 8037) that a gateway signs for one request.
//!
//! There is one header, byte for byte, so nothing in it is a choice of the caller's. The claims name the request; an assertion for one is
//! none for another, and none for another control plane.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use mcpg_cp_api::{ASSERTION_HEADER, ASSERTION_SECONDS_MAX, AssertionClaims};

/// How much a gateway's clock may be off, in seconds.
pub const SKEW: u64 = 30;
const BYTES_MAX: usize = 2048;

/// An assertion that has the form of one. Nothing of it is proven yet.
#[derive(Debug, Clone)]
pub struct Assertion<'a> {
    signed: &'a str,
    signature: Signature,
    claims: AssertionClaims,
}

/// What an assertion has to be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The control plane.
    pub audience: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's path and query.
    pub path: &'a str,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// Why an assertion proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// It is not what gateways sign.
    #[error("it has not the form of an assertion")]
    Form,
    /// Somebody else signed it, or something else was signed.
    #[error("its signature does not hold")]
    Signature,
    /// It is for another control plane.
    #[error("it is for another audience")]
    Audience,
    /// It is for another request.
    #[error("it is for another request")]
    Request,
    /// It is over, of the future, or lasts too long.
    #[error("its time does not hold: check the gateway's clock")]
    Time,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion.
    ///
    /// # Errors
    /// [`AssertionError::Form`].
    pub fn parse(text: &'a str) -> Result<Self, AssertionError> {
        let form = AssertionError::Form;
        if text.len() > BYTES_MAX {
            return Err(form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(form)?;
        let (header, claims) = signed.split_once('.').ok_or(form)?;
        if header != ASSERTION_HEADER {
            return Err(form);
        }
        let signature: [u8; 64] =
            URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(form)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| form)?;
        let claims = serde_json::from_slice(&claims).map_err(|_| form)?;
        Ok(Self { signed, signature: Signature::from_bytes(&signature), claims })
    }

    /// The id of the gateway that it says it is of.
    pub fn gateway(&self) -> &str {
        &self.claims.iss
    }

    /// Proves it by the gateway's key. Returns its claims.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn prove(self, key: &[u8; 32], expected: &Expected<'_>) -> Result<AssertionClaims, AssertionError> {
        let key = VerifyingKey::from_bytes(key).map_err(|_| AssertionError::Signature)?;
        key.verify_strict(self.signed.as_bytes(), &self.signature).map_err(|_| AssertionError::Signature)?;
        let claims = self.claims;
        if claims.aud != expected.audience {
            return Err(AssertionError::Audience);
        }
        if claims.htm != expected.method || claims.htu != expected.path {
            return Err(AssertionError::Request);
        }
        let lasts = claims.exp.checked_sub(claims.iat).ok_or(AssertionError::Time)?;
        let has_begun = claims.iat <= expected.now.saturating_add(SKEW);
        let is_over = claims.exp.saturating_add(SKEW) <= expected.now;
        if lasts > ASSERTION_SECONDS_MAX || !has_begun || is_over {
            return Err(AssertionError::Time);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn sign(header: &str, claims: &Value) -> String {
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = SigningKey::from_bytes(&[1; 32]).sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn claims() -> Value {
        json!({ "iss": "gw", "aud": "https://cp.acme.com", "iat": NOW, "exp": NOW + 60, "jti": "x", "htm": "GET", "htu": "/v1/agent/revisions?after=1" })
    }

    fn check(text: &str) -> Result<AssertionClaims, AssertionError> {
        let key = *SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes();
        let expected = Expected {
            audience: "https://cp.acme.com",
            method: "GET",
            path: "/v1/agent/revisions?after=1",
            now: NOW,
        };
        Assertion::parse(text)?.prove(&key, &expected)
    }

    fn with(name: &str, value: Value) -> Result<AssertionClaims, AssertionError> {
        let mut claims = claims();
        claims[name] = value;
        check(&sign(ASSERTION_HEADER, &claims))
    }

    #[test]
    fn an_assertion_of_the_gateway_holds() {
        assert_eq!(check(&sign(ASSERTION_HEADER, &claims())).unwrap().iss, "gw");
        // Clocks differ a little.
        assert!(with("iat", json!(NOW + 20)).is_ok());
    }

    #[test]
    fn every_claim_counts() {
        for (name, value, expected) in [
            ("aud", json!("https://other.example"), AssertionError::Audience),
            ("htm", json!("POST"), AssertionError::Request),
            ("htu", json!("/v1/agent/revisions?after=2"), AssertionError::Request),
            ("exp", json!(NOW - 31), AssertionError::Time),
            ("exp", json!(NOW + 61), AssertionError::Time),
            ("exp", json!(u64::MAX), AssertionError::Time),
            ("iat", json!(NOW + 31), AssertionError::Time),
            ("iat", json!(0), AssertionError::Time),
            ("iat", json!("0"), AssertionError::Form),
            ("iat", json!(1.5), AssertionError::Form),
            ("more", json!(1), AssertionError::Form),
        ] {
            assert_eq!(with(name, value.clone()), Err(expected), "{name}: {value}");
        }
    }

    #[test]
    fn only_the_one_header_is_known() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256","typ":"mcpg-assertion+jwt"}"#,
            r#"{"typ":"mcpg-assertion+jwt","alg":"EdDSA"}"#,
        ] {
            assert_eq!(
                check(&sign(&URL_SAFE_NO_PAD.encode(header), &claims())),
                Err(AssertionError::Form),
                "{header}"
            );
        }
    }

    #[test]
    fn nothing_signed_can_be_changed() {
        let good = sign(ASSERTION_HEADER, &claims());
        let (rest, signature) = good.rsplit_once('.').unwrap();
        let other = sign(ASSERTION_HEADER, &json!({ "iss": "other" }));
        let (_, foreign) = other.rsplit_once('.').unwrap();
        assert_eq!(check(&format!("{rest}.{foreign}")), Err(AssertionError::Signature));
        for text in
            ["", ".", "..", rest, signature, &format!("{good}."), &format!("{good}="), &"a".repeat(3000)]
        {
            assert_eq!(check(text), Err(AssertionError::Form), "{text}");
        }
    }
}
