//! A process for each session, and for each caller of a server without sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mcpg_protocol::{Method, raw};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::super::{Reply, UpstreamError};
use super::backoff::Backoff;
use super::mux::{Audience, Owner};
use super::process::{Process, Start, unavailable};
use super::reply::{Listened, Manner, reply, said, silent};
use super::{Common, Incoming, Kind, START_TIME_MAX, fresh_session};
use crate::sessions::SESSION_ID;

/// How often it is looked for processes that nobody uses, at least.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// How long a new process waits for the place of one that makes room.
const PLACE_WAIT: Duration = Duration::from_secs(15);

/// Processes that are one caller's each.
pub(super) struct Owned {
    table: Arc<Mutex<Table>>,
    places: Arc<Semaphore>,
    idle: Duration,
    starts: Mutex<Starts>,
    sweeping: AtomicBool,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<[u8; 16], Arc<Process>>,
    callers: HashMap<[u8; 32], Arc<Process>>,
}

/// Whether it makes sense to start one more.
struct Starts {
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Owned {
    /// None yet, of at most `processes_max` at a time.
    pub(super) fn new(common: &Common, processes_max: usize, idle: Duration) -> Self {
        let (first, longest) = common.settings.backoff;
        Self {
            table: Arc::default(),
            places: Arc::new(Semaphore::new(processes_max.min(Semaphore::MAX_PERMITS))),
            idle,
            starts: Mutex::new(Starts { backoff: Backoff::new(first, longest), not_before: None }),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Passes a message on to the process that it belongs to.
    pub(super) async fn post(
        &self,
        common: &Arc<Common>,
        caller: &[u8; 32],
        incoming: &Incoming<'_>,
    ) -> Result<Reply, UpstreamError> {
        match (&incoming.session, &incoming.kind) {
            (Some(session), _) => common.pass(&self.session(session)?, incoming).await,
            (None, Kind::Request { method: Method::Initialize, .. }) => {
                self.initialize(common, caller, incoming).await
            }
            (None, Kind::Request { .. }) => {
                let process = self.of_caller(common, caller).await?;
                let outcome = common.pass(&process, incoming).await;
                self.note(&process);
                outcome
            }
            // To nobody in particular there is nothing to say.
            (None, Kind::Notification | Kind::Response) => Ok(silent(http::StatusCode::ACCEPTED)),
        }
    }

    /// The stream of a session.
    pub(super) fn listen(&self, session: &[u8; 16]) -> Result<Reply, UpstreamError> {
        let process = self.session(session)?;
        let inlet = process.listen()?;
        Ok(reply(true, Box::new(Listened { _process: process, inlet })))
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &[u8; 16]) {
        self.table.lock().sessions.remove(session);
    }

    fn session(&self, session: &[u8; 16]) -> Result<Arc<Process>, UpstreamError> {
        let process = self.table.lock().sessions.get(session).cloned();
        process.filter(|process| process.is_open()).ok_or(UpstreamError::SessionLost)
    }

    async fn initialize(
        &self,
        common: &Arc<Common>,
        caller: &[u8; 32],
        incoming: &Incoming<'_>,
    ) -> Result<Reply, UpstreamError> {
        let process = match self.pristine(caller) {
            Some(process) => process,
            None => self.start(common).await?,
        };
        let answer = common.begin(&process, incoming.text, Owner::Nobody, Manner::default()).await?;
        let messages = answer.collect(START_TIME_MAX).await;
        self.note(&process);
        let messages = messages?;
        let begun = messages.last().and_then(|last| str::from_utf8(last).ok()).is_some_and(|last| {
            let result = raw::find(last, [&["result"]], &common.settings.message());
            matches!(result, Ok([Some(result)]) if result.is_object())
        });
        let mut reply = said(messages);
        if begun {
            let (session, name) = fresh_session()?;
            reply.headers.insert(SESSION_ID, name);
            self.table.lock().sessions.insert(session, process);
        }
        Ok(reply)
    }

    /// The caller's process, if it was only asked what it speaks: then a session may begin in it.
    fn pristine(&self, caller: &[u8; 32]) -> Option<Arc<Process>> {
        let mut table = self.table.lock();
        let fits =
            table.callers.get(caller).is_some_and(|process| process.is_open() && process.is_pristine());
        if fits { table.callers.remove(caller) } else { None }
    }

    async fn of_caller(
        &self,
        common: &Arc<Common>,
        caller: &[u8; 32],
    ) -> Result<Arc<Process>, UpstreamError> {
        let of_caller =
            |table: &Table| table.callers.get(caller).filter(|process| process.is_open()).cloned();
        if let Some(process) = of_caller(&self.table.lock()) {
            return Ok(process);
        }
        let process = self.start(common).await?;
        let mut table = self.table.lock();
        // Another request may have been quicker: one process is enough.
        if let Some(earlier) = of_caller(&table) {
            return Ok(earlier);
        }
        table.callers.insert(*caller, Arc::clone(&process));
        Ok(process)
    }

    async fn start(&self, common: &Arc<Common>) -> Result<Arc<Process>, UpstreamError> {
        if self.starts.lock().not_before.is_some_and(|time| Instant::now() < time) {
            return Err(unavailable("the process did not start; it is tried again later", false));
        }
        let place = self.place().await?;
        self.keep_sweeping(common);
        Process::start(
            &common.processes,
            Start {
                settings: Arc::clone(&common.settings),
                audience: Audience::One,
                events: common.events.clone(),
                metrics: common.metrics.clone(),
                place: Some(place),
            },
        )
    }

    /// A place for one more process, if need be that of one that can be spared.
    async fn place(&self) -> Result<OwnedSemaphorePermit, UpstreamError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        if !self.table.lock().spare() {
            return Err(UpstreamError::Busy);
        }
        match timeout(PLACE_WAIT, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(UpstreamError::Busy),
        }
    }

    /// Learns from the first words of a process, or from their absence, whether to start others.
    fn note(&self, process: &Process) {
        let mut starts = self.starts.lock();
        if process.has_spoken() {
            starts.backoff.succeeded();
            starts.not_before = None;
        } else if !process.is_open() {
            let wait = starts.backoff.failed(fastrand::f64());
            starts.not_before = Some(Instant::now() + wait);
        }
    }

    /// Ends processes that nobody uses, for as long as there is a table of them.
    fn keep_sweeping(&self, common: &Common) {
        let Ok(runtime) = common.processes.handle() else { return };
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            runtime.spawn(sweep(Arc::downgrade(&self.table), self.idle));
        }
    }
}

impl Table {
    /// Lets go of the process that has been idle for longest, among those that hold no session. Answers whether there was one.
    fn spare(&mut self) -> bool {
        let now = Instant::now();
        let idle = |process: &Process| process.idle(now);
        let longest =
            self.callers.iter().filter_map(|(caller, process)| Some((idle(process)?, *caller))).max();
        longest.is_some_and(|(_, caller)| self.callers.remove(&caller).is_some())
    }

    /// Lets go of processes that have ended, or been idle for too long.
    fn sweep(&mut self, idle_max: Duration, now: Instant) {
        let stays =
            |process: &Process| process.is_open() && process.idle(now).is_none_or(|idle| idle < idle_max);
        self.sessions.retain(|_, process| stays(process));
        self.callers.retain(|_, process| stays(process));
    }
}

async fn sweep(table: Weak<Mutex<Table>>, idle_max: Duration) {
    let interval = (idle_max / 4).clamp(Duration::from_millis(10), SWEEP_INTERVAL_MAX);
    loop {
        tokio::time::sleep(interval).await;
        let Some(table) = table.upgrade() else { return };
        table.lock().sweep(idle_max, Instant::now());
    }
}
