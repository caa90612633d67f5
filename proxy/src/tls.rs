//! TLS towards clients: which certificate a handshake shows, what it asks of the client, and what requests learn of it.
//!
//! Everything about a listener's TLS is one immutable [`Termination`], which is part of the revision: a certificate that is
//! rotated on disk makes a new one, new handshakes take it, and connections that are open live on. The name that the client
//! sends (SNI, RFC 6066 section 3) picks certificates, and what clients are asked for, before anything of an old session is
//! looked at.
//!
//! INVARIANT: a session is never resumed where clients are asked for a certificate, and never under the terms of another
//! site: no ticket carries a client's identity.

mod context;
mod expiry;
mod facts;
mod hello;
mod names;
mod pair;
mod sites;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use boring::ssl::SslAcceptor;
use mcpg_config::{Config, ListenerTls, TlsVersion};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Scope;
use pingora_core::Result;
use pingora_core::protocols::l4::stream::Stream as TcpStream;
use pingora_core::protocols::tls::SslStream;
use pingora_core::protocols::tls::server::handshake_with_callback;

pub use expiry::Expiry;
pub use pair::{Pair, PairError};

use sites::Sites;

/// The TLS of every listener of a gateway, in the order of the listeners.
#[derive(Default)]
pub struct Terminations {
    listeners: Vec<Option<Arc<Termination>>>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

/// The TLS of one listener.
pub struct Termination {
    acceptor: SslAcceptor,
    certificates: Vec<Expiry>,
    warnings: Vec<String>,
    fingerprint: blake3::Hash,
}

/// Hosts with TLS of their own on every listener that has TLS: those of a tenant.
pub struct Site<'a> {
    /// Whose they are.
    pub scope: &'a Scope,
    /// The names that clients send to get here.
    pub hosts: Vec<mcpg_config::TlsName>,
    /// What they are shown, and asked for. Without certificates of its own the site has those that the listener has for its hosts.
    pub tls: &'a ListenerTls,
}

impl Terminations {
    /// Reads what the listeners of `config` show and ask for. What has not changed since `previous` is kept, so that its
    /// clients can go on resuming their sessions.
    ///
    /// # Errors
    /// Everything that is wrong: nothing half-written or mismatching ever comes into force.
    pub fn build(
        config: &Config,
        sites: &[Site<'_>],
        secrets: &SecretResolver,
        previous: Option<&Self>,
        now: SystemTime,
    ) -> std::result::Result<Self, Vec<String>> {
        let mut built = Self::default();
        let mut problems = Vec::new();
        for (index, listener) in config.server.listeners.iter().enumerate() {
            let Some(tls) = &listener.tls else {
                built.listeners.push(None);
                continue;
            };
            let known = previous.into_iter().flat_map(|previous| &previous.listeners);
            let known: Vec<&Arc<Termination>> = known.chain(&built.listeners).flatten().collect();
            match Termination::build(tls, sites, secrets, &known) {
                Ok(termination) => built.listeners.push(Some(termination)),
                Err(found) => {
                    let file = config.file_name();
                    problems.extend(
                        found.iter().map(|problem| format!("{file}: `server.listen[{index}]`: {problem}")),
                    );
                }
            }
        }
        // Several listeners usually have the same.
        problems.dedup_by(|one, other| {
            one.split_once("]`").map(|parts| parts.1) == other.split_once("]`").map(|parts| parts.1)
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut warnings: Vec<String> =
            built.each().flat_map(|termination| termination.warnings.clone()).collect();
        warnings.extend(built.expiries().filter_map(|expiry| expiry.warning(now)));
        warnings.sort();
        warnings.dedup();
        built.warnings = warnings;
        Ok(built)
    }

    /// The TLS of a listener; none where it is cleartext.
    pub fn of(&self, listener: usize) -> Option<&Arc<Termination>> {
        self.listeners.get(listener).and_then(Option::as_ref)
    }

    /// When the certificates expire, each once, the first to expire first.
    pub fn expiries(&self) -> impl Iterator<Item = &Expiry> {
        let mut all: Vec<&Expiry> = self.each().flat_map(|termination| &termination.certificates).collect();
        all.sort();
        all.dedup_by(|one, other| one.path == other.path);
        all.into_iter()
    }

    fn each(&self) -> impl Iterator<Item = &Termination> {
        self.listeners.iter().flatten().map(AsRef::as_ref)
    }
}

impl Termination {
    /// Reads what a listener shows and asks for; one of `known` if it would be the same.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn build(
        tls: &ListenerTls,
        sites: &[Site<'_>],
        secrets: &SecretResolver,
        known: &[&Arc<Self>],
    ) -> std::result::Result<Arc<Self>, Vec<String>> {
        let read = Sites::read(tls, sites, secrets)?;
        let fingerprint = read.fingerprint(tls.min_version);
        if let Some(same) = known.iter().find(|known| known.fingerprint == fingerprint) {
            return Ok(Arc::clone(same));
        }
        let built = (|| {
            let table = read.table()?;
            let mut acceptor = context::acceptor(tls.min_version == TlsVersion::Tls13)?;
            acceptor.set_select_certificate_callback(move |hello| table.select(hello));
            Ok(Arc::new(Self {
                acceptor: acceptor.build(),
                certificates: read.expiries(),
                warnings: read.warnings(),
                fingerprint,
            }))
        })();
        built.map_err(|error: context::ContextError| vec![error.to_string()])
    }

    /// Takes a connection through its handshake. There is no deadline: the caller has one.
    ///
    /// # Errors
    /// When there is no agreement, or the client has no certificate where it needs one.
    pub async fn accept(&self, stream: TcpStream) -> Result<SslStream<TcpStream>> {
        handshake_with_callback(&self.acceptor, stream, &facts::Note).await
    }
}

/// The authorities in a file, PEM.
///
/// # Errors
/// When it cannot be read, or has none.
pub fn authorities(path: &Path) -> std::result::Result<Vec<boring::x509::X509>, PairError> {
    pair::certificates(path)
}
