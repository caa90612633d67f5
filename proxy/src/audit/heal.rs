//! Recovery from a fault while the log is open.
//!
//! After a failed write the remains of the record are cut off, and the same segment goes on.
//!
//! After a failed fdatasync nothing beyond the durable mark can be trusted: the kernel may have dropped the pages and reported it only
//! once. Those rows are read back, each is checked by its hash, and they are written again, byte for byte, to a
//! new segment that takes their place once it is on stable storage. Numbers and hashes stay as they were.

use mcpg_ledger::{LifecycleEvent, SegmentHeader, follow};

use super::counters::{AuditCounters, add};
use super::disk::write_all_at;
use super::error::AuditError;
use super::recovery::install_replacement;
use super::segment_files::{REPLACEMENT, REPLACEMENT_UNFINISHED};
use super::writer::{Failure, Writer};

impl Writer {
    /// Tries to make the log writable again; the first row then tells of the failure.
    ///
    /// # Errors
    /// When the storage still fails: the log stays as it is.
    pub(super) fn heal(&mut self, counters: &AuditCounters) -> Result<(), AuditError> {
        let cause = match self.failure {
            None => return Ok(()),
            Some(Failure::Write) => {
                self.cut_remains()?;
                "write"
            }
            Some(Failure::Sync) => {
                self.rewrite_undurable(counters)?;
                "fdatasync"
            }
        };
        self.failure = None;
        let refused = counters.refused.load(std::sync::atomic::Ordering::Relaxed) - self.refused_before;
        // INVARIANT: callers stay refused until this row is in the log.
        self.event(LifecycleEvent::Resumed { cause, refused, lost: self.lost }, counters)?;
        self.lost = 0;
        add(&counters.recoveries, 1);
        counters.set_failed(false);
        Ok(())
    }

    fn cut_remains(&mut self) -> Result<(), AuditError> {
        if let Some(name) = &self.leftover {
            match self.disk.remove(&name.path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(AuditError::io("remove", &name.path)(source));
                }
                _ => self.leftover = None,
            }
        }
        let path = &self.segment.name.path;
        self.segment.file.set_len(self.mark.len).map_err(AuditError::io("cut", path))
    }

    /// Rows that cannot be read back are lost, and counted.
    fn rewrite_undurable(&mut self, counters: &AuditCounters) -> Result<(), AuditError> {
        let dir = self.lane.as_ref().ok_or(AuditError::Closed)?.dir.clone();
        let replacement = dir.join(REPLACEMENT);
        // One that is complete already is from an attempt that failed later: the old rows may be gone.
        if !replacement.exists() {
            let records = self.read_back();
            let unfinished = dir.join(REPLACEMENT_UNFINISHED);
            let mut bytes = self.durable.header(&self.settings, &self.chain);
            bytes.extend_from_slice(&records);
            let file = self.disk.open(&unfinished, true).map_err(AuditError::io("make", &unfinished))?;
            file.set_len(0)
                .and_then(|()| write_all_at(&*file, &bytes, 0))
                .and_then(|()| file.sync_data())
                .map_err(AuditError::io("write", &unfinished))?;
            self.disk.rename(&unfinished, &replacement).map_err(AuditError::io("rename", &unfinished))?;
            self.disk.sync_dir(&dir).map_err(AuditError::io("sync", &dir))?;
        }
        let (end, file) = install_replacement(&*self.disk, &dir)?;
        let lost = self.mark.head.seq.saturating_sub(end.head.seq);
        self.leftover = None;
        self.adopt(&end, file);
        self.lost += lost;
        add(&counters.lost, lost);
        Ok(())
    }

    /// The records behind the durable mark, as far as they can be read and their hashes fit.
    fn read_back(&self) -> Vec<u8> {
        let mut head = self.durable.head;
        let mut records = Vec::new();
        for segment in self.unsynced.iter().chain([&self.segment]) {
            let Ok(bytes) = std::fs::read(&segment.name.path) else { break };
            let start = if segment.name.ordinal == self.durable.ordinal {
                usize::try_from(self.durable.len).unwrap_or(usize::MAX)
            } else {
                match SegmentHeader::decode(&bytes) {
                    Ok((_, end)) => end,
                    Err(_) => break,
                }
            };
            let rest = bytes.get(start..).unwrap_or_default();
            let (after, end) = follow(head, rest);
            records.extend_from_slice(rest.get(..end).unwrap_or_default());
            head = after;
        }
        records
    }
}
