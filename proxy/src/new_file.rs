//! Files that are made once, by whichever process comes first.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a folder that only its owner can enter, with those above it. One that is there stays as it is.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a whole file in place: nobody ever reads half of it. False if another process was first; its file stays.
pub(crate) fn place(path: &Path, mode: u32, contents: &[u8]) -> io::Result<bool> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{:016x}", u64::from_le_bytes(random)));
    let placed = write(&draft, mode, contents).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match placed {
        Ok(()) => {
            sync_folder(path)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(draft: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(contents).and_then(|()| file.sync_all())
}

/// The name of a new file is durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_file_stays_and_no_draft_is_left() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/b");
        folder(&dir).unwrap();
        let path = dir.join("session.key");
        assert!(place(&path, 0o600, b"first").unwrap());
        assert!(!place(&path, 0o600, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        assert!(place(&base.path().join("none/session.key"), 0o600, b"x").is_err());
    }
}
