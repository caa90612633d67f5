//! What is kept of an upstream: a value for each key, fetched once for all who wait for it.
//!
//! A value is fresh for its time to live, and is fetched again in the background before that ends if it is asked for. For as long
//! again it is handed out while the next one is on its way; after that, askers wait. When the upstream fails, the old value is
//! handed out for the time that the [`Terms`] say, then nothing is. What the upstream says is changed is waited for.
//!
//! Invariants:
//! - One fetch at a time for a key, and not more than one in [`FETCH_INTERVAL_MIN`], whatever clients and upstreams do.
//! - Nobody waits longer than [`Terms::fetch_timeout`], and hardly for an upstream that failed the last time.
//! - Who asks is content with a fetch that began after it asked, however often the upstream says that something is changed.
//! - The number of keys and the bytes of their values are bounded; the least recently used go first.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::FetchError;

/// The time between two fetches of one key.
pub(super) const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest time between two fetches of a key that fails.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a changed value is waited for while there is an old one.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long an upstream that failed the last time is waited for.
const RETRY_WAIT_MAX: Duration = Duration::from_millis(500);

/// How long values are kept and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// A fetch.
    pub(super) fetch_timeout: Duration,
    /// A value that is no longer fresh while its upstream fails.
    pub(super) stale: Duration,
    /// All values together.
    pub(super) bytes_max: usize,
}

/// What was fetched.
pub(super) struct Fetched<T> {
    pub(super) value: Arc<T>,
    pub(super) ttl: Duration,
}

/// What there is.
#[derive(Debug, Clone)]
pub(super) enum Supply<T> {
    /// A value.
    Held {
        value: Arc<T>,
        /// How long it stays fresh; nothing if it is not.
        left: Duration,
        /// The upstream fails, and this is what it said before.
        is_stale: bool,
    },
    /// None. The last one is too old to be shown.
    Missing { error: Arc<FetchError>, last: Option<Arc<T>> },
}

/// What a value weighs.
pub(super) trait Weight {
    /// Bytes, about.
    fn weight(&self) -> usize;
}

/// Is told what becomes of fetches.
pub(super) trait Watcher<K>: Send + Sync {
    /// One ended. `changed` says that the one before ended otherwise.
    fn fetched(&self, key: &K, outcome: Result<(), &FetchError>, changed: bool);
}

/// A fetch under way.
pub(super) type Fetch<T> = Pin<Box<dyn Future<Output = Result<Fetched<T>, FetchError>> + Send>>;

/// Values by key.
pub(super) struct Shelf<K, T> {
    slots: Mutex<Slots<K, T>>,
    slots_max: usize,
    watcher: Arc<dyn Watcher<K>>,
}

struct Slots<K, T> {
    by_key: HashMap<K, (Arc<Slot<T>>, u64)>,
    clock: u64,
}

struct Slot<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    held: Option<Held<T>>,
    /// How often the upstream said that the value is changed.
    changes: u64,
    flight: Option<Flight>,
    /// Before then no fetch begins.
    not_before: Option<Instant>,
    failures: u32,
    error: Option<Arc<FetchError>>,
}

struct Held<T> {
    value: Arc<T>,
    at: Instant,
    ttl: Duration,
    /// The changes that it knows of.
    changes: u64,
}

struct Flight {
    begun: Instant,
    /// Closes when the fetch has ended, however.
    ended: watch::Receiver<()>,
    task: AbortHandle,
}

/// Somebody who asks for a value.
#[derive(Clone, Copy)]
struct Asker {
    since: Instant,
    /// The changes that it must be told of.
    changes: u64,
}

/// What an asker does next.
enum Step<T> {
    Take(Supply<T>),
    Wait { ended: watch::Receiver<()>, until: Instant },
    Sleep(Instant),
}

impl<K, T> Shelf<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Weight + Send + Sync + 'static,
{
    /// An empty shelf for so many keys.
    pub(super) fn new(slots_max: usize, watcher: Arc<dyn Watcher<K>>) -> Self {
        let slots = Mutex::new(Slots { by_key: HashMap::new(), clock: 0 });
        Self { slots, slots_max, watcher }
    }

