//! Stage 10: what happens to an answer on its way back.
//!
//! Without an obligation an answer streams through untouched. With one, a JSON body is held until it is whole and an event
//! stream is read event by event. INVARIANT: no byte of an answer that an obligation covers leaves before
//! the obligation was applied to it; where it cannot be, the client gets an error in its place.
//!
//! An upstream's 401 is the gateway's own failure to authenticate: it is never relayed as ours (MCP "Authorization",
//! token passthrough).

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::Completion;
use mcpg_protocol::{RpcError, sse, write_error};
use pingora_http::ResponseHeader;

use crate::revision::BodyLimits;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Changes the messages of an answer on their way to the client, before the obligations are applied.
pub trait Rewrite: Send + Sync {
    /// Finds out what [`Self::message`] will need of a message, where that takes a while.
    fn prepare<'a>(&'a mut self, json: &'a [u8]) -> Option<BoxFuture<'a, ()>> {
        let _ = json;
        None
    }

    /// What goes in place of a message; none if it stays as it is.
    ///
    /// # Errors
    /// When the message must not pass, because it cannot be understood.
    fn message(&mut self, json: &[u8]) -> Result<Option<Vec<u8>>, Unwritable>;

    /// What goes in place of an event's id; none if it stays as it is.
    fn event_id(&self, id: &[u8]) -> Option<Vec<u8>> {
        let _ = id;
        None
    }
}

/// A message that cannot be understood, and must therefore not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's message cannot be understood")]
pub struct Unwritable;

/// What is done to every message of an answer.
#[derive(Default)]
pub struct Changes {
    /// Done first.
    pub rewrite: Option<Box<dyn Rewrite>>,
    /// The obligations.
    pub redactor: Redactor,
}

impl Changes {
    /// Whether every message stays as it is.
    pub fn is_empty(&self) -> bool {
        self.rewrite.is_none() && self.redactor.is_empty()
    }

    /// The message as the client gets it; the error that the client gets instead if it must not pass.
    ///
    /// # Errors
    /// When it cannot be rewritten or redacted.
    pub async fn apply<'m>(&mut self, message: &'m [u8]) -> Result<Cow<'m, [u8]>, RpcError> {
        if let Some(prepared) = self.rewrite.as_mut().and_then(|rewrite| rewrite.prepare(message)) {
            prepared.await;
        }
        let rewritten = match &mut self.rewrite {
            Some(rewrite) => rewrite.message(message).map_err(|_| RpcError::UpstreamInvalid)?,
            None => None,
        };
        match rewritten {
            None => self.redactor.redact(message).map_err(|_| RpcError::ObligationNotApplicable),
            Some(rewritten) => match self.redactor.redact(&rewritten) {
                Ok(Cow::Owned(redacted)) => Ok(Cow::Owned(redacted)),
                Ok(Cow::Borrowed(_)) => Ok(Cow::Owned(rewritten)),
                Err(_) => Err(RpcError::ObligationNotApplicable),
            },
        }
    }
}

/// An answer under way.
pub struct Answer {
    flow: Flow,
    id: Option<Box<str>>,
    limits: BodyLimits,
    event_stream: bool,
    /// Bytes sent so far.
    pub sent: usize,
    /// How it ended, as far as the gateway has a part in it.
    pub completion: Completion,
    /// The reason word of an error that took the answer's place.
    pub replaced: Option<&'static str>,
}

enum Flow {
    /// Passes as it comes; the number bounds it, unless it is an event stream.
    Untouched { max: Option<usize> },
    /// Held until it is whole.
    Held { body: BytesMut, changes: Changes },
    /// Read event by event.
    Events { splitter: sse::Splitter, changes: Changes },
    /// The upstream's body is thrown away; this is sent in its place.
    Replaced { body: Option<Bytes> },
}

/// An answer that must end here: the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Longer than allowed.
    #[error("the upstream's answer is larger than `limits.response_bytes_max`")]
    TooLarge,
}

