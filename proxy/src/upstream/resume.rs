//! The answer to a request in a session, across the streams that carry it.
//!
//! An upstream may end a stream before it has answered, having sent the id of an event: it is then asked to go on from there. The
//! same mends a connection that broke.
//!
//! Source: MCP 2025-11-25 `basic/transports`, "Sending Messages to the Server" and "Resumability and Redelivery".

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Behalf, Message, MessageStream, OnBehalf, Reply, UpstreamError, UpstreamSession};

/// How long a stream is left alone whose upstream does not say.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Streams for one answer. Without a bound an upstream that ends each at once would be asked until the deadline.
const STREAMS_MAX: u32 = 256;

/// The messages of an answer that may come in several streams.
struct Resuming {
    session: UpstreamSession,
    behalf: Behalf,
    /// The raw id of the request.
    id: Box<str>,
    /// None once it may last.
    deadline: Option<Instant>,
    state: State,
    answered: bool,
    last_event_id: Option<Box<str>>,
    retry: Duration,
    streams_left: u32,
}

enum State {
    Reading(Box<dyn MessageStream>),
    /// It goes on at this time.
    Waiting(Instant),
}

impl Reply {
    /// The same, going on in further streams as long as the request of this raw id is not answered.
    pub(super) fn resuming(
        self,
        session: &UpstreamSession,
        on_behalf: &OnBehalf<'_>,
        id: Box<str>,
        deadline: Instant,
    ) -> Self {
        let Self { messages, .. } = self;
        let resuming = Resuming {
            session: session.clone(),
            behalf: on_behalf.to_owned(),
            id,
            deadline: Some(deadline),
            state: State::Reading(messages),
            answered: false,
            last_event_id: None,
            retry: RETRY_DEFAULT,
            streams_left: STREAMS_MAX,
        };
        Self { messages: Box::new(resuming), ..self }
    }
}

#[async_trait]
impl MessageStream for Resuming {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        loop {
            match &mut self.state {
                State::Reading(messages) => match messages.next().await {
                    Ok(Some(message)) => return Ok(Some(self.note(message))),
                    Ok(None) | Err(UpstreamError::Unavailable { sent: true, .. }) if self.can_resume() => {
                        self.state = State::Waiting(Instant::now() + self.retry);
                    }
                    outcome => return outcome,
                },
                State::Waiting(until) => {
                    let until = *until;
                    let resumed = match self.deadline {
                        Some(deadline) => {
                            let late = Err(UpstreamError::Timeout { sent: true });
                            timeout_at(deadline, self.resume(until)).await.unwrap_or(late)
                        }
                        None => self.resume(until).await,
                    };
                    match resumed? {
                        Some(reply) => self.state = State::Reading(reply.messages),
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    fn outlast(&mut self) {
        self.deadline = None;
        if let State::Reading(messages) = &mut self.state {
            messages.outlast();
        }
    }
}

impl Resuming {
    fn can_resume(&self) -> bool {
        !self.answered && self.last_event_id.is_some() && self.streams_left > 0
    }

    fn note(&mut self, message: Message) -> Message {
        if let Some(id) = message.event_id.as_ref().filter(|id| !id.is_empty()) {
            self.last_event_id = Some(id.clone());
        }
        if let Some(retry) = message.retry_ms {
            self.retry = Duration::from_millis(retry).min(RETRY_MAX);
        }
        if !message.json.is_empty() {
            self.answered |= message.incoming().is_ok_and(|incoming| incoming.answers(&self.id));
        }
        message
    }

    async fn resume(&mut self, until: Instant) -> Result<Option<Reply>, UpstreamError> {
        sleep_until(until).await;
        self.streams_left -= 1;
        self.session.stream(&self.behalf.borrow(), self.last_event_id.as_deref()).await
    }
}
