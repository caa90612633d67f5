//! Public keys of a JWK Set, and what one of them has signed.
//!
//! A key verifies the algorithms of its own type and curve only, and fewer where its `alg`, `use` or `key_ops` say so:
//! the algorithm in a token's header chooses among what a key may do, never what a key is.
//!
//! Sources: RFC 7517 section 4, RFC 7518 sections 3 and 6, RFC 8037 section 2; key sizes: NIST SP 800-131A.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::ecdsa::EcdsaSig;
use boring::error::ErrorStack;
use boring::hash::{MessageDigest, hash};
use boring::nid::Nid;
use boring::pkey::{PKey, Public};
use boring::rsa::{Padding, Rsa};
use boring::sign::{RsaPssSaltlen, Verifier};
use serde_json::{Map, Value};

use super::{Algorithm, Algorithms};

const RSA_BITS_MIN: i32 = 2048;
/// Beyond it one verification costs more than a request should.
const RSA_BITS_MAX: i32 = 8192;
const KID_BYTES_MAX: usize = 512;
/// The DER of an Ed25519 public key before its 32 bytes (RFC 8410 section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What the keys of a set are for: the `use` that they must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// `sig`, or none at all.
    Signature,
    /// `jwt-svid`, and never none (SPIFFE Trust Domain and Bundle, section 4.2.2).
    JwtSvid,
}

/// A public key that may verify signatures.
pub struct Key {
    id: Option<Box<str>>,
    algorithms: Algorithms,
    public: PublicKey,
}

enum PublicKey {
    Rsa(PKey<Public>),
    Ec { key: EcKey<Public>, coordinate_bytes: usize },
    Ed25519(PKey<Public>),
}

impl Key {
    /// Reads one member of `keys`.
    ///
    /// # Errors
    /// When the key is not one that verifies signatures here.
    pub(super) fn read(jwk: &Map<String, Value>, key_use: KeyUse) -> Result<Self, Skipped> {
        check_purpose(jwk, key_use)?;
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return Err(Skipped::Secret);
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KID_BYTES_MAX => Some(id.as_str().into()),
            Some(_) => return Err(Skipped::Kid),
        };
        let (public, able) = match text(jwk, "kty")? {
            "RSA" => rsa(jwk)?,
            "EC" => ec(jwk)?,
            "OKP" => okp(jwk)?,
            _ => return Err(Skipped::Type),
        };
        let algorithms = match jwk.get("alg") {
            None => able,
            Some(Value::String(name)) => match name.parse() {
                Ok(one) if able.contains(one) => Algorithms::default().with(one),
                _ => return Err(Skipped::Algorithm),
            },
            Some(_) => return Err(Skipped::Algorithm),
        };
        Ok(Self { id, algorithms, public })
    }

    /// Its `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it may verify an algorithm.
    pub fn permits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(algorithm)
    }

    /// Whether it has signed these bytes. False for whatever cannot be a signature.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.permits(algorithm) {
            return false;
        }
        let verified = match &self.public {
            PublicKey::Rsa(key) => verify_rsa(key, algorithm, signed, signature),
            PublicKey::Ec { key, coordinate_bytes } => {
                verify_ec(key, *coordinate_bytes, algorithm, signed, signature)
            }
            PublicKey::Ed25519(key) => verify_ed25519(key, signed, signature),
        };
        let verified = verified.unwrap_or(false);
        if !verified {
            // What is left in this thread's queue of errors must not be taken for another operation's.
            drop(ErrorStack::get());
        }
        verified
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// Why a member of `keys` is passed over (RFC 7517 section 5: what is not understood is ignored).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// Not an object.
    #[error("it is no object")]
    Shape,
    /// A member that is missing or no string.
    #[error("`{0}` is missing or no string")]
    Member(&'static str),
    /// An unknown `kty`.
    #[error("its `kty` is not known")]
    Type,
    /// An unknown curve.
    #[error("its `crv` is not known")]
    Curve,
    /// An `alg` that is unknown or not of the key's type.
    #[error("its `alg` is not one of its type")]
    Algorithm,
    /// `use` or `key_ops` of something else.
    #[error("its `use` or `key_ops` is not to verify signatures")]
    Purpose,
    /// A `kid` that is no short string.
    #[error("its `kid` is no short string")]
    Kid,
    /// Numbers that make no key.
    #[error("its numbers are no public key")]
    Numbers,
    /// An RSA key that is too short or too long.
    #[error("its modulus does not have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")]
    Size,
    /// A published private or shared key is nobody's key.
    #[error("it publishes a private or a shared key")]
    Secret,
}

