//! Who has used how much: a sharded, bounded table of callers and their tools.
//!
//! Keys are kept as 128-bit hashes under a random key of the process, so that no name is stored, none is
//! allocated, and nobody outside can aim at another caller's place. A place is given away only when all its
//! buckets are full again. Without a free place in a shard, its new callers share one cell.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use mcpg_sdk::Scope;
use parking_lot::Mutex;

/// How many places one insertion looks at for a free one: bounds the time under the lock.
const SWEEP: usize = 16;

#[derive(Debug)]
pub(super) struct Table {
    hashers: [RandomState; 2],
    shards: Box<[Shard]>,
}

/// A caller's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallerKey {
    shard: u64,
    bucket: u64,
}

/// On its own cache lines: neighbours do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Cells>);

#[derive(Debug, Default)]
struct Cells {
    places: HashTable<usize>,
    cells: Vec<(CallerKey, Cell)>,
    hand: usize,
    shared: Cell,
}

/// What one caller has used. Times are `used_until` of the bucket.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) used_until: u64,
    tools: Vec<(u64, u64)>,
    other_tools: u64,
}

impl Table {
    pub(super) fn new(shards: usize) -> Self {
        let shards = (0..shards.max(1)).map(|_| Shard::default()).collect();
        Self { hashers: [RandomState::new(), RandomState::new()], shards }
    }

    pub(super) fn caller_key(&self, scope: &Scope, subject: &str) -> CallerKey {
        let [one, two] = &self.hashers;
        let hash = |hasher: &RandomState| hasher.hash_one((scope, subject));
        CallerKey { shard: hash(one), bucket: hash(two) }
    }

    pub(super) fn tool_key(&self, binding: &str, tool: &str) -> u64 {
        let [one, _] = &self.hashers;
        one.hash_one((binding, tool))
    }

    /// Runs `charge` on the caller's cell, or on the one its shard shares.
    pub(super) fn with_cell<T>(
        &self,
        key: CallerKey,
        cells_max: usize,
        now_ns: u64,
        charge: impl FnOnce(&mut Cell) -> T,
    ) -> T {
        let index = usize::try_from(key.shard % self.shards.len() as u64).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "the index is modulo the length, and `new` makes one shard at least"
        )]
        let shard = &self.shards[index];
        let mut cells = shard.0.lock();
        charge(cells.cell(key, cells_max, now_ns))
    }
}

impl Cells {
    fn cell(&mut self, key: CallerKey, cells_max: usize, now_ns: u64) -> &mut Cell {
        let cells = &self.cells;
        let is_key = |place: &usize| cells.get(*place).is_some_and(|(other, _)| *other == key);
        let place = match self.places.find(key.bucket, is_key) {
            Some(place) => Some(*place),
            None => self.place(key, cells_max, now_ns),
        };
        match place.and_then(|place| self.cells.get_mut(place)) {
            Some((_, cell)) => cell,
            None => &mut self.shared,
        }
    }

    /// A place for a new caller: an unused one, or one whose buckets are all full again.
    fn place(&mut self, key: CallerKey, cells_max: usize, now_ns: u64) -> Option<usize> {
        let place = if self.cells.len() < cells_max {
            self.cells.push((key, Cell::default()));
            self.cells.len() - 1
        } else {
            let place = self.sweep(now_ns)?;
            let (old, cell) = self.cells.get_mut(place)?;
            let bucket = std::mem::replace(old, key).bucket;
            *cell = Cell::default();
            if let Ok(entry) = self.places.find_entry(bucket, |other| *other == place) {
                entry.remove();
            }
            place
        };
        let cells = &self.cells;
        self.places
            .insert_unique(key.bucket, place, |place| cells.get(*place).map_or(0, |(key, _)| key.bucket));
        Some(place)
    }

    fn sweep(&mut self, now_ns: u64) -> Option<usize> {
        for _ in 0..SWEEP.min(self.cells.len()) {
            self.hand = if self.hand + 1 < self.cells.len() { self.hand + 1 } else { 0 };
            if self.cells.get(self.hand).is_some_and(|(_, cell)| cell.is_full(now_ns)) {
                return Some(self.hand);
            }
        }
        None
    }
}

