//! What goes to an upstream and what comes back.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::UpstreamError;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A message.
    Post,
    /// The stream of a session.
    Get,
    /// The end of a session.
    Delete,
}

/// A request as the gateway makes it. `Host`, framing, credentials and the trace are added on the way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// How.
    pub verb: Verb,
    /// The headers that say something of the message (`MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Session-Id`, …).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// One JSON-RPC message, or nothing.
    pub body: Bytes,
    /// Whether sending it twice does no more than sending it once.
    pub repeatable: bool,
}

/// An upstream's answer.
pub struct Reply {
    /// Its HTTP status; 200 or 202 where it is no HTTP.
    pub status: StatusCode,
    /// Its headers; empty where it is no HTTP.
    pub headers: HeaderMap,
    /// Whether it is an event stream, which may be long.
    pub is_stream: bool,
    /// What it says.
    pub messages: Box<dyn MessageStream>,
}

/// The messages of an answer, in order.
#[async_trait]
pub trait MessageStream: Send {
    /// The next message; none at the end.
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError>;
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Its text; empty for an event without data.
    pub json: Bytes,
    /// The id of its event.
    pub event_id: Option<Box<str>>,
    /// `retry:` of its event, in milliseconds.
    pub retry_ms: Option<u64>,
}

impl Reply {
    /// The next message; none at the end.
    ///
    /// # Errors
    /// When the answer breaks off, takes too long or is none.
    pub async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        self.messages.next().await
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).field("is_stream", &self.is_stream).finish()
    }
}
