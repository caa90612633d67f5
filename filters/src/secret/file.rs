//! `$secret://file/PATH`: a file, such as a mounted Kubernetes secret or a systemd credential.
//!
//! A file that its group or everyone may write is refused: whoever can write it decides what the gateway trusts.
//! One that others may read is accepted, since orchestrators mount secrets so; the folder around it is what
//! protects it there. Symbolic links are followed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mcpg_sdk::{Base, BoundsError};

const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Reads a file that a configuration names and that the gateway trusts, up to a length.
pub(crate) fn read_named(base: &Base, path: &str, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    read(&base.file(path)?, bytes_max)
}

/// Reads a file that the gateway trusts, up to a length.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    // Before opening: to open a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(FileError::Writable { mode });
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(FileError::Large { bytes_max });
    }
    // Room for all of it and one byte more, so that growing leaves no copy behind.
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max { Err(FileError::Large { bytes_max }) } else { Ok(bytes) }
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It may not be named.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A folder, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// Others may change it.
    #[error("its mode is {mode:04o}, so others may write it: `chmod go-w` it")]
    Writable {
        /// The file's mode.
        mode: u32,
    },
    /// Over the limit.
    #[error("it is over {bytes_max} bytes")]
    Large {
        /// The limit.
        bytes_max: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn check(mode: u32, expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hunter2").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&path, 100).is_ok(), expected, "{mode:o}");
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        for mode in [0o400, 0o440, 0o444, 0o600, 0o640, 0o644] {
            check(mode, true);
        }
        for mode in [0o620, 0o660, 0o664, 0o602, 0o666, 0o777] {
            check(mode, false);
        }
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path(), 100), Err(FileError::NotAFile)));
        assert!(matches!(read(Path::new("/dev/zero"), 100), Err(FileError::NotAFile)));
        assert!(matches!(read(&folder.path().join("none"), 100), Err(FileError::Io(_))));
    }

    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hunter2").unwrap();
        std::os::unix::fs::symlink("key", folder.path().join("link")).unwrap();
        assert_eq!(read(&folder.path().join("link"), 100).unwrap(), b"hunter2");
    }
}
