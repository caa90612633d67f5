//! Gateway configuration: bytes in, validated [`Config`] out.
//!
//! [`Config::from_yaml`] is the only way in. What it returns holds no invalid state: addresses are parsed, ranges are
//! kept, ids are unique and known, paths are below the file's folder. What it refuses it refuses with a position, all
//! mistakes at once as far as they can be told apart, and without repeating anything that may be a secret.
//! Nothing here touches the file system, the network or the environment: secrets and paths stay references.
//!
//! The settings of a plugin are for its filter to parse; [`Config::locate`] turns its complaint into a position.
//! [`schema()`] describes the same file as JSON Schema, for editors. [`Document`] reads other files as strictly.

mod audit;
mod binding;
mod cidr;
mod config;
mod control_plane;
mod diagnostic;
mod documents;
mod federation;
mod key_source;
mod pinning;
mod place;
mod plugins;
mod quote;
mod schema;
mod server;
mod sessions;
mod slug;
mod structure;
mod telemetry;
mod tenancy;
mod text;
mod wire;
mod yaml;

pub use audit::{Audit, AuditMode, RecordInput};
pub use binding::calls::{Breaker, Calls};
pub use binding::credentials::{ClientAuth, Credentials, Grant};
pub use binding::stdio::{ProcessLimits, Restart, Sharing, StdioTransport};
pub use binding::{
    Binding, BindingKind, ClientIdentity, Endpoint, Header, Host, Http2, HttpTransport, McpBinding, Pool,
    Protocol, Timeouts, TlsVersion, Transport, UpstreamTls,
};
pub use config::{Config, Digest};
pub use control_plane::{ControlPlane, Pushed};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use documents::Document;
pub use federation::{Catalogue, Federation, Naming};
pub use key_source::KeySource;
pub use pinning::{OnNew, PinRules, Pinning, Reaction};
pub use plugins::{Plugin, Plugins, RevocationList, Revoked, TrustedKey};
pub use schema::{builtin_ids, schema};
pub use server::{
    CertificateFiles, ClientCertificates, HostPattern, Hosts, Limits, ListenAddress, Listener, ListenerTls,
    Origins, Server, Shutdown, TlsName, split_port,
};
pub use sessions::{Sessions, State};
pub use telemetry::{Log, LogFormat, LogLevel, Propagation, Telemetry};
pub use tenancy::Tenancy;
pub use text::Text;

/// One YAML document as a JSON value, within the bounds of configurations: for files beside one, such as the cases of `mcpg policy test`.
///
/// # Errors
/// What is wrong with it, with its line and column.
pub fn document(bytes: &[u8]) -> Result<serde_json::Value, String> {
    yaml::parse(bytes).map(|node| node.to_json()).map_err(|fault| {
        let help = fault.help.map(|help| format!(" ({help})")).unwrap_or_default();
        format!("line {}, column {}: {}{help}", fault.position.line, fault.position.column, fault.message)
    })
}
