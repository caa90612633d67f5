//! What the owner decides about the log.

use std::path::PathBuf;
use std::time::Duration;

use ed25519_dalek::SigningKey;

/// Where and how to record.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The directory. It and what is missing above it is made, readable by the owner only.
    pub dir: PathBuf,
    /// What a recorded row has survived.
    pub mode: AuditMode,
    /// Rows written are on stable storage after this time at the latest.
    pub fsync_interval: Duration,
    /// A segment that has reached this size is followed by the next.
    pub segment_bytes_max: u64,
    /// Rows between two checkpoints.
    pub checkpoint_rows: u64,
    /// Time between two checkpoints, if there are new rows.
    pub checkpoint_interval: Duration,
    /// Rows that may wait in the `async` mode.
    pub queue_rows_max: usize,
    /// How many processes may write below the directory at once, each to a chain of its own. 1 refuses a second process;
    /// 2 lets a new process start while the old one drains.
    pub lanes_max: u32,
    /// Signs checkpoints and segment headers.
    pub key: SigningKey,
    /// The organization whose chain this is. A row of another is refused.
    pub organization: String,
    /// This gateway's name.
    pub instance: String,
}

impl AuditSettings {
    /// The defaults.
    pub fn new(dir: PathBuf, organization: String, instance: String, key: SigningKey) -> Self {
        Self {
            dir,
            mode: AuditMode::Written,
            fsync_interval: Duration::from_millis(50),
            segment_bytes_max: 64 << 20,
            checkpoint_rows: 10_000,
            checkpoint_interval: Duration::from_secs(60),
            queue_rows_max: 65_536,
            lanes_max: 1,
            key,
            organization,
            instance,
        }
    }

    pub(super) fn timing(&self) -> Timing {
        Timing { fsync_interval: self.fsync_interval, checkpoint_interval: self.checkpoint_interval }
    }
}

/// What a recorded row has survived when `record` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditMode {
    /// The death of the process: the kernel has it.
    Written,
    /// The loss of power: stable storage has it.
    Sync,
    /// Nothing yet: it waits in memory.
    Async,
}

/// The flusher's part of the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) fsync_interval: Duration,
    pub(super) checkpoint_interval: Duration,
}
