//! `server:` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::binding::TlsVersion;

use super::OneOrMany;

/// The listening side of the gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Where clients connect: one address or several. `host:port`, `[v6]:port`, or `fd://name` for a socket from systemd.
    pub(crate) listen: Listen,
    /// TLS for every listener that does not bring its own.
    pub(crate) tls: Option<Tls>,
    /// Where `/livez`, `/readyz`, `/metrics` and `/revision` are, or `off`.
    pub(crate) admin: String,
    /// Allows an `admin` address that other machines can reach. It has no authentication of its own.
    pub(crate) admin_allow_remote: bool,
    /// Worker threads. Default: one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) threads: Option<u32>,
    /// The `Host` values that are answered, with or without a port; `*` for every one. Default: `localhost`,
    /// `127.0.0.1`, `[::1]` and the listening addresses.
    #[schemars(length(min = 1, max = 1_000))]
    pub(crate) hosts: Option<Vec<String>>,
    /// The `Origin` values that are answered besides those of the host that was asked; `*` for every one.
    #[schemars(length(max = 1_000))]
    pub(crate) origins: Vec<String>,
    /// Networks of the proxies in front whose `X-Forwarded-For` and tenant header are believed: `10.0.0.0/8`, `2001:db8::/32` or one
    /// address. From everyone else those are ignored. They never go upstream as received.
    pub(crate) trusted_proxies: Option<OneOrMany>,
    /// How the gateway stops.
    pub(crate) shutdown: Shutdown,
    /// What no request or connection may exceed.
    pub(crate) limits: Limits,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Listen::One("127.0.0.1:8787".to_owned()),
            tls: None,
            admin: "127.0.0.1:9090".to_owned(),
            admin_allow_remote: false,
            threads: None,
            hosts: None,
            origins: Vec::new(),
            trusted_proxies: None,
            shutdown: Shutdown::default(),
            limits: Limits::default(),
        }
    }
}

/// One listener or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Listen {
    /// One address.
    One(String),
    /// Several.
    Many(#[schemars(length(min = 1, max = 16))] Vec<Listener>),
}

/// An address, or an address with its own TLS.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Listener {
    /// The address.
    Address(String),
    /// With TLS of its own.
    Full(FullListener),
}

/// A listener with TLS of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullListener {
    /// `host:port`, `[v6]:port`, or `fd://name`.
    pub(crate) address: String,
    /// What it shows, and what it asks of clients.
    pub(crate) tls: Option<Tls>,
}

/// What a TLS listener shows, and what it asks of clients.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ListenerTls")]
pub(crate) struct Tls {
    /// The certificate chain, PEM, leaf first: a path. It is also shown to clients that name no host, or one that no certificate is for.
    pub(crate) certificate: Option<String>,
    /// Its private key, PEM: a path or a `$secret://` reference.
    pub(crate) private_key: Option<String>,
    /// More certificates: for other hosts, or for the same with a key of another kind.
    #[schemars(length(max = 1_000))]
    pub(crate) certificates: Vec<Certificate>,
    /// Whether clients are asked for a certificate. `require` also verifies it in the handshake; with `request` that is
    /// left to the identity plugin.
    pub(crate) client_certificates: ClientCertificates,
    /// The authorities of client certificates, PEM: a path. Their names are told to clients.
    pub(crate) client_ca: Option<String>,
    /// The lowest version of TLS spoken.
    pub(crate) min_version: TlsVersion,
}

/// A certificate with its key.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ListenerCertificate")]
pub(crate) struct Certificate {
    /// The certificate chain, PEM, leaf first: a path.
    pub(crate) certificate: String,
    /// Its private key, PEM: a path or a `$secret://` reference.
    pub(crate) private_key: String,
    /// The hosts that it is shown for: names, or `*.` and a name for one label more. Default: those that it is issued for.
    #[schemars(length(min = 1, max = 1_000))]
    pub(crate) hosts: Option<Vec<String>>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    /// They are not.
    #[default]
    Off,
    /// They are; one that has none is let in.
    Request,
    /// They are; one that has none of `client_ca` is turned away in the handshake.
    Require,
}

/// How the gateway stops.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// How long running requests may take after SIGTERM, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub(crate) drain_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_ms: 15_000 }
    }
}

/// What no request or connection may exceed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Bytes of a request body; 413 beyond.
    #[schemars(range(min = 1_024, max = 268_435_456))]
    pub(crate) body_bytes_max: usize,
    /// Bytes of a request's header block; 431 beyond.
    #[schemars(range(min = 1_024, max = 262_144))]
    pub(crate) header_bytes_max: usize,
    /// Headers of a request; 431 beyond.
    #[schemars(range(min = 8, max = 256))]
    pub(crate) header_count_max: usize,
    /// Nesting of a JSON body; 400 beyond.
    #[schemars(range(min = 8, max = 128))]
    pub(crate) json_depth_max: usize,
    /// From the first byte of a request to the end of its headers, in all, in milliseconds.
    #[schemars(range(min = 100, max = 300_000))]
    pub(crate) header_timeout_ms: u64,
    /// From the end of the headers to the end of the body, in all, in milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(crate) body_timeout_ms: u64,
    /// From the accepted connection to the end of its TLS handshake, in all, in milliseconds.
    #[schemars(range(min = 100, max = 60_000))]
    pub(crate) tls_handshake_timeout_ms: u64,
    /// A keep-alive connection without a request, in milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(crate) idle_timeout_ms: u64,
    /// One write to a client that does not read, in milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(crate) write_timeout_ms: u64,
    /// Client connections in all.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) connections_max: usize,
    /// Client connections from one address; not above `connections_max`. Default: half of `connections_max`, since
    /// a whole office or a load balancer may share an address, and one address must not take every place.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) connections_per_ip_max: Option<usize>,
    /// Concurrent HTTP/2 streams on a connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) h2_streams_max: u32,
    /// Requests on one connection before it is closed.
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    pub(crate) requests_per_connection_max: u32,
    /// Bytes of an upstream's answer that is no event stream; 502 beyond.
    #[schemars(range(min = 1_024, max = 17_179_869_184_u64))]
    pub(crate) response_bytes_max: usize,
    /// Bytes of one SSE event.
    #[schemars(range(min = 1_024, max = 268_435_456))]
    pub(crate) sse_event_bytes_max: usize,
    /// Bytes of an answer that is held in memory to be redacted.
    #[schemars(range(min = 1_024, max = 268_435_456))]
    pub(crate) redact_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            header_bytes_max: 16 << 10,
            header_count_max: 100,
            json_depth_max: 64,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            tls_handshake_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            write_timeout_ms: 30_000,
            connections_max: 20_000,
            connections_per_ip_max: None,
            h2_streams_max: 128,
            requests_per_connection_max: 100_000,
            response_bytes_max: 64 << 20,
            sse_event_bytes_max: 1 << 20,
            redact_bytes_max: 8 << 20,
        }
    }
}
