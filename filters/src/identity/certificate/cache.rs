//! What has been verified, by a hash of all that it was verified from: bounded, and a hit allocates nothing.
//!
//! Only what held is kept, so a stranger cannot fill it. It belongs to the trust that it was verified by: with new
//! anchors, lists or settings there is a new and empty one.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::RwLock;

use super::Validity;

const SETS: usize = 1024;
const WAYS: usize = 8;

/// What was verified, set by set: a full set forgets its entries in turn.
pub(crate) struct VerifiedCache<T> {
    /// Made when there is something to keep.
    sets: OnceLock<Box<[RwLock<Set<T>>]>>,
}

struct Set<T> {
    entries: Vec<Entry<T>>,
    next: usize,
}

struct Entry<T> {
    key: [u8; 32],
    validity: Validity,
    value: Arc<T>,
}

impl<T> VerifiedCache<T> {
    /// What was found for the same bytes, if it still holds.
    pub(crate) fn find(&self, key: &[u8; 32], now: SystemTime) -> Option<Arc<T>> {
        let set = set_of(self.sets.get()?, key)?.read();
        let entry = set.entries.iter().find(|entry| entry.key == *key)?;
        entry.validity.contains(now).then(|| Arc::clone(&entry.value))
    }

    /// Keeps what was verified for as long as it holds.
    pub(crate) fn insert(&self, key: [u8; 32], validity: Validity, value: Arc<T>) {
        let empty = || RwLock::new(Set { entries: Vec::new(), next: 0 });
        let sets = self.sets.get_or_init(|| std::iter::repeat_with(empty).take(SETS).collect());
        let Some(set) = set_of(sets, &key) else { return };
        let entry = Entry { key, validity, value };
        let mut set = set.write();
        let place = set.entries.iter().position(|entry| entry.key == key).unwrap_or(set.next);
        match set.entries.get_mut(place) {
            Some(old) => *old = entry,
            None => set.entries.push(entry),
        }
        if place == set.next {
            set.next = (place + 1) % WAYS;
        }
    }
}

/// The keys are hashes, so their bytes are as good as random.
fn set_of<'a, T>(sets: &'a [RwLock<Set<T>>], key: &[u8; 32]) -> Option<&'a RwLock<Set<T>>> {
    let [first, second, ..] = *key;
    sets.get(usize::from(u16::from_le_bytes([first, second])) % SETS)
}

impl<T> Default for VerifiedCache<T> {
    fn default() -> Self {
        Self { sets: OnceLock::new() }
    }
}

impl<T> std::fmt::Debug for VerifiedCache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const VALIDITY: Validity = Validity { from: 10, until: 20 };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_held_is_found_while_it_holds() {
        let cache = VerifiedCache::default();
        cache.insert([1; 32], VALIDITY, Arc::new("alice"));
        let find = |key: u8, seconds| cache.find(&[key; 32], at(seconds)).as_deref().copied();
        assert_eq!(find(1, 10), Some("alice"));
        assert_eq!(find(1, 19), Some("alice"));
        assert_eq!(find(1, 9), None);
        assert_eq!(find(1, 20), None);
        assert_eq!(find(2, 15), None);
        cache.insert([1; 32], Validity { from: 10, until: 30 }, Arc::new("bob"));
        assert_eq!(find(1, 25), Some("bob"));
    }

    #[test]
    fn a_full_set_forgets_in_turn() {
        let cache = VerifiedCache::default();
        let key = |number: u8| {
            let mut key = [0; 32];
            key[31] = number;
            key
        };
        for number in 0..=8 {
            cache.insert(key(number), VALIDITY, Arc::new(number));
        }
        let held: Vec<_> = (0..=8).filter(|number| cache.find(&key(*number), at(15)).is_some()).collect();
        assert_eq!(held, [1, 2, 3, 4, 5, 6, 7, 8]);
        cache.insert(key(8), VALIDITY, Arc::new(8));
        cache.insert(key(9), VALIDITY, Arc::new(9));
        assert!(cache.find(&key(1), at(15)).is_none() && cache.find(&key(2), at(15)).is_some());
    }
}
