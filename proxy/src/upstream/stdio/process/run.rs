//! The task of a process: moves its messages, and sees to its end.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus::IntGauge;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};
use tokio::time::{timeout, timeout_at};

use super::super::keeper::Keep;
use super::super::lines::{Line, Lines};
use super::super::mux::{Arrived, Audience, Stray, refusal};
use super::super::noise::{Allowance, LINE_BYTES_MAX, printable};
use super::super::outlet::{Piece, Refused};
use super::super::processes::Running;
use super::{Inner, Outbound, unavailable};
use crate::metrics::ProcessMetrics;

/// After SIGTERM, before SIGKILL.
const TERM_WAIT: Duration = Duration::from_secs(2);
/// For the keeper to end what is left, and itself.
const KEEPER_WAIT: Duration = Duration::from_secs(2);
/// What a process has said before it ended is read for so long.
const REST_WAIT: Duration = Duration::from_secs(1);
/// Lines in a row that are no messages, before the process is taken for something else than a server.
const INVALID_MAX: u32 = 1000;

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum End {
    /// It was told to.
    Stopped,
    /// It ended by itself.
    Exited,
    /// It closed its output.
    OutputClosed,
    /// It wrote a line beyond the limit.
    LineTooLong,
    /// It wrote what is no message, over and over.
    NotMcp,
    /// It does not read its input.
    InputStuck,
    /// It could not be started.
    NotStarted,
}

pub(super) struct Task {
    pub(super) inner: Arc<Inner>,
    pub(super) launcher: PathBuf,
    pub(super) outbox: mpsc::WeakSender<Outbound>,
    pub(super) queue: mpsc::Receiver<Outbound>,
    pub(super) stopped: watch::Receiver<()>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) events: broadcast::Sender<Bytes>,
    pub(super) metrics: ProcessMetrics,
    pub(super) ending: watch::Sender<Option<End>>,
    pub(super) _place: Option<OwnedSemaphorePermit>,
    pub(super) _running: Running,
}

impl Task {
    /// From the start of the process to its end.
    pub(super) async fn run(mut self) {
        let end = match self.spawn() {
            Ok(child) => self.attend(child).await,
            Err(error) => {
                tracing::error!(binding = self.binding(), %error, "process not started");
                self.inner.close();
                End::NotStarted
            }
        };
        self.metrics.ended(end.as_str());
        self.ending.send_replace(Some(end));
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let settings = &self.inner.settings;
        let mut command = Keep::command(&self.launcher, TERM_WAIT, &settings.limits, &settings.command);
        command.env_clear().envs(settings.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(&settings.cwd);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Command::from(command).spawn()
    }

    async fn attend(&mut self, mut child: Child) -> End {
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            // INVARIANT: all three are piped.
            self.inner.close();
            return End::NotStarted;
        };
        let _counted = Counted::new(&self.metrics);
        let pid = child.id();
        tracing::info!(binding = self.binding(), pid, "process started");
        let binding = self.binding().to_owned();
        let logging = log(binding, pid, stderr);
        tokio::pin!(logging);
        let mut lines = Lines::new(stdout, self.inner.settings.line_bytes_max);
        let mut end = tokio::select! {
            end = self.converse(&mut child, stdin, &mut lines) => end,
            () = &mut logging => End::Stopped,
        };
        self.inner.close();
        let rest = async {
            let (mut output, mut nowhere) = (lines.into_source(), tokio::io::sink());
            let _ = tokio::join!(tokio::io::copy(&mut output, &mut nowhere), &mut logging);
        };
        let status = tokio::select! {
            status = finish(&mut child, end, self.inner.settings.shutdown) => status,
            () = rest => None,
        };
        if end == End::OutputClosed && status.is_some_and(|ended| ended.unforced) {
            end = End::Exited;
        }
        let status = status.and_then(|ended| ended.status);
        let code = status.and_then(|status| status.code());
        if end == End::Stopped {
            tracing::info!(binding = self.binding(), pid, code, "process ended");
        } else {
            tracing::warn!(
                binding = self.binding(),
                pid,
                code,
                reason = end.as_str(),
                "process ended unexpectedly"
            );
        }
        end
    }

