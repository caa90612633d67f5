//! Waiting for a condition, never for a length of time.

use std::time::{Duration, Instant};

/// How long anything here may take before the test fails. Generous: the machine may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Probes until there is an answer; panics with `what` when there is none within [`DEADLINE`].
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        std::thread::sleep(INTERVAL);
    }
}
