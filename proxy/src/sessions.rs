//! Legacy sessions without a store: what a session is lies sealed in its id.
//!
//! A client keeps its `Mcp-Session-Id` and sends it with every request, so whatever any instance needs to serve the session
//! is in there, encrypted and authenticated: whose it is, where it may be used, until when, and the upstreams' own
//! sessions. An id that cannot be opened, or is another caller's, does not exist (404).
//!
//! Source: MCP 2025-11-25 `basic/transports`, "Session Management".

use crate::upstream::ClientProfile;

/// What is sealed in a session's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// Tells sessions apart; the key of what one instance remembers of it.
    pub nonce: [u8; 16],
    /// Digest of the scope and the caller that began it.
    pub caller: [u8; 32],
    /// The path of the endpoint that it was begun at.
    pub endpoint: Box<str>,
    /// UNIX time in seconds from which it does not exist any more.
    pub expires: u64,
    /// What the client said of itself.
    pub client: ClientProfile,
    /// The sessions behind it.
    pub upstreams: Vec<UpstreamRef>,
}

/// A session of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRef {
    /// The binding's id.
    pub binding: Box<str>,
    /// The upstream's own session id; empty where it has none.
    pub id: Box<str>,
    /// The revision that was agreed with it.
    pub protocol: mcpg_protocol::Revision,
}
