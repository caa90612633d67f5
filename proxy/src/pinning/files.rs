//! Files that several processes read and replace: the gateway, its successor during an upgrade, `mcpg tools approve`.
//!
//! A file is replaced as a whole: written beside it, made durable, renamed over it. So a reader has the old one or the new one,
//! and what was there when a process died is there. Who replaces holds the guard file's lock from reading to renaming, so no
//! change of another process is lost.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::PinError;

/// The longest file that is read.
pub(super) const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How long a process waits for another that replaces the file.
const GUARD_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it looks.
const GUARD_INTERVAL: Duration = Duration::from_millis(5);

/// The right to replace a file, as long as the value lives.
#[derive(Debug)]
pub(super) struct Guard {
    /// The file itself, not a link to it.
    path: PathBuf,
    _lock: File,
}

/// Tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Guard {
    /// Waits for the right to replace a file. Its folder must be there.
    pub(super) fn take(path: &Path) -> Result<Self, PinError> {
        // A link stays; what it leads to is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let guard = with_suffix(&path, ".guard");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&guard)
            .and_then(|file| give_to_owner_of_folder(&file, &guard).map(|()| file))
            .map_err(PinError::io("open", &guard))?;
        let deadline = Instant::now() + GUARD_TIME_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(GUARD_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(PinError::Busy { path }),
                Err(TryLockError::Error(source)) => return Err(PinError::io("lock", &guard)(source)),
            }
        }
    }

    /// Replaces the file.
    pub(super) fn replace(&self, text: &str) -> Result<Stamp, PinError> {
        let draft = with_suffix(&self.path, ".new");
        let stamp = self.write(&draft, text).map_err(PinError::io("write", &draft))?;
        std::fs::rename(&draft, &self.path).map_err(PinError::io("replace", &self.path))?;
        sync_folder(&self.path).map_err(PinError::io("sync the folder of", &self.path))?;
        Ok(stamp)
    }

    fn write(&self, draft: &Path, text: &str) -> io::Result<Stamp> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(draft)?;
        match std::fs::metadata(&self.path) {
            Ok(old) => {
                file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
                if rustix::process::geteuid().is_root() {
                    std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
                }
            }
            Err(_) => give_to_owner_of_folder(&file, draft)?,
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Stamp::of(&file)
    }
}

impl Stamp {
    /// That of a file that is open.
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self { inode: about.ino(), changed: (about.mtime(), about.mtime_nsec()), length: about.len() })
    }

    /// That of the file at a path; none if there is none.
    pub(super) fn at(path: &Path) -> Result<Option<Self>, PinError> {
        match File::open(path) {
            Ok(file) => Self::of(&file).map(Some).map_err(PinError::io("inspect", path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PinError::io("open", path)(error)),
        }
    }
}

/// A file's whole text; none if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<(String, Stamp)>, PinError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PinError::io("open", path)(error)),
    };
    let stamp = Stamp::of(&file).map_err(PinError::io("inspect", path))?;
    if stamp.length > BYTES_MAX {
        return Err(PinError::TooLong { path: path.to_owned() });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(PinError::io("read", path))?;
    Ok(Some((text, stamp)))
}

/// Who runs a command as root must not take the files from the gateway's user.
fn give_to_owner_of_folder(file: &File, path: &Path) -> io::Result<()> {
    let folder = std::fs::metadata(folder_of(path))?;
    if rustix::process::geteuid().is_root() && file.metadata()?.uid() != folder.uid() {
        std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// The new name is durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
