//! The bounded queue of the `async` mode: encoded rows side by side in one buffer that the flusher swaps for an empty one.

use std::time::Instant;

use mcpg_ledger::{ROW_BYTES_MAX, RowError, RowRef};
use parking_lot::Mutex;

use super::Recorded;
use super::counters::{AuditCounters, add};
use super::error::AuditError;
use super::recovery::wide;

/// The queue may hold this many bytes for each row it may hold.
const BYTES_PER_ROW: usize = 1024;

/// Rows that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    rows_max: usize,
    bytes_max: usize,
    organization: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    since: Option<Instant>,
    closed: bool,
}

/// Encoded rows, and how many were dropped behind them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    pub(super) dropped: u64,
}

impl Queue {
    pub(super) fn new(rows_max: usize, organization: &str) -> Self {
        let bytes_max = rows_max.saturating_mul(BYTES_PER_ROW).max(ROW_BYTES_MAX);
        Self { rows_max, bytes_max, organization: organization.to_owned(), state: Mutex::default() }
    }

    /// Queues a row; also says whether the flusher must be woken: for the first row, and when the queue is half full.
    pub(super) fn push(
        &self,
        row: &RowRef<'_>,
        counters: &AuditCounters,
    ) -> Result<(Recorded, bool), AuditError> {
        if let RowRef::Decision(decision) = row
            && decision.organization != self.organization
        {
            return Err(AuditError::ForeignRow { found: decision.organization.to_owned() });
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(AuditError::Closed);
        }
        let State { batch, since, .. } = &mut *state;
        // Once a row is dropped the rest is too, until the flusher has taken the batch: a gap stands where it happened.
        if batch.dropped > 0 || batch.len() >= self.rows_max || batch.bytes.len() >= self.bytes_max {
            batch.dropped += 1;
            add(&counters.dropped, 1);
            let wake = since.is_none();
            since.get_or_insert_with(Instant::now);
            return Ok((Recorded::Dropped, wake));
        }
        let start = batch.bytes.len();
        row.encode(&mut batch.bytes);
        let bytes = batch.bytes.len() - start;
        if bytes > ROW_BYTES_MAX {
            batch.bytes.truncate(start);
            return Err(RowError::TooLong { bytes }.into());
        }
        batch.ends.push(batch.bytes.len());
        let rows = batch.len();
        let wake = since.is_none() || rows == self.rows_max / 2;
        since.get_or_insert_with(Instant::now);
        counters.queue_rows.store(wide(rows), std::sync::atomic::Ordering::Relaxed);
        Ok((Recorded::Queued, wake))
    }

    /// Swaps what waits for an empty batch.
    pub(super) fn take(&self, into: &mut Batch, counters: &AuditCounters) {
        into.clear();
        let mut state = self.state.lock();
        std::mem::swap(&mut state.batch, into);
        state.since = None;
        counters.queue_rows.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    /// Since when something waits, and whether the queue is at least half full.
    pub(super) fn waiting(&self) -> Option<(Instant, bool)> {
        let state = self.state.lock();
        let is_half_full =
            state.batch.len() >= self.rows_max / 2 || state.batch.bytes.len() >= self.bytes_max / 2;
        state.since.map(|since| (since, is_half_full))
    }

    /// Refuses rows from here on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The encoded row at a place.
    pub(super) fn row(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.dropped = 0;
    }
}
