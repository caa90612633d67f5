//! A certificate chain and its private key, read from where they are and checked against each other.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boring::asn1::{Asn1Time, Asn1TimeRef};
use boring::nid::Nid;
use boring::pkey::{Id, PKey, Private};
use boring::x509::{X509, X509Ref};
use mcpg_config::{KeySource, TlsName};
use mcpg_filters::secret::{SecretError, SecretResolver};

use super::expiry::Expiry;
use super::hello::KeyKind;

/// The shortest RSA key that is used, in bits.
const RSA_BITS_MIN: u32 = 2048;
/// The longest file of certificates.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A certificate chain, leaf first, and its private key.
pub struct Pair {
    chain: Vec<X509>,
    key: PKey<Private>,
    kind: KeyKind,
    names: Vec<TlsName>,
    expiry: Expiry,
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it is taken for.
    #[error("`{0}` is no certificate file: it is far too long")]
    TooLong(PathBuf),
    /// A file has no certificate, or a broken one.
    #[error("`{0}` holds no PEM certificate, or is not whole")]
    NoCertificate(PathBuf),
    /// There is no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What should be a key is none.
    #[error("`{0}` holds no PEM private key, or is not whole")]
    NoKey(String),
    /// The key is another's.
    #[error("the private key `{key}` does not belong to the certificate `{certificate}`")]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: String,
    },
    /// A key that no handshake can use.
    #[error(
        "the key of `{0}` is of a kind that TLS has no use for: take RSA (2048 bits or more), P-256, P-384, P-521 or Ed25519"
    )]
    Kind(PathBuf),
}

impl PairError {
    /// What happened, with its cause.
    pub fn describe(&self) -> String {
        match self {
            Self::Read { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

impl Pair {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// When one of them is not there, or not whole, or they do not belong together.
    pub fn load(certificate: &Path, key: &KeySource, secrets: &SecretResolver) -> Result<Self, PairError> {
        let chain = certificates(certificate)?;
        let no_certificate = || PairError::NoCertificate(certificate.to_owned());
        let leaf = chain.first().ok_or_else(no_certificate)?;
        let (key, name) = private_key(key, secrets)?;
        let public = leaf.public_key().map_err(|_| no_certificate())?;
        if !public.public_eq(&key) {
            return Err(PairError::Mismatch { certificate: certificate.to_owned(), key: name });
        }
        let kind = kind(&key).ok_or_else(|| PairError::Kind(certificate.to_owned()))?;
        let names = names(leaf);
        let at = time(leaf.not_after()).ok_or_else(no_certificate)?;
        let expiry = Expiry { at, path: certificate.to_owned() };
        Ok(Self { names, kind, expiry, key, chain })
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[X509] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// When the leaf expires.
    pub fn expiry(&self) -> &Expiry {
        &self.expiry
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The hosts that the leaf is issued for.
    pub(super) fn names(&self) -> &[TlsName] {
        &self.names
    }

    /// Whether every certificate but the last is issued by the next.
    pub(super) fn is_in_order(&self) -> bool {
        self.chain.iter().zip(self.chain.iter().skip(1)).all(|(one, next)| next.issued(one).is_ok())
    }

    /// Feeds what makes it this pair. Of the key that is the leaf, to which it belongs.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.chain.len() as u64).to_le_bytes());
        for certificate in &self.chain {
            hash_certificate(certificate, hasher);
        }
    }
}

pub(super) fn hash_certificate(certificate: &X509Ref, hasher: &mut blake3::Hasher) {
    let der = certificate.to_der().unwrap_or_default();
    hasher.update(&(der.len() as u64).to_le_bytes()).update(&der);
}

/// The certificates of a PEM file: at least one, and none that is cut off.
pub(super) fn certificates(path: &Path) -> Result<Vec<X509>, PairError> {
    let pem = read(path)?;
    match X509::stack_from_pem(&pem) {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(PairError::NoCertificate(path.to_owned())),
    }
}

fn private_key(source: &KeySource, secrets: &SecretResolver) -> Result<(PKey<Private>, String), PairError> {
    let (key, name) = match source {
        KeySource::File(path) => {
            let pem = zeroize::Zeroizing::new(read(path)?);
            (PKey::private_key_from_pem(&pem), path.display().to_string())
        }
        KeySource::Secret(reference) => {
            let secret = secrets.resolve(reference)?;
            (PKey::private_key_from_pem(secret.expose()), reference.to_string())
        }
    };
    key.map(|key| (key, name.clone())).map_err(|_| PairError::NoKey(name))
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    let failed = |source| PairError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(PairError::TooLong(path.to_owned()));
    }
    std::fs::read(path).map_err(failed)
}

fn kind(key: &PKey<Private>) -> Option<KeyKind> {
    match key.id() {
        Id::RSA if key.bits() >= RSA_BITS_MIN => Some(KeyKind::Rsa),
        Id::ED25519 => Some(KeyKind::Ed25519),
        Id::EC => match key.ec_key().ok()?.group().curve_name()? {
            Nid::X9_62_PRIME256V1 => Some(KeyKind::P256),
            Nid::SECP384R1 => Some(KeyKind::P384),
            Nid::SECP521R1 => Some(KeyKind::P521),
            _ => None,
        },
        _ => None,
    }
}

/// DNS names of the extension; a common name is none (RFC 9525 section 2).
fn names(leaf: &X509Ref) -> Vec<TlsName> {
    let names = leaf.subject_alt_names();
    names.iter().flatten().filter_map(|name| TlsName::parse(name.dnsname()?)).collect()
}

fn time(at: &Asn1TimeRef) -> Option<SystemTime> {
    let since = Asn1Time::from_unix(0).ok()?.diff(at).ok()?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}
