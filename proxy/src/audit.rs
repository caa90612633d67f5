//! The audit log of one gateway: rows chained by BLAKE3 into segment files, under signed checkpoints.
//!
//! INVARIANT: [`AuditLog::record`] returns only after the row is as safe as the mode promises. When it cannot be, it
//! returns an error and the call must be refused before it has any effect. What each mode promises, the
//! bytes on disk and how to verify them are in `docs/AUDIT.md`.
//!
//! Threads: callers encode, hash and write under one short lock. One owned thread (`flusher`) does everything that is slow:
//! fdatasync in groups, the queue of the `async` mode, timed checkpoints, and recovery after a fault.

mod counters;
mod disk;
mod error;
mod exports;
mod flusher;
mod heal;
mod ledgers;
mod queue;
mod recovery;
mod segment;
mod segment_files;
mod settings;
pub mod show;
pub mod verify_dir;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use mcpg_ledger::{ChainId, RowRef};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use counters::{AuditCounters, AuditHealth, Totals};
pub use error::AuditError;
pub use ledgers::{Ledger, Ledgers};
pub use settings::{AuditMode, AuditSettings};

use disk::{Disk, OsDisk};
use exports::Exports;
use flusher::Flusher;
use queue::Queue;
use writer::Writer;

/// An audit log that is open for writing.
#[derive(Debug)]
pub struct AuditLog {
    shared: Arc<Shared>,
    mode: AuditMode,
    flusher: Mutex<Option<JoinHandle<Flusher>>>,
    thread: std::thread::Thread,
    chain: ChainId,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the log under this number.
    Row(u64),
    /// It waits in the queue of the `async` mode.
    Queued,
    /// The queue of the `async` mode is full: the row is counted in a gap row instead.
    Dropped,
}

/// What the callers and the flusher share.
#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    queue: Queue,
    progress: watch::Sender<Progress>,
    counters: AuditCounters,
    /// Someone waits for fdatasync.
    sync_wanted: AtomicBool,
    stopping: AtomicBool,
}

/// How far the log is on stable storage.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    durable_seq: u64,
    /// Grows with every failure: whoever waited across one is refused.
    failures: u64,
    closed: bool,
}

impl AuditLog {
    /// Opens the log, recovers its end after a crash, and records the start.
    ///
    /// # Errors
    /// When the directory cannot be used, another process writes to it, or what it holds is not a log that a crash
    /// could have left: then nothing is touched and an operator has to look.
    pub fn open(settings: AuditSettings) -> Result<Arc<Self>, AuditError> {
        Self::open_on(settings, &(Arc::new(OsDisk) as Arc<dyn Disk>))
    }

    fn open_on(settings: AuditSettings, disk: &Arc<dyn Disk>) -> Result<Arc<Self>, AuditError> {
        let mode = settings.mode;
        let (shared, flusher) = build(settings, disk)?;
        let chain = shared.writer.lock().chain;
        let handle = std::thread::Builder::new()
            .name("audit-flush".to_owned())
            .spawn(move || flusher.run())
            .map_err(AuditError::Thread)?;
        let thread = handle.thread().clone();
        Ok(Arc::new(Self { shared, mode, flusher: Mutex::new(Some(handle)), thread, chain }))
    }

    /// Records a row as the mode promises.
    ///
    /// # Errors
    /// When the row is not safe: refuse the call.
    pub async fn record(&self, row: &RowRef<'_>) -> Result<Recorded, AuditError> {
        match self.mode {
            AuditMode::Written | AuditMode::Async => self.record_now(row),
            AuditMode::Sync => self.record_durably(row).await,
        }
    }

