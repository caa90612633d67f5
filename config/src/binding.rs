//! `bindings:`: the upstreams that calls are dispatched to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mcpg_sdk::SecretRef;

pub(crate) mod header;
pub(crate) mod read;
pub(crate) mod url;

/// One upstream, under its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// 1 to 40 of `a-z`, `0-9` and `-`; unique.
    pub id: String,
    /// What it speaks.
    pub kind: BindingKind,
}

/// What an upstream speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum BindingKind {
    /// MCP over Streamable HTTP.
    Mcp(McpBinding),
}

/// An MCP server behind the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct McpBinding {
    /// Its endpoint.
    pub url: Endpoint,
    /// Exactly when the endpoint is `https`.
    pub tls: Option<UpstreamTls>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Headers added to every request; names in lower case, none twice.
    pub headers: Vec<Header>,
    /// Kept connections.
    pub pool: Pool,
    /// Which HTTP is spoken.
    pub http2: Http2,
}

/// Where an MCP server answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https` rather than `http`.
    pub secure: bool,
    /// The host.
    pub host: Host,
    /// The port, the scheme's own if the URL has none.
    pub port: u16,
    /// Path and query, percent-encoded, with the leading slash. The query may hold a secret.
    pub path_and_query: String,
}

impl Endpoint {
    /// The value of the `Host` header: the port only when it is not the scheme's own.
    pub fn authority(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Without the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}:{}{path}", self.host, self.port)
    }
}

/// A host: an address or a name to be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A DNS name in lower case (IDNA-encoded).
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// How the upstream's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Trusted roots, PEM; none for the system's.
    pub ca: Option<PathBuf>,
    /// The name sent (SNI) and verified. Never empty.
    pub server_name: String,
    /// The lowest version spoken.
    pub min_version: TlsVersion,
    /// SHA-256 of the leaf certificate's DER, any of which must match, on top of the usual verification. Empty: no pin.
    pub pins: Vec<[u8; 32]>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The TCP handshake.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls_handshake: Duration,
    /// Between two reads of an answer.
    pub read: Duration,
    /// One write of a request.
    pub write: Duration,
    /// A kept connection without a request.
    pub idle: Duration,
}

/// A header added to every request to the upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The name in lower case.
    pub name: String,
    /// The value.
    pub value: HeaderValue,
}

/// The value of an added header.
#[derive(Clone, PartialEq)]
pub enum HeaderValue {
    /// As written.
    Plain(String),
    /// `Bearer $secret://…`: a text, which may be empty, and the secret's value after it.
    Secret {
        /// What stands before the secret.
        prefix: String,
        /// What to resolve.
        secret: SecretRef,
    },
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::Secret { .. } => f.write_str("Secret(..)"),
        }
    }
}

/// Connections kept for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections kept.
    pub size: usize,
}

/// Which HTTP is spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// HTTP/2 if the server offers it (ALPN); HTTP/1.1 on `http://`.
    Auto,
    /// HTTP/2, with prior knowledge on `http://`.
    On,
    /// HTTP/1.1.
    Off,
}
