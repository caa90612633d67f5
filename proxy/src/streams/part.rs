//! The stream of one upstream, opened again whenever it breaks.

use async_trait::async_trait;
use mcpg_protocol::streams::Filter;
use tokio::time::{Instant, sleep_until};

use super::pace::Backoff;
use crate::upstream::{Message, MessageStream, UpstreamError};

/// Where the stream of an upstream comes from.
#[async_trait]
pub(super) trait Source: Send {
    /// Opens the stream anew, after the event `last` if the upstream can.
    async fn open(&mut self, last: Option<&str>) -> Result<Opened, SourceError>;
}

/// A stream that was opened.
pub(super) struct Opened {
    /// What comes on it.
    pub(super) messages: Box<dyn MessageStream>,
    /// What the upstream will tell, where that is known without its saying so.
    pub(super) honoured: Option<Filter>,
}

/// Why a stream was not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The upstream has no such stream.
    #[error("the upstream offers no stream")]
    Silent,
    /// It cannot be opened any more: what it was opened with is used up.
    #[error("not with these credentials: {0}")]
    Lost(UpstreamError),
    /// Not now.
    #[error(transparent)]
    Failed(#[from] UpstreamError),
}

/// What happens on a part.
#[derive(Debug)]
pub(super) enum Event {
    /// It is open. `missed`: it was before, and what happened meanwhile will not be heard.
    Opened { honoured: Option<Filter>, missed: bool },
    /// Something was said.
    Message(Message),
    /// It could not be opened, and will be tried again.
    Failed,
    /// The upstream has nothing to say. It will be asked again, but not soon.
    Silent,
    /// Nothing will come with what it was opened with.
    Lost,
}

/// The stream of one upstream.
pub(super) struct Part<S> {
    source: S,
    stream: Option<Box<dyn MessageStream>>,
    last: Option<Box<str>>,
    retry_ms: Option<u64>,
    backoff: Backoff,
    was_open: bool,
    not_before: Option<Instant>,
}

impl<S: Source> Part<S> {
    /// A stream that goes on after the event `last`, if there is one.
    pub(super) fn new(source: S, last: Option<&str>) -> Self {
        Self {
            source,
            stream: None,
            last: last.map(Box::from),
            retry_ms: None,
            backoff: Backoff::default(),
            was_open: last.is_some(),
            not_before: None,
        }
    }

    /// The next thing that happens, with the part to go on with. Nothing follows [`Event::Lost`].
    pub(super) async fn next(mut self) -> (Event, Self) {
        let event = loop {
            if let Some(instant) = self.not_before.take() {
                sleep_until(instant).await;
            }
            if let Some(event) = self.step().await {
                break event;
            }
        };
        (event, self)
    }

    async fn step(&mut self) -> Option<Event> {
        let Some(stream) = &mut self.stream else { return Some(self.open().await) };
        let heard = stream.next().await;
        let wait = match heard {
            Ok(Some(message)) => {
                self.backoff.reset();
                self.retry_ms = message.retry_ms.or(self.retry_ms);
                if message.event_id.is_some() {
                    self.last.clone_from(&message.event_id);
                }
                return Some(Event::Message(message));
            }
            Ok(None) => self.backoff.after_end(self.retry_ms, fastrand::u32(..)),
            Err(error) => {
                tracing::debug!(%error, "the stream of an upstream broke off");
                self.backoff.after_failure(fastrand::u32(..))
            }
        };
        self.stream = None;
        self.not_before = Some(Instant::now() + wait);
        None
    }

    async fn open(&mut self) -> Event {
        match self.source.open(self.last.as_deref()).await {
            Ok(Opened { messages, honoured }) => {
                self.stream = Some(messages);
                let missed = std::mem::replace(&mut self.was_open, true) && self.last.is_none();
                Event::Opened { honoured, missed }
            }
            Err(SourceError::Silent) => {
                self.not_before = Some(Instant::now() + Backoff::SILENT);
                Event::Silent
            }
            Err(SourceError::Lost(error)) => {
                tracing::info!(%error, "the stream of an upstream is lost");
                Event::Lost
            }
            Err(SourceError::Failed(error)) => {
                tracing::debug!(%error, "the stream of an upstream was not opened");
                // An event that it does not know any more is not asked for twice.
                if matches!(error, UpstreamError::Invalid(_) | UpstreamError::SessionLost) {
                    self.last = None;
                }
                let wait = self.backoff.after_failure(fastrand::u32(..));
                self.not_before = Some(Instant::now() + wait);
                Event::Failed
            }
        }
    }
}

#[cfg(test)]
mod tests;
