//! JWK Sets: which keys are taken, which are passed over, and what is no set.

use serde_json::{Value, json};

use crate::identity::jwt::testing::SigningKey;
use crate::identity::jwt::{Algorithm, JWKS_BYTES_MAX, Jwks, KEYS_MAX, KeyUse, Skipped};

fn skipped(jwk: &Value, key_use: KeyUse) -> Option<Skipped> {
    let set = json!({ "keys": [jwk] }).to_string();
    let jwks = Jwks::parse(set.as_bytes(), key_use).unwrap();
    assert_eq!(jwks.keys().len() + jwks.skipped().len(), 1);
    jwks.skipped().first().map(|(_, skipped)| *skipped)
}

/// What becomes of a key with these members changed; null removes one.
fn check(key: &SigningKey, change: &Value, expected: Option<Skipped>) {
    let mut jwk = key.jwk();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
            value => jwk[name] = value.clone(),
        }
    }
    assert_eq!(skipped(&jwk, KeyUse::Signature), expected, "{change}");
}

#[test]
fn keys_are_taken_for_what_they_are() {
    let rsa = SigningKey::new(Algorithm::Rs256, "rsa");
    let curve = SigningKey::new(Algorithm::Es256, "curve");
    let edwards = SigningKey::new(Algorithm::Ed25519, "edwards");
    let short = SigningKey::new(Algorithm::Es256, "short").jwk()["x"].clone();
    for (key, change, expected) in [
        (&rsa, json!({}), None),
        (&rsa, json!({"kid": null, "alg": "PS512", "use": "sig", "key_ops": ["verify"]}), None),
        (&rsa, json!({"x5c": ["AAAA"], "x5u": "https://evil.example", "unknown": {}}), None),
        (&curve, json!({"alg": "ES256"}), None),
        (&edwards, json!({"alg": "EdDSA"}), None),
        (&edwards, json!({"alg": "Ed25519"}), None),
        (&rsa, json!({"kty": null}), Some(Skipped::Member("kty"))),
        (&rsa, json!({"kty": "oct", "k": "AAAA"}), Some(Skipped::Secret)),
        (&rsa, json!({"kty": "AKP"}), Some(Skipped::Type)),
        (&rsa, json!({"kty": "rsa"}), Some(Skipped::Type)),
        (&rsa, json!({"d": "AAAA"}), Some(Skipped::Secret)),
        (&rsa, json!({"use": "enc"}), Some(Skipped::Purpose)),
        (&rsa, json!({"use": 1}), Some(Skipped::Purpose)),
        (&rsa, json!({"use": "jwt-svid"}), Some(Skipped::Purpose)),
        (&rsa, json!({"key_ops": ["sign"]}), Some(Skipped::Purpose)),
        (&rsa, json!({"key_ops": "verify"}), Some(Skipped::Purpose)),
        (&rsa, json!({"alg": "HS256"}), Some(Skipped::Algorithm)),
        (&rsa, json!({"alg": "ES256"}), Some(Skipped::Algorithm)),
        (&rsa, json!({"alg": "RSA-OAEP"}), Some(Skipped::Algorithm)),
        (&rsa, json!({"alg": 1}), Some(Skipped::Algorithm)),
        (&rsa, json!({"kid": 1}), Some(Skipped::Kid)),
        (&rsa, json!({"kid": "x".repeat(513)}), Some(Skipped::Kid)),
        (&rsa, json!({"n": null}), Some(Skipped::Member("n"))),
        (&rsa, json!({"n": "AQAB"}), Some(Skipped::Size)),
        (&rsa, json!({"n": "____".repeat(4000)}), Some(Skipped::Size)),
        (&rsa, json!({"n": "not base64!"}), Some(Skipped::Numbers)),
        (&rsa, json!({"e": "AQ"}), Some(Skipped::Numbers)),
        (&rsa, json!({"e": "AA"}), Some(Skipped::Numbers)),
        (&rsa, json!({"e": ""}), Some(Skipped::Numbers)),
        (&rsa, json!({"e": "Ag"}), Some(Skipped::Numbers)),
        (&rsa, json!({"e": "AQAAAAAAAQ"}), Some(Skipped::Numbers)),
        (&curve, json!({"crv": "secp256k1"}), Some(Skipped::Curve)),
        (&curve, json!({"crv": "P-384"}), Some(Skipped::Numbers)),
        (&curve, json!({"alg": "ES384"}), Some(Skipped::Algorithm)),
        (&curve, json!({"x": short}), Some(Skipped::Numbers)),
        (&curve, json!({"x": "AAAA"}), Some(Skipped::Numbers)),
        (&edwards, json!({"crv": "X25519"}), Some(Skipped::Curve)),
        (&edwards, json!({"crv": "Ed448"}), Some(Skipped::Curve)),
        (&edwards, json!({"x": "AAAA"}), Some(Skipped::Numbers)),
    ] {
        check(key, &change, expected);
    }
    let zero = "A".repeat(43);
    check(&curve, &json!({"x": zero, "y": zero}), Some(Skipped::Numbers));
    assert_eq!(skipped(&json!(1), KeyUse::Signature), Some(Skipped::Shape));
}

#[test]
fn keys_of_workloads_say_so() {
    let mut jwk = SigningKey::new(Algorithm::Es256, "k").jwk();
    assert_eq!(skipped(&jwk, KeyUse::JwtSvid), Some(Skipped::Purpose));
    for (found, expected) in
        [("sig", Some(Skipped::Purpose)), ("x509-svid", Some(Skipped::Purpose)), ("jwt-svid", None)]
    {
        jwk["use"] = json!(found);
        assert_eq!(skipped(&jwk, KeyUse::JwtSvid), expected);
    }
}

#[test]
fn short_rsa_keys_verify_nothing() {
    let short = boring::rsa::Rsa::generate(1024).unwrap();
    let encode = |number: &boring::bn::BigNumRef| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(number.to_vec())
    };
    let jwk = json!({"kty": "RSA", "n": encode(short.n()), "e": encode(short.e())});
    assert_eq!(skipped(&jwk, KeyUse::Signature), Some(Skipped::Size));
}

#[test]
fn what_is_no_set_is_refused() {
    let parse = |text: &str| {
        Jwks::parse(text.as_bytes(), KeyUse::Signature)
            .map(|jwks| jwks.keys().len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(parse(r#"{"keys":[]}"#), Ok(0));
    assert_eq!(parse(r#"{"keys":{}}"#).unwrap_err(), "the JWK Set has no array `keys`");
    assert_eq!(parse("{}").unwrap_err(), "the JWK Set has no array `keys`");
    assert_eq!(parse("<html>").unwrap_err(), "the JWK Set cannot be read");
    assert_eq!(parse(r#"{"keys":[],"keys":[]}"#).unwrap_err(), "the JWK Set cannot be read");
    assert_eq!(parse(r#"{"keys":[{"a":1,"a":2}]}"#).unwrap_err(), "the JWK Set cannot be read");
    let many = json!({"keys": vec![json!({}); KEYS_MAX + 1]}).to_string();
    assert_eq!(parse(&many).unwrap_err(), format!("the JWK Set has over {KEYS_MAX} keys"));
    let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(JWKS_BYTES_MAX));
    assert_eq!(parse(&large).unwrap_err(), format!("the JWK Set has over {JWKS_BYTES_MAX} bytes"));
}
