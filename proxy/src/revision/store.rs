//! The generation in force, and how the last attempt to replace it went.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use mcpg_sdk::Scope;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::sync::watch;

use super::{Generation, Revision};

/// Warnings that are shown.
const WARNINGS_MAX: usize = 200;

/// Holds the generation in force. Reading it takes no lock.
pub struct RevisionStore {
    current: ArcSwap<Generation>,
    number: watch::Sender<u64>,
    last_refusal: RwLock<Option<Refused>>,
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The new revision is in force.
    Swapped {
        /// Its number.
        number: u64,
    },
    /// The configuration is the one in force already.
    Unchanged,
}

/// The state of configuration, for the admin endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The number of the revision in force.
    pub number: u64,
    /// BLAKE3 of its configuration, in hex.
    pub digest: String,
    /// When it was built, as a UNIX time in seconds.
    pub built: u64,
    /// What is odd about it, as far as it is known by now.
    pub warnings: Vec<String>,
    /// Why the last attempt to replace it failed; none if it did not.
    pub last_refusal: Option<Refused>,
}

/// A configuration that was refused.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// When, as a UNIX time in seconds.
    pub at: u64,
    /// What is wrong, where, and what to do.
    pub problems: Vec<String>,
}

impl RevisionStore {
    /// Begins with a first generation.
    pub fn new(first: Generation) -> Self {
        let number = watch::Sender::new(first.number);
        Self { current: ArcSwap::from_pointee(first), number, last_refusal: RwLock::new(None) }
    }

    /// The generation in force.
    pub fn load(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// The revision in force of a scope, if it still is served.
    pub fn scope(&self, scope: &Scope) -> Option<Arc<Revision>> {
        self.current.load().scopes.by_scope(scope).map(Arc::clone)
    }

    /// The revision of the first scope.
    #[cfg(test)]
    pub(crate) fn only(&self) -> Arc<Revision> {
        self.current.load().scopes.iter().next().map(Arc::clone).unwrap()
    }

    /// Reads something small of the generation in force.
    pub fn peek<T>(&self, read: impl FnOnce(&Generation) -> T) -> T {
        read(&self.current.load())
    }

    /// Puts a generation in force.
    pub fn swap(&self, generation: Generation) {
        let number = generation.number;
        self.current.store(Arc::new(generation));
        self.number.send_replace(number);
        *self.last_refusal.write() = None;
    }

    /// Tells of every generation that comes into force, by its number: for what outlives the one that it began with.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// Notes that the configuration as it stands is the one in force.
    pub fn confirm(&self) {
        *self.last_refusal.write() = None;
    }

    /// Notes why a configuration was refused. The revision in force stays.
    pub fn refuse(&self, problems: Vec<String>, now: SystemTime) {
        *self.last_refusal.write() = Some(Refused { at: unix_seconds(now), problems });
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let current = self.current.load();
        let of_lists = current.scopes.iter().flat_map(|revision| revision.federation.warnings());
        Standing {
            number: current.number,
            digest: blake3::Hash::from_bytes(current.digest).to_hex().to_string(),
            built: unix_seconds(current.built),
            warnings: current.warnings.iter().cloned().chain(of_lists).take(WARNINGS_MAX).collect(),
            last_refusal: self.last_refusal.read().clone(),
        }
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
