//! Counters for metrics and the state for readiness: plain atomics that the owner reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the log has done so far.
#[derive(Debug, Default)]
pub struct AuditCounters {
    /// Rows written, those about the log itself included.
    pub rows: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Checkpoints signed.
    pub checkpoints: AtomicU64,
    /// Groups that fdatasync brought to stable storage.
    pub fsyncs: AtomicU64,
    /// Writes that failed.
    pub write_failures: AtomicU64,
    /// Fdatasyncs that failed.
    pub fsync_failures: AtomicU64,
    /// Recoveries from a failure.
    pub recoveries: AtomicU64,
    /// Rows refused: their calls were refused too.
    pub refused: AtomicU64,
    /// Rows dropped by the `async` mode.
    pub dropped: AtomicU64,
    /// Rows that had been accepted and that the storage lost.
    pub lost: AtomicU64,
    /// Rows waiting in the `async` mode.
    pub queue_rows: AtomicU64,
    /// The last row on stable storage. Ship rows up to here, none beyond.
    pub durable_seq: AtomicU64,
    failed: AtomicBool,
    closed: AtomicBool,
}

/// Whether rows are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditHealth {
    /// Yes.
    Accepting,
    /// No: the storage failed. The log keeps trying.
    Failed,
    /// No: it was closed.
    Closed,
}

impl AuditCounters {
    pub(super) fn health(&self) -> AuditHealth {
        if self.closed.load(Ordering::Acquire) {
            AuditHealth::Closed
        } else if self.is_failed() {
            AuditHealth::Failed
        } else {
            AuditHealth::Accepting
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Release);
    }

    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// What several logs have counted together.
#[derive(Debug, Default)]
pub struct Totals {
    /// Rows written.
    pub rows: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Groups that fdatasync brought to stable storage.
    pub fsyncs: AtomicU64,
    /// Writes and fdatasyncs that failed.
    pub failures: AtomicU64,
    /// Rows refused.
    pub refused: AtomicU64,
    /// Rows dropped by the `async` mode.
    pub dropped: AtomicU64,
    /// Rows that the storage lost.
    pub lost: AtomicU64,
    /// Rows waiting in the `async` mode.
    pub queue_rows: AtomicU64,
}

impl Totals {
    /// What one log has counted.
    pub(super) fn of(counters: &AuditCounters) -> Self {
        let count = |counter: &AtomicU64| AtomicU64::new(counter.load(Ordering::Relaxed));
        let failures = count(&counters.write_failures);
        add(&failures, counters.fsync_failures.load(Ordering::Relaxed));
        Self {
            rows: count(&counters.rows),
            bytes: count(&counters.bytes),
            fsyncs: count(&counters.fsyncs),
            failures,
            refused: count(&counters.refused),
            dropped: count(&counters.dropped),
            lost: count(&counters.lost),
            queue_rows: count(&counters.queue_rows),
        }
    }

    /// Adds those of others.
    pub(super) fn add(&self, other: &Self) {
        let pairs = [
            (&self.rows, &other.rows),
            (&self.bytes, &other.bytes),
            (&self.fsyncs, &other.fsyncs),
            (&self.failures, &other.failures),
            (&self.refused, &other.refused),
            (&self.dropped, &other.dropped),
            (&self.lost, &other.lost),
            (&self.queue_rows, &other.queue_rows),
        ];
        pairs.into_iter().for_each(|(own, other)| add(own, other.load(Ordering::Relaxed)));
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
