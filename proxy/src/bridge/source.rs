//! Where a call's messages come from: its answer, resumed where it breaks off, and the session's own stream beside it.
//!
//! Source: MCP 2025-11-25 `basic/transports`, "Sending Messages to the Server" and "Resumability and Redelivery".

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::peer::Peer;
use crate::upstream::{Message, Reply, UpstreamError};

/// How often an answer that breaks off is taken up again.
const RESUMED_MAX: u32 = 100;
/// Before it is, if the upstream says nothing else.
const RESUME_PAUSE: Duration = Duration::from_secs(1);
const RESUME_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often the session's stream is asked for before the call is made while the upstream refuses it, and how long between: it may
/// take the stream of the call before for open still, and have no second one.
const STREAM_ASKED_MAX: u32 = 6;
const STREAM_PAUSE: Duration = Duration::from_millis(25);
/// From then on, twice as long each time, up to this.
const STREAM_PAUSE_MAX: Duration = Duration::from_secs(5);
/// An upstream that cannot be reached for the stream is left alone as if that had been doubled so often: for 0.8 s.
const STREAM_BROKEN_DOUBLED: u32 = 5;

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

/// The session's own stream, for as long as the call lasts: opened again whenever it ends or breaks, since what an upstream says
/// while there is no stream may be lost.
pub(super) struct Aside {
    /// None where there is no stream to be had.
    peer: Option<Arc<dyn Peer>>,
    state: State,
    last_event: Option<Box<str>>,
    /// What the upstream has said to wait for before it is asked again.
    retry: Option<Duration>,
    /// How often in a row it was refused, or ended without a word.
    failures: u32,
    /// Whether it was there since the upstream could last not be reached for it.
    was_open: bool,
}

enum State {
    /// Not to be asked for before this.
    Waiting(Instant),
    /// Asked for.
    Opening(Opening),
    /// There.
    Open(Reply),
}

impl Aside {
    /// None.
    pub(super) fn closed() -> Self {
        Self {
            peer: None,
            state: State::Waiting(Instant::now()),
            last_event: None,
            retry: None,
            failures: 0,
            was_open: false,
        }
    }

    /// Asks for it, and gives it time to open: what an upstream says before that may be lost. Some open it with the first event
    /// only; that is remembered, and the next call waits for a moment.
    pub(super) async fn open(peer: Arc<dyn Peer>) -> Self {
        let mut aside = Self { peer: Some(Arc::clone(&peer)), ..Self::closed() };
        let in_time = timeout(peer.head_start(), async {
            while aside.failures < STREAM_ASKED_MAX && !matches!(aside.state, State::Open(_)) {
                aside.advance().await;
                if aside.peer.is_none() {
                    break;
                }
            }
        })
        .await
        .is_ok();
        match aside.state {
            State::Open(_) => peer.opened(true),
            State::Opening(_) if !in_time => peer.opened(false),
            State::Opening(_) | State::Waiting(_) => {}
        }
        aside
    }

    /// The next message; never, if there is none to come. Cancel-safe.
    pub(super) async fn next(&mut self) -> Message {
        loop {
            if self.peer.is_none() {
                std::future::pending::<()>().await;
            }
            if let Some(message) = self.advance().await {
                return message;
            }
        }
    }

    /// One step: to the stream, or on it. Cancel-safe.
    async fn advance(&mut self) -> Option<Message> {
        match &mut self.state {
            State::Waiting(until) => {
                sleep_until(*until).await;
                let (peer, last) = (Arc::clone(self.peer.as_ref()?), self.last_event.clone());
                self.state = State::Opening(Box::pin(async move { peer.stream(last.as_deref()).await }));
            }
            State::Opening(opening) => match opening.await {
                Ok(Some(reply)) => {
                    self.was_open = true;
                    self.state = State::Open(reply);
                }
                Ok(None) | Err(UpstreamError::SessionLost) => *self = Self::closed(),
                // Answered, but not with a stream. An event that it does not know any more is not asked for twice.
                Err(UpstreamError::Invalid(_)) => {
                    self.last_event = None;
                    self.wait();
                }
                // It does not get through. Each time counts for the circuit breaker, and the call itself must not suffer for that.
                Err(_) if self.was_open => {
                    self.was_open = false;
                    self.failures = self.failures.max(STREAM_ASKED_MAX + STREAM_BROKEN_DOUBLED);
                    self.wait();
                }
                Err(_) => *self = Self::closed(),
            },
            State::Open(reply) => match reply.next().await {
                Ok(Some(message)) => {
                    self.failures = 0;
                    self.retry = message.retry_ms.map(Duration::from_millis).or(self.retry);
                    if message.event_id.is_some() {
                        self.last_event.clone_from(&message.event_id);
                    }
                    return (!message.json.is_empty()).then_some(message);
                }
                Ok(None) | Err(_) => self.wait(),
            },
        }
        None
    }

    /// Asks again later, and ever more seldom.
    fn wait(&mut self) {
        let doubled = self.failures.saturating_sub(STREAM_ASKED_MAX).min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = (STREAM_PAUSE * (1 << doubled)).min(STREAM_PAUSE_MAX);
        let said = self.retry.unwrap_or_default().min(RESUME_PAUSE_MAX);
        self.state = State::Waiting(Instant::now() + pause.max(said));
    }
}
