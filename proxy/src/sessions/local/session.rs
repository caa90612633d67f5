//! One session, as one instance remembers it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mcpg_protocol::bridge::LogLevel;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::sessions::UpstreamRef;

/// Resources that a session may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 1000;
/// Bytes of their URIs.
const SUBSCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// Requests of a session that run at a time.
const RUNNING_MAX: usize = 1024;
/// Requests to its client that wait for an answer.
const ASKED_MAX: usize = 64;

/// One session, as one instance remembers it.
#[derive(Default)]
pub struct LocalSession {
    state: Mutex<State>,
    ended: Signal,
    /// What its stream follows changed: subscriptions, sessions with upstreams.
    changed: Notify,
}

#[derive(Default)]
struct State {
    log_level: Option<LogLevel>,
    subscriptions: BTreeSet<(Box<str>, Box<str>)>,
    subscription_bytes: usize,
    running: BTreeMap<Box<str>, InFlight>,
    asked: BTreeMap<Box<str>, oneshot::Sender<Bytes>>,
    upstreams: Vec<UpstreamRef>,
    /// Dropped when another stream takes its place.
    stream: Option<oneshot::Sender<()>>,
}

struct InFlight {
    binding: Option<Box<str>>,
    cancelled: Arc<Signal>,
}

/// Why a request cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// Answers could not be told apart.
    #[error("a request with this id still runs in the session")]
    InUse,
    /// The session has its limit.
    #[error("too many requests run in the session")]
    TooMany,
}

/// A session wants more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session has as many as it may")]
pub struct TooMany;

impl LocalSession {
    /// The log level that the client asked for.
    pub fn log_level(&self) -> Option<LogLevel> {
        self.state.lock().log_level
    }

    /// Remembers the log level that the client asked for.
    pub fn set_log_level(&self, level: LogLevel) {
        self.state.lock().log_level = Some(level);
    }

    /// Remembers a subscription by the upstream's own URI. False if it was there.
    ///
    /// # Errors
    /// When there are too many.
    pub fn subscribe(&self, binding: &str, uri: &str) -> Result<bool, TooMany> {
        let entry = (Box::from(binding), Box::from(uri));
        let mut state = self.state.lock();
        if state.subscriptions.contains(&entry) {
            return Ok(false);
        }
        let bytes = state.subscription_bytes + uri.len();
        if state.subscriptions.len() >= SUBSCRIPTIONS_MAX || bytes > SUBSCRIPTION_BYTES_MAX {
            return Err(TooMany);
        }
        state.subscription_bytes = bytes;
        state.subscriptions.insert(entry);
        self.changed.notify_one();
        Ok(true)
    }

    /// Forgets a subscription. False if there was none.
    pub fn unsubscribe(&self, binding: &str, uri: &str) -> bool {
        let mut state = self.state.lock();
        let there = state.subscriptions.remove(&(Box::from(binding), Box::from(uri)));
        if there {
            state.subscription_bytes -= uri.len();
            self.changed.notify_one();
        }
        there
    }

    /// The URIs that are subscribed to with a binding, in order.
    pub fn subscriptions(&self, binding: &str) -> Vec<Box<str>> {
        let state = self.state.lock();
        let of_binding = state.subscriptions.iter().filter(|(own, _)| **own == *binding);
        of_binding.map(|(_, uri)| uri.clone()).collect()
    }

    /// Notes that a request runs, until the returned value is dropped. `id` is its raw JSON, `binding` the one it went to if it
    /// went to one.
    ///
    /// # Errors
    /// When a request with this id runs already, or too many run.
    pub fn begin(self: &Arc<Self>, id: &str, binding: Option<&str>) -> Result<Running, NotBegun> {
        let mut state = self.state.lock();
        if state.running.contains_key(id) {
            return Err(NotBegun::InUse);
        }
        if state.running.len() >= RUNNING_MAX {
            return Err(NotBegun::TooMany);
        }
        let cancelled = Arc::<Signal>::default();
        // Under the lock, so that the end of the session either is seen here or sees this request.
        if self.ended.is_set() {
            cancelled.set();
        }
        let entry = InFlight { binding: binding.map(Box::from), cancelled: Arc::clone(&cancelled) };
        state.running.insert(id.into(), entry);
        Ok(Running { session: Arc::clone(self), id: id.into(), cancelled })
    }

    /// Tells whoever runs a request that the client has cancelled it. Some if one with this id runs here, with the binding that
    /// it went to.
    pub fn cancel(&self, id: &str) -> Option<Option<Box<str>>> {
        let state = self.state.lock();
        let running = state.running.get(id)?;
        running.cancelled.set();
        Some(running.binding.clone())
    }