impl Cell {
    /// The bucket of one tool, or the one that tools without a place share.
    pub(super) fn tool(&mut self, key: u64, places: usize, now_ns: u64) -> &mut u64 {
        let place = self.tools.iter().position(|(other, _)| *other == key).or_else(|| {
            if let Some(place) = self.tools.iter().position(|(_, used_until)| *used_until <= now_ns) {
                // A full bucket is what a new one is.
                self.tools.get_mut(place)?.0 = key;
                return Some(place);
            }
            let room = self.tools.len() < places;
            room.then(|| {
                self.tools.push((key, 0));
                self.tools.len() - 1
            })
        });
        match place.and_then(|place| self.tools.get_mut(place)) {
            Some((_, used_until)) => used_until,
            None => &mut self.other_tools,
        }
    }

    fn is_full(&self, now_ns: u64) -> bool {
        self.used_until <= now_ns
            && self.other_tools <= now_ns
            && self.tools.iter().all(|(_, used_until)| *used_until <= now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> CallerKey {
        CallerKey { shard: number, bucket: number }
    }

    fn use_until(table: &Table, caller: u64, until: u64, now_ns: u64) {
        table.with_cell(key(caller), 4, now_ns, |cell| cell.used_until = until);
    }

    fn used_until(table: &Table, caller: u64, now_ns: u64) -> u64 {
        table.with_cell(key(caller), 4, now_ns, |cell| cell.used_until)
    }

    #[test]
    fn scopes_and_subjects_have_their_own_keys() {
        let table = Table::new(1);
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        let one = table.caller_key(&scope("acme/team/prod"), "user:a");
        assert_eq!(one, table.caller_key(&scope("acme/team/prod"), "user:a"));
        assert_ne!(one, table.caller_key(&scope("acme/team/test"), "user:a"));
        assert_ne!(one, table.caller_key(&scope("acme/team/prod"), "user:b"));
        // The parts do not run together.
        assert_ne!(
            table.caller_key(&scope("acme/te/amprod"), "x"),
            table.caller_key(&scope("acme/team/prod"), "x")
        );
        assert_ne!(table.tool_key("a", "bc"), table.tool_key("ab", "c"));
    }

    #[test]
    fn a_flood_of_callers_makes_nobody_forgotten() {
        let table = Table::new(1);
        for caller in 0..4 {
            use_until(&table, caller, 100, 10);
        }
        for caller in 100..10_000 {
            use_until(&table, caller, 100, 10);
        }
        for caller in 0..4 {
            assert_eq!(used_until(&table, caller, 10), 100);
        }
        // Those without a place share a bucket: no fresh one for a fresh name.
        assert_eq!(used_until(&table, 77_777, 10), 100);
    }

    #[test]
    fn a_place_is_given_away_when_its_buckets_are_full_again() {
        let table = Table::new(1);
        for caller in 0..4 {
            use_until(&table, caller, 100 + caller, 10);
        }
        use_until(&table, 5, 500, 101);
        assert_eq!(used_until(&table, 5, 101), 500);
        // Callers 2 and 3 have still used something, and keep it.
        assert_eq!(used_until(&table, 2, 101), 102);
        assert_eq!(used_until(&table, 3, 101), 103);
    }

    #[test]
    fn a_callers_used_tools_keep_its_place() {
        let table = Table::new(1);
        for caller in 0..4 {
            table.with_cell(key(caller), 4, 10, |cell| *cell.tool(7, 8, 10) = 100);
        }
        use_until(&table, 5, 500, 50);
        for caller in 0..4 {
            let until = table.with_cell(key(caller), 4, 50, |cell| *cell.tool(7, 8, 50));
            assert_eq!(until, 100);
        }
    }

    #[test]
    fn invented_tools_share_a_bucket_once_the_places_are_taken() {
        let mut cell = Cell::default();
        for tool in 0..3 {
            *cell.tool(tool, 3, 10) = 100;
        }
        *cell.tool(50, 3, 10) = 200;
        assert_eq!(*cell.tool(51, 3, 10), 200);
        assert_eq!(*cell.tool(0, 3, 10), 100);
        // A configured tool always has its own.
        assert_eq!(*cell.tool(60, usize::MAX, 10), 0);
        // Once a bucket is full again, its place is free.
        assert_eq!(*cell.tool(52, 3, 100), 100);
        assert_eq!(cell.tools.len(), 4);
    }

    #[test]
    fn many_callers_find_their_places() {
        let table = Table::new(8);
        let store = |caller| table.with_cell(key(caller), 200, 10, |cell| cell.used_until = 100 + caller);
        (0..1000).for_each(store);
        for caller in 0..1000 {
            let until = table.with_cell(key(caller), 200, 10, |cell| cell.used_until);
            assert_eq!(until, 100 + caller);
        }
    }
}
