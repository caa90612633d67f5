//! `bindings:` as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::OneOrMany;
use crate::wire::pinning::BindingPinning;

pub(crate) mod calls;
pub(crate) mod credentials;
pub(crate) mod stdio;

/// An upstream. `url` says that it is reached over HTTP, `command` that the gateway starts it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// The structure check does not look at `allOf`; the reader of the section says it better.
#[schemars(extend("allOf" = [{ "oneOf": [{ "required": ["url"] }, { "required": ["command"] }] }]))]
pub(crate) struct Binding {
    /// 1 to 40 of `a-z`, `0-9` and `-`; unique. Part of tool names in policies.
    pub(crate) id: String,
    /// What it speaks.
    #[serde(rename = "type")]
    pub(crate) _kind: BindingType,
    /// The MCP endpoint: `http://` or `https://`.
    pub(crate) url: Option<String>,
    /// How the upstream's certificate is judged. Only with `https://`.
    pub(crate) tls: Option<Tls>,
    /// Blocks of addresses (CIDR), one or a list, that the URL's name may have although they are not public. Default: none. An IP
    /// address or `localhost` in the URL needs none.
    pub(crate) allow_addresses: Option<OneOrMany>,
    /// How long the upstream may take.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
    /// Headers added to every request. A value may end in a `$secret://` reference, and must if it is a credential.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub(crate) headers: BTreeMap<String, String>,
    /// Connections kept for the next request.
    #[serde(default)]
    pub(crate) pool: Pool,
    /// Which HTTP is spoken.
    #[serde(default)]
    pub(crate) http2: Http2,
    /// How the gateway gets a token for the upstream. Default: it sends none but what is in `headers`.
    pub(crate) credentials: Option<credentials::Credentials>,
    /// The MCP server that the gateway starts and speaks to over standard input and output: program and arguments.
    pub(crate) command: Option<stdio::Command>,
    /// Arguments, if `command` is the program alone.
    #[schemars(length(max = 256))]
    pub(crate) args: Option<Vec<String>>,
    /// The process's environment; nothing else is in it but `inherit_env` and `PATH`, `HOME` and `LANG`. A value may end in a `$secret://` reference.
    #[schemars(extend("maxProperties" = 256))]
    pub(crate) env: Option<stdio::Environment>,
    /// Variables that the process gets from the gateway's own environment.
    #[schemars(length(max = 64))]
    pub(crate) inherit_env: Option<Vec<String>>,
    /// Its working directory, below the folder of this file if relative. Default: that folder.
    pub(crate) cwd: Option<String>,
    /// Who shares a process. Default: nobody, `per_session`.
    pub(crate) sessions: Option<stdio::Sharing>,
    /// Processes at a time. Default: 64.
    #[schemars(range(min = 1, max = 4_096))]
    pub(crate) processes_max: Option<usize>,
    /// How long a process is kept that nobody uses, in milliseconds. Default: 900000.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub(crate) idle_timeout_ms: Option<u64>,
    /// How soon a process that ended is started again.
    pub(crate) restart: Option<stdio::Restart>,
    /// What a process may use.
    pub(crate) limits: Option<stdio::Limits>,
    /// How long a process may take to end once its input is closed, in milliseconds. Default: 5000.
    #[schemars(range(min = 0, max = 600_000))]
    pub(crate) shutdown_ms: Option<u64>,
    /// Which revision of MCP it speaks.
    #[serde(default)]
    pub(crate) protocol: Protocol,
    /// How many calls it gets, how long they last, and when none are sent.
    #[serde(default)]
    pub(crate) calls: calls::Calls,
    /// What happens when its tools are not as they were, where that differs from `pinning`.
    #[serde(default)]
    pub(crate) pinning: BindingPinning,
}

/// A revision of MCP.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) enum Protocol {
    /// Found out by asking.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// 2026-07-28, without sessions.
    #[serde(rename = "2026-07-28")]
    V20260728,
    /// 2025-11-25.
    #[serde(rename = "2025-11-25")]
    V20251125,
    /// 2025-06-18.
    #[serde(rename = "2025-06-18")]
    V20250618,
    /// 2025-03-26.
    #[serde(rename = "2025-03-26")]
    V20250326,
}

/// What an upstream speaks.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BindingType {
    /// MCP, over Streamable HTTP or standard input and output.
    Mcp,
}

/// How the upstream's certificate is judged.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "UpstreamTls")]
pub(crate) struct Tls {
    /// Trusted roots, PEM: a path. Default: the system's.
    pub(crate) ca: Option<String>,
    /// The name sent (SNI) and verified. Default: the URL's host; required if that is an IP address.
    pub(crate) server_name: Option<String>,
    /// The lowest version of TLS spoken.
    pub(crate) min_version: TlsVersion,
    /// SHA-256 of the leaf certificate (DER), one or several: one of them must match, on top of the usual verification. 64
    /// hexadecimal digits, with or without colons, or base64.
    pub(crate) pin_cert_sha256: Option<OneOrMany>,
    /// SHA-256 of the leaf's public key (RFC 7469: its `SubjectPublicKeyInfo`, DER), one or several: one of them must match, on
    /// top of the usual verification. Base64 or hexadecimal digits.
    pub(crate) pin_spki_sha256: Option<OneOrMany>,
    /// The certificate chain that is shown to the upstream, PEM, leaf first: a path.
    pub(crate) client_certificate: Option<String>,
    /// Its private key, PEM: a path or a `$secret://` reference.
    pub(crate) client_key: Option<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "tls1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "tls1.3")]
    Tls13,
}

/// How long an upstream may take.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// The TCP handshake, in milliseconds.
    #[schemars(range(min = 1, max = 300_000))]
    pub(crate) connect_ms: u64,
    /// The TLS handshake, in milliseconds.
    #[schemars(range(min = 1, max = 300_000))]
    pub(crate) tls_handshake_ms: u64,
    /// Between two reads of an answer, in milliseconds. An event stream stays open as long as the upstream sends
    /// something (a keep-alive comment is enough) within this time.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) read_ms: u64,
    /// One write of a request, in milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(crate) write_ms: u64,
    /// A kept connection without a request, in milliseconds. Best below the upstream's own keep-alive time.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(crate) idle_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 2_000,
            tls_handshake_ms: 3_000,
            read_ms: 60_000,
            write_ms: 30_000,
            idle_ms: 30_000,
        }
    }
}

/// Connections kept for the next request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Idle connections kept.
    #[schemars(range(min = 1, max = 65_535))]
    pub(crate) size: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { size: 128 }
    }
}

/// Which HTTP is spoken to an upstream.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Http2 {
    /// HTTP/2 if the server offers it; HTTP/1.1 on `http://`.
    #[default]
    Auto,
    /// HTTP/2, with prior knowledge on `http://`.
    On,
    /// HTTP/1.1.
    Off,
}
