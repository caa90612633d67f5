//! Whose decision is made next, of those that take longer than a worker has.
//!
//! A scope holds its share of the threads and no more, and one caller half of that: a caller who finds arguments that a policy takes
//! long about keeps itself waiting, and not the others of its scope.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use mcpg_sdk::{AuthMethod, Call, Caller};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queues of callers. Which one a caller stands in, nobody can choose.
const QUEUES: usize = 64;

/// The turns of one scope.
pub(super) struct Turns {
    scope: Arc<Semaphore>,
    each: usize,
    queues: OnceLock<Box<[Arc<Semaphore>]>>,
    hasher: RandomState,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _scope: OwnedSemaphorePermit,
}

impl Turns {
    /// So many at once.
    pub(super) fn new(share: usize) -> Self {
        Self {
            scope: Arc::new(Semaphore::new(share)),
            each: (share / 2).max(1),
            queues: OnceLock::new(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for a turn: first among the caller's own calls, then among those of all callers. None when there are no more turns.
    pub(super) async fn take(&self, caller: &Caller, call: &Call<'_>) -> Option<Turn> {
        let own = Arc::clone(self.queue(caller, call.source)?).acquire_owned().await.ok()?;
        let scope = Arc::clone(&self.scope).acquire_owned().await.ok()?;
        Some(Turn { _own: own, _scope: scope })
    }

    fn queue(&self, caller: &Caller, source: IpAddr) -> Option<&Arc<Semaphore>> {
        let queues =
            self.queues.get_or_init(|| (0..QUEUES).map(|_| Arc::new(Semaphore::new(self.each))).collect());
        // All of the unknown have one name.
        let source = (caller.auth_method == AuthMethod::Anonymous).then_some(source);
        let hash = self.hasher.hash_one((&caller.subject, source));
        queues.get(usize::try_from(hash % QUEUES as u64).ok()?)
    }
}
