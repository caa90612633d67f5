//! What is known of the connection that a request came on.

use std::net::IpAddr;
use std::sync::Arc;

use mcpg_config::ClientCertificates;
use mcpg_filters::identity::certificate::PeerCertificate;
use mcpg_sdk::Scope;

/// The connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// Its other end: a client, or a proxy in front of the gateway.
    pub peer: IpAddr,
    /// What TLS knows of the client; none without TLS.
    pub tls: Option<&'a ClientTls>,
}

/// What TLS knows of a client. Made when the handshake is complete, and kept with the connection.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// The server name that the client asked for, in lower case.
    pub server_name: Option<Box<str>>,
    /// What the client has presented. What it is worth is for identity to say.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// What it was asked for. With [`ClientCertificates::Require`] its certificate was verified by the authorities that
    /// were configured where the handshake belongs, and by no others.
    pub asked: ClientCertificates,
    /// The scope whose TLS the handshake belongs to; none where that was the listener's own.
    pub scope: Option<Scope>,
}

impl ClientTls {
    /// Of a connection of which TLS knows nothing.
    pub const UNKNOWN: &'static Self =
        &Self { server_name: None, certificate: None, asked: ClientCertificates::Off, scope: None };
}
