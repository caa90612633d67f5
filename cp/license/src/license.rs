//! A licence: a JWT signed with EdDSA (RFC 7519, RFC 8037), for one organization.
//!
//! INVARIANT: a [`License`] exists only behind a signature by a trusted key, for the organization that was asked about, within its dates. The
//! one algorithm is fixed here, not read from the token; what the header says must agree.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signature;
use serde::Deserialize;

use crate::{Entitlements, LicenseKeys, PluginGlob, Tier};

/// The longest licence.
pub const TOKEN_BYTES_MAX: usize = 16_384;
const TYPE: &str = "mcpg-license+jwt";
/// How far the issuer's clock may be from ours, in seconds.
const SKEW: u64 = 60;
/// The end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;
const GLOBS_MAX: usize = 1000;

/// A licence that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    /// Its id.
    pub id: String,
    /// The id of the key that signed it.
    pub key_id: String,
    /// What was bought.
    pub tier: Tier,
    /// The plugins that it covers.
    pub entitlements: Entitlements,
    /// The same as they were written.
    pub globs: Vec<PluginGlob>,
    /// Numbers that it grants, by name.
    pub quotas: BTreeMap<String, u64>,
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    jti: String,
    iat: u64,
    #[serde(default)]
    nbf: u64,
    exp: u64,
    tier: Tier,
    #[serde(default)]
    entitlements: Vec<PluginGlob>,
    #[serde(default)]
    quotas: BTreeMap<String, u64>,
}

impl License {
    /// Verifies a licence for an organization at a time (seconds since 1970).
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn verify(
        token: &str,
        organization: &str,
        keys: &LicenseKeys,
        now: u64,
    ) -> Result<Self, LicenseError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(LicenseError::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(LicenseError::Form)?;
        let (header, claims) =
            signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(LicenseError::Form)?;
        let header: Header = read(header)?;
        if header.alg != "EdDSA" || header.typ != TYPE {
            return Err(LicenseError::Kind);
        }
        let key = keys.by_id(&header.kid).ok_or(LicenseError::UnknownKey)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| LicenseError::Form)?;
        let signature = Signature::from_slice(&signature).map_err(|_| LicenseError::Signature)?;
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| LicenseError::Signature)?;
        let claims: Claims = read(claims)?;
        claims.check(organization, now)?;
        let globs = claims.entitlements;
        Ok(Self {
            id: claims.jti,
            key_id: header.kid,
            tier: claims.tier,
            entitlements: Entitlements::new(globs.clone()),
            globs,
            quotas: claims.quotas,
            expires_at: claims.exp,
        })
    }
}

impl Claims {
    fn check(&self, organization: &str, now: u64) -> Result<(), LicenseError> {
        let plain =
            |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain(&self.jti) || self.entitlements.len() > GLOBS_MAX || self.quotas.len() > GLOBS_MAX {
            return Err(LicenseError::Claims);
        }
        if [self.iat, self.nbf, self.exp].iter().any(|date| *date > SECONDS_MAX) {
            return Err(LicenseError::Claims);
        }
        if self.sub != organization {
            return Err(LicenseError::Organization);
        }
        if now >= self.exp {
            return Err(LicenseError::Expired);
        }
        if self.nbf > now + SKEW || self.iat > now + SKEW {
            return Err(LicenseError::NotYet);
        }
        Ok(())
    }
}

fn read<T>(part: &str) -> Result<T, LicenseError>
where
    T: serde::de::DeserializeOwned,
{
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| LicenseError::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| LicenseError::Claims)
}

