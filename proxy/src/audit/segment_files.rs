//! Names and places: lanes below the directory, segments in a lane, and the lock that keeps a lane to one writer.
//!
//! A lane is one chain: `lane-0/` in daily life. While a new process takes over from one that drains, both have rows
//! to write, so the new one takes `lane-1/`; the next one finds `lane-0/` free again.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::AuditError;

/// A rewritten end that is complete and waits to be put in place (see [`super::heal`]).
pub(super) const REPLACEMENT: &str = "replacement.new";
/// The same while it is being written.
pub(super) const REPLACEMENT_UNFINISHED: &str = "replacement.tmp";
/// The exported checkpoints.
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// A lane that this process alone writes to, as long as the value lives.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) dir: PathBuf,
    _lock: File,
}

impl Lane {
    /// Takes the first free lane.
    pub(super) fn acquire(base: &Path, lanes_max: u32) -> Result<Self, AuditError> {
        for number in 0..lanes_max.max(1) {
            let dir = base.join(format!("lane-{number}"));
            make_private_dir(&dir)?;
            let path = dir.join("lock");
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(AuditError::io("open", &path))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { dir, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(AuditError::io("lock", &path)(source)),
            }
        }
        Err(AuditError::Locked { dir: base.to_owned() })
    }
}

/// A segment's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) ordinal: u64,
    pub(super) path: PathBuf,
}

impl SegmentName {
    pub(super) fn new(dir: &Path, ordinal: u64) -> Self {
        Self { ordinal, path: dir.join(format!("{ordinal:08}.seg")) }
    }
}

/// The segments of a lane, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<SegmentName>, AuditError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(AuditError::io("list", dir))? {
        let entry = entry.map_err(AuditError::io("list", dir))?;
        let ordinal = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_suffix(".seg"))
            .filter(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        names.extend(ordinal.map(|ordinal| SegmentName { ordinal, path: entry.path() }));
    }
    names.sort();
    Ok(names)
}

/// Makes the directory, and what is missing above it, for the owner only.
fn make_private_dir(dir: &Path) -> Result<(), AuditError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(AuditError::io("make", dir))?;
    let mode = std::fs::metadata(dir).map_err(AuditError::io("inspect", dir))?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))
            .map_err(AuditError::io("protect", dir))?;
    }
    Ok(())
}
