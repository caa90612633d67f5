//! How many calls an upstream gets at a time, and whether it gets any.
//!
//! Every call holds a [`Permit`] from before it is sent until its answer has been read; `subscriptions/listen` holds one until
//! its stream is open. A permit that is free costs a few atomic operations and no allocation. Who finds none waits in a queue
//! that is bounded in length and time. What calls under way may be waiting for takes no place ([`Gate::aside`]).
//!
//! INVARIANT: a permit that is dropped gives its place back, whatever became of its call.

mod breaker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use mcpg_config::Calls;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::breaker::{Admission, Breaker};
use super::UpstreamError;
use crate::metrics::UpstreamMetrics;

/// The limits of one upstream, with what is under way.
pub struct Gate {
    calls: Calls,
    places: Semaphore,
    queued: AtomicUsize,
    breaker: Option<Breaker>,
    metrics: UpstreamMetrics,
}

/// The right to one call.
#[must_use = "dropping it gives the place back"]
pub struct Permit {
    gate: Arc<Gate>,
    admission: Admission,
    /// Whether it takes one of `calls.concurrency_max`.
    placed: bool,
}

/// How a call ended, for the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered, be it with an error of its own making.
    Answered,
    /// It could not be reached, broke off, took too long, or said itself that it is down (502, 503, 504).
    Failed,
}

impl Outcome {
    /// What an answer's status says of the upstream.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Failed
            }
            _ => Self::Answered,
        }
    }
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(calls: Calls, metrics: UpstreamMetrics) -> Arc<Self> {
        metrics.breaker_open.set(0);
        Arc::new(Self {
            places: Semaphore::new(calls.concurrency_max.min(Semaphore::MAX_PERMITS)),
            queued: AtomicUsize::new(0),
            breaker: calls.breaker.map(Breaker::new),
            calls,
            metrics,
        })
    }

    /// The limits.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What is counted of the upstream.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// The right to one call, as soon as there is one.
    ///
    /// # Errors
    /// [`UpstreamError::BreakerOpen`] while the upstream is left alone; [`UpstreamError::Busy`] when the queue is full or
    /// the wait was too long.
    pub async fn permit(self: &Arc<Self>) -> Result<Permit, UpstreamError> {
        let place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => self.wait().await?,
        };
        // Asked once there is a place: a probe must not wait in the queue. An error gives the place back.
        let admission = self.admit()?;
        place.forget();
        self.metrics.in_flight.inc();
        Ok(Permit { gate: Arc::clone(self), admission, placed: true })
    }

    /// The right to send what calls under way may be waiting for: notifications, answers to requests of the upstream, the
    /// stream and the end of a session. It takes no place: waiting for those who wait for it, it would never get one.
    ///
    /// # Errors
    /// [`UpstreamError::BreakerOpen`] while the upstream is left alone.
    pub fn aside(self: &Arc<Self>) -> Result<Permit, UpstreamError> {
        Ok(Permit { gate: Arc::clone(self), admission: self.admit()?, placed: false })
    }

    fn admit(&self) -> Result<Admission, UpstreamError> {
        let Some(breaker) = &self.breaker else { return Ok(Admission::Usual) };
        breaker.admit(Instant::now()).ok_or_else(|| {
            self.metrics.rejected_breaker.inc();
            UpstreamError::BreakerOpen
        })
    }

    async fn wait(&self) -> Result<tokio::sync::SemaphorePermit<'_>, UpstreamError> {
        // Nobody waits for an upstream that would be refused anyway.
        if self.breaker.as_ref().is_some_and(|breaker| breaker.is_closed_to_all(Instant::now())) {
            self.metrics.rejected_breaker.inc();
            return Err(UpstreamError::BreakerOpen);
        }
        let Some(_queued) = Queued::join(self) else {
            self.metrics.rejected_queue_full.inc();
            return Err(UpstreamError::Busy);
        };
        match timeout(self.calls.queue_timeout, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => {
                self.metrics.rejected_queue_timeout.inc();
                Err(UpstreamError::Busy)
            }
        }
    }

    fn note(&self, admission: Admission, outcome: Option<Outcome>) {
        let Some(breaker) = &self.breaker else { return };
        let opened = match outcome {
            Some(Outcome::Answered) => breaker.answered(admission),
            Some(Outcome::Failed) => breaker.failed(admission, Instant::now()),
            None => breaker.abandoned(admission),
        };
        if let Some(open) = opened {
            self.metrics.breaker_open.set(i64::from(open));
            if open {
                self.metrics.breaker_opened.inc();
            }
        }
    }
}

impl Permit {
    /// Says how the call ended, and ends it. A permit that is dropped instead says nothing of the upstream.
    pub fn outcome(mut self, outcome: Outcome) {
        let admission = std::mem::replace(&mut self.admission, Admission::Noted);
        self.gate.note(admission, Some(outcome));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.note(self.admission, None);
        if self.placed {
            self.gate.metrics.in_flight.dec();
            self.gate.places.add_permits(1);
        }
    }
}

/// A place in the queue.
struct Queued<'a>(&'a Gate);

impl<'a> Queued<'a> {
    fn join(gate: &'a Gate) -> Option<Self> {
        let max = gate.calls.queue_max;
        let join = |queued: usize| (queued < max).then(|| queued + 1);
        gate.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, join).ok()?;
        gate.metrics.queued.inc();
        Some(Self(gate))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.queued.dec();
    }
}

#[cfg(test)]
mod tests;