/// Why a licence does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// It is not three parts of base64url.
    #[error("the licence is not a signed token")]
    Form,
    /// It is a token of another kind, or signed by another algorithm.
    #[error("the token is no licence: `alg` must be `EdDSA` and `typ` `{TYPE}`")]
    Kind,
    /// No trusted key has its `kid`.
    #[error("the licence is signed by a key that is not trusted here")]
    UnknownKey,
    /// Its signature does not hold.
    #[error("the licence's signature does not hold")]
    Signature,
    /// It says something that cannot be read.
    #[error("the licence's header or claims cannot be read")]
    Claims,
    /// It is for another organization.
    #[error("the licence is for another organization")]
    Organization,
    /// Its life is over.
    #[error("the licence has expired")]
    Expired,
    /// Its life has not begun.
    #[error("the licence is not valid yet")]
    NotYet,
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::EncodePublicKey as _;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::key_id;

    const NOW: u64 = 1_795_342_314;

    fn signer() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn keys(signer: &SigningKey) -> LicenseKeys {
        let pem = signer.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        LicenseKeys::from_pem(&format!("a comment\n{pem}")).unwrap()
    }

    fn sign(signer: &SigningKey, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = signer.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    fn header() -> Value {
        json!({ "alg": "EdDSA", "typ": TYPE, "kid": key_id(&signer().verifying_key()) })
    }

    fn claims() -> Value {
        json!({
            "sub": "acme-corp", "jti": "lic-1", "iat": NOW - 10, "exp": NOW + 10, "tier": "team",
            "entitlements": ["policy.*"], "quotas": { "gateways": 10 },
        })
    }

    fn with(mut value: Value, name: &str, member: Value) -> Value {
        value[name] = member;
        value
    }

    #[test]
    fn a_licence_says_what_was_bought() {
        let license =
            License::verify(&sign(&signer(), &header(), &claims()), "acme-corp", &keys(&signer()), NOW)
                .unwrap();
        assert_eq!(
            (license.tier, license.id.as_str(), license.quotas["gateways"]),
            (Tier::Team, "lic-1", 10)
        );
        assert!(license.entitlements.cover("policy.opa") && !license.entitlements.cover("identity.oidc"));
    }

    #[test]
    fn what_is_nearly_a_licence_is_none() {
        let check = |token: &str, expected: LicenseError| {
            assert_eq!(License::verify(token, "acme-corp", &keys(&signer()), NOW), Err(expected), "{token}");
        };
        let signed = |header: &Value, claims: &Value| sign(&signer(), header, claims);
        let good = signed(&header(), &claims());
        check("", LicenseError::Form);
        check("a.b", LicenseError::Form);
        check(&format!("{good}.x"), LicenseError::Form);
        check(&signed(&with(header(), "alg", json!("none")), &claims()), LicenseError::Kind);
        check(&signed(&with(header(), "alg", json!("HS256")), &claims()), LicenseError::Kind);
        check(&signed(&with(header(), "typ", json!("JWT")), &claims()), LicenseError::Kind);
        check(&signed(&with(header(), "jwk", json!({})), &claims()), LicenseError::Claims);
        check(
            &signed(&with(header(), "kid", json!("0000000000000000")), &claims()),
            LicenseError::UnknownKey,
        );
        check(&signed(&header(), &with(claims(), "sub", json!("other-corp"))), LicenseError::Organization);
        check(&signed(&header(), &with(claims(), "exp", json!(NOW))), LicenseError::Expired);
        check(&signed(&header(), &with(claims(), "exp", json!("never"))), LicenseError::Claims);
        check(&signed(&header(), &with(claims(), "exp", json!(u64::MAX))), LicenseError::Claims);
        check(&signed(&header(), &with(claims(), "nbf", json!(NOW + 61))), LicenseError::NotYet);
        check(&signed(&header(), &with(claims(), "iat", json!(NOW + 61))), LicenseError::NotYet);
        check(&signed(&header(), &with(claims(), "tier", json!("platinum"))), LicenseError::Claims);
        check(&signed(&header(), &with(claims(), "jti", json!(""))), LicenseError::Claims);
        let other = SigningKey::from_bytes(&[8; 32]);
        check(&sign(&other, &header(), &claims()), LicenseError::Signature);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        check(&format!("{head}.{first}{}", signature.get(1..).unwrap()), LicenseError::Signature);
        assert_eq!(
            License::verify(&good, "acme-corp", &LicenseKeys::none(), NOW),
            Err(LicenseError::UnknownKey)
        );
    }

    #[test]
    fn a_file_of_keys_is_read_whole_or_not_at_all() {
        let pem = signer().verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        assert_eq!(LicenseKeys::from_pem(&format!("{pem}\n{pem}")).unwrap().ids().count(), 2);
        for text in ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n", &pem.replace("MCow", "MCox")] {
            assert!(LicenseKeys::from_pem(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = License::verify(&text, "acme-corp", &keys(&signer()), NOW);
            let _ = LicenseKeys::from_pem(&text);
        }
    }
}