    /// A request to the client, under an id that no binding and no other instance uses.
    ///
    /// # Errors
    /// When too many wait already, or there is no randomness for an id.
    pub fn ask(self: &Arc<Self>) -> Result<Asked, TooMany> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| TooMany)?;
        // A binding's id has no `~`.
        let id: Box<str> = format!("~{:016x}", u64::from_le_bytes(random)).into();
        let (sender, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.asked.len() >= ASKED_MAX || state.asked.contains_key(&id) {
            return Err(TooMany);
        }
        // Asking in a session that has ended gets no answer at once.
        if !self.ended.is_set() {
            state.asked.insert(id.clone(), sender);
        }
        drop(state);
        Ok(Asked { session: Arc::clone(self), id, answer: Some(answer) })
    }

    /// Hands the client's response to whoever asked. False if nobody waits for it here. `id` is the text of the JSON string.
    pub fn answer(&self, id: &str, response: Bytes) -> bool {
        let sender = self.state.lock().asked.remove(id);
        sender.is_some_and(|sender| sender.send(response).is_ok())
    }

    /// The session with a binding that takes the place of the token's: opened later, or after the upstream had lost that one.
    pub fn upstream(&self, binding: &str) -> Option<UpstreamRef> {
        self.state.lock().upstreams.iter().find(|upstream| *upstream.binding == *binding).cloned()
    }

    /// Every session that takes the place of one of the token's, or was opened later.
    pub fn upstreams(&self) -> Vec<UpstreamRef> {
        self.state.lock().upstreams.clone()
    }

    /// Remembers a session that takes the place of the token's. `before` is what the caller found broken: if another request has
    /// replaced that one meanwhile, its session stays and is returned instead.
    pub fn replace_upstream(&self, before: Option<&str>, upstream: UpstreamRef) -> UpstreamRef {
        let mut state = self.state.lock();
        match state.upstreams.iter_mut().find(|known| known.binding == upstream.binding) {
            Some(known) if Some(&*known.id) != before => return known.clone(),
            Some(known) => *known = upstream.clone(),
            None => state.upstreams.push(upstream.clone()),
        }
        drop(state);
        self.changed.notify_one();
        upstream
    }

    /// Begins the session's stream, of which there is one: what is said on two would be said twice. Whoever began it before is told
    /// by the end of what it got here.
    pub fn begin_stream(&self) -> oneshot::Receiver<()> {
        let (place, replaced) = oneshot::channel();
        let before = self.state.lock().stream.replace(place);
        drop(before);
        replaced
    }

    /// Completes when subscriptions or sessions with upstreams have changed since the last time. Cancel-safe, for one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the client has ended it, or its time is over.
    pub fn has_ended(&self) -> bool {
        self.ended.is_set()
    }

    /// Completes when the session ends: its streams end too.
    pub async fn ended(&self) {
        self.ended.wait().await;
    }

    /// Ends it: whatever runs is cancelled, and no answer comes to what the client was asked.
    pub(super) fn end(&self) {
        self.ended.set();
        let mut state = self.state.lock();
        state.running.values().for_each(|running| running.cancelled.set());
        let asked = std::mem::take(&mut state.asked);
        drop(state);
        drop(asked);
    }

    /// Whether nothing is remembered that a client could miss.
    pub(super) fn is_blank(&self) -> bool {
        let state = self.state.lock();
        state.log_level.is_none()
            && state.subscriptions.is_empty()
            && state.running.is_empty()
            && state.asked.is_empty()
            && state.upstreams.is_empty()
    }
}

/// A request that runs.
pub struct Running {
    session: Arc<LocalSession>,
    id: Box<str>,
    cancelled: Arc<Signal>,
}

impl Running {
    /// Completes when the client cancels the request or ends the session.
    pub async fn cancelled(&self) {
        self.cancelled.wait().await;
    }

    /// Whether the client has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_set()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.session.state.lock().running.remove(&self.id);
    }
}

/// A request to the client that waits for its answer.
pub struct Asked {
    session: Arc<LocalSession>,
    id: Box<str>,
    answer: Option<oneshot::Receiver<Bytes>>,
}

impl Asked {
    /// The id to send it under, as a JSON string.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the client has not answered yet.
    pub fn is_waiting(&self) -> bool {
        self.answer.is_some()
    }

    /// The client's response, the whole message, once; none after that and when the session has ended. Cancel-safe.
    pub async fn answer(&mut self) -> Option<Bytes> {
        let answer = self.answer.as_mut()?.await.ok();
        self.answer = None;
        answer
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.session.state.lock().asked.remove(&self.id);
    }
}

/// Something that happens once.
#[derive(Default)]
struct Signal {
    happened: AtomicBool,
    waiters: Notify,
}

impl Signal {
    fn set(&self) {
        self.happened.store(true, Ordering::Release);
        self.waiters.notify_waiters();
    }

    fn is_set(&self) -> bool {
        self.happened.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        let notified = self.waiters.notified();
        if !self.is_set() {
            notified.await;
        }
    }
}
