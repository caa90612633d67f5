//! `audit:`: the ledger of decisions. It is on whether or not it is configured.

use std::path::PathBuf;
use std::time::Duration;

use crate::KeySource;

pub(crate) mod read;

/// Where and how decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The folder of segments and checkpoints.
    pub dir: PathBuf,
    /// What has to have happened to a decision's row before its call is dispatched.
    pub mode: AuditMode,
    /// The Ed25519 key that signs checkpoints; none for the ledger's own in `dir`.
    pub signing_key: Option<KeySource>,
    /// The longest time that a written row waits for fdatasync.
    pub fsync_interval: Duration,
    /// Rows between two checkpoints, at most.
    pub checkpoint_rows: u64,
    /// Time between two checkpoints, at most, while rows are written.
    pub checkpoint_interval: Duration,
    /// Bytes of a segment before the next is begun.
    pub segment_bytes_max: u64,
    /// Rows waiting to be written in the `async` mode; rows beyond are dropped and counted in a gap row.
    pub queue_rows_max: usize,
    /// Organizations whose logs are open at once. At least 1.
    pub organizations_open_max: usize,
    /// How much of what policy decided on is in a decision's row.
    pub record_input: RecordInput,
    /// Names of attributes and arguments of which only a keyed hash is kept.
    pub record_input_mask: Vec<String>,
}

/// How much of what policy decided on is in a decision's row, beside what is in every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordInput {
    /// Nothing.
    None,
    /// What the policies in force read to decide the call.
    Read,
    /// Every attribute of the caller and every argument.
    Full,
}

/// What has to have happened to a decision's row before its call is dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditMode {
    /// Handed to the kernel: survives the death of the process.
    Written,
    /// On stable storage: survives the loss of power.
    Sync,
    /// In the queue.
    Async,
}
