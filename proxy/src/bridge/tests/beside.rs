//! The session's own stream beside a call, with an upstream that forgets what it says while there is none. In virtual time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcpg_protocol::bridge::Capabilities;
use mcpg_protocol::{Limits, Revision as Protocol};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::bridge::call::{Call, Event, Listener, Opening};
use crate::bridge::peer::Peer;
use crate::upstream::{Message, MessageStream, Reply, UpstreamError};

const SECOND: Duration = Duration::from_secs(1);

/// What comes of asking for the stream.
#[derive(Clone, Copy)]
enum Stream {
    /// It opens after so long.
    After(Duration),
    /// It opens, says that its event had this id, and ends after so long.
    Ends(&'static str, Duration),
    /// It is refused.
    Refused,
    /// The connection breaks.
    Breaks,
    /// It is asked for in vain.
    Never,
    /// There is none.
    Absent,
}

/// An upstream that says what it says on the stream that is open, or to nobody.
#[derive(Default)]
struct Forgetful {
    streams: Mutex<VecDeque<Stream>>,
    open: Mutex<Option<mpsc::UnboundedSender<Message>>>,
    /// Asks this long after it was called.
    asks_after: Duration,
    /// With which event each stream was asked for.
    asked: Mutex<Vec<Option<Box<str>>>>,
    in_time: Mutex<Option<bool>>,
    called_at: Mutex<Option<Instant>>,
}

struct Said(mpsc::UnboundedReceiver<Message>);

#[async_trait]
impl MessageStream for Said {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        Ok(self.0.recv().await)
    }

    fn outlast(&mut self) {}
}

fn reply(messages: mpsc::UnboundedReceiver<Message>) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        is_stream: true,
        messages: Box::new(Said(messages)),
    }
}

impl Forgetful {
    fn new(streams: &[Stream], asks_after: Duration) -> Arc<Self> {
        Arc::new(Self {
            streams: Mutex::new(streams.iter().copied().collect()),
            asks_after,
            ..Self::default()
        })
    }

    fn opens(&self) -> (mpsc::UnboundedSender<Message>, Reply) {
        let (say, said) = mpsc::unbounded_channel();
        *self.open.lock() = Some(say.clone());
        (say, reply(said))
    }
}

/// What `Peer` is for is shared with what asks later.
struct Shared(Arc<Forgetful>);

#[async_trait]
impl Peer for Shared {
    async fn request(&self, _json: Bytes, _repeatable: bool) -> Result<Reply, UpstreamError> {
        let (answers, answer) = mpsc::unbounded_channel();
        let upstream = Arc::clone(&self.0);
        *upstream.called_at.lock() = Some(Instant::now());
        tokio::spawn(async move {
            sleep(upstream.asks_after).await;
            let question = json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list"});
            let message = Message { json: Bytes::from(question.to_string()), ..Message::default() };
            if let Some(open) = &*upstream.open.lock() {
                let _ = open.send(message);
            }
            answers.closed().await;
        });
        Ok(reply(answer))
    }

    async fn send(&self, _json: Bytes) -> Result<(), UpstreamError> {
        Ok(())
    }

    async fn stream(&self, last_event_id: Option<&str>) -> Result<Option<Reply>, UpstreamError> {
        self.0.asked.lock().push(last_event_id.map(Box::from));
        let stream = self.0.streams.lock().pop_front().unwrap_or(Stream::Never);
        match stream {
            Stream::After(time) => {
                sleep(time).await;
                Ok(Some(self.0.opens().1))
            }
            Stream::Ends(id, time) => {
                let (say, reply) = self.0.opens();
                say.send(Message { event_id: Some(id.into()), ..Message::default() }).unwrap();
                let upstream = Arc::clone(&self.0);
                tokio::spawn(async move {
                    sleep(time).await;
                    *upstream.open.lock() = None;
                    drop(say);
                });
                Ok(Some(reply))
            }
            Stream::Breaks => Err(UpstreamError::Unavailable { reason: "broken".into(), sent: true }),
            Stream::Refused => Err(UpstreamError::Invalid("HTTP 409".into())),
            Stream::Never => std::future::pending().await,
            Stream::Absent => Ok(None),
        }
    }

    fn head_start(&self) -> Duration {
        2 * SECOND
    }

    fn opened(&self, in_time: bool) {
        *self.0.in_time.lock() = Some(in_time);
    }

