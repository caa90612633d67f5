//! The client of a request, over Pingora.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use http::{HeaderValue, Version};
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::Completion;
use mcpg_protocol::{RpcError, sse, write_error};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use tokio::time::Instant;

use super::{Client, ClientError};
use crate::upstream::Message;

/// A client that hears nothing for so long gets a comment, so that nothing between us closes its stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_COMMENT: Bytes = Bytes::from_static(b":\n\n");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A client as handlers write to it, with what became of the answer.
pub(super) struct SessionClient<'s> {
    session: &'s mut ServerSession,
    redactor: Redactor,
    id: Option<Box<str>>,
    streaming: bool,
    spoken: Instant,
    /// A write is under way. If the next one finds it so, the one before was given up half-way, and the framing with it.
    writing: bool,
    /// The HTTP status sent; 0 before that.
    pub(super) status: u16,
    /// How the answer ended.
    pub(super) completion: Option<Completion>,
}

impl<'s> SessionClient<'s> {
    pub(super) fn new(session: &'s mut ServerSession, redactor: Redactor, id: Option<Box<str>>) -> Self {
        Self {
            session,
            redactor,
            id,
            streaming: false,
            spoken: Instant::now(),
            writing: false,
            status: 0,
            completion: None,
        }
    }

    /// The same client on a stream that has begun.
    pub(super) fn streaming(
        session: &'s mut ServerSession,
        redactor: Redactor,
        id: Option<Box<str>>,
    ) -> Self {
        Self { streaming: true, status: 200, ..Self::new(session, redactor, id) }
    }

    /// Whether something was written half-way, so that nothing more can be.
    pub(super) fn is_broken(&self) -> bool {
        self.writing
    }

    async fn head(
        &mut self,
        status: u16,
        headers: &[(HeaderName, HeaderValue)],
        own: &[(HeaderName, HeaderValue)],
    ) -> Result<(), ClientError> {
        let head = (|| {
            let mut head = ResponseHeader::build(status, Some(headers.len() + own.len()))?;
            for (name, value) in own.iter().chain(headers) {
                head.insert_header(name.clone(), value.clone())?;
            }
            pingora_core::Result::Ok(head)
        })();
        let written = match head {
            Ok(head) => self.session.write_response_header(Box::new(head)).await,
            Err(error) => Err(error),
        };
        self.status = status;
        self.sent(written)
    }

    async fn body(&mut self, body: Bytes, end: bool) -> Result<(), ClientError> {
        if std::mem::replace(&mut self.writing, true) {
            self.completion = Some(Completion::ClientAborted);
            return Err(ClientError::Gone);
        }
        let written = self.session.write_response_body(body, end).await;
        self.writing = false;
        self.spoken = Instant::now();
        self.sent(written)
    }

    fn sent(&mut self, outcome: pingora_core::Result<()>) -> Result<(), ClientError> {
        outcome.map_err(|error| {
            tracing::debug!(%error, "the client left");
            self.completion = Some(Completion::ClientAborted);
            ClientError::Gone
        })
    }

    fn withheld(&self) -> Bytes {
        let error = RpcError::ObligationNotApplicable;
        let mut body = Vec::with_capacity(192);
        write_error(&mut body, self.id.as_deref(), error, error.message(), &[]);
        Bytes::from(body)
    }
}

#[async_trait]
impl Client for SessionClient<'_> {
    async fn json(
        &mut self,
        status: u16,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(), ClientError> {
        let redacted = self.redactor.redact(&body).map(|redacted| match redacted {
            std::borrow::Cow::Borrowed(_) => body.clone(),
            std::borrow::Cow::Owned(redacted) => Bytes::from(redacted),
        });
        let (status, body, result) = match redacted {
            Ok(body) => (status, body, Ok(())),
            Err(_) if self.streaming => {
                self.completion = Some(Completion::Withheld);
                (200, self.withheld(), Err(ClientError::Withheld))
            }
            Err(_) => {
                self.completion = Some(Completion::Withheld);
                let status = RpcError::ObligationNotApplicable.status();
                (status, self.withheld(), Err(ClientError::Withheld))
            }
        };
        if self.streaming {
            // It began while the call waited: what would have been the body is the last event.
            let mut out = Vec::with_capacity(body.len() + 64);
            sse::write_message(&mut out, &body);
            self.body(Bytes::from(out), false).await?;
            if result.is_ok() {
                self.finish().await?;
            }
            return result;
        }
        let own = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CONTENT_LENGTH, HeaderValue::from(body.len())),
        ];
        self.head(status, headers, &own).await?;
        self.body(body, true).await?;
        self.completion.get_or_insert(Completion::Complete);
        result
    }

    async fn empty(&mut self, status: u16, headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        if self.streaming {
            return self.finish().await;
        }
        let length = [(CONTENT_LENGTH, HeaderValue::from(0_usize))];
        let own = if status == 204 { &[][..] } else { &length[..] };
        self.head(status, headers, own).await?;
        self.completion.get_or_insert(Completion::Complete);
        Ok(())
    }

    async fn open_stream(&mut self, headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        if self.streaming {
            return Ok(());
        }
        let mut own = vec![
            (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
            (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
        ];
        match self.session.req_header().version {
            Version::HTTP_10 => self.session.set_keepalive(None),
            Version::HTTP_11 => own.push((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
            _ => {}
        }
        self.streaming = true;
        self.spoken = Instant::now();
        self.head(200, headers, &own).await
    }

    async fn event(&mut self, message: &Message) -> Result<(), ClientError> {
        let mut out = Vec::with_capacity(message.json.len() + 64);
        let redacted = if message.json.is_empty() {
            Ok(std::borrow::Cow::Borrowed(&[][..]))
        } else {
            self.redactor.redact(&message.json)
        };
        let Ok(data) = redacted else {
            sse::write_message(&mut out, &self.withheld());
            self.body(Bytes::from(out), false).await?;
            self.completion = Some(Completion::Withheld);
            return Err(ClientError::Withheld);
        };
        sse::write_event(&mut out, message.event_id.as_deref(), message.retry_ms, &data);
        self.body(Bytes::from(out), false).await
    }

    async fn finish(&mut self) -> Result<(), ClientError> {
        let written = self.session.write_response_body(Bytes::new(), true).await;
        self.sent(written)?;
        self.completion.get_or_insert(Completion::Complete);
        Ok(())
    }

    fn is_streaming(&self) -> bool {
        self.streaming
    }

    async fn gone(&mut self) {
        loop {
            let silence = tokio::time::sleep_until(self.spoken + KEEP_ALIVE);
            tokio::select! {
                biased;
                // Bytes that come meanwhile are another request's, or nobody's: either way this one is given up.
                _ = self.session.read_body_or_idle(true) => {
                    self.completion = Some(Completion::ClientAborted);
                    return;
                }
                () = silence, if self.streaming => {}
            }
            if self.body(KEEP_ALIVE_COMMENT, false).await.is_err() {
                return;
            }
        }
    }
}
