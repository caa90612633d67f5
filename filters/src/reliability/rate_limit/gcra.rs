//! The arithmetic of one bucket: the generic cell rate algorithm in nanoseconds.
//!
//! A bucket's whole state is one time, `used_until` (the theoretical arrival time): each admitted call moves it
//! `interval` ahead, and a call is admitted while it is no more than `tolerance` ahead of now. A bucket whose
//! time has passed is full, the same as one never used.

use std::time::Duration;

/// An average rate and the burst above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    interval_ns: u64,
    tolerance_ns: u64,
}

impl Rate {
    /// `requests` per `per` on average, up to `burst` at once. Rounds to the slower side; zero counts as one.
    pub(super) fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per_ns = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let interval_ns = per_ns.div_ceil(u64::from(requests.max(1))).max(1);
        Self { interval_ns, tolerance_ns: interval_ns.saturating_mul(u64::from(burst.max(1) - 1)) }
    }

    /// How long until a call would be admitted: zero if it is now. Brings the state up to date.
    pub(super) fn wait(self, used_until: &mut u64, now_ns: u64) -> u64 {
        // No call under this rate leaves more behind, so more is the debt of another rate (before a reload).
        let most = now_ns.saturating_add(self.tolerance_ns).saturating_add(self.interval_ns);
        *used_until = (*used_until).min(most).max(now_ns);
        (*used_until - now_ns).saturating_sub(self.tolerance_ns)
    }

    /// Charges an admitted call.
    pub(super) fn charge(self, used_until: &mut u64) {
        *used_until = used_until.saturating_add(self.interval_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn take(rate: Rate, used_until: &mut u64, now_ns: u64) -> u64 {
        let wait = rate.wait(used_until, now_ns);
        if wait == 0 {
            rate.charge(used_until);
        }
        wait
    }

    #[test]
    fn a_burst_is_admitted_and_then_the_average() {
        let rate = Rate::new(10, Duration::from_secs(1), 3);
        let mut used = 0;
        let start = 5 * SECOND;
        assert_eq!((0..3).map(|_| take(rate, &mut used, start)).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(take(rate, &mut used, start), SECOND / 10);
        assert_eq!(take(rate, &mut used, start + SECOND / 10 - 1), 1);
        assert_eq!(take(rate, &mut used, start + SECOND / 10), 0);
        assert_eq!(take(rate, &mut used, start + SECOND / 10), SECOND / 10);
    }

    #[test]
    fn a_burst_of_one_spaces_calls_evenly() {
        let rate = Rate::new(60, Duration::from_secs(60), 1);
        let mut used = 0;
        assert_eq!(take(rate, &mut used, 0), 0);
        assert_eq!(take(rate, &mut used, 0), SECOND);
        assert_eq!(take(rate, &mut used, SECOND), 0);
    }

    #[test]
    fn debt_from_a_slower_rate_is_capped() {
        let rate = Rate::new(1, Duration::from_secs(1), 1);
        let mut used = 1_000_000 * SECOND;
        assert_eq!(rate.wait(&mut used, 0), SECOND);
        assert_eq!(take(rate, &mut used, SECOND), 0);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rate = Rate::new(1, Duration::MAX, u32::MAX);
        for now in [0, 1, u64::MAX - 1, u64::MAX] {
            let mut used = u64::MAX;
            take(rate, &mut used, now);
        }
        let rate = Rate::new(u32::MAX, Duration::from_secs(1), 0);
        assert_eq!(take(rate, &mut 0, 0), 0);
    }

    proptest! {
        /// In no window of time is more admitted than the burst and the average of the window.
        #[test]
        fn the_average_holds(
            requests in 1_u32..50,
            burst in 1_u32..20,
            steps in proptest::collection::vec(0_u64..SECOND / 4, 1..200),
        ) {
            let rate = Rate::new(requests, Duration::from_secs(1), burst);
            let (mut used, mut now, mut admitted) = (0, 0, Vec::new());
            for step in steps {
                now += step;
                if take(rate, &mut used, now) == 0 {
                    admitted.push(now);
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let count = u64::try_from(last - first + 1).unwrap();
                    let most = u64::from(burst) + (end - start) * u64::from(requests) / SECOND;
                    prop_assert!(count <= most, "{count} in {} ns", end - start);
                }
            }
        }

        /// Waiting as told is enough, and nothing less is.
        #[test]
        fn the_wait_is_exact(requests in 1_u32..1000, burst in 1_u32..20, calls in 1_usize..60) {
            let rate = Rate::new(requests, Duration::from_secs(1), burst);
            let mut used = 0;
            let mut wait = 0;
            for _ in 0..calls {
                wait = take(rate, &mut used, SECOND);
            }
            if wait > 0 {
                prop_assert_eq!(rate.wait(&mut used.clone(), SECOND + wait), 0);
                prop_assert!(rate.wait(&mut used, SECOND + wait - 1) > 0);
            }
        }
    }
}
