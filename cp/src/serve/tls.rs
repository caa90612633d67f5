//! TLS of the listener: BoringSSL, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.

use std::path::PathBuf;

use anyhow::Context as _;
use boring::ssl::{AlpnError, SslAcceptor, SslFiletype, SslMethod, select_next_proto};

/// Certificate and key, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

const ALPN: &[u8] = b"\x02h2\x08http/1.1";

/// What answers handshakes.
pub(super) fn acceptor(files: &TlsFiles) -> anyhow::Result<SslAcceptor> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    acceptor
        .set_certificate_chain_file(&files.certificate)
        .with_context(|| format!("cannot use the certificate `{}`", files.certificate.display()))?;
    acceptor
        .set_private_key_file(&files.key, SslFiletype::PEM)
        .with_context(|| format!("cannot use the key `{}`", files.key.display()))?;
    acceptor.check_private_key().context("the key is not the certificate's")?;
    acceptor.set_alpn_select_callback(|_, offered| select_next_proto(ALPN, offered).ok_or(AlpnError::NOACK));
    Ok(acceptor.build())
}
