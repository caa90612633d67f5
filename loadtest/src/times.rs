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
        self.0.sort_unstable();
        let at = |share: usize| {
            let index = (self.0.len() * share).div_ceil(100).saturating_sub(1);
            self.0.get(index).copied().unwrap_or_default().as_millis()
        };
        format!("p50 {} ms, p99 {} ms, max {} ms", at(50), at(99), at(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_the_ninety_ninth_is_p99() {
        let mut times = Times((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(times.summary(), "p50 50 ms, p99 99 ms, max 100 ms");
        assert_eq!(Times::default().summary(), "p50 0 ms, p99 0 ms, max 0 ms");
    }
}
