//! The one place where an upstream peer is made.
//!
//! Every trap of the framework is closed here: an address instead of a name (no blocking look-up), a
//! server name wherever there is TLS (an empty one switches verification off), verification always on, all five
//! timeouts set, a pool key that tells trust settings apart, more than one HTTP/2 stream.

use std::any::Any;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_core::protocols::{Digest, TcpKeepalive};
use pingora_core::tls::hash::{MessageDigest, hash};
use pingora_core::tls::ssl::SslRef;
use pingora_core::tls::x509::X509;
use pingora_core::upstreams::peer::{ALPN, HttpPeer};
use pingora_core::utils::tls::CertKey;

/// Streams of one HTTP/2 connection to an upstream.
const H2_STREAMS_MAX: usize = 100;

/// How an upstream is reached. Built when a revision is loaded.
#[derive(Debug, Clone)]
pub struct PeerTemplate {
    peer: HttpPeer,
    trust: Trust,
}

/// What an upstream must prove.
#[derive(Debug, Clone, Default)]
struct Trust {
    tls: bool,
    pins: Vec<[u8; 32]>,
    spki_pins: Vec<[u8; 32]>,
    tls13_only: bool,
}

/// SHA-256 of the public key that an upstream has proven to have. Noted when the handshake is complete, and kept with the
/// connection.
struct ProvenKey([u8; 32]);

/// Settings of a peer, as configured.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Separates the connection pools of tenants.
    pub scope: String,
    /// TLS towards the upstream; none is cleartext.
    pub tls: Option<PeerTls>,
    /// Which HTTP versions to speak.
    pub http2: Http2,
    /// Timeouts.
    pub timeouts: PeerTimeouts,
}

/// TLS towards an upstream.
#[derive(Debug, Clone)]
pub struct PeerTls {
    /// The name to send and to verify.
    pub server_name: String,
    /// Trusted roots instead of the system's.
    pub roots: Option<Vec<X509>>,
    /// SHA-256 of the DER of acceptable leaf certificates; none accepts every verified one.
    pub pins: Vec<[u8; 32]>,
    /// SHA-256 of the DER of acceptable public keys (RFC 7469), likewise.
    pub spki_pins: Vec<[u8; 32]>,
    /// What is shown to an upstream that asks.
    pub client: Option<Arc<CertKey>>,
    /// Whether TLS 1.2 is too old.
    pub tls13_only: bool,
}

/// Which HTTP versions to speak with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// HTTP/2 where ALPN agrees on it, else HTTP/1.1. Cleartext is HTTP/1.1.
    Auto,
    /// HTTP/2 only (prior knowledge on cleartext).
    Only,
    /// HTTP/1.1 only.
    Off,
}

/// Timeouts towards an upstream.
#[derive(Debug, Clone, Copy)]
pub struct PeerTimeouts {
    /// TCP connect.
    pub connect: Duration,
    /// TCP connect and TLS handshake together.
    pub total_connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// One write.
    pub write: Duration,
    /// An unused pooled connection.
    pub idle: Duration,
}

/// Why an upstream is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Below `tls.min_version`, which is never below TLS 1.2.
    #[error("the upstream negotiated a TLS version below `tls.min_version`")]
    Version,
    /// No pin matches.
    #[error("the upstream's certificate matches none of `tls.pin_cert_sha256`")]
    Pin,
    /// No pin matches.
    #[error("the upstream's public key matches none of `tls.pin_spki_sha256`")]
    KeyPin,
    /// TLS was configured and is not there.
    #[error("the upstream connection has no TLS")]
    Cleartext,
}

impl PeerTemplate {
    /// Builds the template.
    ///
    /// # Errors
    /// When TLS is asked for without a server name.
    pub fn new(settings: &PeerSettings) -> Result<Self, MissingServerName> {
        let placeholder = SocketAddr::from(([0, 0, 0, 0], 0));
        let (tls, server_name) = match &settings.tls {
            Some(tls) if tls.server_name.is_empty() => return Err(MissingServerName),
            Some(tls) => (true, tls.server_name.clone()),
            None => (false, String::new()),
        };
        #[expect(clippy::disallowed_methods, reason = "the one place where peers are made")]
        let mut peer = HttpPeer::new(placeholder, tls, server_name);
        peer.group_key = group_key(settings);
        let options = &mut peer.options;
        options.verify_cert = true;
        options.verify_hostname = true;
        options.connection_timeout = Some(settings.timeouts.connect);
        options.total_connection_timeout = Some(settings.timeouts.total_connect);
        options.read_timeout = Some(settings.timeouts.read);
        options.write_timeout = Some(settings.timeouts.write);
        options.idle_timeout = Some(settings.timeouts.idle);
        options.max_h2_streams = H2_STREAMS_MAX;
        options.tcp_keepalive = Some(keepalive());
        options.alpn = match (settings.http2, tls) {
            (Http2::Only, _) => ALPN::H2,
            (Http2::Auto, true) => ALPN::H2H1,
            (Http2::Auto, false) | (Http2::Off, _) => ALPN::H1,
        };
        let roots = settings.tls.as_ref().and_then(|tls| tls.roots.clone());
        options.ca = roots.map(|roots| Arc::new(roots.into_boxed_slice()));
        options.upstream_tls_handshake_complete_hook = Some(Arc::new(note_key));
        peer.client_cert_key = settings.tls.as_ref().and_then(|tls| tls.client.clone());
        let trust = settings.tls.as_ref().map_or_else(Trust::default, |settings| Trust {
            tls,
            pins: settings.pins.clone(),
            spki_pins: settings.spki_pins.clone(),
            tls13_only: settings.tls13_only,
        });
        Ok(Self { peer, trust })
    }

