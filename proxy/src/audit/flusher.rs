//! The log's own thread: all that is slow happens here, so that no caller waits for it.
//!
//! It alone syncs, drains the queue, signs on time and heals. [`Flusher::step`] does what is due and says when to come back;
//! callers wake the thread for the first row of a group, for a waiter of the `sync` mode, and after a fault.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mcpg_ledger::{LifecycleEvent, RowRef};

use super::counters::AuditCounters;
use super::error::AuditError;
use super::exports::Exports;
use super::queue::Batch;
use super::settings::Timing;
use super::writer::{Failure, Writer};
use super::{Shared, unix_nanos};

/// Rows of the `async` mode wait at most this long for others to be written with them.
const LINGER: Duration = Duration::from_millis(10);
/// Between two attempts to recover.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// With nothing to do.
const IDLE: Duration = Duration::from_secs(3600);
/// Exported lines kept while the export fails.
const LINES_MAX: usize = 1024;

/// The thread's state.
#[derive(Debug)]
pub(super) struct Flusher {
    shared: Arc<Shared>,
    timing: Timing,
    exports: Exports,
    lines: Vec<String>,
    batch: Batch,
    /// The first row of the batch that is not written.
    next: usize,
    retry_at: Option<Instant>,
    retry_delay: Duration,
}

impl Flusher {
    pub(super) fn new(shared: Arc<Shared>, timing: Timing, exports: Exports) -> Self {
        Self {
            shared,
            timing,
            exports,
            lines: Vec::new(),
            batch: Batch::default(),
            next: 0,
            retry_at: None,
            retry_delay: RETRY_MIN,
        }
    }

    /// Works until the log is closed.
    pub(super) fn run(mut self) -> Self {
        let _guard = Guard(Arc::clone(&self.shared));
        while !self.shared.stopping.load(Ordering::Acquire) {
            let wait = self.step(Instant::now());
            std::thread::park_timeout(wait);
        }
        self
    }

    /// Does what is due and returns how long to wait for the next.
    pub(super) fn step(&mut self, now: Instant) -> Duration {
        let sync_wanted = self.shared.sync_wanted.swap(false, Ordering::AcqRel);
        self.recover(now);
        let queue = self.shared.queue.waiting();
        let unfinished = self.next < self.batch.len() || self.batch.dropped > 0;
        if unfinished || queue.is_some_and(|(since, is_half_full)| is_half_full || now >= since + LINGER) {
            // An error marks the log as failed; the rows stay for the next attempt.
            let _ = self.drain();
        }
        let (dirty_since, failure) = {
            let mut writer = self.shared.writer.lock();
            let due = writer.checkpoint_at + self.timing.checkpoint_interval;
            if now >= due && writer.failure.is_none() {
                let _ = writer.checkpoint(&self.shared.counters);
            }
            (writer.dirty_since(), writer.failure)
        };
        let sync_due =
            dirty_since.is_some_and(|since| sync_wanted || now >= since + self.timing.fsync_interval);
        if sync_due && failure != Some(Failure::Sync) {
            let _ = self.sync_group();
        }
        self.next_wait()
    }

    /// Ends the log: what is queued is written, the stop recorded and signed, everything synced, the directory let go.
    pub(super) fn finish(&mut self) -> Result<(), AuditError> {
        self.shared.queue.close();
        let result = self.finish_writing();
        {
            let mut writer = self.shared.writer.lock();
            // INVARIANT: nothing is written once another process may have the lane.
            writer.stop();
            writer.lane = None;
        }
        self.shared.counters.set_closed();
        self.shared.progress.send_modify(|progress| progress.closed = true);
        result
    }

    fn finish_writing(&mut self) -> Result<(), AuditError> {
        self.shared.writer.lock().heal(&self.shared.counters)?;
        if self.drain().is_err() {
            let rows = self.batch.len().saturating_sub(self.next);
            return Err(AuditError::Undrained { rows: super::recovery::wide(rows) });
        }
        {
            let mut writer = self.shared.writer.lock();
            writer.event(LifecycleEvent::Stopped, &self.shared.counters)?;
            writer.checkpoint(&self.shared.counters)?;
            // INVARIANT: nothing is appended behind the last checkpoint.
            writer.stop();
        }
        self.sync_group()
    }

