//! Finding the end of a segment after a crash: the writer's own look at what it wrote.
//!
//! A crash leaves whole records and at most one torn end. Anything else was not done by a crash of the
//! writer and is reported as corrupt, never repaired.

use crate::chain::Record;
use crate::checkpoint;
use crate::{Hash, Head, SegmentError, SegmentHeader};

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The segment's header.
    pub header: SegmentHeader,
    /// The last whole row.
    pub head: Head,
    /// Where that row ends: the place to go on writing.
    pub end: usize,
    /// The hash of the last checkpoint up to there; zeros if there is none.
    pub last_checkpoint: Hash,
    /// Rows after that checkpoint, or since the segment began.
    pub rows_since_checkpoint: u64,
    /// What follows the last whole row.
    pub tail: Tail,
}

/// What follows the last whole row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or rows that were not asked for.
    Clean,
    /// An incomplete record, or a last one whose hash is wrong, or zeros: a crash.
    Torn,
    /// A record that does not follow, with more records behind it: not a crash.
    Corrupt,
}

/// Walks a segment's records to the last whole one.
///
/// # Errors
/// When the segment has no whole header.
pub fn scan(bytes: &[u8]) -> Result<Scan, SegmentError> {
    scan_until(bytes, u64::MAX)
}

/// Walks a segment's records to the last whole one, or to the row `seq` if that comes first.
///
/// # Errors
/// When the segment has no whole header.
pub fn scan_until(bytes: &[u8], seq: u64) -> Result<Scan, SegmentError> {
    let (header, start) = SegmentHeader::decode(bytes)?;
    let mut head = header.previous;
    let mut last_checkpoint = header.previous_checkpoint;
    let mut rows_since_checkpoint = 0;
    let mut end = start;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        if head.seq >= seq {
            return Ok(Scan { header, head, end, last_checkpoint, rows_since_checkpoint, tail: Tail::Clean });
        }
        let next = Record::split(rest).and_then(|record| Some((head.follow(&record)?, record)));
        let Some((after, record)) = next else {
            let tail = classify(rest, head.seq);
            return Ok(Scan { header, head, end, last_checkpoint, rows_since_checkpoint, tail });
        };
        rows_since_checkpoint += 1;
        if checkpoint::is_checkpoint(record.row) {
            last_checkpoint = checkpoint::hash_of(record.row);
            rows_since_checkpoint = 0;
        }
        head = after;
        end += record.len;
    }
}

/// The record at the start of `bytes`, if it is there whole and follows `head`: the head after it, its row, its size.
pub fn next_row<'a>(head: &Head, bytes: &'a [u8]) -> Option<(Head, &'a [u8], usize)> {
    let record = Record::split(bytes)?;
    Some((head.follow(&record)?, record.row, record.len))
}

/// How many of the bytes are whole records that follow `head`, and the head after them.
pub fn follow(mut head: Head, bytes: &[u8]) -> (Head, usize) {
    let mut end = 0;
    while let Some(record) = Record::split(bytes.get(end..).unwrap_or_default()) {
        let Some(after) = head.follow(&record) else { break };
        head = after;
        end += record.len;
    }
    (head, end)
}

fn classify(rest: &[u8], seq: u64) -> Tail {
    if rest.is_empty() {
        Tail::Clean
    } else if (1..rest.len()).any(|offset| is_later_record(rest.get(offset..).unwrap_or_default(), seq)) {
        Tail::Corrupt
    } else {
        Tail::Torn
    }
}

/// Whether a whole, later record starts here: one that ends the segment, or that the next one follows by hash.
fn is_later_record(bytes: &[u8], seq: u64) -> bool {
    // Cheap refusals first: this runs at every byte of a torn end.
    let Some(record) = Record::split(bytes) else { return false };
    if record.seq <= seq || record.seq - seq > u64::from(u32::MAX) || record.row.len() < 10 {
        return false;
    }
    let rest = bytes.get(record.len..).unwrap_or_default();
    let head = Head { seq: record.seq, hash: record.hash };
    rest.is_empty() || Record::split(rest).is_some_and(|next| head.follow(&next).is_some())
}