    fn initialized(&self) -> &'static str {
        "{}"
    }

    fn release(&self, _clean: bool) {}
}

async fn begin(upstream: &Arc<Forgetful>) -> Call {
    let limits = Limits::default();
    let declared = Capabilities::parse(r#"{"roots":{}}"#, Protocol::V2025_11_25, &limits).unwrap();
    let opening = Opening {
        body: b"{}".to_vec(),
        id: "1".into(),
        repeatable: false,
        token: None,
        listener: Listener::default(),
        capabilities: Some(declared),
        limits,
    };
    Call::begin(Arc::new(Shared(Arc::clone(upstream))), opening).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_heard_however_the_stream_comes_about() {
    let ms = Duration::from_millis;
    let refused = |times: usize| {
        let mut streams = vec![Stream::Refused; times];
        streams.push(Stream::After(ms(1)));
        streams
    };
    for (case, streams, asks_after) in [
        ("at once", vec![Stream::After(Duration::ZERO)], Duration::ZERO),
        ("far away", vec![Stream::After(ms(900))], Duration::ZERO),
        ("very late", vec![Stream::After(30 * SECOND)], 40 * SECOND),
        ("refused while the call before is remembered", refused(3), Duration::ZERO),
        ("refused for longer than that", refused(12), 20 * SECOND),
        (
            "broken once, and opened again",
            vec![Stream::Ends("e1", SECOND), Stream::Breaks, Stream::After(ms(5))],
            5 * SECOND,
        ),
        ("ended and opened again", vec![Stream::Ends("e1", SECOND), Stream::After(ms(5))], 3 * SECOND),
    ] {
        let upstream = Forgetful::new(&streams, asks_after);
        let mut call = begin(&upstream).await;
        let heard = timeout(60 * SECOND, call.next()).await;
        assert!(matches!(heard, Ok(Event::Questions)), "{case}: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_its_last_event() {
    let streams = [Stream::Ends("e1", SECOND), Stream::Refused, Stream::After(Duration::ZERO)];
    let upstream = Forgetful::new(&streams, 5 * SECOND);
    let mut call = begin(&upstream).await;
    assert!(matches!(call.next().await, Event::Questions));
    // An event that it does not know any more is not asked for twice.
    assert_eq!(*upstream.asked.lock(), [None, Some("e1".into()), None]);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_for_what_does_not_come() {
    for (case, stream, waited, in_time) in [
        ("no stream", Stream::Absent, Duration::ZERO, None),
        ("a stream that begins with its first event", Stream::Never, 2 * SECOND, Some(false)),
        ("a stream", Stream::After(SECOND), SECOND, Some(true)),
    ] {
        let upstream = Forgetful::new(&[stream], Duration::ZERO);
        let begun = Instant::now();
        begin(&upstream).await;
        let called_at = upstream.called_at.lock().unwrap();
        assert_eq!((called_at - begun, *upstream.in_time.lock()), (waited, in_time), "{case}");
    }
    let upstream = Forgetful::new(&[Stream::Refused; 100], Duration::ZERO);
    let begun = Instant::now();
    begin(&upstream).await;
    let waited = upstream.called_at.lock().unwrap() - begun;
    assert!(waited < SECOND / 4, "it refuses: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_is_asked_ever_more_seldom() {
    let upstream = Forgetful::new(&[Stream::Refused; 10_000], 3600 * SECOND);
    let mut call = begin(&upstream).await;
    assert!(timeout(600 * SECOND, call.next()).await.is_err());
    let asked = upstream.asked.lock().len();
    assert!((100..=150).contains(&asked), "{asked} times in ten minutes");
    // Asking counts for the circuit breaker, which would close the upstream to calls as well.
    let broken = Forgetful::new(&[Stream::Breaks; 100], 3600 * SECOND);
    let mut call = begin(&broken).await;
    assert!(timeout(600 * SECOND, call.next()).await.is_err());
    assert_eq!(broken.asked.lock().len(), 1, "one that cannot be reached is not asked again");
    let none = Forgetful::new(&[Stream::Absent], 3600 * SECOND);
    let mut call = begin(&none).await;
    assert!(timeout(600 * SECOND, call.next()).await.is_err());
    assert_eq!(none.asked.lock().len(), 1, "one that has none is not asked again");
}
