//! X.509 certificates of clients: as bytes, as what they say, and what they are worth.
//!
//! A [`PeerCertificate`] is what somebody has presented; that it is here says nothing of who issued it. Its
//! [`Contents`] are read when first asked for (RFC 5280). `Anchors` say whether a chain leads to an issuer that
//! the operator trusts, at the time of the request, whatever the listener or a proxy has said before.

pub(crate) mod cache;
pub(crate) mod der;
pub(crate) mod fields;
mod names;
pub(crate) mod pem;
mod revocation;
mod verify;
pub(crate) mod watched;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use boring::asn1::{Asn1Time, Asn1TimeRef};
use boring::x509::X509;
use sha2::{Digest as _, Sha256};

pub use names::Names;
pub(crate) use revocation::Revocations;
pub(crate) use verify::{Anchors, Verified, VerifyError};

use fields::{Fields, KeyUsage};

/// The most certificates of a chain, the client's own included.
pub const CHAIN_MAX: usize = 10;
/// The most bytes of one certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

/// A client's certificate, and what it sent along to be verified by. That it is here proves that the client has its
/// private key, and nothing else: neither who issued it nor that it has not expired.
#[derive(Clone)]
pub struct PeerCertificate {
    leaf: Box<[u8]>,
    chain: Box<[Box<[u8]>]>,
    sha256: [u8; 32],
    digest: [u8; 32],
    contents: OnceLock<Option<Box<Contents>>>,
}

impl PeerCertificate {
    /// The certificate and the others of its chain in the order of the handshake, each in DER.
    pub fn from_der(leaf: &[u8], chain: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        let chain: Box<[Box<[u8]>]> = chain.into_iter().collect();
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(leaf).chain(chain.iter().map(AsRef::as_ref)) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let sha256 = Sha256::digest(leaf).into();
        Self {
            leaf: leaf.into(),
            chain,
            sha256,
            digest: *hasher.finalize().as_bytes(),
            contents: OnceLock::new(),
        }
    }

    /// The certificate, in DER.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// The others of its chain, in DER.
    pub fn chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// SHA-256 of the certificate's DER: its fingerprint.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// A hash of the certificate and its chain: equal for equal presentations only.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What the certificate says, whoever signed it. `None` if it is malformed or too large.
    pub fn contents(&self) -> Option<&Contents> {
        let contents = self.contents.get_or_init(|| {
            if self.chain.len() >= CHAIN_MAX
                || self.leaf.len() > CERTIFICATE_BYTES_MAX
                || self.chain.iter().any(|other| other.len() > CERTIFICATE_BYTES_MAX)
            {
                return None;
            }
            Contents::read(&self.leaf).map(Box::new)
        });
        contents.as_deref()
    }
}

impl PartialEq for PeerCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.leaf == other.leaf && self.chain == other.chain
    }
}

impl Eq for PeerCertificate {}

impl std::fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PeerCertificate").field(&hex(&self.sha256)).finish()
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    names: Names,
    serial: String,
    validity: Validity,
    spki_sha256: [u8; 32],
    ca: bool,
    key_usage: Option<KeyUsage>,
}

impl Contents {
    fn read(leaf: &[u8]) -> Option<Self> {
        let fields = Fields::read(leaf).ok()?;
        // What BoringSSL does not read is no certificate either.
        let certificate = X509::from_der(leaf).ok()?;
        Some(Self {
            names: Names::read(&fields).ok()?,
            serial: hex(fields.serial),
            validity: Validity::of(&certificate)?,
            spki_sha256: Sha256::digest(fields.public_key_info).into(),
            ca: fields.basic_constraints.ca,
            key_usage: fields.key_usage,
        })
    }

    /// Its names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Its serial number, in hexadecimal digits.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// When it says that it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`: what stays when a certificate is renewed with its key.
    pub fn spki_sha256(&self) -> &[u8; 32] {
        &self.spki_sha256
    }

    /// Whether it says that it may issue others.
    pub fn is_ca(&self) -> bool {
        self.ca
    }

    pub(crate) fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }
}

/// From when to when something holds, in seconds since 1970. The end does not belong to it: that is how BoringSSL
/// reads `notAfter`, and a second stricter than RFC 5280 section 4.1.2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    from: i64,
    until: i64,
}

impl Validity {
    /// Without end: for what somebody else has vouched for.
    pub(crate) const ALWAYS: Self = Self { from: i64::MIN, until: i64::MAX };

    /// From some time on, if there is one, until another.
    pub(crate) fn between(from: Option<SystemTime>, until: SystemTime) -> Self {
        Self { from: from.map_or(i64::MIN, unix_seconds), until: unix_seconds(until) }
    }

    fn of(certificate: &X509) -> Option<Self> {
        let (from, until) = (seconds(certificate.not_before())?, seconds(certificate.not_after())?);
        Some(Self { from, until })
    }

    /// Whether it holds at a time.
    pub fn contains(self, now: SystemTime) -> bool {
        (self.from..self.until).contains(&unix_seconds(now))
    }

    /// What lies within both.
    pub(crate) fn intersection(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    pub(crate) fn with_end(self, until: i64) -> Self {
        Self { until: self.until.min(until), ..self }
    }
}

/// Whole seconds since 1970; a clock before that is no clock, and nothing is valid by it.
pub(crate) fn unix_seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn seconds(time: &Asn1TimeRef) -> Option<i64> {
    let difference = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(difference.days) * 86_400 + i64::from(difference.secs))
}

/// Bytes in lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |digit: u8| DIGITS.get(usize::from(digit & 0xf)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// 32 bytes from 64 hexadecimal digits of either case.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
