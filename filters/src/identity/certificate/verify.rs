//! Whether a chain of certificates leads to an issuer that the operator trusts (RFC 5280 section 6).
//!
//! BoringSSL builds the path and checks signatures, validity at the request's time, critical extensions and name
//! constraints. What its safe interface cannot be asked for is checked here on the path that it found: what each
//! certificate may be used for, the length of the path below every issuer (the anchor's own limit too), and the
//! strength of keys and signatures.
//!
//! INVARIANT: every certificate among the anchors is one: a chain may end at any of them (RFC 5280 section 6.1.1 d),
//! so that a bundle means the same however its certificates were issued. A certificate that may issue others is
//! never a client's.

use std::time::SystemTime;

use boring::error::ErrorStack;
use boring::pkey::Id;
use boring::stack::Stack;
use boring::x509::store::{X509Store, X509StoreBuilder};
use boring::x509::verify::X509VerifyFlags;
use boring::x509::{X509, X509Ref, X509StoreContext, X509VerifyError, X509VerifyResult};

use super::fields::Fields;
use super::{CHAIN_MAX, PeerCertificate, Validity, unix_seconds};

/// The most certificates of a bundle.
const ANCHORS_MAX: usize = 1024;
const RSA_BITS_MIN: u32 = 2048;

/// The signatures that a chain may bear, as whole object identifiers: SHA-2 with RSA or ECDSA, RSASSA-PSS, Ed25519.
const SIGNATURES: &[&[u8]] = &[
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
    &[0x2b, 0x65, 0x70],
];

/// The issuers that are trusted.
pub(crate) struct Anchors {
    store: X509Store,
    count: usize,
}

impl Anchors {
    /// Trusts these issuers, in DER.
    pub(crate) fn new<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, AnchorsError> {
        let mut store = X509StoreBuilder::new()?;
        store.try_set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::TRUSTED_FIRST)?;
        let mut count = 0;
        for certificate in certificates {
            let number = count + 1;
            let malformed = || AnchorsError::Malformed { number };
            let fields = Fields::read(certificate).map_err(|_| malformed())?;
            if !fields.is_issuer() {
                return Err(AnchorsError::NotAnIssuer { number });
            }
            store.add_cert(X509::from_der(certificate).map_err(|_| malformed())?)?;
            count += 1;
            if count > ANCHORS_MAX {
                return Err(AnchorsError::TooMany);
            }
        }
        if count == 0 { Err(AnchorsError::None) } else { Ok(Self { store: store.build(), count }) }
    }

    /// Whether a client's chain leads to one of them at a time.
    pub(crate) fn verify(
        &self,
        certificate: &PeerCertificate,
        now: SystemTime,
    ) -> Result<Verified, VerifyError> {
        let leaf = certificate.contents().ok_or(VerifyError::Malformed)?;
        // Before any signature: an issuer's certificate is no client's, whatever it is signed with.
        if leaf.is_ca() {
            return Err(VerifyError::IssuerAsClient);
        }
        let path = self.path(certificate, now)?;
        let mut validity = Validity::ALWAYS;
        for (place, step) in path.iter().enumerate() {
            let is_anchor = place + 1 == path.len();
            check_step(place, step, is_anchor, &path)?;
            let step = X509::from_der(step).map_err(|_| VerifyError::Malformed)?;
            validity = validity.intersection(Validity::of(&step).ok_or(VerifyError::Malformed)?);
        }
        Ok(Verified { path, validity })
    }

    /// The path from the client to an anchor, in DER, as BoringSSL finds and verifies it.
    fn path(&self, certificate: &PeerCertificate, now: SystemTime) -> Result<Vec<Vec<u8>>, VerifyError> {
        let read = |der| X509::from_der(der).map_err(|_| VerifyError::Malformed);
        let leaf = read(certificate.leaf())?;
        let mut others = Stack::new().map_err(|_| VerifyError::Library)?;
        for other in certificate.chain() {
            others.push(read(other)?).map_err(|_| VerifyError::Library)?;
        }
        let mut context = X509StoreContext::new().map_err(|_| VerifyError::Library)?;
        let verified = context.init(&self.store, &leaf, &others, |context| {
            let parameters = context.verify_param_mut();
            parameters.set_time(unix_seconds(now));
            parameters.set_depth(i32::try_from(CHAIN_MAX).unwrap_or(1));
            let trusted = context.verify_cert()?;
            let result = context.verify_result();
            let path: Result<Vec<_>, _> =
                context.chain().into_iter().flatten().map(X509Ref::to_der).collect();
            Ok((trusted, result, path?))
        });
        // What is left in this thread's queue of errors must not be taken for another operation's.
        drop(ErrorStack::get());
        match verified {
            Ok((true, Ok(()), path)) if path.len() >= 2 => Ok(path),
            Ok((_, result, _)) => Err(VerifyError::from_library(result)),
            Err(_) => Err(VerifyError::Library),
        }
    }
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchors").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What one certificate of a path may be used for, and how strong it is.
fn check_step(place: usize, step: &[u8], is_anchor: bool, path: &[Vec<u8>]) -> Result<(), VerifyError> {
    let fields = Fields::read(step).map_err(|_| VerifyError::Malformed)?;
    if !fields.permits_client_auth().map_err(|_| VerifyError::Malformed)? {
        return Err(VerifyError::Usage);
    }
    if place == 0 {
        let signs = fields.key_usage.is_none_or(|usage| usage.digital_signature() || usage.key_agreement());
        if !signs {
            return Err(VerifyError::Usage);
        }
    } else if !fields.is_issuer() {
        return Err(VerifyError::Issuer);
    }
    if let Some(limit) = fields.basic_constraints.path_length {
        let below = path.iter().take(place).skip(1);
        let below = below.filter(|step| !Fields::read(step).is_ok_and(|fields| fields.is_self_issued()));
        if below.count() > limit as usize {
            return Err(VerifyError::PathLength);
        }
    }
    // How an anchor is signed says nothing: it is trusted for being there.
    if !is_anchor && !SIGNATURES.iter().any(|known| is_algorithm(fields.signature_algorithm, known)) {
        return Err(VerifyError::Weak);
    }
    let key = X509::from_der(step).and_then(|step| step.public_key()).map_err(|_| VerifyError::Weak)?;
    match key.id() {
        Id::RSA if key.bits() < RSA_BITS_MIN => Err(VerifyError::Weak),
        Id::RSA | Id::EC | Id::ED25519 => Ok(()),
        _ => Err(VerifyError::Weak),
    }
}

