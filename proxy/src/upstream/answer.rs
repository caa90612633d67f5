//! An HTTP answer read as messages.
//!
//! | answer | messages |
//! | --- | --- |
//! | `application/json` | one: exactly one JSON object, not larger than `limits.response_bytes_max` |
//! | `text/event-stream` | one for each event with data or an id, each not larger than `limits.sse_event_bytes_max` |
//! | 202, 204, no body, a success where nothing was asked | none |
//! | an error status with any other body | none |
//! | a success with any other body | [`UpstreamError::Invalid`] |
//!
//! Sources: MCP 2026-07-28 and 2025-11-25 `basic/transports`, "Receiving Messages"; WHATWG HTML, "Server-sent events".

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use mcpg_protocol::sse;
use serde::de::IgnoredAny;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::Body;
use super::gate::{Outcome, Permit};
use super::{Message, MessageStream, Outgoing, Reply, UpstreamError};

/// What is read of a body that says nothing, so that its connection can serve again.
const DRAINED_BYTES_MAX: usize = 16 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// How large an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// A JSON body.
    pub body_bytes_max: usize,
    /// One event of a stream.
    pub event_bytes_max: usize,
}

/// The messages of an HTTP answer.
pub(super) struct Answer {
    framing: Framing,
    body: Body,
    status: StatusCode,
    /// Held until the answer has been read.
    permit: Option<Permit>,
    deadline: Option<Instant>,
    failed: Option<UpstreamError>,
}

enum Framing {
    /// One message, once it is whole.
    Json { held: BytesMut, max: usize },
    /// A message for each event.
    Events(sse::Splitter),
    /// No more messages.
    Ended,
}

impl Answer {
    /// Looks at the head of an answer to `outgoing`. A stream that may last outlives the deadline.
    pub(super) async fn begin(
        mut body: Body,
        outgoing: &Outgoing,
        limits: ReplyLimits,
        permit: Permit,
        deadline: Instant,
    ) -> Result<Reply, UpstreamError> {
        let Some((status, headers)) = body.head() else {
            return Err(UpstreamError::Invalid("no head".into()));
        };
        let framing = if status.is_success() && !outgoing.asks() {
            Ok(Framing::Ended)
        } else {
            Framing::of(status, &headers, limits)
        };
        let framing = match framing {
            Ok(framing) => framing,
            Err(error) => {
                permit.outcome(Outcome::of_status(status));
                return Err(error);
            }
        };
        let is_stream = matches!(framing, Framing::Events(_));
        let deadline = (!(is_stream && outgoing.lasting)).then_some(deadline);
        let mut answer = Self { framing, body, status, permit: Some(permit), deadline, failed: None };
        match answer.framing {
            Framing::Ended => answer.drain().await,
            Framing::Events(_) => answer.body.wait_for_ever(),
            Framing::Json { .. } => {}
        }
        if is_stream && deadline.is_none() {
            // It may last: it takes no place from calls.
            answer.end(Outcome::of_status(status));
        }
        Ok(Reply { status, headers, is_stream, messages: Box::new(answer) })
    }

