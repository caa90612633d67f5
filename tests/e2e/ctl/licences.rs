//! Licences of an issuer of the tests' own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// The issuer's key, PEM.
pub(super) fn public_key() -> String {
    issuer().verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
}

/// A licence for a day.
pub(super) fn issue(org: &str, tier: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let kid: String = blake3::hash(issuer().verifying_key().as_bytes()).to_hex().chars().take(16).collect();
    let header = json!({ "alg": "EdDSA", "typ": "mcpg-license+jwt", "kid": kid });
    let claims = json!({
        "sub": org, "jti": "lic-1", "iat": now, "exp": now + 86_400, "tier": tier, "entitlements": ["policy.*"],
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer().sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
