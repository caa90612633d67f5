//! How often one address may try passwords of one user.
//!
//! A GCRA bucket for each pair: a try is charged before it is made and given back when the password is right, so
//! tries in parallel are as limited as tries in turn. The table is bounded; what is dropped first is what would be
//! forgotten first.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PAIRS_MAX: usize = 16 * 1024;
const PER: Duration = Duration::from_secs(60);

/// The tries of every pair.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Nanoseconds that one try lasts.
    interval: u64,
    /// Nanoseconds that a bucket holds.
    burst: u64,
    /// When each bucket is empty again, in nanoseconds since the epoch. What is not there is empty.
    pairs: HashMap<u64, u64>,
}

impl Throttle {
    /// So many tries at once, and so many a minute.
    pub(crate) fn new(tries_per_minute: u32) -> Self {
        let per = nanos(PER);
        let interval = per / u64::from(tries_per_minute.max(1));
        Self { interval, burst: per, pairs: HashMap::new() }
    }

    /// Charges a try to a pair; not if it has had its share.
    pub(crate) fn charge(&mut self, pair: u64, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, nanos);
        if let Some(at) = self.pairs.get_mut(&pair) {
            // A clock that was set back locks nobody out for longer than a full bucket does.
            *at = (*at).clamp(now, now + self.burst);
        }
        let empty_at = self.pairs.get(&pair).copied().unwrap_or(now);
        if empty_at + self.interval > now + self.burst {
            return false;
        }
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&pair) {
            self.make_room(now);
        }
        self.pairs.insert(pair, empty_at + self.interval);
        true
    }

    /// Gives a try back.
    pub(crate) fn give_back(&mut self, pair: u64) {
        if let Some(at) = self.pairs.get_mut(&pair) {
            *at = at.saturating_sub(self.interval);
        }
    }

    fn make_room(&mut self, now: u64) {
        self.pairs.retain(|_, at| *at > now);
        while self.pairs.len() >= PAIRS_MAX {
            let Some((&first, _)) = self.pairs.iter().min_by_key(|(_, at)| **at) else { return };
            self.pairs.remove(&first);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_pair_has_its_tries_and_gets_them_back_with_time() {
        let mut throttle = Throttle::new(6);
        let mut check =
            |pair, second, expected| assert_eq!(throttle.charge(pair, at(second)), expected, "{second}");
        for _ in 0..6 {
            check(1, 0, true);
        }
        check(1, 0, false);
        check(1, 9, false);
        check(2, 9, true);
        check(1, 10, true);
        check(1, 10, false);
        check(1, 30, true);
        check(1, 30, true);
        check(1, 30, false);
        // The clock is set back: a full bucket, not a locked one.
        check(1, 0, false);
        check(1, 10, true);
    }

    #[test]
    fn what_is_given_back_was_not_charged() {
        let mut throttle = Throttle::new(1);
        for _ in 0..10 {
            assert!(throttle.charge(1, at(0)));
            throttle.give_back(1);
        }
        assert!(throttle.charge(1, at(0)));
        assert!(!throttle.charge(1, at(0)));
        throttle.give_back(2);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_least_first() {
        let mut throttle = Throttle::new(2);
        assert!(throttle.charge(0, at(1)));
        assert!(throttle.charge(0, at(1)));
        for pair in 1..=PAIRS_MAX as u64 + 10 {
            assert!(throttle.charge(pair, at(0)));
        }
        assert!(throttle.pairs.len() <= PAIRS_MAX);
        assert!(!throttle.charge(0, at(1)), "the pair that owes most is kept");
        // All is forgotten when it is worth nothing any more.
        assert!(throttle.charge(u64::MAX, at(100)));
        assert!(throttle.pairs.len() < 10);
    }

    #[test]
    fn times_out_of_range_do_not_panic() {
        let mut throttle = Throttle::new(u32::MAX);
        throttle.charge(1, UNIX_EPOCH - Duration::from_secs(1));
        throttle.charge(1, UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX)));
        assert!(Throttle::new(0).charge(1, UNIX_EPOCH));
    }
}
