//! The writer: chain, buffer and the segment being written. Everything here happens under one lock.
//!
//! INVARIANT: `head` and `segment.len` move only after the bytes are with the kernel. What a failed write left behind them is
//! cut off before anything else is written ([`super::heal`]).

use std::sync::Arc;
use std::time::Instant;

use mcpg_ledger::{ChainId, Checkpoint, CheckpointClaim, Head, LifecycleEvent, LifecycleRef, RowRef};

use super::counters::{AuditCounters, add};
use super::disk::{Disk, DiskFile, write_all_at};
use super::error::AuditError;
use super::queue::Batch;
use super::recovery::{End, recover, wide};
use super::segment::{Group, Mark, Segment, begin_segment};
use super::segment_files::{Lane, SegmentName};
use super::settings::AuditSettings;
use super::unix_nanos;

/// Rows of a batch that are written at once, in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// The state of a log that is open for writing.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) settings: AuditSettings,
    pub(super) disk: Arc<dyn Disk>,
    /// None once the log is closed: another process may have the lane.
    pub(super) lane: Option<Lane>,
    pub(super) chain: ChainId,
    /// The last row written.
    pub(super) mark: Mark,
    pub(super) segment: Segment,
    /// Earlier segments with rows that are not on stable storage yet.
    pub(super) unsynced: Vec<Segment>,
    /// The last row on stable storage.
    pub(super) durable: Mark,
    pub(super) failure: Option<Failure>,
    /// A segment that was made and could not be begun.
    pub(super) leftover: Option<SegmentName>,
    /// Refused rows when the failure began.
    pub(super) refused_before: u64,
    /// Lost rows that no row tells of yet.
    pub(super) lost: u64,
    pub(super) checkpoint_at: Instant,
    /// Checkpoints to be exported once they are on stable storage.
    pub(super) signed: Vec<(u64, String)>,
    dirty_since: Option<Instant>,
    names_dirty: bool,
    stopped: bool,
    buffer: Vec<u8>,
}

/// What stands in the way of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A write failed: its remains must be cut off.
    Write,
    /// An fdatasync failed: what the kernel holds beyond the durable mark cannot be trusted to reach the disk any more.
    Sync,
}

impl Writer {
    /// Opens a lane, mends it, and records the start durably.
    pub(super) fn open(
        settings: AuditSettings,
        disk: Arc<dyn Disk>,
        counters: &AuditCounters,
    ) -> Result<Self, AuditError> {
        let lane = Lane::acquire(&settings.dir, settings.lanes_max)?;
        let (end, torn) = recover(&*disk, &lane.dir)?;
        let mut writer = Self::at_end(settings, disk, lane, end)?;
        for torn in &torn {
            writer.event(torn.event(), counters)?;
        }
        let instance = writer.settings.instance.clone();
        let version = env!("CARGO_PKG_VERSION");
        writer.event(LifecycleEvent::Started { instance: &instance, version }, counters)?;
        let group = writer.begin_group();
        group.sync(&*writer.disk).map_err(AuditError::io("sync", &writer.segment.name.path))?;
        writer.end_group(&group, counters);
        Ok(writer)
    }

