//! Servers that say what they are told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boring::asn1::Asn1Time;
use boring::bn::{BigNum, MsbOption};
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use boring::x509::extension::{BasicConstraints, SubjectAlternativeName};
use boring::x509::store::X509StoreBuilder;
use boring::x509::{X509, X509Name};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a server does with a connection once it has read the head of a request.
#[derive(Clone)]
pub(super) enum Script {
    /// Sends this and closes.
    Send(Vec<u8>),
    /// Sends the first once, then the second again and again.
    Endless(&'static [u8], &'static [u8]),
    /// Sends this, and nothing more.
    Stall(&'static [u8]),
}

/// A listener on this machine. It ends when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The heads of the requests.
    pub(super) heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(super) async fn plain(script: Script) -> Self {
        Self::at("127.0.0.1:0", None, script).await
    }

    pub(super) async fn tls(acceptor: SslAcceptor, script: Script) -> Self {
        Self::at("127.0.0.1:0", Some(acceptor), script).await
    }

    pub(super) async fn at(address: &str, acceptor: Option<SslAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::default());
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, counted) = (Arc::clone(&heads), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script, seen) = (acceptor.clone(), script.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match acceptor {
                        None => play(stream, script, &seen).await,
                        Some(acceptor) => {
                            if let Ok(stream) = tokio_boring::accept(&acceptor, stream).await {
                                play(stream, script, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, heads, connections, accepting }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The one request that there was.
    pub(super) fn head(&self) -> String {
        let heads = self.heads.lock();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads[0].clone()
    }
}

async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    seen.lock().push(String::from_utf8(head).unwrap());
    match script {
        Script::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Script::Endless(first, again) => {
            let _ = stream.write_all(first).await;
            while stream.write_all(again).await.is_ok() {}
        }
        Script::Stall(bytes) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            let _ = stream.read_u8().await;
        }
    }
}

/// An answer with its length.
pub(super) fn answer(body: &str) -> Script {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Script::Send((head + body).into_bytes())
}

/// A redirect.
pub(super) fn moved(status: u16, to: &str) -> Script {
    Script::Send(
        format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
    )
}

/// A root and its key.
pub(super) struct Authority {
    pub(super) certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key.
pub(super) struct Issued {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = new_key();
        let certificate = certificate("root", &key, None, -1..30, |_| {});
        Self { certificate, key }
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// A certificate for a DNS name, valid for these days from today.
    pub(super) fn issue(&self, name: &str, days: std::ops::Range<i64>) -> Issued {
        let key = new_key();
        let certificate = certificate(name, &key, Some(self), days, |names| {
            match name.parse::<std::net::IpAddr>() {
                Ok(_) => names.ip(name),
                Err(_) => names.dns(name),
            };
        });
        Issued { certificate, key }
    }
}

impl Issued {
    /// A server with this certificate; with `clients`, it asks for certificates of that authority.
    pub(super) fn acceptor(
        &self,
        clients: Option<&Authority>,
        version_max: Option<SslVersion>,
    ) -> SslAcceptor {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        builder.set_certificate(&self.certificate).unwrap();
        builder.set_private_key(&self.key).unwrap();
        builder.set_min_proto_version(None).unwrap();
        builder.set_max_proto_version(version_max).unwrap();
        if let Some(clients) = clients {
            let mut store = X509StoreBuilder::new().unwrap();
            store.add_cert(&clients.certificate).unwrap();
            builder.set_cert_store(store.build());
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        builder.build()
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(
    name: &str,
    key: &PKey<Private>,
    issuer: Option<&Authority>,
    days: std::ops::Range<i64>,
    names: impl FnOnce(&mut SubjectAlternativeName),
) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = |day: i64| Asn1Time::from_unix(now + day * 86_400).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&day(days.start)).unwrap();
    builder.set_not_after(&day(days.end)).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.certificate.subject_name())).unwrap();
    if issuer.is_some() {
        let mut alternative = SubjectAlternativeName::new();
        names(&mut alternative);
        let extension = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(&extension).unwrap();
    } else {
        builder.append_extension(&BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    builder.build()
}
