//! When a stream must be judged again: a revision has come into force that has not judged it, or a minute is over, since credentials
//! expire and policies may read the clock.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::recheck::recheck;
use crate::serve::Admitted;

/// A stream is judged again after so long, if not before.
const JUDGED_INTERVAL: Duration = Duration::from_secs(60);

/// How long the last judgement of a stream holds.
pub(super) struct Term {
    /// What policy knows the stream as.
    method: &'static str,
    revisions: watch::Receiver<u64>,
    /// The revision that has judged it.
    judged_by: u64,
    until: Instant,
}

impl Term {
    /// Of a stream that was just admitted.
    pub(super) fn new(admitted: &Admitted, method: &'static str) -> Self {
        let jitter = Duration::from_millis(fastrand::u64(..JUDGED_INTERVAL.as_secs() * 250));
        Self {
            method,
            revisions: admitted.shared.revisions.watch(),
            judged_by: admitted.revision.number,
            until: Instant::now() + JUDGED_INTERVAL - jitter,
        }
    }

    /// Whether a revision is in force that has not judged it.
    pub(super) fn is_outdated(&self) -> bool {
        *self.revisions.borrow() != self.judged_by
    }

    /// Completes when it is over. Cancel-safe.
    pub(super) async fn over(&mut self) {
        let judged_by = self.judged_by;
        tokio::select! {
            biased;
            _ = self.revisions.wait_for(|number| *number != judged_by) => {}
            () = sleep_until(self.until) => {}
        }
    }

    /// Judges the stream: what it is admitted as now; none if it must end.
    pub(super) async fn judge(&mut self, admitted: &Admitted, now: SystemTime) -> Option<Admitted> {
        self.until = Instant::now() + JUDGED_INTERVAL;
        // Should another come into force meanwhile, it judges as well.
        self.judged_by = *self.revisions.borrow();
        let judged = recheck(admitted, self.method, now).await;
        if judged.is_none() {
            tracing::info!(
                request_id = %mcpg_cp_api::trace_context::Hex(&admitted.request_id),
                "a stream ends: its caller may not have it any more"
            );
        }
        judged
    }
}
