//! One process, and the requests under way in it.

mod run;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::super::UpstreamError;
use super::mux::{Audience, Mux, MuxError, Owner, framed};
use super::outlet::{Inlet, Outlet, outlet};
use super::processes::Processes;
use super::settings::StdioSettings;
pub(super) use run::End;
use stream::SessionStream;

use crate::metrics::ProcessMetrics;

/// Lines that wait for the process to read.
const OUTBOX_MAX: usize = 64;

/// One process. It ends when the last handle is dropped.
pub(super) struct Process {
    inner: Arc<Inner>,
    outbox: mpsc::Sender<Outbound>,
    ended: watch::Receiver<Option<End>>,
    _stop: watch::Sender<()>,
}

/// What a process is started with.
pub(super) struct Start {
    pub(super) settings: Arc<StdioSettings>,
    pub(super) audience: Audience,
    pub(super) events: broadcast::Sender<Bytes>,
    pub(super) metrics: ProcessMetrics,
    /// Is dropped when the process has ended.
    pub(super) place: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// What the handle and the task share.
struct Inner {
    settings: Arc<StdioSettings>,
    audience: Audience,
    state: Mutex<State>,
}

struct State {
    mux: Mux<Outlet>,
    stream: SessionStream,
    used: Instant,
    /// Whether it has said anything that is a message.
    has_spoken: bool,
    closed: bool,
}

/// A line for the process.
struct Outbound {
    line: Bytes,
    /// The request in it.
    number: Option<u64>,
}

impl Process {
    /// Starts one.
    pub(super) fn start(processes: &Processes, start: Start) -> Result<Arc<Self>, UpstreamError> {
        let runtime = processes.handle().map_err(|error| unavailable(error.to_string(), false))?;
        let (outbox, queue) = mpsc::channel(OUTBOX_MAX);
        let (ending, ended) = watch::channel(None);
        let (stop, stopped) = watch::channel(());
        let inner = Arc::new(Inner {
            audience: start.audience,
            state: Mutex::new(State {
                mux: Mux::new(start.audience, start.settings.message()),
                stream: SessionStream::default(),
                used: Instant::now(),
                has_spoken: false,
                closed: false,
            }),
            settings: Arc::clone(&start.settings),
        });
        let task = run::Task {
            inner: Arc::clone(&inner),
            launcher: processes.launcher().to_owned(),
            // A process must not keep itself alive by what it answers.
            outbox: outbox.downgrade(),
            queue,
            stopped,
            stopping: processes.stopping(),
            events: start.events,
            metrics: start.metrics,
            ending,
            _place: start.place,
            _running: processes.enter(),
        };
        runtime.spawn(task.run());
        Ok(Arc::new(Self { inner, outbox, ended, _stop: stop }))
    }

    /// Sends a request. Its messages come out of the inlet.
    ///
    /// # Errors
    /// When it cannot have reached the process.
    pub(super) async fn begin(&self, text: &str, owner: Owner) -> Result<(u64, Inlet), UpstreamError> {
        let place = self.place().await?;
        let (outlet, inlet) = outlet();
        let begun = {
            let mut state = self.inner.state.lock();
            if state.closed {
                return Err(gone(false));
            }
            state.used = Instant::now();
            state.mux.begin(text, owner, outlet).map_err(error)?
        };
        place.send(Outbound { line: begun.line, number: Some(begun.number) });
        Ok((begun.number, inlet))
    }

    /// Sends a notification.
    pub(super) async fn note(&self, text: &str, owner: Owner) -> Result<(), UpstreamError> {
        let line = self.inner.state.lock().mux.note(text, owner).map_err(error)?;
        match line {
            Some(line) => self.send(line).await,
            None => Ok(()),
        }
    }

    /// Tells it something on the gateway's own behalf.
    pub(super) async fn tell(&self, text: &str) -> Result<(), UpstreamError> {
        self.send(framed(text.to_owned())).await
    }

    /// Sends the client's answer to what the process asked.
    pub(super) async fn respond(&self, text: &str) -> Result<(), UpstreamError> {
        let line = self.inner.state.lock().mux.respond(text).map_err(error)?;
        match line {
            Some(line) => self.send(line).await,
            None => Ok(()),
        }
    }

    /// Gives a request up that may be under way.
    pub(super) fn give_up(&self, number: u64, cancel: bool) {
        let line = {
            let mut state = self.inner.state.lock();
            state.used = Instant::now();
            state.mux.give_up(number).map(|(line, _)| line)
        };
        if let Some(line) = line.filter(|_| cancel) {
            // With no room left the process is stuck, and will be ended for that.
            let _ = self.outbox.try_send(Outbound { line, number: None });
        }
    }

    /// Listens to what it says outside of any request.
    pub(super) fn listen(&self) -> Result<Inlet, UpstreamError> {
        let mut state = self.inner.state.lock();
        if state.closed { Err(gone(false)) } else { Ok(state.stream.listen()) }
    }

    /// Notes that a request has ended.
    pub(super) fn touch(&self) {
        self.inner.state.lock().used = Instant::now();
    }

    /// How long nobody has used it; none while somebody does.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let state = self.inner.state.lock();
        let in_use = state.mux.under_way() > 0 || state.stream.has_listener();
        (!in_use).then(|| now.saturating_duration_since(state.used))
    }

    /// Whether it takes requests.
    pub(super) fn is_open(&self) -> bool {
        !self.inner.state.lock().closed
    }

    /// Whether it has said anything.
    pub(super) fn has_spoken(&self) -> bool {
        self.inner.state.lock().has_spoken
    }

    /// Whether nothing was asked of it but what it speaks, and nothing is under way.
    pub(super) fn is_pristine(&self) -> bool {
        let state = self.inner.state.lock();
        state.mux.is_pristine && state.mux.under_way() == 0
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) -> End {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await.map(|end| *end);
        end.ok().flatten().unwrap_or(End::Stopped)
    }

    async fn send(&self, line: Bytes) -> Result<(), UpstreamError> {
        self.place().await?.send(Outbound { line, number: None });
        Ok(())
    }

    async fn place(&self) -> Result<mpsc::Permit<'_, Outbound>, UpstreamError> {
        match timeout(self.inner.settings.write_timeout, self.outbox.reserve()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(gone(false)),
            Err(_) => Err(unavailable("the process does not read its input", false)),
        }
    }
}

impl Inner {
    /// Fails whatever is under way.
    fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for call in state.mux.drain() {
            let sent = call.sent;
            call.sink.fail(gone(sent));
        }
        state.stream.close();
    }
}

fn error(error: MuxError) -> UpstreamError {
    match error {
        MuxError::Full => UpstreamError::Busy,
        // What comes here has been judged, or is the gateway's own.
        MuxError::Json(_) | MuxError::Shape => UpstreamError::Invalid("no message for a process".into()),
    }
}

/// The process is gone, or going.
pub(super) fn gone(sent: bool) -> UpstreamError {
    unavailable("the process has ended", sent)
}

pub(super) fn unavailable(reason: impl Into<std::borrow::Cow<'static, str>>, sent: bool) -> UpstreamError {
    UpstreamError::Unavailable { reason: reason.into(), sent }
}
