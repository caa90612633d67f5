//! What a server must prove before anything is said to it, and what the gateway proves to it: TLS by BoringSSL.
//!
//! INVARIANT: chain, validity and name are verified always. Pins and a private authority only ever narrow that.

use std::fmt;
use std::sync::{Arc, OnceLock};

use boring::error::ErrorStack;
use boring::hash::{MessageDigest, hash};
use boring::pkey::PKey;
use boring::ssl::{SslConnector, SslMethod, SslRef, SslVersion};
use boring::x509::X509;
use boring::x509::store::{X509Store, X509StoreBuilder};
use mcpg_sdk::Secret;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpStream;
use tokio_boring::{HandshakeError, SslStream};

use super::{FetchProblem, Host};

/// How servers are verified, built once and shared.
#[derive(Clone)]
pub struct ClientTls(Arc<Inner>);

struct Inner {
    connector: SslConnector,
    server_name: Option<String>,
    pins: Vec<[u8; 32]>,
    spki_pins: Vec<[u8; 32]>,
    presents_certificate: bool,
}

/// How servers shall be verified. The default: by the system's roots, under the URL's host.
#[derive(Debug, Default)]
pub struct ClientTlsSettings {
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// The name to send and to verify, instead of the URL's host.
    pub server_name: Option<String>,
    /// SHA-256 of the DER of acceptable leaf certificates, on top of the usual verification. Empty: any.
    pub pins: Vec<[u8; 32]>,
    /// SHA-256 of the DER of acceptable public keys (RFC 7469), on top of the usual verification. Empty: any.
    pub spki_pins: Vec<[u8; 32]>,
    /// The gateway's own certificate, for servers that ask.
    pub identity: Option<ClientIdentity>,
    /// Whether TLS 1.2 is too old.
    pub tls13_only: bool,
}

/// Whose certificates are trusted.
#[derive(Debug, Default)]
pub enum Roots {
    /// The system's.
    #[default]
    System,
    /// Those in this PEM text, and no others.
    Pem(Vec<u8>),
}

/// A certificate to be presented.
#[derive(Debug)]
pub struct ClientIdentity {
    /// The chain, leaf first, PEM.
    pub certificate: Vec<u8>,
    /// The leaf's private key, PEM.
    pub private_key: Secret,
}

impl ClientTls {
    /// The system's roots, nothing special.
    ///
    /// # Errors
    /// When BoringSSL cannot be set up.
    pub fn system() -> Result<Self, TlsError> {
        Self::new(ClientTlsSettings::default())
    }

    /// Builds it. The names of files are for the caller to add to an error.
    ///
    /// # Errors
    /// When a certificate or key is none, or they do not fit.
    pub fn new(settings: ClientTlsSettings) -> Result<Self, TlsError> {
        let mut builder = SslConnector::builder(SslMethod::tls())?;
        let minimum = if settings.tls13_only { SslVersion::TLS1_3 } else { SslVersion::TLS1_2 };
        builder.set_min_proto_version(Some(minimum))?;
        builder.set_alpn_protos(b"\x08http/1.1")?;
        builder.set_cert_store(match &settings.roots {
            Roots::System => system_roots()?,
            Roots::Pem(pem) => store(&certificates(pem).ok_or(TlsError::Roots)?)?.build(),
        });
        if let Some(identity) = &settings.identity {
            let mut chain = certificates(&identity.certificate).ok_or(TlsError::Certificate)?.into_iter();
            let key = PKey::private_key_from_pem(identity.private_key.expose()).map_err(|_| TlsError::Key)?;
            builder.set_certificate(chain.next().ok_or(TlsError::Certificate)?.as_ref())?;
            chain.try_for_each(|certificate| builder.add_extra_chain_cert(certificate))?;
            builder.set_private_key(&key).map_err(|_| TlsError::Mismatch)?;
        }
        Ok(Self(Arc::new(Inner {
            connector: builder.build(),
            server_name: settings.server_name,
            pins: settings.pins,
            spki_pins: settings.spki_pins,
            presents_certificate: settings.identity.is_some(),
        })))
    }

    /// Whether this fits one server only: what is pinned or presented is not for others.
    pub(super) fn is_for_one_server(&self) -> bool {
        let tls = &self.0;
        tls.presents_certificate
            || tls.server_name.is_some()
            || !tls.pins.is_empty()
            || !tls.spki_pins.is_empty()
    }

