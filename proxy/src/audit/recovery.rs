//! Finding the end of a lane when it is opened, and mending what a crash left there.
//!
//! A crash leaves at most a torn end: it is copied beside the segment as evidence, cut off, and a row says so. Whatever else is
//! wrong was not done by a crash: the log refuses to open and touches nothing.

use std::path::Path;
use std::sync::Arc;

use mcpg_ledger::{Hash, Head, LifecycleEvent, Scan, SegmentError, SegmentHeader, Tail, scan, scan_until};

use super::disk::{Disk, DiskFile, write_all_at};
use super::error::AuditError;
use super::segment_files::{REPLACEMENT, REPLACEMENT_UNFINISHED, SegmentName, list};

/// Where a lane ends.
#[derive(Debug)]
pub(super) struct End {
    pub(super) segment: SegmentName,
    pub(super) header: SegmentHeader,
    pub(super) len: u64,
    pub(super) head: Head,
    pub(super) last_checkpoint: Hash,
    pub(super) rows_since_checkpoint: u64,
}

/// A torn end that was cut off.
#[derive(Debug)]
pub(super) struct Torn {
    segment: String,
    offset: u64,
    bytes: u64,
    digest: Hash,
}

impl Torn {
    /// The row that tells of it.
    pub(super) fn event(&self) -> LifecycleEvent<'_> {
        let Self { segment, offset, bytes, digest } = self;
        LifecycleEvent::TailRecovered { segment, offset: *offset, bytes: *bytes, digest: *digest }
    }
}

/// Mends a lane and returns where it ends, if it holds any row or header, and what was cut off.
pub(super) fn recover(disk: &dyn Disk, dir: &Path) -> Result<(Option<End>, Vec<Torn>), AuditError> {
    let unfinished = dir.join(REPLACEMENT_UNFINISHED);
    if unfinished.exists() {
        disk.remove(&unfinished).map_err(AuditError::io("remove", &unfinished))?;
    }
    if dir.join(REPLACEMENT).exists() {
        install_replacement(disk, dir)?;
    }
    let mut torn = Vec::new();
    let segments = list(dir)?;
    // What the killed process wrote is with the kernel. The group that was due may reach back into the last but one.
    if let [.., before, _] = segments.as_slice() {
        settle(disk, &before.path, None)?;
    }
    for segment in segments.into_iter().rev() {
        let bytes = read(&segment.path)?;
        match scan(&bytes) {
            // A crash while the segment was begun: it holds no row yet.
            Err(SegmentError::Incomplete) => {
                torn.push(set_aside(disk, &segment, &bytes, 0)?);
                disk.remove(&segment.path).map_err(AuditError::io("remove", &segment.path))?;
            }
            Err(SegmentError::NotASegment | SegmentError::Damaged) => return Err(corrupt(&segment, 0, 0)),
            Ok(found) if found.tail == Tail::Corrupt => {
                return Err(corrupt(&segment, found.end, found.head.seq));
            }
            Ok(found) => {
                if found.tail == Tail::Torn {
                    torn.push(set_aside(disk, &segment, &bytes, found.end)?);
                }
                settle(disk, &segment.path, (found.tail == Tail::Torn).then_some(found.end))?;
                return Ok((Some(End::new(segment, found)), torn));
            }
        }
    }
    Ok((None, torn))
}

/// Puts a rewritten end in place of the rows that it replaces. Can be repeated after a crash at any step: the
/// replacement is complete and durable before the first step, and takes its final name in the last. Until that name is durable
/// a loss of power brings the old one back, perhaps with later rows in it, and the steps are taken again.
pub(super) fn install_replacement(
    disk: &dyn Disk,
    dir: &Path,
) -> Result<(End, Arc<dyn DiskFile>), AuditError> {
    let path = dir.join(REPLACEMENT);
    // Opened first: nothing may fail behind the rename, when the old rows are gone and this one looks like any segment.
    let file = disk.open(&path, false).map_err(AuditError::io("open", &path))?;
    let replacement = scan(&read(&path)?).ok().filter(|found| found.tail != Tail::Corrupt);
    let mut segments = list(dir)?;
    let ordinal = segments.last().map_or(0, |segment| segment.ordinal) + 1;
    let target = SegmentName::new(dir, ordinal);
    let Some(replacement) = replacement else {
        return Err(corrupt(&SegmentName { ordinal, path }, 0, 0));
    };
    let previous = replacement.header.previous;
    while let Some(segment) = segments.pop() {
        let bytes = read(&segment.path)?;
        let begins_later = match SegmentHeader::decode(&bytes) {
            Ok((header, _)) => header.previous.seq >= previous.seq,
            Err(_) => true,
        };
        if begins_later {
            disk.remove(&segment.path).map_err(AuditError::io("remove", &segment.path))?;
            continue;
        }
        let found = scan_until(&bytes, previous.seq).map_err(|_| corrupt(&segment, 0, 0))?;
        if found.head != previous {
            return Err(corrupt(&segment, found.end, found.head.seq));
        }
        settle(disk, &segment.path, Some(found.end))?;
        break;
    }
    disk.rename(&path, &target.path).map_err(AuditError::io("rename", &path))?;
    Ok((End::new(target, replacement), file))
}

impl End {
    fn new(segment: SegmentName, found: Scan) -> Self {
        Self {
            segment,
            len: wide(found.end),
            header: found.header,
            head: found.head,
            last_checkpoint: found.last_checkpoint,
            rows_since_checkpoint: found.rows_since_checkpoint,
        }
    }
}

/// Copies a torn end to a file of its own.
fn set_aside(
    disk: &dyn Disk,
    segment: &SegmentName,
    bytes: &[u8],
    offset: usize,
) -> Result<Torn, AuditError> {
    let tail = bytes.get(offset..).unwrap_or_default();
    let name = segment.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = segment.path.with_file_name(format!("{name}.torn-{offset}"));
    let file = disk.open(&path, true).map_err(AuditError::io("make", &path))?;
    file.set_len(0)
        .and_then(|()| write_all_at(&*file, tail, 0))
        .and_then(|()| file.sync_data())
        .map_err(AuditError::io("write", &path))?;
    Ok(Torn {
        segment: name,
        offset: wide(offset),
        bytes: wide(tail.len()),
        digest: *blake3::hash(tail).as_bytes(),
    })
}

/// Cuts a segment where it should end, if it does not, and brings it to stable storage.
fn settle(disk: &dyn Disk, path: &Path, len: Option<usize>) -> Result<(), AuditError> {
    let file = disk.open(path, false).map_err(AuditError::io("open", path))?;
    if let Some(len) = len {
        file.set_len(wide(len)).map_err(AuditError::io("cut", path))?;
    }
    file.sync_data().map_err(AuditError::io("sync", path))
}

fn read(path: &Path) -> Result<Vec<u8>, AuditError> {
    std::fs::read(path).map_err(AuditError::io("read", path))
}

fn corrupt(segment: &SegmentName, offset: usize, seq: u64) -> AuditError {
    AuditError::Corrupt { segment: segment.path.clone(), offset: wide(offset), seq: seq + 1 }
}

pub(super) fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
