//! TLS of the listener: BoringSSL, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN; renewed when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use boring::pkey::PKey;
use boring::ssl::{AlpnError, SslAcceptor, SslMethod, select_next_proto};
use boring::x509::X509;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

const ALPN: &[u8] = b"\x02h2\x08http/1.1";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Certificate and key, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What answers handshakes: of the files as they were when they last made a whole.
pub(super) struct Tls {
    files: TlsFiles,
    tried: Contents,
    acceptor: watch::Sender<SslAcceptor>,
}

/// Hands out what answers handshakes at the moment.
pub(super) type Acceptors = watch::Receiver<SslAcceptor>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which of them is wrong, and why.
    pub(super) fn load(files: &TlsFiles) -> anyhow::Result<Self> {
        let tried = Contents::read(files)?;
        let acceptor = watch::Sender::new(tried.acceptor(files)?);
        Ok(Self { files: files.clone(), tried, acceptor })
    }

    pub(super) fn acceptors(&self) -> Acceptors {
        self.acceptor.subscribe()
    }

    /// Takes over what the files become, for connections that come then; looked at every few seconds, and on SIGHUP. What makes no
    /// whole, such as a certificate whose key is not there yet, changes nothing.
    pub(super) async fn renew(mut self, mut hangup: Signal) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = hangup.recv() => {}
            }
            let files = self.files.clone();
            // A file system can hang, and then so does this alone.
            let Ok(read) = tokio::task::spawn_blocking(move || Contents::read(&files)).await else {
                continue;
            };
            match read {
                Ok(contents) if contents == self.tried => {}
                Ok(contents) => {
                    match contents.acceptor(&self.files) {
                        Ok(acceptor) => {
                            self.acceptor.send_replace(acceptor);
                            tracing::info!("the certificate was renewed");
                        }
                        Err(error) => kept(&error),
                    }
                    self.tried = contents;
                }
                Err(error) => kept(&error),
            }
        }
    }
}

fn kept(error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "the certificate was not renewed, the one before stays");
}

/// What is in the files.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Arc<[u8]>,
    key: Arc<[u8]>,
}

impl Contents {
    fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        let read = |what: &str, path: &Path| {
            let bytes = std::fs::read(path);
            bytes.map(Arc::from).with_context(|| format!("cannot read the {what} `{}`", path.display()))
        };
        Ok(Self { certificate: read("certificate", &files.certificate)?, key: read("key", &files.key)? })
    }

    fn acceptor(&self, files: &TlsFiles) -> anyhow::Result<SslAcceptor> {
        let certificate = || format!("cannot use the certificate `{}`", files.certificate.display());
        let key = || format!("cannot use the key `{}`", files.key.display());
        let mut chain = X509::stack_from_pem(&self.certificate).with_context(certificate)?.into_iter();
        let leaf = chain.next().context("it has no PEM block of a certificate").with_context(certificate)?;
        let private = PKey::private_key_from_pem(&self.key).with_context(key)?;
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
        acceptor.set_certificate(&leaf).with_context(certificate)?;
        for issuer in chain {
            acceptor.add_extra_chain_cert(issuer).with_context(certificate)?;
        }
        acceptor.set_private_key(&private).with_context(|| {
            format!("the key `{}` is not that of `{}`", files.key.display(), files.certificate.display())
        })?;
        acceptor
            .set_alpn_select_callback(|_, offered| select_next_proto(ALPN, offered).ok_or(AlpnError::NOACK));
        Ok(acceptor.build())
    }
}
