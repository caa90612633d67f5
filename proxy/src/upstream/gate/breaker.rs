//! The circuit breaker: an upstream that keeps failing is left alone for a while, then tried with a single call.
//!
//! It opens when so many calls in a row have failed within the window; one that is answered begins the count anew. So an
//! upstream that answers some callers is never taken from them by the calls of others that it fails.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The breaker of one upstream.
pub(super) struct Breaker {
    settings: mcpg_config::Breaker,
    /// Whether [`Breaker::state`] is anything but [`State::Closed`] without failures: else nothing needs to be looked at.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls go through.
    Closed {
        /// Failures in a row.
        failures: u32,
        /// When the first of them was.
        since: Option<Instant>,
    },
    /// No call goes through.
    Open {
        /// When one may try.
        until: Instant,
    },
    /// One call tries. Its permit says how it ended, if only by being dropped.
    Probing,
}

/// As what a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// One of many.
    Usual,
    /// The one that tries an upstream that failed.
    Probe,
    /// Its outcome is known already.
    Noted,
}

const HEALTHY: State = State::Closed { failures: 0, since: None };

impl Breaker {
    pub(super) fn new(settings: mcpg_config::Breaker) -> Self {
        Self { settings, troubled: AtomicBool::new(false), state: Mutex::new(HEALTHY) }
    }

    /// Lets a call through, or not.
    pub(super) fn admit(&self, now: Instant) -> Option<Admission> {
        if !self.troubled.load(Ordering::Acquire) {
            return Some(Admission::Usual);
        }
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Some(Admission::Usual),
            State::Open { until } if now >= until => {
                *state = State::Probing;
                Some(Admission::Probe)
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// Whether no call would be let through now.
    pub(super) fn is_closed_to_all(&self, now: Instant) -> bool {
        self.troubled.load(Ordering::Acquire)
            && match *self.state.lock() {
                State::Closed { .. } => false,
                State::Open { until } => now < until,
                State::Probing => true,
            }
    }

    /// A call was answered. Tells whether the breaker is open, where that changed.
    pub(super) fn answered(&self, admission: Admission) -> Option<bool> {
        if admission == Admission::Noted || !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock();
        let was_closed = matches!(*state, State::Closed { .. });
        // An answer to a call from before the breaker opened proves nothing of now.
        if was_closed || admission == Admission::Probe {
            *state = HEALTHY;
            self.troubled.store(false, Ordering::Release);
        }
        (!was_closed && admission == Admission::Probe).then_some(false)
    }

    /// A call failed. Tells whether the breaker is open, where that changed.
    pub(super) fn failed(&self, admission: Admission, now: Instant) -> Option<bool> {
        if admission == Admission::Noted {
            return None;
        }
        let mut state = self.state.lock();
        match *state {
            State::Closed { failures, since } => {
                let since = since.filter(|since| now.duration_since(*since) <= self.settings.window);
                let failures = if since.is_some() { failures + 1 } else { 1 };
                let opens = failures >= self.settings.failures;
                *state = if opens {
                    State::Open { until: now + self.settings.open }
                } else {
                    State::Closed { failures, since: since.or(Some(now)) }
                };
                self.troubled.store(true, Ordering::Release);
                opens.then_some(true)
            }
            State::Probing if admission == Admission::Probe => {
                *state = State::Open { until: now + self.settings.open };
                None
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// A call ended without a word on the upstream: the next one may probe.
    pub(super) fn abandoned(&self, admission: Admission) -> Option<bool> {
        if admission == Admission::Probe {
            let mut state = self.state.lock();
            if matches!(*state, State::Probing) {
                *state = State::Open { until: Instant::now() };
            }
        }
        None
    }
}
