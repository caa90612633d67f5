//! `server:`: where the gateway listens, whom it answers, and the limits it holds everybody to.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use mcpg_sdk::Cidr;

pub use crate::server::hosts::{HostPattern, Hosts, Origins, split_port};
pub use crate::server::tls::{CertificateFiles, ClientCertificates, ListenerTls, TlsName};

pub(crate) mod address;
pub(crate) mod hosts;
pub(crate) mod read;
pub(crate) mod tls;

/// The listening side of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where clients connect. Never empty, no address twice.
    pub listeners: Vec<Listener>,
    /// Where `/livez`, `/readyz`, `/metrics` and `/revision` are; none when switched off.
    pub admin: Option<ListenAddress>,
    /// Worker threads; none for one per core.
    pub threads: Option<NonZeroUsize>,
    /// The `Host` values that are answered.
    pub hosts: Hosts,
    /// The `Origin` values of other hosts that are answered.
    pub origins: Origins,
    /// Who is believed when it says for whom or for which tenant it speaks. Never a client.
    pub trusted_proxies: Vec<Cidr>,
    /// How the gateway stops.
    pub shutdown: Shutdown,
    /// What no request or connection may exceed.
    pub limits: Limits,
}

impl Server {
    /// Whether a request that carries this `Origin` is answered. A request without one is the caller's to let through.
    ///
    /// An origin on the very host that was asked is fine, unless every host is answered: then a rebound DNS name
    /// would pass for one, so only the listed origins count.
    pub fn permits_origin(&self, origin: &str, host: &str) -> bool {
        self.origins.lists(origin) || (self.hosts != Hosts::Any && hosts::is_same_host(origin, host))
    }
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// With TLS, if so.
    pub tls: Option<ListenerTls>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and port; port 0 lets the system choose.
    Socket(SocketAddr),
    /// A socket handed over by systemd, by its `FileDescriptorName=`.
    Fd(String),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Fd(name) => write!(f, "fd://{name}"),
        }
    }
}

/// How the gateway stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// How long running requests may take after SIGTERM.
    pub drain: Duration,
}

/// What no request or connection may exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body; 413 beyond.
    pub body_bytes_max: usize,
    /// Bytes of a request's header block; 431 beyond.
    pub header_bytes_max: usize,
    /// Headers of a request; 431 beyond.
    pub header_count_max: usize,
    /// Nesting of a JSON body; 400 beyond.
    pub json_depth_max: usize,
    /// From the first byte of a request to the end of its headers, in all.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body, in all.
    pub body_timeout: Duration,
    /// From the accepted connection to the end of its TLS handshake, in all.
    pub tls_handshake_timeout: Duration,
    /// A keep-alive connection without a request.
    pub idle_timeout: Duration,
    /// One write to a client that does not read.
    pub write_timeout: Duration,
    /// Client connections in all.
    pub connections_max: usize,
    /// Client connections from one address. At most `connections_max`.
    pub connections_per_ip_max: usize,
    /// Concurrent HTTP/2 streams on a connection.
    pub h2_streams_max: u32,
    /// Requests on one connection before it is closed.
    pub requests_per_connection_max: u32,
    /// Bytes of an upstream's answer that is no event stream.
    pub response_bytes_max: usize,
    /// Bytes of one SSE event.
    pub sse_event_bytes_max: usize,
    /// Bytes of an answer that is held in memory to be redacted.
    pub redact_bytes_max: usize,
}
