//! Why the log cannot be opened or a row is not in it.

use std::io;
use std::path::{Path, PathBuf};

use mcpg_ledger::RowError;

/// Why the log cannot be opened or a row is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file system failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes to this directory.
    #[error("`{}` is written by another process: give each gateway a directory of its own", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The log is not what a crash could have left.
    #[error(
        "`{}` is damaged at byte {offset}, where row {seq} should be: keep the directory as evidence and configure another",
        segment.display()
    )]
    Corrupt {
        /// The segment.
        segment: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
        /// The first row that is not what was written.
        seq: u64,
    },
    /// The directory holds the log of another organization.
    #[error("the log belongs to the organization `{found}`, not to `{expected}`")]
    OtherOrganization {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The row belongs to another organization.
    #[error("a row of the organization `{found}` cannot enter the chain of another")]
    ForeignRow {
        /// The row's organization.
        found: String,
    },
    /// The row cannot be recorded.
    #[error("the row cannot be recorded")]
    Row(#[from] RowError),
    /// The log could not be written, and cannot yet.
    #[error("the audit log cannot be written at present")]
    Unavailable,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// Rows that were still queued at the end could not be written.
    #[error("{rows} queued rows were not written")]
    Undrained {
        /// How many.
        rows: u64,
    },
    /// The system has no randomness for a new chain's id.
    #[error("no randomness for a new chain: {0}")]
    Random(getrandom::Error),
    /// The log's thread cannot be started.
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
}

impl AuditError {
    /// Says what was tried on which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