    /// A peer at a resolved address.
    pub fn at(&self, address: SocketAddr) -> Box<HttpPeer> {
        let mut peer = Box::new(self.peer.clone());
        peer._address = PeerAddress::Inet(address);
        peer
    }

    /// Whether the upstream is spoken to in HTTP/1.1, always.
    pub fn speaks_http1(&self) -> bool {
        self.peer.options.alpn == ALPN::H1
    }

    /// Whether a connection must be checked.
    pub fn needs_proof(&self) -> bool {
        self.trust.tls
    }

    /// Checks a connection, new or reused, before any application byte is sent on it.
    ///
    /// # Errors
    /// When the upstream did not prove what is configured.
    pub fn check(&self, digest: Option<&Digest>) -> Result<(), TrustError> {
        if !self.trust.tls {
            return Ok(());
        }
        let tls = digest.and_then(|digest| digest.ssl_digest.as_ref()).ok_or(TrustError::Cleartext)?;
        match &*tls.version {
            "TLSv1.3" => {}
            "TLSv1.2" if !self.trust.tls13_only => {}
            _ => return Err(TrustError::Version),
        }
        let pinned = |pin: &[u8; 32]| pin.as_slice() == tls.cert_digest.as_slice();
        if !self.trust.pins.is_empty() && !self.trust.pins.iter().any(pinned) {
            return Err(TrustError::Pin);
        }
        let proven = || tls.extension.get::<ProvenKey>();
        let pins = &self.trust.spki_pins;
        if !pins.is_empty() && !proven().is_some_and(|key| pins.contains(&key.0)) {
            return Err(TrustError::KeyPin);
        }
        Ok(())
    }
}

/// TLS without a server name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TLS to an upstream needs a server name: without one nothing would be verified")]
pub struct MissingServerName;

fn note_key(ssl: &SslRef) -> Option<Arc<dyn Any + Send + Sync>> {
    let key = ssl.peer_certificate()?.public_key().ok()?.public_key_to_der().ok()?;
    let digest = hash(MessageDigest::sha256(), &key).ok()?;
    Some(Arc::new(ProvenKey(digest.as_ref().try_into().ok()?)))
}

/// Finds an upstream that is gone without a word while a stream is silent.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(15),
        count: 4,
        user_timeout: Duration::ZERO,
    }
}

/// Requests with different trust never share a connection.
fn group_key(settings: &PeerSettings) -> u64 {
    let mut hasher = DefaultHasher::new();
    settings.scope.hash(&mut hasher);
    if let Some(tls) = &settings.tls {
        (&tls.pins, &tls.spki_pins, tls.tls13_only).hash(&mut hasher);
        // Pingora knows client certificates by their serial numbers, which are unique below one issuer only.
        tls.client.as_ref().map(|client| client.leaf().to_der().unwrap_or_default()).hash(&mut hasher);
        for root in tls.roots.iter().flatten() {
            root.to_der().unwrap_or_default().hash(&mut hasher);
        }
    }
    (settings.http2 as u8).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_core::upstreams::peer::Peer as _;

    fn settings(tls: Option<PeerTls>) -> PeerSettings {
        let second = Duration::from_secs(1);
        PeerSettings {
            scope: "default/default/default".into(),
            tls,
            http2: Http2::Auto,
            timeouts: PeerTimeouts {
                connect: second,
                total_connect: second,
                read: second,
                write: second,
                idle: second,
            },
        }
    }

    fn tls(pin: u8) -> PeerTls {
        PeerTls {
            server_name: "upstream.example".into(),
            roots: None,
            pins: vec![[pin; 32]],
            spki_pins: vec![],
            client: None,
            tls13_only: false,
        }
    }

    #[test]
    fn every_peer_verifies_and_times_out() {
        let peer = PeerTemplate::new(&settings(Some(tls(1)))).unwrap().at(([127, 0, 0, 1], 443).into());
        assert!(peer.verify_cert() && peer.verify_hostname() && peer.tls());
        assert_eq!(peer.sni(), "upstream.example");
        let options = &peer.options;
        for timeout in [
            options.connection_timeout,
            options.total_connection_timeout,
            options.read_timeout,
            options.write_timeout,
            options.idle_timeout,
        ] {
            assert!(timeout.is_some());
        }
    }

    #[test]
    fn tls_without_a_name_is_refused() {
        let nameless = PeerTls { server_name: String::new(), ..tls(1) };
        assert_eq!(PeerTemplate::new(&settings(Some(nameless))).unwrap_err(), MissingServerName);
    }

    #[test]
    fn different_trust_never_shares_a_pool() {
        let key = |settings: PeerSettings| PeerTemplate::new(&settings).unwrap().peer.group_key;
        let mut other_scope = settings(Some(tls(1)));
        other_scope.scope = "other/team/prod".into();
        let by_key = PeerTls { spki_pins: vec![[1; 32]], ..tls(1) };
        let keys = [
            key(settings(None)),
            key(settings(Some(tls(1)))),
            key(settings(Some(tls(2)))),
            key(settings(Some(by_key))),
            key(other_scope),
        ];
        for (index, left) in keys.iter().enumerate() {
            assert!(keys[index + 1..].iter().all(|right| left != right));
        }
    }

    #[test]
    fn a_cleartext_connection_never_passes_for_tls() {
        let template = PeerTemplate::new(&settings(Some(tls(1)))).unwrap();
        assert_eq!(template.check(None), Err(TrustError::Cleartext));
        assert_eq!(PeerTemplate::new(&settings(None)).unwrap().check(None), Ok(()));
    }
}
