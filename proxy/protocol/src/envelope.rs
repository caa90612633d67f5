//! The envelope of one message: everything the gateway decides on, in one strict pass over the bytes.
//!
//! A gateway that reads a body otherwise than the upstream does is a bypass, so the pass validates the
//! whole body and refuses what parsers are known to read in different ways: see [`JsonError`] for the
//! JSON itself, and [`EnvelopeErrorKind::KeyVariant`] for keys that a case-insensitive parser would
//! take for one of ours. Batches are refused: 2025-06-18 and later have none, and in 2025-03-26 they
//! would let one body carry calls with different decisions.
//!
//! What the message *means* is judged only once the whole text is known to be sound, so that a refusal
//! carries the id wherever the body had one.
//!
//! Sources: JSON-RPC 2.0; MCP `basic/index` ("Messages", "`_meta`").

mod assemble;
mod error;
pub(crate) mod fold;
mod parts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub use error::{EnvelopeError, EnvelopeErrorKind};

use crate::{JsonError, Limits, Method};

/// One message of a client, borrowed from the body that carries it.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// What the message is.
    pub message: Message<'a>,
    /// The one thing that the method is applied to.
    pub target: Option<Target<'a>>,
    /// The raw text of `params.arguments` of `tools/call` and `prompts/get`: an object.
    pub arguments: Option<&'a str>,
    /// What the gateway reads of `params._meta`; all absent where the message has none.
    pub meta: Meta<'a>,
    /// `params.protocolVersion` of `initialize`, unescaped.
    pub requested_version: Option<Cow<'a, str>>,
    /// `params.requestState` of a retry (2026-07-28, multi round-trip requests), unescaped.
    pub request_state: Option<Cow<'a, str>>,
    /// Where the parts lie in the body.
    pub spans: Spans,
}

/// The three shapes of a message. Ids are the raw JSON text, to be echoed as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Wants an answer.
    Request {
        /// A string or an integer.
        id: &'a str,
        /// What is asked.
        method: Method<'a>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Method<'a>,
    },
    /// A client's answer to a request of the server (sessions only).
    Response {
        /// Absent only where the client could not read the id of what it answers.
        id: Option<&'a str>,
        /// Whether the client complied.
        outcome: Outcome,
    },
}

/// What a response carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `result`.
    Result,
    /// `error`.
    Error,
}

/// What a method is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The kind of thing.
    pub kind: TargetKind,
    /// Its name, URI or id, unescaped.
    pub name: Cow<'a, str>,
}

/// The kinds of things that methods are applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// `params.name` of `tools/call`.
    Tool,
    /// `params.name` of `prompts/get`, `params.ref.name` of `completion/complete`.
    Prompt,
    /// `params.uri` of `resources/*`, `params.ref.uri` of `completion/complete`.
    Resource,
    /// `params.taskId` of `tasks/*`.
    Task,
}

/// What the gateway reads of `params._meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta<'a> {
    /// `io.modelcontextprotocol/protocolVersion`, unescaped. Its presence makes a request modern.
    pub protocol_version: Option<Cow<'a, str>>,
    /// `io.modelcontextprotocol/clientCapabilities`: the raw text of an object.
    pub client_capabilities: Option<&'a str>,
    /// `progressToken`: the raw text of a string or number.
    pub progress_token: Option<&'a str>,
    /// `traceparent`, unescaped and not yet checked against W3C Trace Context. Tracing is no ground
    /// for a refusal, so a value that is no string counts as absent.
    pub traceparent: Option<Cow<'a, str>>,
    /// `tracestate`, likewise.
    pub tracestate: Option<Cow<'a, str>>,
}

/// Where the parts of a message lie in the body: byte ranges of whole values, a string's quotes
/// included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// `id`.
    pub id: Option<Range<usize>>,
    /// `method`.
    pub method: Option<Range<usize>>,
    /// The name, URI or id of the target.
    pub name: Option<Range<usize>>,
    /// `params`.
    pub params: Option<Range<usize>>,
    /// `params.arguments`, where [`Envelope::arguments`] has it.
    pub arguments: Option<Range<usize>>,
    /// `params._meta`.
    pub meta: Option<Range<usize>>,
}

impl<'a> Envelope<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// For everything that this module's documentation refuses. The error carries the message's id if
    /// that was read soundly before the fault.
    pub fn parse(body: &'a [u8], limits: &Limits) -> Result<Self, EnvelopeError<'a>> {
        let text = decode(body, limits)?;
        let parts = parts::read(text, limits)?;
        let id = parts.id_to_echo(text, limits);
        assemble::assemble(text, &parts, limits).map_err(|(kind, offset)| EnvelopeError { kind, id, offset })
    }

    /// The id, exactly as received.
    pub fn id(&self) -> Option<&'a str> {
        match &self.message {
            Message::Request { id, .. } => Some(id),
            Message::Notification { .. } => None,
            Message::Response { id, .. } => *id,
        }
    }

    /// The method, unless the message is a response.
    pub fn method(&self) -> Option<&Method<'a>> {
        match &self.message {
            Message::Request { method, .. } | Message::Notification { method } => Some(method),
            Message::Response { .. } => None,
        }
    }
}

/// The body as text, if it has the size and encoding of a message.
fn decode<'a>(body: &'a [u8], limits: &Limits) -> Result<&'a str, EnvelopeError<'a>> {
    let max = limits.body_bytes_max.min(u32::MAX as usize - 1);
    if body.len() > max {
        return Err(EnvelopeError { kind: EnvelopeErrorKind::TooLarge { max }, id: None, offset: max });
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(EnvelopeError { kind: EnvelopeErrorKind::ByteOrderMark, id: None, offset: 0 });
    }
    simdutf8::basic::from_utf8(body).map_err(|_| EnvelopeError {
        kind: EnvelopeErrorKind::NotUtf8,
        id: None,
        // The fast check does not say where; a refusal has the time to look again.
        offset: str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len),
    })
}

impl From<JsonError> for EnvelopeErrorKind {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}