    /// Reads a body that says nothing, if it is short.
    async fn drain(&mut self) {
        let drain = async {
            let mut drained = 0;
            while let Ok(Some(piece)) = self.body.piece().await {
                drained += piece.len();
                if drained > DRAINED_BYTES_MAX {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN_TIME_MAX, drain).await;
        self.body = Body::Done;
        self.end(Outcome::of_status(self.status));
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.outcome(outcome);
        }
    }

    /// The next message. What cannot be used any more is for the caller to drop.
    async fn advance(&mut self) -> Result<Option<Message>, UpstreamError> {
        loop {
            if let Framing::Events(splitter) = &mut self.framing {
                while let Some(event) = splitter.next_event().map_err(|_| UpstreamError::TooLarge)? {
                    if let Some(message) = message(&event)? {
                        return Ok(Some(message));
                    }
                }
            }
            let piece = self.body.piece().await?;
            match (&mut self.framing, piece) {
                (Framing::Json { held, max }, Some(piece)) => {
                    if held.len() + piece.len() > *max {
                        return Err(UpstreamError::TooLarge);
                    }
                    held.extend_from_slice(&piece);
                }
                (Framing::Json { held, .. }, None) => {
                    let json = std::mem::take(held).freeze();
                    self.framing = Framing::Ended;
                    return whole(json, self.status);
                }
                (Framing::Events(splitter), Some(piece)) => splitter.push(&piece),
                // An event that was never ended is none.
                (Framing::Events(_) | Framing::Ended, _) => return Ok(None),
            }
        }
    }
}

#[async_trait]
impl MessageStream for Answer {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if matches!(self.framing, Framing::Ended) {
            return Ok(None);
        }
        let advanced = match self.deadline {
            Some(deadline) => {
                let late = Err(UpstreamError::Timeout { sent: true });
                timeout_at(deadline, self.advance()).await.unwrap_or(late)
            }
            None => self.advance().await,
        };
        match &advanced {
            Ok(Some(_)) if !matches!(self.framing, Framing::Ended) => {}
            Ok(_) => {
                self.framing = Framing::Ended;
                self.end(Outcome::of_status(self.status));
            }
            Err(error) => {
                self.body = Body::Done;
                self.failed = Some(error.clone());
                self.end(error.outcome());
            }
        }
        advanced
    }

    fn outlast(&mut self) {
        self.deadline = None;
        // Begun as it should be: what becomes of it later says nothing of the upstream.
        self.end(Outcome::of_status(self.status));
    }
}

impl Framing {
    fn of(status: StatusCode, headers: &HeaderMap, limits: ReplyLimits) -> Result<Self, UpstreamError> {
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) || length(headers) == Some(0) {
            return Ok(Self::Ended);
        }
        let encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
        let media = media(headers);
        let invalid = |what: &'static str| {
            if status.is_success() { Err(UpstreamError::Invalid(what.into())) } else { Ok(Self::Ended) }
        };
        if encoded {
            return invalid("a content encoding that was not asked for");
        }
        if media.eq_ignore_ascii_case(b"text/event-stream") {
            return Ok(Self::Events(sse::Splitter::new(limits.event_bytes_max)));
        }
        if media.eq_ignore_ascii_case(b"application/json") {
            if length(headers).is_some_and(|length| length > limits.body_bytes_max) {
                return Err(UpstreamError::TooLarge);
            }
            return Ok(Self::Json { held: BytesMut::new(), max: limits.body_bytes_max });
        }
        invalid("neither `application/json` nor `text/event-stream`")
    }
}

/// A whole JSON body. One that says nothing, or an error's that is no message, is no message.
fn whole(json: Bytes, status: StatusCode) -> Result<Option<Message>, UpstreamError> {
    if json.trim_ascii().is_empty() {
        return Ok(None);
    }
    match check_object(&json) {
        Ok(()) => Ok(Some(Message { json, ..Message::default() })),
        Err(_) if !status.is_success() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The message of an event; none for one that clients do not see.
fn message(event: &sse::Event<'_>) -> Result<Option<Message>, UpstreamError> {
    if event.name().is_some_and(|name| !name.is_empty() && name != b"message") {
        return Ok(None);
    }
    let json = event.data().filter(|data| !data.is_empty());
    // An id with NUL in it is ignored, as the standard says.
    let event_id = event.id().and_then(|id| str::from_utf8(id).ok()).filter(|id| !id.contains('\0'));
    let retry_ms = event.retry_ms();
    if json.is_none() && event_id.is_none() && retry_ms.is_none() {
        return Ok(None);
    }
    if let Some(json) = &json {
        check_object(json)?;
    }
    Ok(Some(Message {
        json: json.map(|json| Bytes::from(json.into_owned())).unwrap_or_default(),
        event_id: event_id.map(Box::from),
        retry_ms,
    }))
}

/// Whether a text is one JSON object and nothing else.
pub(super) fn check_object(json: &[u8]) -> Result<(), UpstreamError> {
    let text = str::from_utf8(json).map_err(|_| UpstreamError::Invalid("a message is not UTF-8".into()))?;
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(UpstreamError::Invalid("a message is no JSON object".into()));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(UpstreamError::Invalid("a message is not one JSON object".into())),
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The media type without its parameters.
fn media(headers: &HeaderMap) -> &[u8] {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}
