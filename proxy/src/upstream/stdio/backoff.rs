//! How long to wait before a process is started again. Pure: randomness and time come in.

use std::time::Duration;

/// Waits that double from one failure to the next.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` to `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after a failure. `jitter`, from 0 to 1, takes up to half of it away, so that processes that fell together do not
    /// rise together.
    pub(super) fn failed(&mut self, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        doubled.min(self.longest).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// Begins anew after a success that lasted: a process that falls soon after it was started has not succeeded.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= self.longest {
            self.failures = 0;
        }
    }

    /// Begins anew.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
        let waits: Vec<u128> = (0..40).map(|_| backoff.failed(0.0).as_millis()).collect();
        assert_eq!(waits[..4], [500, 1000, 2000, 3000]);
        assert!(waits[4..].iter().all(|wait| *wait == 3000));
        assert_eq!(backoff.failed(1.0).as_millis(), 1500);
        backoff.lasted(Duration::from_millis(2999));
        assert_eq!(backoff.failed(0.0).as_millis(), 3000);
        backoff.lasted(Duration::from_secs(3));
        assert_eq!(backoff.failed(0.5).as_millis(), 375);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.0).as_millis(), 500);
    }
}
