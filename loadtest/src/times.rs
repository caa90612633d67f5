//! How long things took.

use std::time::Duration;

/// Durations, and what can be said of them.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// `p50 12 ms, p99 80 ms, max 95 ms`.
    pub(crate) fn summary(&mut self) -> String {
        let [half, most, all] = self.shares().map(|time| time.as_millis());
        format!("p50 {half} ms, p99 {most} ms, max {all} ms")
    }

    /// The same to a tenth of a millisecond.
    pub(crate) fn fine(&mut self) -> String {
        let [half, most, all] = self.shares().map(|time| time.as_secs_f64() * 1000.0);
        format!("p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms")
    }

    fn shares(&mut self) -> [Duration; 3] {
        self.0.sort_unstable();
        [50, 99, 100].map(|share: usize| {
            let index = (self.0.len() * share).div_ceil(100).saturating_sub(1);
            self.0.get(index).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_the_ninety_ninth_is_p99() {
        let mut times = Times((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(times.summary(), "p50 50 ms, p99 99 ms, max 100 ms");
        assert_eq!(times.fine(), "p50 50.0 ms, p99 99.0 ms, max 100.0 ms");
        assert_eq!(Times::default().summary(), "p50 0 ms, p99 0 ms, max 0 ms");
    }
}
