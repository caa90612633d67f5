//! What is accepted, and everything near it that is not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use boring::hash::hmac_sha256;
use serde_json::{Value, json};

use super::testing::{SigningKey, jwks};
use super::*;

fn all() -> Algorithms {
    Algorithm::ALL.into_iter().collect()
}

fn verify(token: &str, keys: &Jwks, allowed: Algorithms) -> Result<Claims, JwtError> {
    Unverified::parse(token.as_bytes())?.verify(keys, allowed)
}

/// What becomes of a token that a key signed, among these keys.
fn check(token: &str, keys: &Jwks, expected: Result<(), JwtError>) {
    assert_eq!(verify(token, keys, all()).map(drop), expected, "{token}");
}

#[test]
fn each_algorithm_verifies_what_its_key_signed() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::new(algorithm, "k");
        let keys = jwks(&[key.jwk()]);
        let token = key.token(&json!({"sub": "alice"}));
        assert_eq!(verify(&token, &keys, all()).unwrap().subject(), Some("alice"), "{algorithm}");
        let only_others = Algorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
        assert_eq!(verify(&token, &keys, only_others).unwrap_err(), JwtError::Algorithm, "{algorithm}");
        let other = SigningKey::new(algorithm, "k");
        check(&other.token(&json!({"sub": "alice"})), &keys, Err(JwtError::Signature));
    }
}

#[test]
fn any_changed_byte_breaks_the_signature() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Ed25519] {
        let key = SigningKey::new(algorithm, "k");
        let keys = jwks(&[key.jwk()]);
        let signed = b"e30.e30";
        let signature = key.sign(signed);
        let [only] = keys.keys() else { panic!("one key") };
        assert!(only.verifies(algorithm, signed, &signature));
        assert!(!only.verifies(algorithm, b"e30.e31", &signature));
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert!(!only.verifies(algorithm, signed, &changed), "{algorithm} {index}");
        }
        for length in [0, 1, signature.len() - 1, signature.len() + 1] {
            let mut other = signature.clone();
            other.resize(length, 0);
            assert!(!only.verifies(algorithm, signed, &other), "{algorithm} {length}");
        }
        assert!(!only.verifies(algorithm, signed, &vec![0; signature.len()]), "{algorithm} zeros");
        assert!(!only.verifies(algorithm, signed, &vec![0xff; signature.len()]), "{algorithm} ones");
    }
}

#[test]
fn an_elliptic_signature_in_der_is_none() {
    let key = SigningKey::new(Algorithm::Es256, "k");
    let raw = key.sign(b"e30.e30");
    let number = |half: &[u8]| boring::bn::BigNum::from_slice(half).unwrap();
    let der =
        boring::ecdsa::EcdsaSig::from_private_components(number(&raw[..32]), number(&raw[32..])).unwrap();
    let keys = jwks(&[key.jwk()]);
    let [only] = keys.keys() else { panic!("one key") };
    assert!(!only.verifies(Algorithm::Es256, b"e30.e30", &der.to_der().unwrap()));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let key = SigningKey::new(Algorithm::Rs256, "k");
    let keys = jwks(&[key.jwk()]);
    for secret in [key.jwk()["n"].as_str().unwrap().as_bytes(), key.jwk().to_string().as_bytes(), b"", b"k"] {
        for alg in ["HS256", "none", "None", "NONE", "", "hs256", "RS256\u{0}"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "k"}).to_string());
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode("{}"));
            let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(secret, signed.as_bytes()).unwrap());
            check(&format!("{signed}.{signature}"), &keys, Err(JwtError::Algorithm));
        }
    }
}

#[test]
fn an_algorithm_is_never_tried_with_a_key_of_another() {
    let rsa = SigningKey::new(Algorithm::Rs256, "rsa");
    let curve = SigningKey::new(Algorithm::Es256, "curve");
    let edwards = SigningKey::new(Algorithm::Ed25519, "edwards");
    let keys = jwks(&[rsa.jwk(), curve.jwk(), edwards.jwk()]);
    for (algorithm, key_id) in [
        (Algorithm::Es256, "rsa"),
        (Algorithm::Ed25519, "rsa"),
        (Algorithm::Es384, "curve"),
        (Algorithm::Rs256, "curve"),
        (Algorithm::Ed25519, "curve"),
        (Algorithm::Es256, "edwards"),
    ] {
        let signer = SigningKey::new(algorithm, key_id);
        check(&signer.token(&json!({})), &keys, Err(JwtError::UnknownKey));
    }
    // PS256 by an RSA key that says `alg: RS256`.
    let mut bound = rsa.jwk();
    bound["alg"] = json!("RS256");
    let token = rsa.for_algorithm(Algorithm::Ps256).token(&json!({}));
    check(&token, &jwks(&[bound.clone()]), Err(JwtError::UnknownKey));
    check(&rsa.token(&json!({})), &jwks(&[bound]), Ok(()));
    check(&token, &jwks(&[rsa.jwk()]), Ok(()));
}