    /// The value of a key, fetched if need be.
    pub(super) async fn take(&self, key: &K, terms: &Terms, fetch: impl Fn() -> Fetch<T>) -> Supply<T> {
        let slot = self.slot(key);
        let asker = Asker { since: Instant::now(), changes: slot.state.lock().changes };
        let deadline = asker.since + terms.fetch_timeout;
        loop {
            let step = {
                let mut state = slot.state.lock();
                self.step(&slot, &mut state, asker, (key, terms), &fetch)
            };
            let until = match &step {
                Step::Take(_) => deadline,
                Step::Wait { until, .. } => deadline.min(*until),
                Step::Sleep(until) => *until,
            };
            match step {
                Step::Take(supply) => return supply,
                _ if until <= Instant::now() || until > deadline => return slot.state.lock().fallback(terms),
                Step::Wait { mut ended, .. } => {
                    // It ended or took too long: either way what there is now is looked at anew.
                    let _ = timeout_at(until, ended.changed()).await;
                    self.shed(terms);
                }
                Step::Sleep(_) => sleep_until(until).await,
            }
        }
    }

    /// The value of a key as it stands, if it may be shown. Fetches nothing.
    pub(super) fn peek(&self, key: &K, terms: &Terms) -> Option<Arc<T>> {
        let slots = self.slots.lock();
        let state = slots.by_key.get(key)?.0.state.lock();
        state.held.as_ref().filter(|held| held.is_servable(terms)).map(|held| Arc::clone(&held.value))
    }

    /// Puts a value in place of a key's.
    pub(super) fn put(&self, key: &K, fetched: Fetched<T>, terms: &Terms) {
        let slot = self.slot(key);
        {
            let mut state = slot.state.lock();
            let changes = state.changes;
            state.hold(fetched, changes);
        }
        self.shed(terms);
    }

    /// Marks the values of these keys as changed.
    pub(super) fn change(&self, is_meant: impl Fn(&K) -> bool) {
        let slots = self.slots.lock();
        for (slot, _) in slots.by_key.iter().filter(|(key, _)| is_meant(key)).map(|(_, slot)| slot) {
            slot.state.lock().changes += 1;
        }
    }

    fn step(
        &self,
        slot: &Arc<Slot<T>>,
        state: &mut State<T>,
        asker: Asker,
        (key, terms): (&K, &Terms),
        fetch: &impl Fn() -> Fetch<T>,
    ) -> Step<T> {
        let now = Instant::now();
        let freshness = state.freshness(now, terms, asker.changes);
        let is_due = state.not_before.is_none_or(|then| then <= now);
        if freshness != Freshness::Fresh && is_due && state.flight().is_none() {
            self.begin(slot, state, key, terms, fetch());
        }
        if !matches!(freshness, Freshness::Changed | Freshness::Gone) {
            return Step::Take(state.fallback(terms));
        }
        match (state.flight(), state.not_before) {
            (Some((begun, ended)), _) => {
                let patience = match freshness {
                    _ if state.error.is_some() => begun + RETRY_WAIT_MAX,
                    Freshness::Changed => asker.since + CHANGE_WAIT_MAX,
                    _ => asker.since + terms.fetch_timeout,
                };
                Step::Wait { ended, until: patience }
            }
            // An upstream that has just failed is tried again for those who come later.
            (None, Some(then)) if state.error.is_none() => Step::Sleep(then),
            (None, _) => Step::Take(state.fallback(terms)),
        }
    }

    fn begin(&self, slot: &Arc<Slot<T>>, state: &mut State<T>, key: &K, terms: &Terms, fetch: Fetch<T>) {
        let (sender, ended) = watch::channel(());
        let (weak, key, watcher) = (Arc::downgrade(slot), key.clone(), Arc::clone(&self.watcher));
        let (limit, changes) = (terms.fetch_timeout, state.changes);
        state.not_before = Some(Instant::now() + FETCH_INTERVAL_MIN);
        let task = tokio::spawn(async move {
            let outcome = timeout(limit, fetch).await.unwrap_or(Err(FetchError::Timeout));
            if let Some(slot) = weak.upgrade() {
                slot.state.lock().end(outcome, changes, |outcome, changed| {
                    watcher.fetched(&key, outcome, changed);
                });
            }
            drop(sender);
        });
        state.flight = Some(Flight { begun: Instant::now(), ended, task: task.abort_handle() });
    }

    fn slot(&self, key: &K) -> Arc<Slot<T>> {
        let mut slots = self.slots.lock();
        slots.clock += 1;
        let clock = slots.clock;
        if let Some((slot, used)) = slots.by_key.get_mut(key) {
            *used = clock;
            return Arc::clone(slot);
        }
        while slots.by_key.len() >= self.slots_max && slots.evict() {}
        let slot = Arc::new(Slot { state: Mutex::new(State::default()) });
        slots.by_key.insert(key.clone(), (Arc::clone(&slot), clock));
        slot
    }