    fn at_end(
        settings: AuditSettings,
        disk: Arc<dyn Disk>,
        lane: Lane,
        end: Option<End>,
    ) -> Result<Self, AuditError> {
        let key = mcpg_ledger::key_id(&settings.key.verifying_key());
        let (chain, mark, open) = match end {
            Some(end) if end.header.organization != settings.organization => {
                let expected = settings.organization;
                return Err(AuditError::OtherOrganization { found: end.header.organization, expected });
            }
            Some(end) => {
                let continues = end.header.key == key && end.header.instance == settings.instance;
                (end.header.chain, Mark::at(&end), continues.then_some(end.segment))
            }
            None => {
                let mut chain = [0; 16];
                getrandom::fill(&mut chain).map_err(AuditError::Random)?;
                let head = Head::genesis(&settings.organization, &chain);
                (
                    chain,
                    Mark { head, last_checkpoint: [0; 32], rows_since_checkpoint: 0, ordinal: 0, len: 0 },
                    None,
                )
            }
        };
        let (segment, mark) = match open {
            Some(name) => {
                let file = disk.open(&name.path, false).map_err(AuditError::io("open", &name.path))?;
                (Segment { name, file }, mark)
            }
            None => begin_segment(&*disk, &lane.dir, &settings, &chain, &mark)
                .map_err(|(name, source)| AuditError::io("begin", &name.path)(source))?,
        };
        Ok(Self {
            settings,
            disk,
            lane: Some(lane),
            chain,
            mark,
            segment,
            unsynced: Vec::new(),
            durable: mark,
            failure: None,
            leftover: None,
            refused_before: 0,
            lost: 0,
            stopped: false,
            checkpoint_at: Instant::now(),
            signed: Vec::new(),
            dirty_since: None,
            names_dirty: true,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Appends a row with one write and returns its number.
    pub(super) fn append(&mut self, row: &RowRef<'_>, counters: &AuditCounters) -> Result<u64, AuditError> {
        self.check_open()?;
        if let RowRef::Decision(decision) = row
            && decision.organization != self.settings.organization
        {
            return Err(AuditError::ForeignRow { found: decision.organization.to_owned() });
        }
        self.make_room(counters)?;
        self.buffer.clear();
        let head = self.mark.head.append(row, &mut self.buffer)?;
        self.commit(head, 1, counters)?;
        Ok(head.seq)
    }

    /// Appends rows of a batch from `next` on, many to a write. After an error `next` is the first that is not written.
    pub(super) fn append_batch(
        &mut self,
        batch: &Batch,
        next: &mut usize,
        counters: &AuditCounters,
    ) -> Result<(), AuditError> {
        self.check_open()?;
        while *next < batch.len() {
            self.make_room(counters)?;
            self.buffer.clear();
            let mut head = self.mark.head;
            let mut rows = 0;
            let rows_max =
                self.settings.checkpoint_rows.saturating_sub(self.mark.rows_since_checkpoint).max(1);
            let bytes_max = self.settings.segment_bytes_max.saturating_sub(self.mark.len);
            let mut after = *next;
            while let Some(row) = batch.row(after) {
                head = head.append_encoded(row, &mut self.buffer)?;
                after += 1;
                rows += 1;
                let bytes = self.buffer.len();
                if rows >= rows_max || bytes >= BATCH_BYTES || wide(bytes) >= bytes_max {
                    break;
                }
            }
            self.commit(head, rows, counters)?;
            *next = after;
        }
        Ok(())
    }

    /// Appends a row about the log itself.
    pub(super) fn event(
        &mut self,
        event: LifecycleEvent<'_>,
        counters: &AuditCounters,
    ) -> Result<u64, AuditError> {
        self.append(&RowRef::Lifecycle(LifecycleRef { time: unix_nanos(), event }), counters)
    }

    /// Signs the head, unless the last row is a checkpoint already.
    pub(super) fn checkpoint(&mut self, counters: &AuditCounters) -> Result<(), AuditError> {
        self.checkpoint_at = Instant::now();
        if self.mark.rows_since_checkpoint == 0 {
            return Ok(());
        }
        let claim = CheckpointClaim {
            time: unix_nanos(),
            organization: &self.settings.organization,
            chain: self.chain,
            head: self.mark.head,
            previous: self.mark.last_checkpoint,
        };
        let checkpoint = Checkpoint::sign(&claim, &self.settings.key);
        self.buffer.clear();
        let head = checkpoint.append(&self.mark.head, &mut self.buffer)?;
        self.commit(head, 1, counters)?;
        self.mark.last_checkpoint = checkpoint.hash();
        self.mark.rows_since_checkpoint = 0;
        self.signed.push((head.seq, checkpoint.to_line()));
        add(&counters.checkpoints, 1);
        Ok(())
    }

    /// Signs the head and begins the next segment if this one is full.
    fn make_room(&mut self, counters: &AuditCounters) -> Result<(), AuditError> {
        let is_full = self.mark.len >= self.settings.segment_bytes_max;
        if is_full || self.mark.rows_since_checkpoint >= self.settings.checkpoint_rows {
            self.checkpoint(counters)?;
        }
        if is_full { self.rotate(counters) } else { Ok(()) }
    }

    fn rotate(&mut self, counters: &AuditCounters) -> Result<(), AuditError> {
        let lane = self.lane.as_ref().ok_or(AuditError::Closed)?;
        match begin_segment(&*self.disk, &lane.dir, &self.settings, &self.chain, &self.mark) {
            Ok((segment, mark)) => {
                self.unsynced.push(std::mem::replace(&mut self.segment, segment));
                self.mark = mark;
                self.names_dirty = true;
                Ok(())
            }
            Err((name, source)) => {
                let error = AuditError::io("begin", &name.path)(source);
                self.leftover = Some(name);
                self.fail(Failure::Write, counters);
                Err(error)
            }
        }
    }

    fn commit(&mut self, head: Head, rows: u64, counters: &AuditCounters) -> Result<(), AuditError> {
        if let Err(source) = write_all_at(&*self.segment.file, &self.buffer, self.mark.len) {
            self.fail(Failure::Write, counters);
            return Err(AuditError::io("write", &self.segment.name.path)(source));
        }
        let bytes = wide(self.buffer.len());
        self.mark.len += bytes;
        self.mark.head = head;
        self.mark.rows_since_checkpoint += rows;
        self.dirty_since.get_or_insert_with(Instant::now);
        add(&counters.rows, rows);
        add(&counters.bytes, bytes);
        Ok(())
    }

    fn check_open(&self) -> Result<(), AuditError> {
        match self.failure {
            _ if self.stopped => Err(AuditError::Closed),
            Some(_) => Err(AuditError::Unavailable),
            None => Ok(()),
        }
    }

    /// Stops writing until [`super::heal`] has succeeded.
    pub(super) fn fail(&mut self, failure: Failure, counters: &AuditCounters) {
        if !counters.is_failed() {
            self.refused_before = counters.refused.load(std::sync::atomic::Ordering::Relaxed);
        }
        // A failed fdatasync is the graver one: mending it also cuts off the remains of a failed write.
        if self.failure != Some(Failure::Sync) {
            self.failure = Some(failure);
        }
        match failure {
            Failure::Write => add(&counters.write_failures, 1),
            Failure::Sync => add(&counters.fsync_failures, 1),
        }
        counters.set_failed(true);
    }

    /// Refuses every row from here on.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether rows wait for stable storage.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty_since.is_some()
    }

    /// Since when rows wait for stable storage.
    pub(super) fn dirty_since(&self) -> Option<Instant> {
        self.dirty_since
    }

    /// The last row on stable storage.
    pub(super) fn durable_seq(&self) -> u64 {
        self.durable.head.seq
    }

    /// What must be synced so that every row written so far is on stable storage.
    pub(super) fn begin_group(&mut self) -> Group {
        self.dirty_since = None;
        let mut files = self.unsynced.clone();
        files.push(self.segment.clone());
        Group { files, names: std::mem::take(&mut self.names_dirty), mark: self.mark }
    }

    /// Takes note that a group is on stable storage, and returns the checkpoints that now are.
    pub(super) fn end_group(&mut self, group: &Group, counters: &AuditCounters) -> Vec<String> {
        self.durable = group.mark;
        self.unsynced.retain(|segment| segment.name.ordinal >= group.mark.ordinal);
        counters.durable_seq.store(self.durable.head.seq, std::sync::atomic::Ordering::Release);
        add(&counters.fsyncs, 1);
        let signed = std::mem::take(&mut self.signed);
        let (durable, waiting): (Vec<_>, Vec<_>) =
            signed.into_iter().partition(|(seq, _)| *seq <= group.mark.head.seq);
        self.signed = waiting;
        durable.into_iter().map(|(_, line)| line).collect()
    }

    /// Takes over a rewritten end.
    pub(super) fn adopt(&mut self, end: &End, file: Arc<dyn DiskFile>) {
        self.mark = Mark::at(end);
        self.durable = self.mark;
        self.segment = Segment { name: end.segment.clone(), file };
        self.unsynced.clear();
        self.dirty_since = None;
        self.names_dirty = true;
        self.signed.retain(|(seq, _)| *seq <= end.head.seq);
    }
}