#[test]
fn the_header_narrows_and_never_widens() {
    let key = SigningKey::new(Algorithm::Es256, "k");
    let keys = jwks(&[key.jwk()]);
    let own = key.jwk();
    for (more, expected) in [
        (json!({}), Ok(())),
        (json!({"typ": "at+jwt", "cty": "x", "x5t": "AAAA", "unknown": [1]}), Ok(())),
        (json!({"alg": null}), Err(JwtError::Header("alg"))),
        (json!({"alg": ["ES256"]}), Err(JwtError::Header("alg"))),
        (json!({"alg": "es256"}), Err(JwtError::Algorithm)),
        (json!({"typ": 1}), Err(JwtError::Header("typ"))),
        (json!({"kid": 1}), Err(JwtError::Header("kid"))),
        (json!({"kid": "x".repeat(513)}), Err(JwtError::Header("kid"))),
        (json!({"kid": "K"}), Err(JwtError::UnknownKey)),
        (json!({"kid": ""}), Err(JwtError::UnknownKey)),
        (json!({"kid": "../../../../dev/null"}), Err(JwtError::UnknownKey)),
        (json!({"kid": "k' OR '1'='1"}), Err(JwtError::UnknownKey)),
        (json!({"kid": "https://evil.example/key"}), Err(JwtError::UnknownKey)),
        (json!({"kid": "k\u{0}"}), Err(JwtError::UnknownKey)),
        (json!({"crit": []}), Err(JwtError::Extension)),
        (json!({"crit": ["exp"], "exp": 1}), Err(JwtError::Extension)),
        (json!({"crit": ["b64"], "b64": false}), Err(JwtError::Extension)),
        (json!({"b64": false}), Err(JwtError::Extension)),
        (json!({"b64": true}), Err(JwtError::Extension)),
        (json!({"zip": "DEF"}), Err(JwtError::Extension)),
        (json!({"enc": "A256GCM"}), Err(JwtError::Extension)),
        (json!({"jku": "https://evil.example/jwks"}), Err(JwtError::OwnKey)),
        (json!({"x5u": "https://evil.example/chain.pem"}), Err(JwtError::OwnKey)),
        (json!({"jwk": own}), Err(JwtError::OwnKey)),
        (json!({"x5c": ["MIIB"]}), Err(JwtError::OwnKey)),
    ] {
        let mut header = key.header();
        more.as_object().unwrap().iter().for_each(|(name, value)| header[name] = value.clone());
        check(&key.token_with(&header, &json!({})), &keys, expected);
    }
    check(&key.token_with(&json!({"kid": "k"}), &json!({})), &keys, Err(JwtError::Header("alg")));
    check(&key.token_with(&json!({"alg": "ES256"}), &json!({})), &keys, Ok(()));
}

