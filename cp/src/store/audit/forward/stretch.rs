//! A stretch of a gateway's log against what is known of that log: which of it is new. No database.

use std::borrow::Cow;

use mcpg_ledger::{ChainId, Hash, Head, HoleCause, ROW_BYTES_MAX};

use crate::store::StoreError;

/// A stretch of a gateway's log: rows with numbers that follow each other, and what is left out between them.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// The chain of the log.
    pub log: ChainId,
    /// The row before the first, and its hash.
    pub previous: Head,
    /// The rows, in order.
    pub entries: &'a [Entry<'a>],
    /// The hash of the last row, as the gateway has it.
    pub last: Hash,
}

/// A part of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A row's bytes.
    Row(Cow<'a, [u8]>),
    /// Rows that are not sent.
    Missing(Missing),
}

/// Rows of a log that are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// How many there are.
    pub rows: u64,
    /// The hash of the last of them.
    pub hash: Hash,
    /// Why.
    pub cause: HoleCause,
}

/// A part of a stretch that is new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fresh<'a> {
    /// A row behind a head.
    Row(Head, &'a [u8]),
    /// From behind one head to another.
    Hole(Head, Head, HoleCause),
}

/// What of a stretch lies behind the known head, and the head after it.
pub(super) fn fresh<'a>(known: Head, stretch: &Forward<'a>) -> Result<(Vec<Fresh<'a>>, Head), StoreError> {
    let mut head = stretch.previous;
    if head.seq > known.seq {
        return Err(StoreError::OutOfOrder { kept: known });
    }
    // Where the stretch passes the known head it must have its hash.
    let meets = |head: Head| head.seq != known.seq || head.hash == known.hash;
    let mut is_same = meets(head);
    let mut fresh = Vec::new();
    for entry in stretch.entries {
        let before = head;
        match entry {
            Entry::Row(row) if row.len() > ROW_BYTES_MAX => {
                return Err(StoreError::Invalid { what: "a row over its limit" });
            }
            Entry::Row(row) => {
                if head.seq >= known.seq {
                    fresh.push(Fresh::Row(head, row));
                }
                head = head.after(row);
            }
            Entry::Missing(missing) => {
                let invalid = StoreError::Invalid { what: "a hole without rows, or with too many" };
                let seq = head.seq.checked_add(missing.rows).filter(|seq| *seq < 1 << 53 && *seq > head.seq);
                head = Head { seq: seq.ok_or(invalid)?, hash: missing.hash };
                // One that reaches over what is known is new from there on.
                let from = if before.seq < known.seq { known } else { before };
                if head.seq > known.seq {
                    fresh.push(Fresh::Hole(from, head, missing.cause));
                }
            }
        }
        is_same &= meets(head);
    }
    if head.hash != stretch.last {
        return Err(StoreError::Invalid { what: "a stretch that does not end in its hash" });
    }
    if !is_same {
        return Err(StoreError::Forked { seq: known.seq });
    }
    Ok((fresh, head))
}