    /// Records a row without waiting: written to the kernel, or queued in the `async` mode. In the `sync` mode it reaches stable
    /// storage within the fsync interval: right for outcomes, wrong for decisions.
    ///
    /// # Errors
    /// When the row is not in the log.
    pub fn record_now(&self, row: &RowRef<'_>) -> Result<Recorded, AuditError> {
        if self.mode == AuditMode::Async {
            let (recorded, wake) = self.shared.enqueue(row)?;
            if wake {
                self.thread.unpark();
            }
            return Ok(recorded);
        }
        let (seq, wake) = self.append(row)?;
        if wake {
            self.thread.unpark();
        }
        Ok(Recorded::Row(seq))
    }

    fn append(&self, row: &RowRef<'_>) -> Result<(u64, bool), AuditError> {
        self.shared.append(row).inspect_err(|error| match error {
            AuditError::Unavailable => self.shared.counters.refuse(),
            // The first to fail: recovery begins.
            _ => self.thread.unpark(),
        })
    }

    async fn record_durably(&self, row: &RowRef<'_>) -> Result<Recorded, AuditError> {
        let mut progress = self.shared.progress.subscribe();
        let failures = progress.borrow_and_update().failures;
        let (seq, _) = self.append(row)?;
        if !self.shared.sync_wanted.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
        let reached = progress
            .wait_for(|now| now.durable_seq >= seq || now.failures != failures || now.closed)
            .await
            .map_err(|_| AuditError::Closed)?;
        if reached.durable_seq >= seq && reached.failures == failures {
            Ok(Recorded::Row(seq))
        } else {
            Err(AuditError::Unavailable)
        }
    }

    /// Whether rows are accepted now.
    pub fn health(&self) -> AuditHealth {
        self.shared.counters.health()
    }

    /// The chain, and its last row on stable storage.
    pub fn durable(&self) -> (ChainId, u64) {
        (self.chain, self.shared.counters.durable_seq.load(Ordering::Acquire))
    }

    /// Counters for metrics.
    pub fn counters(&self) -> &AuditCounters {
        &self.shared.counters
    }

    /// Records the stop, signs the head, waits for stable storage and lets the directory go. Blocks; a second call does nothing.
    ///
    /// # Errors
    /// When the last rows could not be made safe.
    pub fn close(&self) -> Result<(), AuditError> {
        let Some(handle) = self.flusher.lock().take() else { return Ok(()) };
        self.shared.stopping.store(true, Ordering::Release);
        self.thread.unpark();
        let mut flusher = handle.join().map_err(|_| AuditError::Unavailable)?;
        flusher.finish()
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "audit log not closed in good order");
        }
    }
}

impl Shared {
    /// Appends a row; also says whether the flusher must be woken.
    fn append(&self, row: &RowRef<'_>) -> Result<(u64, bool), AuditError> {
        // Refused without the lock: the flusher may hold it for long while it tries to recover.
        if self.counters.is_failed() {
            return Err(AuditError::Unavailable);
        }
        let mut writer = self.writer.lock();
        let was_dirty = writer.is_dirty();
        let seq = writer.append(row, &self.counters)?;
        Ok((seq, !was_dirty))
    }

    fn enqueue(&self, row: &RowRef<'_>) -> Result<(Recorded, bool), AuditError> {
        self.queue.push(row, &self.counters)
    }
}

/// Opens the log without starting its thread.
fn build(settings: AuditSettings, disk: &Arc<dyn Disk>) -> Result<(Arc<Shared>, Flusher), AuditError> {
    let counters = AuditCounters::default();
    let timing = settings.timing();
    let queue = Queue::new(settings.queue_rows_max, &settings.organization);
    let writer = Writer::open(settings, Arc::clone(disk), &counters)?;
    let exports = Exports::open(&**disk, writer.segment.name.path.parent().unwrap_or(Path::new(".")))?;
    let progress = Progress { durable_seq: writer.durable_seq(), ..Progress::default() };
    let shared = Arc::new(Shared {
        writer: Mutex::new(writer),
        queue,
        progress: watch::Sender::new(progress),
        counters,
        sync_wanted: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
    });
    let flusher = Flusher::new(Arc::clone(&shared), timing, exports);
    Ok((shared, flusher))
}

/// The time now, for rows that the log writes about itself.
fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