#[test]
fn the_form_is_exact() {
    let key = SigningKey::new(Algorithm::Es256, "k");
    let keys = jwks(&[key.jwk()]);
    let token = key.token(&json!({"a": "?>~"}));
    check(&token, &keys, Ok(()));
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for (token, expected) in [
        (String::new(), JwtError::Form),
        ("..".into(), JwtError::Form),
        (format!("{header}.{payload}"), JwtError::Form),
        (format!("{header}.{payload}."), JwtError::Form),
        (format!("{header}..{signature}"), JwtError::Form),
        (format!(".{payload}.{signature}"), JwtError::Form),
        (format!("{token}."), JwtError::Form),
        (format!("{header}.{header}.{payload}.{payload}.{signature}"), JwtError::Form),
        (format!("{token}="), JwtError::Base64),
        (format!("{header}=.{payload}.{signature}"), JwtError::Base64),
        (format!(" {token}"), JwtError::Base64),
        (format!("{token} "), JwtError::Base64),
        (format!("{header}.{payload}\n.{signature}"), JwtError::Base64),
        (format!("{header}.{}.{signature}", STANDARD_NO_PAD.encode(r#"{"a":"?>~"}"#)), JwtError::Base64),
        (format!("{header}.{payload}.A"), JwtError::Base64),
        (format!("{header}.{payload}.AB"), JwtError::Base64),
        ("x".repeat(TOKEN_BYTES_MAX + 1), JwtError::Size),
    ] {
        check(&token, &keys, Err(expected));
    }
    // The last character of 64 bytes carries four bits that must be zero.
    let (rest, last) = token.split_at(token.len() - 1);
    let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars();
    let accepted = others.filter(|other| verify(&format!("{rest}{other}"), &keys, all()).is_ok());
    assert_eq!(accepted.collect::<String>(), last);
}

#[test]
fn header_and_claims_are_strict_objects() {
    let key = SigningKey::new(Algorithm::Es256, "k");
    let keys = jwks(&[key.jwk()]);
    let header = key.header().to_string();
    for (header, claims, expected) in [
        (header.as_str(), r#"{"sub":"a"}"#, Ok(())),
        (&header, r#"{"sub":"a","sub":"b"}"#, Err(JwtError::Json)),
        (&header, r#"{"sub":"a","\u0073ub":"b"}"#, Err(JwtError::Json)),
        (&header, r#"{"exp":1e400}"#, Err(JwtError::Json)),
        (&header, r#"["sub"]"#, Err(JwtError::Json)),
        (&header, "null", Err(JwtError::Json)),
        (&header, "{}{}", Err(JwtError::Json)),
        (&header, "\u{feff}{}", Err(JwtError::Json)),
        (r#"{"alg":"ES256","alg":"none"}"#, "{}", Err(JwtError::Json)),
        (r#"{"alg":"none","\u0061lg":"ES256"}"#, "{}", Err(JwtError::Json)),
        (r#"{"alg":"ES256","Alg":"none"}"#, "{}", Ok(())),
        (r#""ES256""#, "{}", Err(JwtError::Json)),
        (&header, r#"{"exp":"1790000000"}"#, Err(JwtError::Claim("exp"))),
        (&header, r#"{"exp":9223372036854775808}"#, Err(JwtError::Claim("exp"))),
        (&header, r#"{"nbf":[1]}"#, Err(JwtError::Claim("nbf"))),
        (&header, r#"{"aud":[1]}"#, Err(JwtError::Claim("aud"))),
    ] {
        check(&key.raw(header.as_bytes(), claims.as_bytes()), &keys, expected);
    }
    check(&key.raw(b"\xff\xfe{}", b"{}"), &keys, Err(JwtError::Json));
    check(&key.raw(header.as_bytes(), b"{\"sub\":\"\xff\"}"), &keys, Err(JwtError::Json));
}

#[test]
fn several_keys_with_one_id_are_each_tried() {
    let (old, new) = (SigningKey::new(Algorithm::Es256, "k"), SigningKey::new(Algorithm::Es256, "k"));
    let keys = jwks(&[old.jwk(), new.jwk()]);
    check(&old.token(&json!({})), &keys, Ok(()));
    check(&new.token(&json!({})), &keys, Ok(()));
    // Bounded: a token is not tried with a set's worth of keys.
    let mut many: Vec<Value> = (0..8).map(|_| SigningKey::new(Algorithm::Es256, "k").jwk()).collect();
    many.push(new.jwk());
    check(&new.token(&json!({})), &jwks(&many), Err(JwtError::Signature));
}

#[test]
fn media_types_compare_as_media_types() {
    let key = SigningKey::new(Algorithm::Ed25519, "k");
    let is_type = |typ: &str, name| {
        let mut header = key.header();
        header["typ"] = json!(typ);
        Unverified::parse(key.token_with(&header, &json!({})).as_bytes()).unwrap().header().is_type(name)
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert!(is_type(typ, "at+jwt") && is_type(typ, "application/at+jwt"), "{typ}");
    }
    for typ in
        ["", "jwt", "at+jwt ", "text/at+jwt", "application/application/at+jwt", "appl\u{131}cation/at+jwt"]
    {
        assert!(!is_type(typ, "at+jwt"), "{typ}");
    }
    assert!(!Unverified::parse(key.token(&json!({})).as_bytes()).unwrap().header().is_type("at+jwt"));
}

#[test]
fn nothing_of_a_token_is_printed() {
    let key = SigningKey::new(Algorithm::Ed25519, "k");
    let token = key.token(&json!({"sub": "canary"}));
    let unverified = Unverified::parse(token.as_bytes()).unwrap();
    assert!(!format!("{unverified:?}").contains("canary"));
}

mod sets;
mod wycheproof;
