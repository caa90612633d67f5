//! What goes to an upstream and what comes back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::timeout;

use super::UpstreamError;

/// How long the end of a stream is waited for after its last message.
const SETTLE_TIME_MAX: Duration = Duration::from_millis(20);

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
    /// Whether its event stream may last: until somebody ends it, not until `calls.deadline`. Open, it takes no place from calls.
    pub lasting: bool,
    /// Whether calls under way may be waiting for it, so that it must not wait for them ([`super::Gate::aside`]).
    pub aside: bool,
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
    /// The next message; none at the end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError>;

    /// From now on it may last, like a stream that was asked for as lasting: it has no deadline, and takes no place from calls.
    fn outlast(&mut self);
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

impl Verb {
    /// The method of HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
            Self::Delete => "DELETE",
        }
    }
}

impl Outgoing {
    /// A message.
    pub fn post(body: Bytes, repeatable: bool) -> Self {
        Self { verb: Verb::Post, headers: Vec::new(), body, repeatable, lasting: false, aside: false }
    }

    /// A request without a message.
    pub fn bare(verb: Verb) -> Self {
        let (body, lasting) = (Bytes::new(), verb == Verb::Get);
        Self { verb, headers: Vec::new(), body, repeatable: true, lasting, aside: true }
    }

    /// What calls under way may be waiting for: a notification, an answer.
    #[must_use]
    pub fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    /// How long its upstream may be silent before it answers, where `usual` is how long it may be silent otherwise; none for a
    /// stream that may be silent for as long as it likes.
    pub(super) fn patience(&self, usual: Duration) -> Option<Duration> {
        (self.verb != Verb::Get).then_some(usual)
    }

    /// Whether an answer may say something.
    pub(super) fn asks(&self) -> bool {
        !self.aside || self.verb == Verb::Get
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Reply {
    /// The next message; none at the end.
    ///
    /// # Errors
    /// When the answer breaks off, takes too long or is none.
    pub async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        self.messages.next().await
    }

    /// From now on the answer may last: its upstream waits for a client, so it has no deadline, and takes no place from calls.
    pub fn outlast(&mut self) {
        self.messages.outlast();
    }

    /// The same, with a message before the others.
    pub(super) fn with_first(self, first: Option<Message>) -> Self {
        let Self { messages, .. } = self;
        Self { messages: Box::new(Preceded { first, rest: messages }), ..self }
    }

    /// To be called once the response has come: gives the connection back for the next request where the upstream ends the
    /// stream at once, as it should. Where it does not, dropping the reply closes the connection.
    pub async fn settle(&mut self) {
        let _ = timeout(SETTLE_TIME_MAX, self.messages.next()).await;
    }
}

/// A message that was read already, and those after it.
struct Preceded {
    first: Option<Message>,
    rest: Box<dyn MessageStream>,
}

#[async_trait]
impl MessageStream for Preceded {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.rest.next().await,
        }
    }

    fn outlast(&mut self) {
        self.rest.outlast();
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).field("is_stream", &self.is_stream).finish()
    }
}
