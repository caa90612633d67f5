//! Where a call's messages come from: its answer, resumed where it breaks off, and the session's own stream beside it.
//!
//! Source: MCP 2025-11-25 `basic/transports`, "Sending Messages to the Server" and "Resumability and Redelivery".

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::peer::Peer;
use crate::upstream::{Message, Reply, UpstreamError};

/// How often an answer that breaks off is taken up again.
const RESUMED_MAX: u32 = 100;
/// Before it is, if the upstream says nothing else.
const RESUME_PAUSE: Duration = Duration::from_secs(1);
const RESUME_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a call waits for the session's stream to open before it is made.
const STREAM_HEAD_START: Duration = Duration::from_millis(250);
/// How often the session's stream is asked for while the upstream refuses it, and how long between: it may take the stream of the
/// call before for open still, and have no second one.
const STREAM_ASKED_MAX: u32 = 6;
const STREAM_PAUSE: Duration = Duration::from_millis(25);

/// The answer to a request, across connections.
pub(super) struct Answer {
    peer: Arc<dyn Peer>,
    reply: Option<Reply>,
    last_event: Option<Box<str>>,
    pause: Duration,
    resume_at: Instant,
    resumed: u32,
    /// It may last: its upstream waits for the client.
    lasts: bool,
    status: u16,
}

impl Answer {
    pub(super) fn new(peer: Arc<dyn Peer>, reply: Reply) -> Self {
        Self {
            peer,
            status: reply.status.as_u16(),
            reply: Some(reply),
            last_event: None,
            pause: RESUME_PAUSE,
            resume_at: Instant::now(),
            resumed: 0,
            lasts: false,
        }
    }

    /// The HTTP status of the answer.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Lets it last, and take no place from other calls.
    pub(super) fn outlast(&mut self) {
        self.lasts = true;
        if let Some(reply) = &mut self.reply {
            reply.outlast();
        }
    }

    /// To be called once the response has come.
    pub(super) async fn settle(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.settle().await;
        }
    }

    /// The next message; none at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        loop {
            if let Some(reply) = &mut self.reply {
                match reply.next().await {
                    Ok(Some(message)) => {
                        if let Some(message) = self.noted(message) {
                            return Ok(Some(message));
                        }
                        continue;
                    }
                    Ok(None) | Err(UpstreamError::Unavailable { .. }) if self.can_resume() => {
                        self.reply = None;
                        self.resume_at = Instant::now() + self.pause;
                    }
                    over => return over,
                }
            }
            sleep_until(self.resume_at).await;
            let resumed = self.peer.stream(self.last_event.as_deref()).await;
            self.resumed += 1;
            match resumed {
                Ok(Some(mut reply)) => {
                    if self.lasts {
                        reply.outlast();
                    }
                    self.reply = Some(reply);
                }
                Ok(None) => return Ok(None),
                Err(error) if error.is_unsent() && self.resumed < RESUMED_MAX => {
                    self.resume_at = Instant::now() + self.pause;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes what the event says of itself. None if it says nothing else.
    fn noted(&mut self, message: Message) -> Option<Message> {
        if message.event_id.is_some() {
            self.last_event.clone_from(&message.event_id);
        }
        if let Some(retry) = message.retry_ms {
            self.pause = Duration::from_millis(retry).min(RESUME_PAUSE_MAX);
        }
        (!message.json.is_empty()).then_some(message)
    }

    fn can_resume(&self) -> bool {
        self.last_event.is_some() && self.resumed < RESUMED_MAX
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Option<Reply>, UpstreamError>> + Send>>;

/// The session's own stream, as far as there is one.
pub(super) enum Aside {
    /// None, or not any more.
    Closed,
    /// Asked for.
    Opening(Opening),
    /// There.
    Open(Reply),
}

impl Aside {
    /// Asks for it, and gives it a moment to open: what an upstream says before that may be lost.
    pub(super) async fn open(peer: Arc<dyn Peer>) -> Self {
        let mut opening: Opening = Box::pin(async move {
            let mut asked = 1;
            loop {
                match peer.stream(None).await {
                    Err(UpstreamError::Invalid(_)) if asked < STREAM_ASKED_MAX => asked += 1,
                    opened => return opened,
                }
                sleep(STREAM_PAUSE).await;
            }
        });
        match timeout(STREAM_HEAD_START, &mut opening).await {
            Ok(Ok(Some(reply))) => Self::Open(reply),
            Ok(Ok(None) | Err(_)) => Self::Closed,
            Err(_) => Self::Opening(opening),
        }
    }

    /// The next message; never, if there is none to come. Cancel-safe.
    pub(super) async fn next(&mut self) -> Message {
        loop {
            match self {
                Self::Closed => std::future::pending().await,
                Self::Opening(opening) => {
                    *self = match opening.await {
                        Ok(Some(reply)) => Self::Open(reply),
                        Ok(None) | Err(_) => Self::Closed,
                    };
                }
                Self::Open(reply) => match reply.next().await {
                    Ok(Some(message)) if message.json.is_empty() => {}
                    Ok(Some(message)) => return message,
                    // Without it the call goes on.
                    Ok(None) | Err(_) => *self = Self::Closed,
                },
            }
        }
    }
}
