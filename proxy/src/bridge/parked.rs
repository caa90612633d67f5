//! Calls that wait for their clients to come back with what an upstream asked.
//!
//! A call that waits is in the hands of a task of its own, which goes on listening: pings are answered, progress is
//! nobody's, an end is kept. Whoever comes back with the key takes the call out, once. When nobody does, the upstream is
//! told. INVARIANT: the table is bounded, in all and for each caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::call::{Call, Event, Listener};
use crate::revision::Route;

/// Calls of one caller that wait.
const OF_CALLER_MAX: usize = 32;

type Key = [u8; 16];

/// Calls that wait.
pub struct Parked {
    table: Arc<Mutex<Table>>,
}

struct Table {
    calls: HashMap<Key, Entry>,
    of_caller: HashMap<[u8; 32], usize>,
    calls_max: usize,
    closed: bool,
}

struct Entry {
    caller: [u8; 32],
    take: oneshot::Sender<oneshot::Sender<Call>>,
}

/// There is no room, or the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait for their clients")]
pub(super) struct NoRoom;

impl Parked {
    /// With room for so many.
    pub fn new(calls_max: usize) -> Self {
        let table = Table { calls: HashMap::new(), of_caller: HashMap::new(), calls_max, closed: false };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.table.lock().calls.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives all of them up, and takes no more: for when the process ends. Their upstreams are told.
    pub fn close(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        table.of_caller.clear();
        let given_up = std::mem::take(&mut table.calls);
        drop(table);
        drop(given_up);
    }

    /// A place for a call under a fresh key.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn reserve(&self, caller: [u8; 32]) -> Result<Place, NoRoom> {
        let mut key = Key::default();
        getrandom::fill(&mut key).map_err(|_| NoRoom)?;
        let (take, taken) = oneshot::channel();
        let mut table = self.table.lock();
        let full = table.closed || table.calls.len() >= table.calls_max;
        if full || table.of_caller.get(&caller).is_some_and(|count| *count >= OF_CALLER_MAX) {
            return Err(NoRoom);
        }
        table.calls.insert(key, Entry { caller, take });
        *table.of_caller.entry(caller).or_default() += 1;
        drop(table);
        Ok(Place { table: Arc::clone(&self.table), key, taken: Some(taken) })
    }

    /// Takes a call out; none if it is not there (any more).
    pub(super) async fn take(&self, key: &Key) -> Option<Call> {
        let entry = self.table.lock().remove(key)?;
        let (sender, call) = oneshot::channel();
        entry.take.send(sender).ok()?;
        call.await.ok()
    }
}

impl Table {
    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.calls.remove(key)?;
        if let Some(count) = self.of_caller.get_mut(&entry.caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_caller.remove(&entry.caller);
            }
        }
        Some(entry)
    }
}

/// A place in the table. Dropped without a call, it is free again.
pub(super) struct Place {
    table: Arc<Mutex<Table>>,
    key: Key,
    taken: Option<oneshot::Receiver<oneshot::Sender<Call>>>,
}

impl Place {
    /// What the call is taken by.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Leaves a call here, for so long.
    pub(super) fn park(mut self, mut call: Call, route: Arc<Route>, lasts: Duration) {
        let Some(taken) = self.taken.take() else { return };
        call.outlast();
        call.listen(Listener::default());
        let deadline = Instant::now() + lasts;
        // Owned by the table: the task ends with its entry, which is taken, or dropped with the table or at the deadline.
        tokio::spawn(async move {
            wait(call, taken, deadline, &route).await;
            drop(self);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let entry = self.table.lock().remove(&self.key);
        drop(entry);
    }
}

/// Keeps a call until it is taken.
async fn wait(
    mut call: Call,
    mut taken: oneshot::Receiver<oneshot::Sender<Call>>,
    deadline: Instant,
    route: &Route,
) {
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            taker = &mut taken => {
                let back = match taker {
                    Ok(taker) => taker.send(call),
                    Err(_) => Err(call),
                };
                if let Err(call) = back {
                    call.abandon("the client did not come back").await;
                }
                return;
            }
            () = sleep_until(deadline) => {
                tracing::debug!(binding = route.id, "a client did not come back with what was asked");
                call.abandon("the client did not answer in time").await;
                return;
            }
            event = call.next(), if !over => match event {
                Event::Send(json) => {
                    let _ = call.send(json).await;
                }
                Event::Ended => over = true,
                Event::Changed(kind) => route.catalogues.changed(kind),
                Event::Notice(_) | Event::Questions => {}
            },
        }
    }
}