fn check_purpose(jwk: &Map<String, Value>, key_use: KeyUse) -> Result<(), Skipped> {
    let fits = match (key_use, jwk.get("use")) {
        (KeyUse::Signature, None) => true,
        (KeyUse::Signature, Some(found)) => found == "sig",
        (KeyUse::JwtSvid, found) => found.is_some_and(|found| found == "jwt-svid"),
    };
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    if fits && verifies { Ok(()) } else { Err(Skipped::Purpose) }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Skipped> {
    jwk.get(name).and_then(Value::as_str).ok_or(Skipped::Member(name))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Skipped> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| Skipped::Numbers)
}

fn rsa(jwk: &Map<String, Value>) -> Result<(PublicKey, Algorithms), Skipped> {
    let number = |name| BigNum::from_slice(&bytes(jwk, name)?).map_err(|_| Skipped::Numbers);
    let (modulus, exponent) = (number("n")?, number("e")?);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&modulus.num_bits()) {
        return Err(Skipped::Size);
    }
    // The exponents in use are 65537 and 3; a large one only makes a verification expensive.
    if !modulus.is_odd() || !exponent.is_odd() || !(2..=32).contains(&exponent.num_bits()) {
        return Err(Skipped::Numbers);
    }
    let key = Rsa::from_public_components(modulus, exponent).and_then(PKey::from_rsa).map_err(numbers)?;
    let algorithms = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];
    Ok((PublicKey::Rsa(key), algorithms.into_iter().collect()))
}

fn ec(jwk: &Map<String, Value>) -> Result<(PublicKey, Algorithms), Skipped> {
    let (curve, coordinate_bytes, algorithm) = match text(jwk, "crv")? {
        "P-256" => (Nid::X9_62_PRIME256V1, 32, Algorithm::Es256),
        "P-384" => (Nid::SECP384R1, 48, Algorithm::Es384),
        "P-521" => (Nid::SECP521R1, 66, Algorithm::Es512),
        _ => return Err(Skipped::Curve),
    };
    let coordinate = |name| {
        let bytes = bytes(jwk, name)?;
        // RFC 7518 section 6.2.1.2: the full size, leading zeros included.
        if bytes.len() != coordinate_bytes {
            return Err(Skipped::Numbers);
        }
        BigNum::from_slice(&bytes).map_err(|_| Skipped::Numbers)
    };
    let (x, y) = (coordinate("x")?, coordinate("y")?);
    let group = EcGroup::from_curve_name(curve).map_err(numbers)?;
    let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).map_err(numbers)?;
    key.check_key().map_err(numbers)?;
    Ok((PublicKey::Ec { key, coordinate_bytes }, Algorithms::default().with(algorithm)))
}

fn okp(jwk: &Map<String, Value>) -> Result<(PublicKey, Algorithms), Skipped> {
    if text(jwk, "crv")? != "Ed25519" {
        return Err(Skipped::Curve);
    }
    let point = bytes(jwk, "x")?;
    if point.len() != 32 {
        return Err(Skipped::Numbers);
    }
    let key = PKey::public_key_from_der(&[&ED25519_SPKI[..], &point].concat()).map_err(numbers)?;
    Ok((PublicKey::Ed25519(key), Algorithms::default().with(Algorithm::Ed25519)))
}

fn numbers(_: ErrorStack) -> Skipped {
    Skipped::Numbers
}

fn verify_rsa(
    key: &PKey<Public>,
    algorithm: Algorithm,
    signed: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    // RFC 8017 sections 8.1.2 and 8.2.2: exactly as long as the modulus.
    if signature.len() != key.size() {
        return Ok(false);
    }
    let digest = digest(algorithm);
    let mut verifier = Verifier::new(digest, key)?;
    if matches!(algorithm, Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512) {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        verifier.set_rsa_mgf1_md(digest)?;
    }
    verifier.update(signed)?;
    verifier.verify(signature)
}

/// The signature is `r` and `s`, each of the curve's size (RFC 7518 section 3.4).
fn verify_ec(
    key: &EcKey<Public>,
    coordinate_bytes: usize,
    algorithm: Algorithm,
    signed: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    if signature.len() != 2 * coordinate_bytes {
        return Ok(false);
    }
    let Some((r, s)) = signature.split_at_checked(coordinate_bytes) else { return Ok(false) };
    let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&hash(digest(algorithm), signed)?, key)
}

fn verify_ed25519(key: &PKey<Public>, signed: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
    if signature.len() != 64 {
        return Ok(false);
    }
    Verifier::new_without_digest(key)?.verify_oneshot(signature, signed)
}

fn digest(algorithm: Algorithm) -> MessageDigest {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => MessageDigest::sha256(),
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => MessageDigest::sha384(),
        // Ed25519 hashes by itself and does not ask.
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::Ed25519 => {
            MessageDigest::sha512()
        }
    }
}
