//! A gateway as the control plane knows it: a key, an enrolment, and an assertion for each request.

use std::net::SocketAddr;
use std::time::SystemTime;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_cp_api::{ASSERTION_SECONDS_MAX, Enrolled, enrollment_statement};
use serde_json::json;

use crate::http::{Connection, Request};

/// A gateway that has enrolled.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) key: SigningKey,
    enrolled: Enrolled,
}

impl Agent {
    /// Enrols with a token, by a new key.
    pub(crate) async fn enrol(address: SocketAddr, name: &str, token: &str) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = SigningKey::from_bytes(&seed);
        let public_key = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let proof = key.sign(&enrollment_statement(token, &public_key)).to_bytes();
        let body = json!({
            "token": token, "public_key": public_key, "proof": URL_SAFE_NO_PAD.encode(proof),
            "name": name, "version": "load",
        });
        let (path, body) = ("/v1/agent/enroll", body.to_string());
        let request = Request { method: "POST", path, bearer: "", headers: "", body: &body };
        let (status, answer) = Connection::open(address).await?.ask(request).await?;
        if status != 201 {
            bail!("not enrolled: {status} {}", String::from_utf8_lossy(&answer));
        }
        Ok(Self { address, key, enrolled: serde_json::from_slice(&answer)? })
    }

    /// What one request is signed with.
    pub(crate) fn assertion(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let claims = json!({
            "iss": self.enrolled.gateway, "aud": self.enrolled.audience, "iat": now, "exp": now + ASSERTION_SECONDS_MAX,
            "jti": URL_SAFE_NO_PAD.encode(random), "htm": method, "htu": path,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"mcpg-assertion+jwt"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
