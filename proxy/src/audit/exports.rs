//! The `checkpoints` file beside the segments: one signed line per checkpoint on stable storage, to be shipped elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, write_all_at};
use super::error::AuditError;
use super::recovery::wide;
use super::segment_files::CHECKPOINTS;

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Exports {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    len: u64,
}

impl Exports {
    /// Opens the file and cuts off a line that a crash left incomplete.
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, AuditError> {
        let path = dir.join(CHECKPOINTS);
        let file = disk.open(&path, true).map_err(AuditError::io("open", &path))?;
        let bytes = std::fs::read(&path).map_err(AuditError::io("read", &path))?;
        let len = wide(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        if len < wide(bytes.len()) {
            file.set_len(len).map_err(AuditError::io("cut", &path))?;
        }
        Ok(Self { path, file, len })
    }

    /// Appends lines. After an error the file's end is where it was.
    pub(super) fn append(&mut self, lines: &[String]) -> Result<(), AuditError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        let written =
            write_all_at(&*self.file, text.as_bytes(), self.len).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            let error = AuditError::io("write", &self.path)(source);
            self.file.set_len(self.len).map_err(AuditError::io("cut", &self.path))?;
            return Err(error);
        }
        self.len += wide(text.len());
        Ok(())
    }
}
