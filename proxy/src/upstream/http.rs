//! An upstream's HTTP endpoint, with the addresses that are in force and the connections to them.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use mcpg_filters::net::{AddressPolicy, NetError, resolve};
use tokio::time::timeout;

use super::Connectors;
use super::credentials::Credentials;
use crate::dispatch::Target;
use crate::peer::{PeerTemplate, PeerTimeouts};

/// An upstream's HTTP endpoint.
pub struct HttpUpstream {
    parts: HttpParts,
    targets: ArcSwap<Vec<Arc<Target>>>,
    turn: AtomicUsize,
}

/// What an endpoint is made of, besides its addresses.
pub struct HttpParts {
    /// What its connections are made with.
    pub connectors: Arc<Connectors>,
    /// How its peer is made.
    pub peer: PeerTemplate,
    /// Where it is.
    pub place: HostAndPort,
    /// `Host` for the upstream.
    pub authority: HeaderValue,
    /// Path and query of the upstream's endpoint.
    pub path_and_query: http::uri::PathAndQuery,
    /// Headers added to every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where `Authorization` comes from, if not from those.
    pub credentials: Option<Credentials>,
    /// How long its upstream may take.
    pub timeouts: PeerTimeouts,
    /// Idle connections kept per address.
    pub idle_max: usize,
}

/// Where an endpoint is: what to look up, and which of the answers may be dialled.
pub struct HostAndPort {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Which addresses may be dialled.
    pub policy: AddressPolicy,
}

impl HostAndPort {
    /// Whether it has to be looked up, again and again.
    pub fn is_name(&self) -> bool {
        self.literal().is_none()
    }

    /// Passes on what needs no look-up to be refused: an address that may not be dialled.
    ///
    /// # Errors
    /// When it is one.
    pub fn check_written(&self) -> Result<(), NetError> {
        self.literal().map_or(Ok(()), |address| self.policy.check(&self.host, address))
    }

    fn literal(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl Deref for HttpUpstream {
    type Target = HttpParts;

    fn deref(&self) -> &HttpParts {
        &self.parts
    }
}

impl HttpUpstream {
    /// An endpoint that has not been looked up.
    pub fn new(parts: HttpParts) -> Self {
        Self { parts, targets: ArcSwap::default(), turn: AtomicUsize::new(0) }
    }

    /// Puts the addresses in force that its host has now. `binding` is for the log.
    pub async fn look_up(&self, binding: &str, within: Duration) {
        let HostAndPort { host, port, policy } = &self.place;
        match timeout(within, resolve(host, *port, policy)).await {
            Ok(Ok(addresses)) => self.set_addresses(&addresses),
            // Where the name leads now it may not lead: nothing is sent there, nor where it led before.
            Ok(Err(error @ NetError::Refused { .. })) => {
                tracing::error!(binding, host, %error, "upstream address refused");
                self.set_addresses(&[]);
            }
            // The addresses known so far stay: a resolver's outage is no reason to stop.
            Ok(Err(error)) => tracing::warn!(binding, host, %error, "upstream name not resolved"),
            Err(_) => tracing::warn!(binding, host, "upstream name not resolved in time"),
        }
    }

    /// The next address in turn; none while the name does not resolve, or leads where it may not.
    pub fn next_target(&self) -> Option<Arc<Target>> {
        let targets = self.targets.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(targets.len())?;
        targets.get(turn).cloned()
    }

    /// Whether every address is this machine's. A name that does not resolve is nobody's.
    pub fn is_local(&self) -> bool {
        self.targets.load().iter().all(|target| target.address().ip().is_loopback())
    }

    /// Puts freshly resolved addresses in force. Those known already keep their connections.
    pub(crate) fn set_addresses(&self, addresses: &[SocketAddr]) {
        let known = self.targets.load();
        if known.iter().map(|target| target.address()).eq(addresses.iter().copied()) {
            return;
        }
        let target = |address: &SocketAddr| {
            known.iter().find(|target| target.address() == *address).cloned().unwrap_or_else(|| {
                let peer = *self.peer.at(*address);
                Arc::new(Target::new(*address, peer, self.idle_max, self.timeouts.idle))
            })
        };
        self.targets.store(Arc::new(addresses.iter().map(target).collect()));
    }

    /// Drops pooled connections that nobody needs, and tokens that have expired.
    pub fn sweep(&self) {
        self.targets.load().iter().for_each(|target| target.sweep());
        if let Some(credentials) = &self.credentials {
            credentials.sweep();
            credentials.endpoint().http.sweep();
        }
    }
}

#[cfg(test)]
mod tests;
