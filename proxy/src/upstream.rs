//! An MCP server behind the gateway, spoken to message by message.
//!
//! What passes straight through (`dispatch`) never comes here. What does: whatever the gateway asks on its own account
//! (lists, discovery, sessions), calls between the eras, and every call to a server that is a process.
//!
//! A [`Reply`] is the same whatever carried it: a JSON body is one message, an event stream is many, a process's output
//! is what belongs to the request.

pub mod credentials;
mod error;
mod http;
mod message;

use std::sync::Arc;

use mcpg_protocol::Revision;
use mcpg_sdk::Caller;

pub use self::http::{HttpParts, HttpUpstream};
pub use error::UpstreamError;
pub use message::{Message, MessageStream, Outgoing, Reply, Verb};

/// For whom the gateway speaks to an upstream.
#[derive(Clone, Copy)]
pub struct OnBehalf<'a> {
    /// The caller.
    pub caller: &'a Arc<Caller>,
    /// The bearer token that the caller presented, for an exchange (RFC 8693) and for nothing else.
    pub bearer: Option<&'a [u8]>,
    /// The trace to join.
    pub traceparent: Option<&'a [u8]>,
}

/// What a client said of itself, in the era of sessions at `initialize`, in the modern one with every request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientProfile {
    /// The revision that it speaks.
    pub protocol: Revision,
    /// `capabilities`: the raw text of an object.
    pub capabilities: Box<str>,
    /// `clientInfo`: the raw text of an object.
    pub info: Box<str>,
}
