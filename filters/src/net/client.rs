//! The HTTP client of filters.
//!
//! One connection for each fetch: what filters fetch is rare and cached by them, so a pool would keep connections that
//! nobody uses and would have to re-check what they are connected to.
//!
//! Proxies that the environment names are not used: a proxy would look names up itself, unchecked.

mod exchange;
mod redirect;
mod stream;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use self::exchange::Answer;
pub use self::stream::Stream;
use super::{
    AddressClass, AddressPolicy, AllowAddresses, ClientTls, FetchError, FetchProblem, HttpUrl, Lookup, Phase,
    Request, Response, SystemLookup, dial, resolve_with,
};

/// The HTTP client of filters. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    lookup: Arc<dyn Lookup>,
}

/// Where to fetch from.
#[derive(Debug, Clone)]
pub struct Target {
    /// What is fetched.
    pub url: HttpUrl,
    /// Where it may be.
    pub policy: AddressPolicy,
    /// What the server must prove.
    pub tls: ClientTls,
    /// When `http` will do.
    pub cleartext: Cleartext,
}

/// When `http` will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cleartext {
    /// Never.
    Never,
    /// On this machine.
    #[default]
    Loopback,
    /// Everywhere, by the operator's explicit choice.
    Everywhere,
}

/// What an answer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The time for everything, from the look-up to the last byte, redirects included.
    pub total: Duration,
    /// The time to a TCP connection.
    pub connect: Duration,
    /// The longest body.
    pub response_bytes_max: usize,
    /// Redirects that are followed, only to `https` or on the same machine. Credentials stay with the first origin.
    pub redirects_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            response_bytes_max: 1024 * 1024,
            redirects_max: 0,
        }
    }
}

impl Target {
    /// What the operator has configured.
    pub fn configured(url: HttpUrl, allowed: &AllowAddresses, tls: ClientTls) -> Self {
        let policy = AddressPolicy::configured(&url.host().to_string(), allowed);
        Self { url, policy, tls, cleartext: Cleartext::default() }
    }

    /// What somebody else has named: a document, a token, an upstream.
    pub fn named(url: HttpUrl, allowed: &AllowAddresses, tls: ClientTls) -> Self {
        Self { url, policy: AddressPolicy::public_and(allowed), tls, cleartext: Cleartext::default() }
    }

    /// What this target names in turn: still trusted as it is on the same origin, like any other URL elsewhere.
    #[must_use]
    pub fn naming(&self, url: HttpUrl) -> Self {
        let policy = if self.url.same_origin(&url) { self.policy.clone() } else { self.policy.for_others() };
        Self { url, policy, tls: self.tls.clone(), cleartext: self.cleartext }
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new(SystemLookup)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// A client that looks names up with `lookup`.
    pub fn new(lookup: impl Lookup) -> Self {
        Self { lookup: Arc::new(lookup) }
    }

    /// Sends a request and reads the whole answer. Any status but a redirect is an answer.
    ///
    /// # Errors
    /// When there is no whole answer within the bounds, or the target may not be asked.
    pub async fn fetch(
        &self,
        target: &Target,
        request: Request,
        bounds: &Bounds,
    ) -> Result<Response, FetchError> {
        let deadline = Deadline { at: Instant::now() + bounds.total, total: bounds.total };
        let mut hop = (target.clone(), request);
        let mut redirects_left = bounds.redirects_max;
        loop {
            let (target, request) = &hop;
            let answer = self.ask(target, request, bounds, deadline).await;
            let failed = |problem| FetchError::at(&target.url, problem);
            match answer.map_err(failed)? {
                Answer::Whole(response) => return Ok(response),
                Answer::Redirect(redirect) => {
                    let next = redirect.follow(target, request, redirects_left).map_err(failed)?;
                    redirects_left = redirects_left.saturating_sub(1);
                    hop = next;
                }
            }
        }
    }

    /// Sends a request and reads the head of the answer; the body is read as it comes. No redirect is followed, and `bounds` hold up to
    /// the head.
    ///
    /// # Errors
    /// When there is no head within the bounds, or the target may not be asked.
    pub async fn open(
        &self,
        target: &Target,
        request: &Request,
        bounds: &Bounds,
    ) -> Result<Stream, FetchError> {
        let deadline = stream::head_deadline(bounds);
        let opened = async {
            let tcp = self.connect(target, bounds, deadline).await?;
            if !target.url.is_secure() {
                return stream::open(tcp, &target.url, request, deadline).await;
            }
            let tls =
                deadline.limit(Phase::Handshake, target.tls.handshake(tcp, target.url.host())).await??;
            stream::open(tls, &target.url, request, deadline).await
        };
        opened.await.map_err(|problem| FetchError::at(&target.url, problem))
    }

    async fn connect(
        &self,
        target: &Target,
        bounds: &Bounds,
        deadline: Deadline,
    ) -> Result<TcpStream, FetchProblem> {
        let (host, port) = (target.url.host().to_string(), target.url.port());
        let found = resolve_with(&*self.lookup, &host, port, &target.policy);
        let addresses = deadline.limit(Phase::Lookup, found).await??;
        check_cleartext(target, &addresses)?;
        deadline.limit(Phase::Connect, dial::connect(&addresses, bounds.connect)).await?
    }

    async fn ask(
        &self,
        target: &Target,
        request: &Request,
        bounds: &Bounds,
        deadline: Deadline,
    ) -> Result<Answer, FetchProblem> {
        let tcp = self.connect(target, bounds, deadline).await?;
        if !target.url.is_secure() {
            return exchange::exchange(tcp, &target.url, request, bounds, deadline).await;
        }
        let tls = deadline.limit(Phase::Handshake, target.tls.handshake(tcp, target.url.host())).await??;
        exchange::exchange(tls, &target.url, request, bounds, deadline).await
    }
}

fn check_cleartext(target: &Target, addresses: &[SocketAddr]) -> Result<(), FetchProblem> {
    let is_elsewhere = |address: &&SocketAddr| match target.cleartext {
        Cleartext::Never => true,
        Cleartext::Loopback => AddressClass::of(address.ip()) != AddressClass::Loopback,
        Cleartext::Everywhere => false,
    };
    match addresses.iter().find(is_elsewhere) {
        Some(address) if !target.url.is_secure() => Err(FetchProblem::Cleartext { address: *address }),
        _ => Ok(()),
    }
}

/// When everything must be done.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    total: Duration,
}

impl Deadline {
    async fn limit<T>(self, phase: Phase, step: impl Future<Output = T>) -> Result<T, FetchProblem> {
        timeout_at(self.at, step).await.map_err(|_| FetchProblem::Timeout { phase, after: self.total })
    }
}

#[cfg(test)]
mod tests;