impl Answer {
    /// Looks at the head of an answer, and changes it where the body will change.
    ///
    /// # Errors
    /// When a header cannot be set.
    pub fn begin(
        head: &mut ResponseHeader,
        changes: Changes,
        id: Option<Box<str>>,
        limits: BodyLimits,
    ) -> pingora_core::Result<Self> {
        let mut answer = Self {
            flow: Flow::Untouched { max: None },
            id,
            limits,
            event_stream: false,
            sent: 0,
            completion: Completion::Complete,
            replaced: None,
        };
        let events = is_media(&head.headers, "text/event-stream");
        head.remove_header(&WWW_AUTHENTICATE);
        if events {
            head.insert_header(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))?;
        }
        let too_large = || {
            !events && declared_length(&head.headers).is_some_and(|length| length > limits.response_bytes_max)
        };
        if head.status == StatusCode::UNAUTHORIZED || too_large() {
            answer.replace(head, RpcError::UpstreamInvalid, Completion::UpstreamError)?;
        } else if changes.is_empty() || has_no_body(head) {
            answer.flow = Flow::Untouched { max: (!events).then_some(limits.response_bytes_max) };
        } else if head.headers.contains_key(CONTENT_ENCODING) {
            answer.replace(head, RpcError::ObligationNotApplicable, Completion::Withheld)?;
        } else if events {
            rewrap(head)?;
            let splitter = sse::Splitter::new(limits.event_bytes_max);
            answer.flow = Flow::Events { splitter, changes };
        } else {
            // Whatever else it says it is: what is no JSON fails when it is read.
            rewrap(head)?;
            answer.flow = Flow::Held { body: BytesMut::new(), changes };
        }
        answer.event_stream = events && answer.replaced.is_none();
        Ok(answer)
    }

    /// Whether it is an event stream, which may be silent for long.
    pub fn is_event_stream(&self) -> bool {
        self.event_stream
    }

    /// Takes a piece of the upstream's body and leaves in its place what goes to the client.
    ///
    /// # Errors
    /// When the answer must end here.
    pub async fn chunk(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), AnswerError> {
        match &mut self.flow {
            Flow::Untouched { max } => {
                let length = body.as_ref().map_or(0, Bytes::len);
                if max.is_some_and(|max| self.sent + length > max) {
                    self.completion = Completion::UpstreamError;
                    self.replaced = Some(RpcError::UpstreamInvalid.reason());
                    return Err(AnswerError::TooLarge);
                }
            }
            Flow::Held { .. } => self.hold(body, end).await,
            Flow::Events { .. } => self.events(body, end).await,
            Flow::Replaced { body: replacement } => *body = replacement.take(),
        }
        self.sent += body.as_ref().map_or(0, Bytes::len);
        Ok(())
    }

    async fn hold(&mut self, body: &mut Option<Bytes>, end: bool) {
        let Flow::Held { body: held, changes } = &mut self.flow else { return };
        if let Some(piece) = body.take() {
            if held.len() + piece.len() > self.limits.held_bytes_max {
                *body = Some(self.withhold(RpcError::ObligationNotApplicable));
                return;
            }
            held.extend_from_slice(&piece);
        }
        if end {
            let changed = changes.apply(held).await.map(|changed| Bytes::from(changed.into_owned()));
            *body = Some(changed.unwrap_or_else(|error| self.withhold(error)));
        }
    }

    async fn events(&mut self, body: &mut Option<Bytes>, end: bool) {
        let Flow::Events { splitter, changes } = &mut self.flow else { return };
        let mut out = Vec::new();
        if let Some(piece) = body.take() {
            splitter.push(&piece);
        }
        let mut outcome = Ok(());
        while outcome.is_ok() {
            outcome = match splitter.next_event() {
                Ok(Some(event)) => change_event(&event, changes, &mut out).await,
                Ok(None) => break,
                Err(_) => Err(RpcError::ObligationNotApplicable),
            };
        }
        if end
            && outcome.is_ok()
            && let Some(event) = splitter.finish()
        {
            outcome = change_event(&event, changes, &mut out).await;
        }
        if let Err(error) = outcome {
            sse::write_message(&mut out, &self.withhold(error));
        }
        *body = (!out.is_empty()).then(|| Bytes::from(out));
    }

    /// An error in place of what cannot be sent. Whatever the upstream still sends is thrown away.
    fn withhold(&mut self, error: RpcError) -> Bytes {
        self.flow = Flow::Replaced { body: None };
        self.completion = Completion::Withheld;
        self.replaced = Some(error.reason());
        error_body(error, self.id.as_deref())
    }

    fn replace(
        &mut self,
        head: &mut ResponseHeader,
        error: RpcError,
        completion: Completion,
    ) -> pingora_core::Result<()> {
        let body = error_body(error, self.id.as_deref());
        head.set_status(error.status())?;
        head.remove_header(&CONTENT_ENCODING);
        head.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
        rewrap(head)?;
        self.flow = Flow::Replaced { body: Some(body) };
        self.completion = completion;
        self.replaced = Some(error.reason());
        Ok(())
    }
}

/// Writes an event with its data changed.
async fn change_event(
    event: &sse::Event<'_>,
    changes: &mut Changes,
    out: &mut Vec<u8>,
) -> Result<(), RpcError> {
    let id = event.id().and_then(|id| changes.rewrite.as_ref()?.event_id(id));
    let data = event.data();
    let changed = match data.as_deref().filter(|data| !data.is_empty()) {
        Some(data) => changes.apply(data).await?,
        None => Cow::Borrowed(data.as_deref().unwrap_or_default()),
    };
    let same_data = data.as_deref().is_none_or(|data| *data == *changed);
    match (id, same_data) {
        (None, true) => out.extend_from_slice(event.raw()),
        (id, _) => sse::rewrite(out, event, id.as_deref(), data.is_some().then_some(&*changed)),
    }
    Ok(())
}

fn error_body(error: RpcError, id: Option<&str>) -> Bytes {
    let mut body = Vec::with_capacity(192);
    write_error(&mut body, id, error, error.message(), &[]);
    Bytes::from(body)
}

/// The body's length is no longer known.
fn rewrap(head: &mut ResponseHeader) -> pingora_core::Result<()> {
    head.remove_header(&CONTENT_LENGTH);
    head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))
}

fn has_no_body(head: &ResponseHeader) -> bool {
    matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || head.status.is_informational()
        || declared_length(&head.headers) == Some(0)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_media(headers: &HeaderMap, media: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media.as_bytes())
}

#[cfg(test)]
mod tests;
