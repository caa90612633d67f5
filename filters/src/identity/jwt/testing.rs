//! Keys that sign, for tests of whatever verifies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boring::bn::{BigNum, BigNumContext};
use boring::ec::{EcGroup, EcKey};
use boring::ecdsa::EcdsaSig;
use boring::hash::{MessageDigest, hash};
use boring::nid::Nid;
use boring::pkey::{Id, PKey, Private};
use boring::rsa::{Padding, Rsa};
use boring::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

use super::{Algorithm, Jwks, KeyUse};

/// A key pair for one algorithm.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    algorithm: Algorithm,
    key: PKey<Private>,
}

impl SigningKey {
    /// A new one.
    pub(crate) fn new(algorithm: Algorithm, id: &str) -> Self {
        let curve = |nid| {
            let group = EcGroup::from_curve_name(nid).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let key = match algorithm {
            Algorithm::Es256 => curve(Nid::X9_62_PRIME256V1),
            Algorithm::Es384 => curve(Nid::SECP384R1),
            Algorithm::Es512 => curve(Nid::SECP521R1),
            Algorithm::Ed25519 => PKey::generate(Id::ED25519).unwrap(),
            _ => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        };
        Self { id: id.to_owned(), algorithm, key }
    }

    /// The same key for another algorithm.
    pub(crate) fn for_algorithm(&self, algorithm: Algorithm) -> Self {
        Self { id: self.id.clone(), algorithm, key: self.key.clone() }
    }

    /// Its public half, without `alg` and `use`.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.algorithm {
            Algorithm::Ed25519 => {
                let mut point = [0; 32];
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(self.key.raw_public_key(&mut point).unwrap())})
            }
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
                let (curve, bytes) = self.curve();
                let key = self.key.ec_key().unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = BigNumContext::new().unwrap();
                key.public_key().affine_coordinates_gfp(key.group(), &mut x, &mut y, &mut context).unwrap();
                let encode = |number: &BigNum| encode(&number.to_vec_padded(bytes).unwrap());
                json!({"kty": "EC", "crv": curve, "x": encode(&x), "y": encode(&y)})
            }
            _ => {
                let key = self.key.rsa().unwrap();
                json!({"kty": "RSA", "n": encode(&key.n().to_vec()), "e": encode(&key.e().to_vec())})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk
    }

    fn curve(&self) -> (&'static str, usize) {
        match self.algorithm {
            Algorithm::Es256 => ("P-256", 32),
            Algorithm::Es384 => ("P-384", 48),
            _ => ("P-521", 66),
        }
    }

    /// A header that names the algorithm and the key.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "kid": self.id})
    }

    /// A token with the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token with another header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these very bytes.
    pub(crate) fn raw(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The signature as JOSE has it.
    pub(crate) fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let digest = match self.algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => MessageDigest::sha256(),
            Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        match self.algorithm {
            Algorithm::Ed25519 => {
                Signer::new_without_digest(&self.key).unwrap().sign_oneshot_to_vec(signed).unwrap()
            }
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
                let key = self.key.ec_key().unwrap();
                let signature = EcdsaSig::sign(&hash(digest, signed).unwrap(), &key).unwrap();
                let (_, bytes) = self.curve();
                let pad = |number: &boring::bn::BigNumRef| number.to_vec_padded(bytes).unwrap();
                [pad(signature.r()), pad(signature.s())].concat()
            }
            _ => {
                let mut signer = Signer::new(digest, &self.key).unwrap();
                if matches!(self.algorithm, Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512) {
                    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
                }
                signer.update(signed).unwrap();
                signer.sign_to_vec().unwrap()
            }
        }
    }
}

/// A set of keys as their issuer publishes it.
pub(crate) fn jwks(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes(), KeyUse::Signature).unwrap()
}