    /// Lets the least recently used go while all values together are too large.
    pub(super) fn shed(&self, terms: &Terms) {
        let mut slots = self.slots.lock();
        while slots.weight() > terms.bytes_max && slots.by_key.len() > 1 && slots.evict() {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// As fresh as can be.
    Fresh,
    /// Fresh, and to be fetched again soon.
    Aging,
    /// No longer fresh, but its successor is on its way.
    Grace,
    /// The upstream said that it is changed.
    Changed,
    /// There is none, or it is too old.
    Gone,
}

impl<T> Held<T> {
    fn left(&self, now: Instant) -> Duration {
        (self.at + self.ttl).saturating_duration_since(now)
    }

    fn is_servable(&self, terms: &Terms) -> bool {
        self.at.elapsed() < self.ttl + terms.stale
    }
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { held: None, changes: 0, flight: None, not_before: None, failures: 0, error: None }
    }
}

impl<T> State<T> {
    fn freshness(&self, now: Instant, terms: &Terms, changes: u64) -> Freshness {
        let Some(held) = &self.held else { return Freshness::Gone };
        let age = now.saturating_duration_since(held.at);
        if held.changes < changes {
            return if held.is_servable(terms) { Freshness::Changed } else { Freshness::Gone };
        }
        if age < held.ttl * 4 / 5 {
            Freshness::Fresh
        } else if age < held.ttl {
            Freshness::Aging
        } else if age < held.ttl + held.ttl.min(terms.stale) {
            Freshness::Grace
        } else {
            Freshness::Gone
        }
    }

    /// The fetch under way, and when it began.
    fn flight(&self) -> Option<(Instant, watch::Receiver<()>)> {
        let flight = self.flight.as_ref()?;
        flight.ended.has_changed().is_ok().then(|| (flight.begun, flight.ended.clone()))
    }

    /// The value that there is, if it may be shown.
    fn fallback(&self, terms: &Terms) -> Supply<T> {
        let error = || self.error.clone().unwrap_or_else(|| Arc::new(FetchError::Timeout));
        match &self.held {
            Some(held) if held.is_servable(terms) => {
                let is_current = held.changes == self.changes;
                let left = if is_current { held.left(Instant::now()) } else { Duration::ZERO };
                let is_stale = left.is_zero() && self.error.is_some();
                Supply::Held { value: Arc::clone(&held.value), left, is_stale }
            }
            Some(held) => Supply::Missing { error: error(), last: Some(Arc::clone(&held.value)) },
            None => Supply::Missing { error: error(), last: None },
        }
    }

    fn hold(&mut self, fetched: Fetched<T>, changes: u64) {
        self.held = Some(Held { value: fetched.value, at: Instant::now(), ttl: fetched.ttl, changes });
        self.failures = 0;
        self.error = None;
    }

    fn end(
        &mut self,
        outcome: Result<Fetched<T>, FetchError>,
        changes: u64,
        tell: impl FnOnce(Result<(), &FetchError>, bool),
    ) {
        self.flight = None;
        let failed_before = self.error.is_some();
        match outcome {
            Ok(fetched) => {
                self.hold(fetched, changes);
                tell(Ok(()), failed_before);
            }
            Err(error) => {
                tell(Err(&error), !failed_before);
                let backoff = FETCH_INTERVAL_MIN * 2_u32.saturating_pow(self.failures.min(10));
                self.not_before = Some(Instant::now() + backoff.min(BACKOFF_MAX));
                self.failures = self.failures.saturating_add(1);
                if error == FetchError::Private {
                    // What everyone could see before is not everyone's any more.
                    self.held = None;
                }
                self.error = Some(Arc::new(error));
            }
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if let Some(flight) = &self.state.get_mut().flight {
            flight.task.abort();
        }
    }
}

impl<K: Hash + Eq + Clone, T: Weight> Slots<K, T> {
    fn weight(&self) -> usize {
        let weight = |slot: &Slot<T>| slot.state.lock().held.as_ref().map_or(0, |held| held.value.weight());
        self.by_key.values().map(|(slot, _)| weight(slot)).sum()
    }

    /// Lets the least recently used key go. False if there is none.
    fn evict(&mut self) -> bool {
        let oldest = self.by_key.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
        oldest.is_some_and(|oldest| self.by_key.remove(&oldest).is_some())
    }
}

#[cfg(test)]
mod tests;
