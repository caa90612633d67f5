//! What the verifier found.

use std::fmt;

use super::Expected;
use super::format::{Hash, hex};

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The chain, as its first segment names it.
    pub chain: Option<[u8; 16]>,
    /// The organization, likewise.
    pub organization: Option<String>,
    /// Segments read to the end.
    pub segments: u64,
    /// Rows that verified.
    pub rows: u64,
    /// The first row that verified.
    pub first: Option<Place>,
    /// The last row that verified.
    pub last: Option<Place>,
    /// Checkpoints that verified.
    pub checkpoints: u64,
    /// Rows of gateways' logs among the rows, each at its place in its log.
    pub forwarded: u64,
    /// How many logs of gateways they are of.
    pub logs: u64,
    /// Rows of those logs that are not there, as rows say: lost to the gateway, and of other environments.
    pub not_forwarded: [u64; 2],
    /// The last row that a checkpoint's signature covers.
    pub signed_up_to: Option<u64>,
    /// Heads known from elsewhere that the log contains.
    pub expected_found: u64,
    /// Rows at the start that were removed behind a signed anchor.
    pub removed_up_to: Option<u64>,
    /// The log ends in the middle of a record.
    pub torn_tail: Option<TornTail>,
    /// The first thing that is wrong.
    pub bad: Option<BadRow>,
}

/// A row that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// Its own time, in nanoseconds since 1970.
    pub time: u64,
}

/// An incomplete record at the very end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub segment: String,
    /// Where the record begins.
    pub offset: u64,
    /// The number the row would have had.
    pub seq: u64,
    /// Bytes from there to the end.
    pub bytes: u64,
}

/// The first row that does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The segment.
    pub segment: String,
    /// Where in the segment.
    pub offset: u64,
    /// The number of the row that should be there.
    pub seq: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The row's bytes are not those that were hashed.
    Edited,
    /// Rows are missing.
    Deleted {
        /// The last missing one; the first is the bad row itself.
        up_to: u64,
    },
    /// A row that was not written here.
    Inserted,
    /// The row is there, but later.
    Swapped,
    /// An earlier row again.
    Repeated {
        /// That row's number.
        seq: u64,
    },
    /// Of another organization or another chain.
    Foreign,
    /// Rows of a gateway's log are missing before it, and no row says so.
    Unaccounted {
        /// The chain of that log.
        log: [u8; 16],
        /// The last row of it that is known.
        after: u64,
    },
    /// Hashes fit each other but not what was signed or is known from elsewhere.
    Rewritten {
        /// The last row known to be right.
        since: u64,
    },
    /// The end is missing: a head known from elsewhere lies behind it.
    Truncated {
        /// That head's number.
        expected: u64,
    },
    /// A signature does not fit.
    BadSignature,
    /// Signed by a key that is not trusted.
    UnknownKey {
        /// The key's id.
        key: Hash,
    },
    /// A checkpoint that contradicts its place.
    BadCheckpoint,
    /// A segment's header is damaged, or contradicts what comes before it.
    BadHeader,
    /// A record that is cut off, in a segment that others follow.
    Incomplete,
    /// The hash fits, but the bytes are no row of this version.
    Malformed,
    /// The log, or a chain that is known from elsewhere, is not there.
    Missing,
}

/// The verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Whole.
    Intact,
    /// Whole up to an incomplete last record: a crash, or a log that is being written, or a cut-off end.
    Torn,
    /// Not what was written.
    Broken,
}

impl Report {
    /// The head that was reached, to be kept elsewhere and expected next time.
    pub fn head(&self) -> Option<Expected> {
        let (chain, last) = (self.chain?, self.last?);
        Some(Expected { chain, seq: last.seq, hash: last.hash })
    }

    /// The verdict.
    pub fn standing(&self) -> Standing {
        match (&self.bad, &self.torn_tail) {
            (Some(_), _) => Standing::Broken,
            (None, Some(_)) => Standing::Torn,
            (None, None) => Standing::Intact,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.standing() == Standing::Intact
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standing() {
            Standing::Intact => write!(f, "intact")?,
            Standing::Torn => write!(f, "torn")?,
            Standing::Broken => write!(f, "broken")?,
        }
        if let Some(organization) = &self.organization {
            write!(f, ": log of `{organization}`")?;
        }
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            write!(f, ", rows {} to {}", first.seq, last.seq)?;
        }
        write!(f, ", whole segments: {}, checkpoints: {}", self.segments, self.checkpoints)?;
        match (self.signed_up_to, &self.last) {
            (Some(seq), Some(last)) => {
                write!(f, " (signed up to row {seq}, {} rows after it)", last.seq.saturating_sub(seq))?;
            }
            (None, Some(_)) => write!(f, " (no row is signed yet)")?,
            _ => {}
        }
        if self.logs > 0 {
            let [lost, elsewhere] = self.not_forwarded;
            write!(f, ", rows of gateways: {} of {} logs", self.forwarded, self.logs)?;
            write!(f, " (lost before they were sent: {lost}, of other environments: {elsewhere})")?;
        }
        if self.expected_found > 0 {
            write!(f, ", known heads found: {}", self.expected_found)?;
        }
        if let Some(head) = self.head() {
            write!(f, ", head {head}")?;
        }
        if let Some(seq) = self.removed_up_to {
            write!(f, ", rows up to {seq} were removed behind a signed anchor")?;
        }
        if let Some(torn) = &self.torn_tail {
            write!(
                f,
                "; row {} is incomplete: the last {} bytes of {}, from byte {}",
                torn.seq, torn.bytes, torn.segment, torn.offset
            )?;
        }
        if let Some(bad) = &self.bad {
            write!(f, "; {bad}")?;
        }
        Ok(())
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} in {} at byte {}: {}", self.seq, self.segment, self.offset, self.damage)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited => write!(f, "edited: its bytes are not those that were hashed"),
            Self::Deleted { up_to } => write!(f, "deleted: rows up to {up_to} are missing"),
            Self::Inserted => write!(f, "inserted: another row stands in its place"),
            Self::Swapped => write!(f, "swapped: it stands later in the segment"),
            Self::Repeated { seq } => write!(f, "repeated: row {seq} stands here again"),
            Self::Foreign => write!(f, "foreign: it belongs to another organization or chain"),
            Self::Unaccounted { log, after } => {
                write!(f, "rows of the gateway's log {} are missing behind its row {after}", hex(log))
            }
            Self::Rewritten { since } => {
                write!(f, "rewritten: rows after {since} are not those that were signed")
            }
            Self::Truncated { expected } => write!(f, "truncated: the log is known to reach row {expected}"),
            Self::BadSignature => write!(f, "bad signature"),
            Self::UnknownKey { key } => write!(f, "signed by the unknown key `{}`", hex(key)),
            Self::BadCheckpoint => write!(f, "a checkpoint that contradicts its place"),
            Self::BadHeader => write!(f, "the segment's header is damaged or does not follow"),
            Self::Incomplete => write!(f, "incomplete, though later segments follow"),
            Self::Malformed => write!(f, "no row of version 1"),
            Self::Missing => write!(f, "missing: a chain known from elsewhere is not there"),
        }
    }
}
