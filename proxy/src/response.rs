//! Stage 10: what happens to an answer on its way back.
//!
//! Without an obligation an answer streams through untouched. With one, a JSON body is held until it is whole and an event
//! stream is read event by event. INVARIANT: no byte of an answer that an obligation covers leaves before
//! the obligation was applied to it; where it cannot be, the client gets an error in its place.
//!
//! An upstream's 401 is the gateway's own failure to authenticate: it is never relayed as ours (MCP "Authorization",
//! token passthrough).

use bytes::{Bytes, BytesMut};
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
    Held { body: BytesMut, redactor: Redactor },
    /// Read event by event.
    Events { splitter: sse::Splitter, redactor: Redactor },
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
        redactor: Redactor,
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
        } else if redactor.is_empty() || has_no_body(head) {
            answer.flow = Flow::Untouched { max: (!events).then_some(limits.response_bytes_max) };
        } else if head.headers.contains_key(CONTENT_ENCODING) {
            answer.replace(head, RpcError::ObligationNotApplicable, Completion::Withheld)?;
        } else if events {
            rewrap(head)?;
            let splitter = sse::Splitter::new(limits.event_bytes_max);
            answer.flow = Flow::Events { splitter, redactor };
        } else {
            // Whatever else it says it is: what is no JSON fails when it is read.
            rewrap(head)?;
            answer.flow = Flow::Held { body: BytesMut::new(), redactor };
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
    pub fn chunk(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), AnswerError> {
        match &mut self.flow {
            Flow::Untouched { max } => {
                let length = body.as_ref().map_or(0, Bytes::len);
                if max.is_some_and(|max| self.sent + length > max) {
                    self.completion = Completion::UpstreamError;
                    self.replaced = Some(RpcError::UpstreamInvalid.reason());
                    return Err(AnswerError::TooLarge);
                }
            }
            Flow::Held { .. } => self.hold(body, end),
            Flow::Events { .. } => self.events(body, end),
            Flow::Replaced { body: replacement } => *body = replacement.take(),
        }
        self.sent += body.as_ref().map_or(0, Bytes::len);
        Ok(())
    }

    fn hold(&mut self, body: &mut Option<Bytes>, end: bool) {
        let Flow::Held { body: held, redactor } = &mut self.flow else { return };
        if let Some(piece) = body.take() {
            if held.len() + piece.len() > self.limits.held_bytes_max {
                *body = Some(self.withhold());
                return;
            }
            held.extend_from_slice(&piece);
        }
        if end {
            let redacted = redactor.redact(held).map(|redacted| Bytes::from(redacted.into_owned()));
            *body = Some(redacted.unwrap_or_else(|_| self.withhold()));
        }
    }

    fn events(&mut self, body: &mut Option<Bytes>, end: bool) {
        let Flow::Events { splitter, redactor } = &mut self.flow else { return };
        let mut out = Vec::new();
        if let Some(piece) = body.take() {
            splitter.push(&piece);
        }
        let mut failed = false;
        loop {
            match splitter.next_event() {
                Ok(Some(event)) => failed |= !redact_event(&event, redactor, &mut out),
                Ok(None) => break,
                Err(_) => failed = true,
            }
            if failed {
                break;
            }
        }
        if end
            && !failed
            && let Some(event) = splitter.finish()
        {
            failed = !redact_event(&event, redactor, &mut out);
        }
        if failed {
            sse::write_message(&mut out, &self.withhold());
        }
        *body = (!out.is_empty()).then(|| Bytes::from(out));
    }

    /// An error in place of what cannot be sent. Whatever the upstream still sends is thrown away.
    fn withhold(&mut self) -> Bytes {
        self.flow = Flow::Replaced { body: None };
        self.completion = Completion::Withheld;
        self.replaced = Some(RpcError::ObligationNotApplicable.reason());
        error_body(RpcError::ObligationNotApplicable, self.id.as_deref())
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

/// Writes an event with its data redacted. False if that cannot be done.
fn redact_event(event: &sse::Event<'_>, redactor: &Redactor, out: &mut Vec<u8>) -> bool {
    let Some(data) = event.data().filter(|data| !data.is_empty()) else {
        out.extend_from_slice(event.raw());
        return true;
    };
    match redactor.redact(&data) {
        Ok(redacted) if *redacted == *data => out.extend_from_slice(event.raw()),
        Ok(redacted) => sse::rewrite(out, event, &redacted),
        Err(_) => return false,
    }
    true
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