    /// Shakes hands as a client of `host`. Nothing is sent before everything is verified.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        host: &Host,
    ) -> Result<SslStream<TcpStream>, FetchProblem> {
        let tls = &*self.0;
        let server_name = match (&tls.server_name, host) {
            (Some(name), _) | (None, Host::Name(name)) => name.clone(),
            (None, Host::Ip(address)) => address.to_string(),
        };
        let failed = |server_name: String, reason: String| FetchProblem::Tls { server_name, reason };
        if server_name.is_empty() {
            return Err(failed(server_name, "a server without a name cannot be verified".to_owned()));
        }
        let connection = match tls.connector.configure() {
            Ok(connection) => connection,
            Err(error) => return Err(failed(server_name, error.to_string())),
        };
        match tokio_boring::connect(connection, &server_name, stream).await {
            Ok(stream) => tls.check_pins(stream.ssl()).map(|()| stream),
            Err(error) => Err(failed(server_name, reason(&error))),
        }
    }
}

impl Inner {
    fn check_pins(&self, ssl: &SslRef) -> Result<(), FetchProblem> {
        let certificate = ssl.peer_certificate();
        let digest = |der: Option<Vec<u8>>| der.and_then(|der| hash(MessageDigest::sha256(), &der).ok());
        let leaf = digest(certificate.as_ref().and_then(|certificate| certificate.to_der().ok()));
        let key = certificate.and_then(|certificate| certificate.public_key().ok()?.public_key_to_der().ok());
        let key = digest(key);
        let matches = |pins: &[[u8; 32]], digest: Option<&[u8]>| {
            pins.is_empty()
                || digest
                    .is_some_and(|digest| pins.iter().any(|pin| bool::from(pin.as_slice().ct_eq(digest))))
        };
        if matches(&self.pins, leaf.as_deref()) && matches(&self.spki_pins, key.as_deref()) {
            return Ok(());
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(FetchProblem::Pin { found: leaf.as_deref().map(hex).unwrap_or_default() })
    }
}

/// Where distributions keep their roots as one file. BoringSSL knows of none of them but the last.
const ROOT_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The system's roots, read once: those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or else those of the distribution.
fn system_roots() -> Result<X509Store, TlsError> {
    static ROOTS: OnceLock<X509Store> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
    }
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let files = if is_named { &[][..] } else { ROOT_FILES };
    let found = files.iter().find_map(|path| certificates(&std::fs::read(path).ok()?));
    let mut builder = store(&found.unwrap_or_default())?;
    // What the variables name, and the distribution's folder of hashed names, which is read when needed.
    builder.set_default_paths()?;
    Ok(ROOTS.get_or_init(|| builder.build()).clone())
}

fn store(roots: &[X509]) -> Result<X509StoreBuilder, TlsError> {
    let mut store = X509StoreBuilder::new()?;
    roots.iter().try_for_each(|root| store.add_cert(root))?;
    Ok(store)
}

/// At least one.
fn certificates(pem: &[u8]) -> Option<Vec<X509>> {
    X509::stack_from_pem(pem).ok().filter(|certificates| !certificates.is_empty())
}

/// What the verification says, or else what the protocol says.
fn reason<S>(error: &HandshakeError<S>) -> String {
    match error.ssl().map(SslRef::verify_result) {
        Some(Err(refused)) => refused.error_string().to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = &self.0;
        f.debug_struct("ClientTls")
            .field("server_name", &tls.server_name)
            .field("pins", &(tls.pins.len() + tls.spki_pins.len()))
            .field("presents_certificate", &tls.presents_certificate)
            .finish_non_exhaustive()
    }
}

/// Why servers cannot be verified as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No roots in the text.
    #[error("no PEM certificate to trust")]
    Roots,
    /// No certificate in the text.
    #[error("no PEM certificate to present")]
    Certificate,
    /// No key in the text.
    #[error("no PEM private key")]
    Key,
    /// A key of another certificate.
    #[error("the certificate and the private key do not fit")]
    Mismatch,
    /// BoringSSL says no.
    #[error("TLS cannot be set up: {0}")]
    Setup(ErrorStack),
}

impl From<ErrorStack> for TlsError {
    fn from(error: ErrorStack) -> Self {
        Self::Setup(error)
    }
}
