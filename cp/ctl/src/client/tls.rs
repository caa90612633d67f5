//! What the server must prove: chain, validity and name, by BoringSSL.

use std::path::Path;

use boring::ssl::{SslConnector, SslMethod, SslRef, SslVersion};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_boring::{HandshakeError, SslStream};

use super::error::ClientError;
use super::settings::Settings;

/// Where distributions keep their roots as one file. BoringSSL knows of none of them but the last.
const ROOT_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const ALPN: &[u8] = b"\x02h2\x08http/1.1";

/// Verifies servers. There is no way to make one that does not.
pub(super) struct Verifier(SslConnector);

impl Verifier {
    /// By the authorities in the file, or else by the system's.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let mut builder = SslConnector::builder(SslMethod::tls())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_alpn_protos(ALPN)?;
        builder.set_cert_store(match ca_file {
            Some(path) => store(&authorities(path)?)?.build(),
            None => {
                let mut store = store(&system())?;
                // What `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and the folder of hashed names.
                store.set_default_paths()?;
                store.build()
            }
        });
        Ok(Self(builder.build()))
    }

    /// Shakes hands. Nothing is said before everything is verified.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        settings: &Settings,
    ) -> Result<SslStream<TcpStream>, ClientError> {
        let server = settings.server.to_string();
        let configuration = self.0.configure()?;
        let name = settings.server.name();
        match timeout(settings.connect_timeout, tokio_boring::connect(configuration, &name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(ClientError::Unproven { server, reason: reason(&error) }),
            Err(_) => Err(ClientError::Unreachable {
                server,
                reason: format!("no handshake within {} s", settings.connect_timeout.as_secs()),
            }),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

fn authorities(path: &Path) -> Result<Vec<X509>, ClientError> {
    let failed = |reason: String| ClientError::Authority { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found = X509::stack_from_pem(&pem).map_err(|_| failed("it has no PEM certificate".to_owned()))?;
    if found.is_empty() { Err(failed("it has no PEM certificate".to_owned())) } else { Ok(found) }
}

fn system() -> Vec<X509> {
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let files = if is_named { &[][..] } else { ROOT_FILES };
    let read = |path: &&str| X509::stack_from_pem(&std::fs::read(path).ok()?).ok();
    files.iter().find_map(read).unwrap_or_default()
}

fn store(roots: &[X509]) -> Result<X509StoreBuilder, ClientError> {
    let mut store = X509StoreBuilder::new()?;
    roots.iter().try_for_each(|root| store.add_cert(root))?;
    Ok(store)
}

/// What the verification says, or else what the protocol says.
fn reason<S>(error: &HandshakeError<S>) -> String {
    match error.ssl().map(SslRef::verify_result) {
        Some(Err(refused)) => refused.error_string().to_owned(),
        _ => error.to_string(),
    }
}
