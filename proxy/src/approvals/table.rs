//! The calls that wait, by their ids: bounded in all, for each gate and for each caller; and the last that were concluded, for
//! pages and for those who answer too late.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::pending::{Asking, Pending};
use crate::lru::Lru;

/// Calls that wait, in all. A gate has a limit of its own below it.
const PENDING_MAX: usize = 100_000;
/// Concluded calls that are remembered.
const CONCLUDED_MAX: usize = 1024;

/// The calls that wait.
pub(super) struct Table {
    inner: Mutex<Inner>,
}

struct Inner {
    pending: HashMap<Box<str>, Arc<Pending>>,
    of_caller: HashMap<[u8; 32], usize>,
    of_gate: HashMap<(mcpg_sdk::Scope, &'static str), usize>,
    concluded: Lru<Box<str>, Arc<Pending>>,
    closed: bool,
}

/// There is no room, or the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// Of this caller.
    #[error("too many calls of the caller wait for approval")]
    Caller,
    /// In all.
    #[error("too many calls wait for approval")]
    All,
    /// The process ends.
    #[error("the gateway is shutting down")]
    Closed,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                pending: HashMap::new(),
                of_caller: HashMap::new(),
                of_gate: HashMap::new(),
                concluded: Lru::new(CONCLUDED_MAX),
                closed: false,
            }),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().pending.len()
    }

    /// Lets a call wait.
    pub(super) fn insert(&self, asking: Asking) -> Result<Arc<Pending>, NoRoom> {
        let mut inner = self.inner.lock();
        let terms = asking.gate.terms();
        let gate = (asking.scope.clone(), asking.gate.id());
        let count = |count: Option<&usize>| count.copied().unwrap_or(0);
        if inner.closed {
            return Err(NoRoom::Closed);
        }
        if count(inner.of_caller.get(&asking.caller)) >= terms.pending_per_caller_max {
            return Err(NoRoom::Caller);
        }
        if inner.pending.len() >= PENDING_MAX || count(inner.of_gate.get(&gate)) >= terms.pending_max {
            return Err(NoRoom::All);
        }
        *inner.of_caller.entry(asking.caller).or_default() += 1;
        *inner.of_gate.entry(gate).or_default() += 1;
        let pending = Pending::new(asking);
        inner.pending.insert(pending.id().into(), Arc::clone(&pending));
        Ok(pending)
    }

    /// One that waits, or was concluded not long ago.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Pending>> {
        let inner = self.inner.lock();
        inner.pending.get(id).or_else(|| inner.concluded.peek(id)).cloned()
    }

    /// Every one that waits.
    pub(super) fn all(&self) -> Vec<Arc<Pending>> {
        self.inner.lock().pending.values().cloned().collect()
    }

    /// Remembers as concluded what waits no more.
    pub(super) fn remove(&self, pending: &Arc<Pending>) {
        let mut inner = self.inner.lock();
        if inner.pending.remove(pending.id()).is_none() {
            return;
        }
        let gate = (pending.asking.scope.clone(), pending.asking.gate.id());
        less(&mut inner.of_caller, &pending.asking.caller);
        less(&mut inner.of_gate, &gate);
        let gone = inner.concluded.insert(pending.id().into(), Arc::clone(pending), |_| true);
        drop(inner);
        drop(gone);
    }

    /// Takes no more, and hands out all that wait.
    pub(super) fn close(&self) -> Vec<Arc<Pending>> {
        self.inner.lock().closed = true;
        self.all()
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
