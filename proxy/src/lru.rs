//! A bounded map from which what was used least recently goes first.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A bounded map.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, (V, u64)>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
    entries_max: usize,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    /// A map for so many entries, at least one.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, entries_max: entries_max.max(1) }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key, now the most recently used.
    pub(crate) fn touch<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (value, used) = self.entries.get_mut(key)?;
        if *used != self.uses {
            let key = self.by_use.remove(used)?;
            self.uses += 1;
            *used = self.uses;
            self.by_use.insert(self.uses, key);
        }
        Some(value)
    }

    /// The value of a key.
    pub(crate) fn peek<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Puts a value in place. What goes for it is returned: the value that the key had, or else, where the map is full, the least
    /// recently used of those that may go, looking at no more than a few, or of all.
    pub(crate) fn insert(&mut self, key: K, value: V, may_go: impl Fn(&V) -> bool) -> Option<V> {
        let gone = self
            .remove(&key)
            .or_else(|| (self.entries.len() >= self.entries_max).then(|| self.evict(may_go)).flatten());
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, (value, self.uses));
        gone
    }

    /// Takes the least recently used entry out.
    pub(crate) fn pop(&mut self) -> Option<V> {
        let oldest = self.by_use.values().next()?.clone();
        self.remove(&oldest)
    }

    /// Takes an entry out.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (value, used) = self.entries.remove(key)?;
        self.by_use.remove(&used);
        Some(value)
    }

    /// Drops the entries that do not pass, and returns them.
    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) -> Vec<V> {
        let (entries, by_use) = (&mut self.entries, &mut self.by_use);
        let dropped = entries.extract_if(|_, (value, _)| !keep(value)).map(|(_, (value, used))| {
            by_use.remove(&used);
            value
        });
        dropped.collect()
    }

    fn evict(&mut self, may_go: impl Fn(&V) -> bool) -> Option<V> {
        const LOOKS_MAX: usize = 8;
        let idle = |key: &&K| self.entries.get(*key).is_some_and(|(value, _)| may_go(value));
        let victim = self.by_use.values().take(LOOKS_MAX).find(idle).or_else(|| self.by_use.values().next());
        let victim = victim?.clone();
        self.remove(&victim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> Lru<u32, u32> {
        let mut map = Lru::new(3);
        for key in 0..count {
            map.insert(key, key * 10, |_| true);
        }
        map
    }

    #[test]
    fn the_least_recently_used_goes() {
        let mut map = filled(3);
        assert_eq!(map.touch(&0), Some(&mut 0));
        assert_eq!(map.insert(3, 30, |_| true), Some(10));
        assert_eq!((map.len(), map.peek(&1)), (3, None));
        assert_eq!(map.insert(4, 40, |_| true), Some(20));
        assert_eq!(map.peek(&0), Some(&0));
    }

    #[test]
    fn what_is_busy_goes_only_where_all_is() {
        let mut map = filled(3);
        assert_eq!(map.insert(3, 30, |value| *value != 0), Some(10));
        assert_eq!(map.insert(4, 40, |_| false), Some(0));
    }

    #[test]
    fn a_key_is_there_once() {
        let mut map = filled(3);
        assert_eq!(map.insert(1, 11, |_| true), Some(10));
        assert_eq!(map.len(), 3);
        assert_eq!(map.remove(&1), Some(11));
        assert_eq!(map.remove(&1), None);
        assert_eq!((map.entries.len(), map.by_use.len()), (2, 2));
    }

    #[test]
    fn retaining_forgets_the_rest() {
        let mut map = filled(3);
        assert_eq!(map.retain(|value| *value != 10), [10]);
        assert_eq!((map.entries.len(), map.by_use.len()), (2, 2));
        assert_eq!(map.touch(&1), None);
    }
}
