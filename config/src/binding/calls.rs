//! `calls:` of a binding: how many calls it gets, how long they last, and when none are sent.

use std::time::Duration;

use crate::wire::binding::calls as w;

/// How many calls an upstream gets, how long they last, and when none are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Calls that run at a time. At least 1.
    pub concurrency_max: usize,
    /// Calls that wait for one of those to end.
    pub queue_max: usize,
    /// How long they wait.
    pub queue_timeout: Duration,
    /// How long a call may take in all.
    pub deadline: Duration,
    /// How often a request that is safe to repeat is sent again.
    pub retries_max: u32,
    /// When an upstream that fails is left alone for a while; none for never.
    pub breaker: Option<Breaker>,
}

/// When an upstream that fails is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Failures within the window that open it. At least 1.
    pub failures: u32,
    /// The window.
    pub window: Duration,
    /// How long it stays open before one call may try.
    pub open: Duration,
}

/// Reads the block, of which the structure check has seen everything that can be wrong.
pub(super) fn read(read: &w::Calls) -> Calls {
    let breaker = match &read.breaker {
        None | Some(w::BreakerForm::Is(true) | w::BreakerForm::Word(w::OnOff::On)) => {
            Some(breaker(&w::Breaker::default()))
        }
        Some(w::BreakerForm::Is(false) | w::BreakerForm::Word(w::OnOff::Off)) => None,
        Some(w::BreakerForm::Set(set)) => Some(breaker(set)),
    };
    Calls {
        concurrency_max: read.concurrency_max,
        queue_max: read.queue_max,
        queue_timeout: Duration::from_millis(read.queue_timeout_ms),
        deadline: Duration::from_millis(read.deadline_ms),
        retries_max: read.retries_max,
        breaker,
    }
}

fn breaker(read: &w::Breaker) -> Breaker {
    Breaker {
        failures: read.failures,
        window: Duration::from_millis(read.window_ms),
        open: Duration::from_millis(read.open_ms),
    }
}
