//! How often a request is sent again, and when. Only one that does no harm is: it cannot have reached the upstream, or doing it
//! twice does no more than doing it once; and only where the upstream could not be reached or broke off. One that took too
//! long is not: the upstream has enough to do.

use std::time::Duration;

use tokio::time::sleep;

use super::{Gate, UpstreamError};

/// Before a request is sent again it waits up to this, doubled each time.
const PAUSE: Duration = Duration::from_millis(50);

/// What is left of `calls.retries_max` for one request.
pub(crate) struct Retries<'g> {
    gate: &'g Gate,
    left: u32,
    pause: Duration,
}

impl<'g> Retries<'g> {
    /// For a new request.
    pub(crate) fn new(gate: &'g Gate) -> Self {
        Self { gate, left: gate.calls().retries_max, pause: PAUSE }
    }

    /// Whether a request that failed so shall be sent again: if so, it is time to.
    pub(crate) async fn again(&mut self, error: &UpstreamError, repeatable: bool) -> bool {
        let safe = error.is_unsent() || repeatable;
        if self.left == 0 || !safe || !matches!(error, UpstreamError::Unavailable { .. }) {
            return false;
        }
        self.left -= 1;
        self.gate.metrics().retries.inc();
        sleep(self.pause.mul_f64(fastrand::f64())).await;
        self.pause *= 2;
        true
    }
}