    fn recover(&mut self, now: Instant) {
        if !self.shared.counters.is_failed() {
            self.retry_at = None;
            self.retry_delay = RETRY_MIN;
            return;
        }
        match self.retry_at {
            None => {
                tracing::error!("audit log cannot be written; calls are refused until it can");
                self.retry_at = Some(now + self.retry_delay);
            }
            Some(at) if now >= at => match self.shared.writer.lock().heal(&self.shared.counters) {
                Ok(()) => {
                    tracing::warn!("audit log can be written again");
                    self.retry_at = None;
                }
                Err(error) => {
                    self.retry_delay = (self.retry_delay * 2).min(RETRY_MAX);
                    self.retry_at = Some(now + self.retry_delay);
                    tracing::error!(%error, "audit log still cannot be written");
                }
            },
            Some(_) => {}
        }
    }

    /// Writes what is queued, and a gap row for what was dropped behind it.
    fn drain(&mut self) -> Result<(), AuditError> {
        let Self { shared, batch, next, .. } = self;
        loop {
            let mut writer = shared.writer.lock();
            write_batch(&mut writer, batch, next, &shared.counters)?;
            drop(writer);
            shared.queue.take(batch, &shared.counters);
            *next = 0;
            if batch.len() == 0 && batch.dropped == 0 {
                return Ok(());
            }
        }
    }

    /// Brings every row written so far to stable storage, without holding the lock meanwhile.
    pub(super) fn sync_group(&mut self) -> Result<(), AuditError> {
        let (group, disk) = {
            let mut writer = self.shared.writer.lock();
            (writer.begin_group(), Arc::clone(&writer.disk))
        };
        let synced = group.sync(&*disk);
        let mut writer = self.shared.writer.lock();
        match synced {
            Ok(()) => {
                self.lines.extend(writer.end_group(&group, &self.shared.counters));
                let durable_seq = writer.durable_seq();
                drop(writer);
                self.shared.progress.send_modify(|progress| progress.durable_seq = durable_seq);
                self.export();
                Ok(())
            }
            Err(source) => {
                let error = AuditError::io("sync", &writer.segment.name.path)(source);
                tracing::error!(%error, "audit log not synced");
                writer.fail(Failure::Sync, &self.shared.counters);
                drop(writer);
                self.shared.progress.send_modify(|progress| progress.failures += 1);
                Err(error)
            }
        }
    }

    /// Appends signed heads to the file that is shipped. They are in the log too, so a failure here stops nothing.
    fn export(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        match self.exports.append(&self.lines) {
            Ok(()) => self.lines.clear(),
            Err(error) => {
                tracing::warn!(%error, "checkpoints not exported");
                let excess = self.lines.len().saturating_sub(LINES_MAX);
                self.lines.drain(..excess);
            }
        }
    }

    fn next_wait(&self) -> Duration {
        let (dirty_since, failure, checkpoint_at) = {
            let writer = self.shared.writer.lock();
            let has_rows = writer.mark.rows_since_checkpoint > 0;
            (writer.dirty_since(), writer.failure, has_rows.then_some(writer.checkpoint_at))
        };
        let now = Instant::now();
        let sync_at = dirty_since
            .filter(|_| failure != Some(Failure::Sync))
            .map(|since| since + self.timing.fsync_interval);
        let sign_at =
            checkpoint_at.filter(|_| failure.is_none()).map(|at| at + self.timing.checkpoint_interval);
        // Until the log works again the queue waits with it.
        let drain_at =
            self.shared.queue.waiting().filter(|_| failure.is_none()).map(|(since, _)| since + LINGER);
        let retry_at = failure.map(|_| self.retry_at.unwrap_or(now));
        [sync_at, sign_at, drain_at, retry_at]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .min()
            .unwrap_or(IDLE)
    }
}

/// Without this thread nothing reaches stable storage: should it ever die, callers are refused.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.counters.set_failed(true);
            self.0.progress.send_modify(|progress| progress.failures += 1);
        }
    }
}

fn write_batch(
    writer: &mut Writer,
    batch: &mut Batch,
    next: &mut usize,
    counters: &AuditCounters,
) -> Result<(), AuditError> {
    writer.append_batch(batch, next, counters)?;
    if batch.dropped > 0 {
        let gap = RowRef::Gap { time: unix_nanos(), dropped: batch.dropped };
        writer.append(&gap, counters)?;
        batch.dropped = 0;
    }
    Ok(())
}
