//! Upstreams and clients that follow a script, for tests.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::part::{Opened, Source, SourceError};
use crate::upstream::{Message, MessageStream, UpstreamError};

/// What becomes of an attempt to open a stream.
pub(super) enum Turn {
    /// It opens; what comes on it is sent through the channel, and it ends with it.
    Open(mpsc::UnboundedReceiver<Result<Message, UpstreamError>>),
    /// It does not.
    Fail(SourceError),
}

/// A source that takes its turns from a script, and then waits for ever.
#[derive(Clone, Default)]
pub(super) struct Script {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    opened: Arc<Mutex<Vec<Option<String>>>>,
}

/// The upstream's end of a scripted stream.
pub(super) type Speaker = mpsc::UnboundedSender<Result<Message, UpstreamError>>;

impl Script {
    /// The next attempt opens.
    pub(super) fn opens(&self) -> Speaker {
        let (speaker, heard) = mpsc::unbounded_channel();
        self.turns.lock().push_back(Turn::Open(heard));
        speaker
    }

    /// The next attempt fails.
    pub(super) fn fails(&self, error: SourceError) {
        self.turns.lock().push_back(Turn::Fail(error));
    }

    /// The last event that each attempt asked for.
    pub(super) fn attempts(&self) -> Vec<Option<String>> {
        self.opened.lock().clone()
    }
}

#[async_trait]
impl Source for Script {
    async fn open(&mut self, last: Option<&str>) -> Result<Opened, SourceError> {
        let turn = {
            self.opened.lock().push(last.map(str::to_owned));
            self.turns.lock().pop_front()
        };
        match turn {
            Some(Turn::Open(heard)) => Ok(Opened { messages: Box::new(Heard(heard)), honoured: None }),
            Some(Turn::Fail(error)) => Err(error),
            None => std::future::pending().await,
        }
    }
}

struct Heard(mpsc::UnboundedReceiver<Result<Message, UpstreamError>>);

#[async_trait]
impl MessageStream for Heard {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        self.0.recv().await.transpose()
    }

    fn outlast(&mut self) {}
}

/// A message of a stream.
pub(super) fn message(json: &str, event_id: Option<&str>) -> Message {
    Message { json: json.to_owned().into(), event_id: event_id.map(Box::from), retry_ms: None }
}