/// Whether an `AlgorithmIdentifier` begins with an object identifier.
fn is_algorithm(identifier: &[u8], known: &[u8]) -> bool {
    use super::der::{Element, OBJECT_IDENTIFIER, SEQUENCE};
    let id = Element::only(identifier, SEQUENCE).and_then(|all| all.reader().expect(OBJECT_IDENTIFIER));
    id.is_ok_and(|id| id.contents == known)
}

/// A chain that leads to an anchor.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    /// The client's certificate, its issuers, and the anchor, in DER.
    pub(crate) path: Vec<Vec<u8>>,
    /// When all of them hold.
    pub(crate) validity: Validity,
}

/// Why certificates cannot be trusted as issuers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorsError {
    #[error("it has no certificate")]
    None,
    #[error("it has more than {ANCHORS_MAX} certificates")]
    TooMany,
    #[error("certificate {number} is malformed, or not of version 3")]
    Malformed { number: usize },
    #[error(
        "certificate {number} may not issue others: it has no `CA:TRUE`, or a key usage without `keyCertSign`"
    )]
    NotAnIssuer { number: usize },
    #[error("BoringSSL refused")]
    Library(#[from] ErrorStack),
}

/// Why a chain is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("a certificate is malformed or too large")]
    Malformed,
    #[error("the client's certificate is an issuer's")]
    IssuerAsClient,
    #[error("no trusted issuer")]
    Untrusted,
    #[error("a signature does not verify")]
    Signature,
    #[error("a certificate is not valid yet")]
    NotYetValid,
    #[error("a certificate has expired")]
    Expired,
    #[error("a certificate of the chain may not issue others")]
    Issuer,
    #[error("a certificate is not for the authentication of clients")]
    Usage,
    #[error("the chain is longer than an issuer permits")]
    PathLength,
    #[error("a name is outside what an issuer may give")]
    NameConstraints,
    #[error("a critical extension is unknown")]
    CriticalExtension,
    #[error("a key or a signature is too weak")]
    Weak,
    #[error("the chain does not verify")]
    Library,
}

impl VerifyError {
    /// The stable word for logs, metrics and audit rows.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "certificate_malformed",
            Self::IssuerAsClient => "certificate_is_issuer",
            Self::Untrusted => "certificate_untrusted",
            Self::Signature => "certificate_signature",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::Expired => "certificate_expired",
            Self::Issuer => "certificate_issuer",
            Self::Usage => "certificate_usage",
            Self::PathLength => "certificate_path_length",
            Self::NameConstraints => "certificate_name_constraints",
            Self::CriticalExtension => "certificate_critical_extension",
            Self::Weak => "certificate_weak",
            Self::Library => "certificate_chain",
        }
    }

    fn from_library(result: X509VerifyResult) -> Self {
        use X509VerifyError as E;
        let Err(error) = result else { return Self::Library };
        match error {
            E::CERT_NOT_YET_VALID => Self::NotYetValid,
            E::CERT_HAS_EXPIRED => Self::Expired,
            E::UNABLE_TO_GET_ISSUER_CERT
            | E::UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | E::UNABLE_TO_VERIFY_LEAF_SIGNATURE
            | E::DEPTH_ZERO_SELF_SIGNED_CERT
            | E::SELF_SIGNED_CERT_IN_CHAIN
            | E::CERT_UNTRUSTED
            | E::CERT_REJECTED => Self::Untrusted,
            E::CERT_SIGNATURE_FAILURE | E::UNABLE_TO_DECRYPT_CERT_SIGNATURE => Self::Signature,
            E::INVALID_CA | E::KEYUSAGE_NO_CERTSIGN => Self::Issuer,
            E::INVALID_PURPOSE => Self::Usage,
            E::PATH_LENGTH_EXCEEDED | E::CERT_CHAIN_TOO_LONG => Self::PathLength,
            E::UNHANDLED_CRITICAL_EXTENSION => Self::CriticalExtension,
            E::PERMITTED_VIOLATION
            | E::EXCLUDED_VIOLATION
            | E::SUBTREE_MINMAX
            | E::UNSUPPORTED_CONSTRAINT_TYPE
            | E::UNSUPPORTED_CONSTRAINT_SYNTAX
            | E::UNSUPPORTED_NAME_SYNTAX
            | E::NAME_CONSTRAINTS_WITHOUT_SANS => Self::NameConstraints,
            E::INVALID_EXTENSION => Self::Malformed,
            _ => Self::Library,
        }
    }
}
