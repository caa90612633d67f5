//! The gateway's own key: what a control plane knows it by. It never leaves the state folder.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_cp_api::{ASSERTION_HEADER, ASSERTION_SECONDS_MAX, AssertionClaims, Enrolled};

use crate::server::signing_key;

/// What the gateway signs with.
pub(super) struct AgentKey(SigningKey);

impl AgentKey {
    /// The key in a folder; it is made where there is none.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        signing_key::own(folder).map(Self)
    }

    /// The public key, base64url.
    pub(super) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    /// A signature, base64url.
    pub(super) fn sign(&self, statement: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(statement).to_bytes())
    }

    /// A JWS that says for one request who asks (RFC 7515, RFC 8037).
    pub(super) fn assertion(
        &self,
        enrolled: &Enrolled,
        (method, path): (&str, &str),
        now: SystemTime,
    ) -> anyhow::Result<String> {
        let iat = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let claims = AssertionClaims {
            iss: enrolled.gateway.to_string(),
            aud: enrolled.audience.clone(),
            iat,
            exp: iat + ASSERTION_SECONDS_MAX,
            jti: URL_SAFE_NO_PAD.encode(random),
            htm: method.to_owned(),
            htu: path.to_owned(),
        };
        let signed = format!("{ASSERTION_HEADER}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims)?));
        let signature = self.sign(signed.as_bytes());
        Ok(format!("{signed}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_it_says() {
        let header = URL_SAFE_NO_PAD.decode(ASSERTION_HEADER).unwrap();
        assert_eq!(header, br#"{"alg":"EdDSA","typ":"mcpg-assertion+jwt"}"#);
    }
}
