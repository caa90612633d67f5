//! `bindings:`: the upstreams that calls are dispatched to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mcpg_sdk::{Base, Cidr};

use crate::{Calls, Credentials, KeySource, PinRules, StdioTransport, Text};

pub(crate) mod calls;
pub(crate) mod credentials;
pub(crate) mod header;
pub(crate) mod read;
pub(crate) mod stdio;
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
    /// MCP.
    Mcp(McpBinding),
}

/// An MCP server behind the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct McpBinding {
    /// How it is reached.
    pub transport: Transport,
    /// Which revision it speaks.
    pub protocol: Protocol,
    /// How many calls it gets, how long they last, and when none are sent.
    pub calls: Calls,
    /// What happens when its tools are not as they were.
    pub pinning: PinRules,
}

/// How an MCP server is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Transport {
    /// Streamable HTTP.
    Http(Box<HttpTransport>),
    /// A process of the gateway's, over standard input and output.
    Stdio(Box<StdioTransport>),
}

impl Transport {
    /// The HTTP transport, if it is one.
    pub fn http(&self) -> Option<&HttpTransport> {
        match self {
            Self::Http(http) => Some(http),
            Self::Stdio(_) => None,
        }
    }

    /// The process, if it is one.
    pub fn stdio(&self) -> Option<&StdioTransport> {
        match self {
            Self::Http(_) => None,
            Self::Stdio(stdio) => Some(stdio),
        }
    }
}

/// An MCP server that is reached over Streamable HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpTransport {
    /// Its endpoint.
    pub url: Endpoint,
    /// Exactly when the endpoint is `https`.
    pub tls: Option<UpstreamTls>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Headers added to every request; names in lower case, none twice. No `authorization` beside `credentials`.
    pub headers: Vec<Header>,
    /// Kept connections.
    pub pool: Pool,
    /// Which HTTP is spoken.
    pub http2: Http2,
    /// How the gateway gets a token for it; none to send none.
    pub credentials: Option<Box<Credentials>>,
    /// Addresses that its name may have although they are not public.
    pub allow_addresses: Vec<Cidr>,
}

/// Which revision of MCP an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Found out by asking.
    Auto,
    /// 2026-07-28, without sessions.
    V20260728,
    /// 2025-11-25.
    V20251125,
    /// 2025-06-18.
    V20250618,
    /// 2025-03-26.
    V20250326,
}

impl Protocol {
    /// The revision as MCP writes it; none if it is to be found out.
    pub fn revision(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::V20260728 => Some("2026-07-28"),
            Self::V20251125 => Some("2025-11-25"),
            Self::V20250618 => Some("2025-06-18"),
            Self::V20250326 => Some("2025-03-26"),
        }
    }
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
    /// SHA-256 of the leaf's `SubjectPublicKeyInfo` (RFC 7469), likewise.
    pub spki_pins: Vec<[u8; 32]>,
    /// What is shown to the upstream.
    pub client: Option<ClientIdentity>,
}

/// A certificate that is shown to an upstream, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The chain, PEM, leaf first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: KeySource,
}

impl UpstreamTls {
    /// The files that it is read from. Secrets in files are below `base`.
    pub fn files(&self, base: &Base) -> Vec<PathBuf> {
        let client = self.client.as_ref();
        let certificate = client.map(|client| client.certificate.clone());
        let key = client.and_then(|client| client.key.file(base));
        [self.ca.clone(), certificate, key].into_iter().flatten().collect()
    }
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
    pub value: Text,
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