    /// Moves messages until there is a reason to stop. Returning drops the input, which closes it.
    async fn converse(
        &mut self,
        child: &mut Child,
        input: ChildStdin,
        lines: &mut Lines<ChildStdout>,
    ) -> End {
        let reader = Reader {
            inner: &self.inner,
            outbox: &self.outbox,
            events: &self.events,
            metrics: &self.metrics,
            allowance: Allowance::new(Instant::now()),
            invalid: 0,
        };
        let reading = reader.read(lines);
        tokio::pin!(reading);
        let writing = write(&self.inner, &mut self.queue, input);
        let (stopped, stopping) = (&mut self.stopped, &mut self.stopping);
        tokio::select! {
            biased;
            // Nothing is ever sent: this returns when the last handle is gone.
            _ = stopped.changed() => End::Stopped,
            () = until_stopping(stopping) => End::Stopped,
            end = &mut reading => end,
            end = writing => end,
            _ = child.wait() => {
                // What it said last may be an answer.
                let _ = timeout(REST_WAIT, reading).await;
                End::Exited
            }
        }
    }

    fn binding(&self) -> &str {
        &self.inner.settings.binding
    }
}

/// Returns when all processes are to end.
async fn until_stopping(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Counts a process for as long as it runs.
struct Counted(IntGauge);

impl Counted {
    fn new(metrics: &ProcessMetrics) -> Self {
        metrics.running.inc();
        Self(metrics.running.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Writes lines until the process does not take one in time.
async fn write(inner: &Inner, queue: &mut mpsc::Receiver<Outbound>, mut input: ChildStdin) -> End {
    let limit = inner.settings.write_timeout;
    while let Some(outbound) = queue.recv().await {
        if let Some(number) = outbound.number {
            inner.state.lock().mux.sent(number);
        }
        match timeout(limit, input.write_all(&outbound.line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                // Its input is closed: mostly because it ends, and that says more.
                tokio::time::sleep(REST_WAIT).await;
                return End::InputStuck;
            }
            Err(_) => return End::InputStuck,
        }
    }
    std::future::pending().await
}

impl Inner {
    fn arrived(&self, line: &Bytes) -> Vec<Arrived> {
        let mut state = self.state.lock();
        let arrived = state.mux.arrived(line);
        state.has_spoken |= arrived.iter().any(|arrived| *arrived != Arrived::Dropped(Stray::Invalid));
        arrived
    }
}

/// What reads the output of a process.
struct Reader<'a> {
    inner: &'a Inner,
    outbox: &'a mpsc::WeakSender<Outbound>,
    events: &'a broadcast::Sender<Bytes>,
    metrics: &'a ProcessMetrics,
    allowance: Allowance,
    invalid: u32,
}

impl Reader<'_> {
    async fn read(mut self, lines: &mut Lines<ChildStdout>) -> End {
        loop {
            let line = match lines.next().await {
                Ok(Some(Line::Whole(line))) => line,
                Ok(Some(Line::Overlong(_))) => return End::LineTooLong,
                Ok(None) | Err(_) => return End::OutputClosed,
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let arrived = self.inner.arrived(&line);
            for arrived in arrived {
                self.take(arrived, &line).await;
            }
            if self.invalid > INVALID_MAX {
                return End::NotMcp;
            }
        }
    }

    async fn take(&mut self, arrived: Arrived, line: &[u8]) {
        if arrived != Arrived::Dropped(Stray::Invalid) {
            self.invalid = 0;
        }
        match arrived {
            Arrived::Of { number, message, last } => self.deliver(number, Piece { message, last }).await,
            Arrived::OfCaller { message, asks, list_changed } => {
                if list_changed {
                    let _ = self.events.send(message.clone());
                }
                self.tell(message, asks).await;
            }
            Arrived::OfAll(message) => {
                // Nobody may be listening.
                let _ = self.events.send(message);
            }
            Arrived::Answered(line) => self.answer(line),
            Arrived::Log(message) => self.log("the server logs", &message),
            Arrived::Dropped(stray) => {
                self.metrics.dropped(stray.as_str());
                match stray {
                    Stray::Invalid => {
                        self.invalid += 1;
                        self.log("not an MCP message on standard output", line);
                    }
                    Stray::Unasked => self.log("an answer to nothing that was asked", line),
                    Stray::Unknown => self.log("a message that is nobody's", line),
                    Stray::Late => {}
                }
            }
        }
    }

    /// Passes a message of a request on. A caller that reads slowly holds nobody up but itself.
    async fn deliver(&self, number: u64, mut piece: Piece) {
        let deadline = tokio::time::Instant::now() + self.inner.settings.write_timeout;
        loop {
            let room = {
                let mut state = self.inner.state.lock();
                let Some(call) = state.mux.call(number) else { return };
                let last = piece.last;
                match call.sink.push(piece) {
                    Ok(()) | Err(Refused::Closed) => {
                        if last {
                            state.mux.end(number);
                        }
                        return;
                    }
                    Err(Refused::Full(again)) => {
                        piece = again;
                        call.sink.room()
                    }
                }
            };
            let waits = self.inner.audience == Audience::One;
            if !waits || timeout_at(deadline, room.wait()).await.is_err() {
                return self.give_up(number);
            }
        }
    }

    fn give_up(&self, number: u64) {
        let line = {
            let mut state = self.inner.state.lock();
            state.mux.give_up(number).map(|(line, call)| {
                call.sink.fail(unavailable("the answer was read too slowly", true));
                line
            })
        };
        if let Some(line) = line {
            self.answer(line);
        }
    }

    /// Passes on what is the one caller's, but no request's: to the one request under way, to the session's stream, or to any of
    /// the caller's that can take a question.
    async fn tell(&self, message: Bytes, asks: Option<Box<str>>) {
        let number = {
            let mut state = self.inner.state.lock();
            let number = match state.mux.sole() {
                None if asks.is_some() && !state.stream.has_listener() => state.mux.latest(),
                sole => sole,
            };
            if number.is_none() && !state.stream.push(message.clone()) {
                drop(state);
                self.metrics.dropped("undelivered");
                if let Some(id) = asks {
                    self.answer(refusal(&id));
                }
                return;
            }
            number
        };
        if let Some(number) = number {
            self.deliver(number, Piece { message, last: false }).await;
        }
    }

    fn answer(&self, line: Bytes) {
        // With no room left the process is stuck, and will be ended for that.
        if let Some(outbox) = self.outbox.upgrade() {
            let _ = outbox.try_send(Outbound { line, number: None });
        }
    }

    fn log(&mut self, what: &'static str, line: &[u8]) {
        if let Some(withheld) = self.allowance.take(Instant::now()) {
            let binding = self.inner.settings.binding.as_str();
            tracing::warn!(binding, what, line = printable(line), withheld, "process output");
        }
    }
}

/// Puts what the process writes to its standard error into the log. Never returns.
async fn log(binding: String, pid: Option<u32>, stderr: ChildStderr) {
    let mut lines = Lines::new(stderr, LINE_BYTES_MAX);
    let mut allowance = Allowance::new(Instant::now());
    while let Ok(Some(Line::Whole(line) | Line::Overlong(line))) = lines.next().await {
        if let Some(withheld) = allowance.take(Instant::now()) {
            tracing::info!(binding, pid, line = printable(&line), withheld, "process stderr");
        }
    }
    std::future::pending().await
}

/// How a process went.
#[derive(Clone, Copy)]
struct Ended {
    status: Option<ExitStatus>,
    /// No signal of ours was needed.
    unforced: bool,
}

/// Waits for the process to end, ever less patiently. Its input is closed.
async fn finish(child: &mut Child, end: End, shutdown: Duration) -> Option<Ended> {
    // Whoever misbehaves is not asked politely.
    let patience = match end {
        End::LineTooLong | End::NotMcp | End::InputStuck => Duration::ZERO,
        _ => shutdown,
    };
    if let Ok(status) = timeout(patience, child.wait()).await {
        return Some(Ended { status: status.ok(), unforced: true });
    }
    let keeper = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(keeper) = keeper {
        let _ = kill_process(keeper, Signal::TERM);
    }
    let status = match timeout(TERM_WAIT + KEEPER_WAIT, child.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => {
            // The server goes with its keeper.
            let _ = child.start_kill();
            child.wait().await.ok()
        }
    };
    Some(Ended { status, unforced: false })
}

impl End {
    /// A stable word for metrics and the log.
    pub(in super::super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::OutputClosed => "output_closed",
            Self::LineTooLong => "line_too_long",
            Self::NotMcp => "not_mcp",
            Self::InputStuck => "input_stuck",
            Self::NotStarted => "not_started",
        }
    }
}
