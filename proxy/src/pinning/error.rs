//! Why pinned definitions cannot be read or kept.

use std::io;
use std::path::{Path, PathBuf};

/// Why pinned definitions cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// A file or folder.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file that says something else than it should. It is not overwritten.
    #[error("`{}`, line {line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        #[source]
        problem: LineError,
    },
    /// A file that is too long to be what it should.
    #[error("`{}` is longer than {} bytes", .path.display(), super::files::BYTES_MAX)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps the file for itself.
    #[error("another process keeps `{}` locked", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file was there and is not any more. It is not made again from nothing.
    #[error("`{}` is gone: put it back, or restart the gateway to begin anew", .path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not this record.
    #[error("not a record of a tool")]
    Form(#[source] serde_json::Error),
    /// The first line.
    #[error("expected `{0}`")]
    Header(&'static str),
    /// The digest is no digest.
    #[error("`digest` is not `blake3:` and 64 hexadecimal digits")]
    Digest,
    /// The definition has another digest: one of them was edited.
    #[error("the definition does not have the digest beside it")]
    Mismatch,
    /// A tool that another line has too.
    #[error("another line has the same tool")]
    Repeated,
}

impl PinError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
