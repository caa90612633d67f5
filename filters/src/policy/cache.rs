//! The decision cache: sharded, bounded in entries and bytes, without a time to live.
//!
//! It lives in the chain, the chain in a Revision, so what it holds is valid as long as it exists. Keys
//! are hashed with SipHash under a random key and compared in full. Eviction is CLOCK: an entry that was
//! used since the hand last passed stays, and a new entry counts as unused, so a flood of calls that are
//! made once evicts itself first.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;

use super::chain::Verdict;

/// How much the decision cache of a chain may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Decisions kept at most. 0 turns the cache off.
    pub entries_max: usize,
    /// Bytes held at most: keys, verdicts and bookkeeping.
    pub bytes_max: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries_max: 65_536, bytes_max: 32 << 20 }
    }
}

/// What the cache has done since it was built, and what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Decisions that were found.
    pub hits: u64,
    /// Decisions that were not found.
    pub misses: u64,
    /// Decisions that made room for others.
    pub evictions: u64,
    /// Decisions that could not be kept: they read the clock, or their key would be too long.
    pub skipped: u64,
    /// Decisions held now.
    pub entries: u64,
    /// Bytes held now.
    pub bytes: u64,
}

const SHARDS: usize = 64;

/// What an entry costs beside its key and the texts of its verdict.
const ENTRY_BYTES: usize = size_of::<Slot>() + size_of::<Verdict>() + 48;

pub(crate) struct DecisionCache {
    hasher: RandomState,
    shards: Box<[Shard]>,
    entries_max: usize,
    bytes_max: usize,
    skipped: AtomicU64,
}

/// Aligned, so that the counters of two shards do not share a cache line.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    held: RwLock<Held>,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Default)]
struct Held {
    /// Places in `slots`, by hash.
    places: HashTable<u32>,
    slots: Vec<Slot>,
    hand: usize,
    bytes: usize,
}

struct Slot {
    hash: u64,
    key: Box<[u8]>,
    verdict: Arc<Verdict>,
    bytes: usize,
    used: AtomicBool,
}

impl DecisionCache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            entries_max: limits.entries_max.div_ceil(SHARDS),
            bytes_max: limits.bytes_max / SHARDS,
            skipped: AtomicU64::new(0),
        }
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Arc<Verdict>> {
        let shard = self.shard(hash)?;
        let found = shard.held.read().find(hash, key);
        let counter = if found.is_some() { &shard.hits } else { &shard.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(crate) fn insert(&self, hash: u64, key: &[u8], verdict: &Arc<Verdict>) {
        let bytes = ENTRY_BYTES + key.len() + verdict.text_bytes();
        let Some(shard) = self.shard(hash) else { return };
        if bytes > self.bytes_max || self.entries_max == 0 {
            self.count_skipped();
            return;
        }
        let slot =
            Slot { hash, key: key.into(), verdict: verdict.clone(), bytes, used: AtomicBool::new(false) };
        // What is evicted is freed after the lock.
        let mut evicted = Vec::new();
        let mut held = shard.held.write();
        if held.find(hash, key).is_some() {
            return;
        }
        while held.slots.len() >= self.entries_max || held.bytes + bytes > self.bytes_max {
            let Some(slot) = held.evict() else { break };
            evicted.push(slot);
        }
        held.add(slot);
        drop(held);
        shard.evictions.fetch_add(evicted.len() as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counters(&self) -> CacheCounters {
        let mut sum =
            CacheCounters { skipped: self.skipped.load(Ordering::Relaxed), ..CacheCounters::default() };
        for shard in &self.shards {
            sum.hits += shard.hits.load(Ordering::Relaxed);
            sum.misses += shard.misses.load(Ordering::Relaxed);
            sum.evictions += shard.evictions.load(Ordering::Relaxed);
            let held = shard.held.read();
            sum.entries += held.slots.len() as u64;
            sum.bytes += held.bytes as u64;
        }
        sum
    }

    /// The table within a shard uses the lowest and the highest bits.
    fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get((hash >> 32) as usize % SHARDS)
    }
}

impl Held {
    fn find(&self, hash: u64, key: &[u8]) -> Option<Arc<Verdict>> {
        let slot = |place: &u32| self.slots.get(*place as usize);
        let place = self.places.find(hash, |place| slot(place).is_some_and(|slot| *slot.key == *key))?;
        let slot = slot(place)?;
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(slot.verdict.clone())
    }

    fn add(&mut self, slot: Slot) {
        let Ok(place) = u32::try_from(self.slots.len()) else { return };
        self.bytes += slot.bytes;
        let hash = slot.hash;
        self.slots.push(slot);
        let slots = &self.slots;
        self.places
            .insert_unique(hash, place, |place| slots.get(*place as usize).map_or(0, |slot| slot.hash));
    }

    /// Takes out the first entry from the hand on that was not used since the hand last passed.
    fn evict(&mut self) -> Option<Slot> {
        // Two rounds suffice: the first clears every mark.
        for _ in 0..=2 * self.slots.len() {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            if !*self.slots.get_mut(self.hand)?.used.get_mut() {
                return Some(self.take(self.hand));
            }
            *self.slots.get_mut(self.hand)?.used.get_mut() = false;
            self.hand += 1;
        }
        None
    }

    /// Takes an entry out; the last one moves to its place.
    fn take(&mut self, at: usize) -> Slot {
        let last = self.slots.len() - 1;
        let slot = self.slots.swap_remove(at);
        self.bytes -= slot.bytes;
        if let Ok(entry) = self.places.find_entry(slot.hash, |place| *place as usize == at) {
            entry.remove();
        }
        if let Some(moved) = self.slots.get(at)
            && let Some(place) = self.places.find_mut(moved.hash, |place| *place as usize == last)
            && let Ok(at) = u32::try_from(at)
        {
            *place = at;
        }
        slot
    }
}

#[cfg(test)]
mod tests;
