//! The answer to a request, out of a process.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcpg_protocol::streams::Change;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::{Message, MessageStream, Reply, UpstreamError};
use super::outlet::{Inlet, Piece};
use super::process::{Process, gone};

/// Messages of an answer that is read as a whole, and their bytes.
const COLLECTED_MAX: usize = 256;
const COLLECTED_BYTES_MAX: usize = 16 << 20;

/// The messages of one request. Dropped before its end, it gives the request up.
pub(super) struct Answer {
    process: Arc<Process>,
    number: u64,
    inlet: Inlet,
    /// Read already, not taken yet.
    first: Option<Piece>,
    manner: Manner,
    over: bool,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Between two messages; none for as long as it lasts.
    pub(super) patience: Option<Duration>,
    /// When it must have ended.
    pub(super) deadline: Option<Instant>,
    /// Whether closing the answer cancels the request (2026-07-28).
    pub(super) cancels: bool,
}

impl Answer {
    /// Of a request that was just begun.
    pub(super) fn new(process: Arc<Process>, number: u64, inlet: Inlet, manner: Manner) -> Self {
        Self { process, number, inlet, first: None, manner, over: false }
    }

    /// The reply, as soon as there is a first message.
    pub(super) async fn begin(mut self, first: Option<Duration>) -> Result<Reply, UpstreamError> {
        match self.piece(first).await? {
            Some(piece) => {
                let is_stream = !piece.last;
                self.first = Some(piece);
                Ok(reply(is_stream, Box::new(self)))
            }
            // It was cancelled meanwhile.
            None => Ok(reply(false, Box::new(Said::default()))),
        }
    }

    /// All messages to the end, which must be near.
    pub(super) async fn collect(mut self, patience: Duration) -> Result<Vec<Bytes>, UpstreamError> {
        let mut messages = Vec::new();
        let mut bytes = 0_usize;
        loop {
            match timeout(patience, self.piece(None)).await {
                Ok(Ok(Some(piece))) => {
                    bytes = bytes.saturating_add(piece.message.len());
                    messages.push(piece.message);
                    if messages.len() > COLLECTED_MAX || bytes > COLLECTED_BYTES_MAX {
                        return Err(UpstreamError::TooLarge);
                    }
                    if piece.last {
                        return Ok(messages);
                    }
                }
                Ok(Ok(None)) => return Err(gone(true)),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(UpstreamError::Timeout { sent: true }),
            }
        }
    }

    async fn piece(&mut self, patience: Option<Duration>) -> Result<Option<Piece>, UpstreamError> {
        if self.over {
            return Ok(None);
        }
        let patience = patience.map(|patience| Instant::now() + patience);
        let until = patience.into_iter().chain(self.manner.deadline).min();
        let next = match until {
            Some(until) => timeout_at(until, self.inlet.next()).await,
            None => Ok(self.inlet.next().await),
        };
        let outcome = next.unwrap_or_else(|_| {
            // Who stops waiting says so.
            self.process.give_up(self.number, true);
            Err(UpstreamError::Timeout { sent: true })
        });
        if !matches!(&outcome, Ok(Some(piece)) if !piece.last) {
            self.over = true;
            self.process.touch();
        }
        outcome
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.over {
            self.process.give_up(self.number, self.manner.cancels);
        }
    }
}

#[async_trait]
impl MessageStream for Answer {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        let piece = match self.first.take() {
            Some(piece) => Some(piece),
            None => self.piece(self.manner.patience).await?,
        };
        Ok(piece.map(|piece| message(piece.message)))
    }

    fn outlast(&mut self) {
        self.manner.deadline = None;
        self.manner.patience = None;
    }
}

/// What a process says outside of requests, for as long as somebody listens.
pub(super) struct Listened {
    /// Lives as long as somebody listens.
    pub(super) _process: Arc<Process>,
    pub(super) inlet: Inlet,
}

#[async_trait]
impl MessageStream for Listened {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        Ok(self.inlet.next().await?.map(|piece| message(piece.message)))
    }

    /// It lasts anyway, and takes no place.
    fn outlast(&mut self) {}
}

/// What a process says to everybody.
pub(super) struct Overheard {
    events: broadcast::Receiver<Bytes>,
    /// To be said first.
    owed: VecDeque<Bytes>,
}

impl Overheard {
    pub(super) fn new(events: broadcast::Receiver<Bytes>) -> Self {
        Self { events, owed: VecDeque::new() }
    }
}

#[async_trait]
impl MessageStream for Overheard {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        loop {
            if let Some(text) = self.owed.pop_front() {
                return Ok(Some(message(text)));
            }
            match self.events.recv().await {
                Ok(text) => return Ok(Some(message(text))),
                // What was missed may have been that a list changed: whoever looks again has missed nothing.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.owed = Change::ALL.map(|change| change.message(None).into()).into();
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// It lasts anyway, and takes no place.
    fn outlast(&mut self) {}
}

/// Messages that are there already.
#[derive(Debug, Default)]
pub(super) struct Said(VecDeque<Bytes>);

#[async_trait]
impl MessageStream for Said {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        Ok(self.0.pop_front().map(message))
    }

    fn outlast(&mut self) {}
}

/// A reply of these messages.
pub(super) fn said(messages: impl Into<VecDeque<Bytes>>) -> Reply {
    let messages = messages.into();
    reply(messages.len() > 1, Box::new(Said(messages)))
}

/// A reply without a message.
pub(super) fn silent(status: StatusCode) -> Reply {
    Reply { status, ..said([]) }
}

pub(super) fn reply(is_stream: bool, messages: Box<dyn MessageStream>) -> Reply {
    Reply { status: StatusCode::OK, headers: HeaderMap::new(), is_stream, messages }
}

fn message(json: Bytes) -> Message {
    Message { json, ..Message::default() }
}
