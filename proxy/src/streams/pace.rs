//! How often things are told and tried again. Time comes in as a parameter.

use std::time::Duration;

use mcpg_protocol::streams::{Change, Changes};
use tokio::time::Instant;

/// A change of one kind is told at most once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// When changes may be told next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    not_before: [Option<Instant>; 3],
}

impl Pace {
    /// What of `waiting` may be told now. It counts as told.
    pub(super) fn due(&mut self, waiting: Changes, now: Instant) -> Changes {
        let mut due = Changes::NONE;
        for (change, not_before) in Change::ALL.into_iter().zip(&mut self.not_before) {
            if waiting.contains(change) && not_before.is_none_or(|instant| now >= instant) {
                *not_before = Some(now + INTERVAL);
                due.insert(change);
            }
        }
        due
    }

    /// Nothing is to be told before this.
    pub(super) fn hold(&mut self, until: Instant) {
        for not_before in &mut self.not_before {
            *not_before = Some(not_before.map_or(until, |instant| instant.max(until)));
        }
    }

    /// When the first of `waiting` may be told.
    pub(super) fn next(&self, waiting: Changes) -> Option<Instant> {
        let all = Change::ALL.into_iter().zip(&self.not_before);
        all.filter(|(change, _)| waiting.contains(*change)).filter_map(|(_, instant)| *instant).min()
    }
}

/// How long to wait before a stream that broke is opened again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    /// An upstream says how long to wait, but not to be asked without end.
    const SHORTEST: Duration = Duration::from_millis(500);

    /// How long to wait before an upstream is asked again that offers no stream at all: it may be another one by then.
    pub(super) const SILENT: Duration = Duration::from_secs(600);

    /// The stream serves: what failed before does not count any more.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after a failure. `jitter` is random, below 1024.
    pub(super) fn after_failure(&mut self, jitter: u32) -> Duration {
        let wait = Self::FIRST.saturating_mul(1 << self.failures.min(6)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Between three quarters and five quarters of it, so that streams that broke together do not come back together.
        wait * (768 + (jitter % 1024) / 2) / 1024
    }

    /// How long to wait after an upstream ended a stream of its own will, having said `retry` or nothing.
    pub(super) fn after_end(&mut self, retry_ms: Option<u64>, jitter: u32) -> Duration {
        match retry_ms {
            Some(retry_ms) => Duration::from_millis(retry_ms).clamp(Self::SHORTEST, Self::LONGEST),
            None => self.after_failure(jitter),
        }
    }
}

/// How many messages of a shared stream are read in a second. What is beyond stays with the upstream until the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Throttle {
    since: Instant,
    read: u32,
}

impl Throttle {
    const MESSAGES_MAX: u32 = 256;

    /// Nothing was read yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, read: 0 }
    }

    /// One more was read. Until when to wait before the next, if at all.
    pub(super) fn read(&mut self, now: Instant) -> Option<Instant> {
        if now >= self.since + INTERVAL {
            *self = Self::new(now);
        }
        self.read += 1;
        (self.read >= Self::MESSAGES_MAX).then(|| self.since + INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Changes {
        [Change::Tools].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_at_once_and_then_once_a_second() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.due(tools(), begin), tools());
        for ms in [0, 1, 500, 999] {
            assert_eq!(pace.due(tools(), begin + Duration::from_millis(ms)), Changes::NONE);
        }
        assert_eq!(pace.next(tools()), Some(begin + INTERVAL));
        assert_eq!(pace.due(tools(), begin + INTERVAL), tools());
        assert_eq!(pace.due(tools(), begin + INTERVAL), Changes::NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_do_not_wait_for_each_other() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        pace.due(tools(), begin);
        let due = pace.due(Changes::ALL, begin + Duration::from_millis(10));
        assert_eq!(due.iter().collect::<Vec<_>>(), [Change::Prompts, Change::Resources]);
        assert_eq!(pace.next(Changes::NONE), None);
        assert_eq!(pace.next(Changes::ALL), Some(begin + INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_told_later() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        pace.hold(begin + INTERVAL / 2);
        assert_eq!(pace.due(tools(), begin), Changes::NONE);
        assert_eq!(pace.next(tools()), Some(begin + INTERVAL / 2));
        assert_eq!(pace.due(tools(), begin + INTERVAL / 2), tools());
        pace.hold(begin);
        assert_eq!(pace.next(tools()), Some(begin + INTERVAL + INTERVAL / 2));
    }

    #[test]
    fn failures_are_retried_ever_more_seldom() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.after_failure(512).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.after_failure(0), Duration::from_millis(750));
        assert!(backoff.after_failure(1023) < Duration::from_millis(2500));
        for _ in 0..100 {
            assert!(backoff.after_failure(u32::MAX) <= Duration::from_secs(75));
        }
    }

    #[test]
    fn an_upstream_says_when_to_come_back_within_bounds() {
        let mut backoff = Backoff::default();
        for (said, expected) in [(Some(0), 500), (Some(700), 700), (Some(u64::MAX), 60_000), (None, 1000)] {
            assert_eq!(backoff.after_end(said, 512), Duration::from_millis(expected), "{said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_waits_for_the_next_second() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(begin);
        let waits: Vec<_> = (0..300).map(|_| throttle.read(begin)).collect();
        assert_eq!(waits.iter().filter(|wait| wait.is_none()).count(), 255);
        assert_eq!(waits.last(), Some(&Some(begin + INTERVAL)));
        assert_eq!(throttle.read(begin + INTERVAL), None);
    }
}
