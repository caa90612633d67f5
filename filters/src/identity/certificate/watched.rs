//! What is read from files, and read again when they change, off the hot path.
//!
//! INVARIANT: what is in force was read without a fault. When the files change into something that cannot be read,
//! the last good reading stays, and the log says so once for each such change.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::secret::file;

const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
const FILES_MAX: usize = 256;

/// How often files are looked at.
pub(crate) const RELOAD_MS: u64 = 10_000;

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Part {
    /// Its text.
    pub(crate) fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.bytes).map_err(|_| format!("`{}` is not UTF-8", self.path.display()))
    }
}

type Parse<T> = dyn Fn(&[Part]) -> Result<T, String> + Send + Sync;

/// What is read from files, and kept up to date.
pub(crate) struct Watched<T> {
    current: ArcSwap<T>,
    paths: Vec<PathBuf>,
    parse: Box<Parse<T>>,
    seen: Mutex<Seen>,
    interval: Duration,
    started: AtomicBool,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Contents(blake3::Hash),
    Fault(String),
}

/// What a look at the files has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    Same,
    Replaced,
    Kept(String),
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads files, or the files in folders, for the first time.
    pub(crate) fn read(
        paths: Vec<PathBuf>,
        interval: Duration,
        parse: impl Fn(&[Part]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, String> {
        let parts = read_all(&paths)?;
        let current = ArcSwap::from_pointee(parse(&parts)?);
        Ok(Arc::new(Self {
            current,
            paths,
            parse: Box::new(parse),
            seen: Mutex::new(Seen::Contents(digest(&parts))),
            interval,
            started: AtomicBool::new(false),
        }))
    }

    /// What is in force.
    pub(crate) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Looks at the files now and then, as long as somebody holds this.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.interval.is_zero() || self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        let (watched, interval) = (Arc::downgrade(self), self.interval);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(watched) = Weak::upgrade(&watched) else { return };
                let looked = tokio::task::spawn_blocking(move || watched.look()).await;
                match looked {
                    Ok(Look::Replaced) => tracing::info!("certificates or keys were read again"),
                    Ok(Look::Kept(error)) => {
                        tracing::warn!(
                            error,
                            "certificates or keys cannot be read again: the last good ones stay"
                        );
                    }
                    Ok(Look::Same) | Err(_) => {}
                }
            }
        });
    }

    /// Looks at the files once.
    pub(crate) fn look(&self) -> Look {
        let parts = read_all(&self.paths);
        let mut seen = self.seen.lock();
        let now = match &parts {
            Ok(parts) => Seen::Contents(digest(parts)),
            Err(error) => Seen::Fault(error.clone()),
        };
        if *seen == now {
            return Look::Same;
        }
        *seen = now;
        match parts.and_then(|parts| (self.parse)(&parts)) {
            Ok(new) => {
                self.current.store(Arc::new(new));
                Look::Replaced
            }
            Err(error) => Look::Kept(error),
        }
    }
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Every file, and of a folder every file in it that is not hidden, by name.
fn read_all(paths: &[PathBuf]) -> Result<Vec<Part>, String> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let failed = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(path).map_err(failed)? {
                let entry = entry.map_err(failed)?.path();
                if !is_hidden(&entry) && entry.is_file() {
                    inside.push(entry);
                }
            }
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    if files.len() > FILES_MAX {
        return Err(format!("there are {} files: at most {FILES_MAX} are read", files.len()));
    }
    let read = |path: PathBuf| match file::read(&path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(Part { path, bytes }),
        Err(error) => Err(format!("cannot read `{}`: {error}", path.display())),
    };
    files.into_iter().map(read).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn digest(parts: &[Part]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        for bytes in [part.path.as_os_str().as_encoded_bytes(), &part.bytes] {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        }
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(parts: &[Part]) -> Result<Vec<String>, String> {
        let texts: Vec<_> = parts.iter().map(|part| part.text().unwrap().to_owned()).collect();
        if texts.iter().any(|text| text == "bad") { Err("it is bad".to_owned()) } else { Ok(texts) }
    }

    #[test]
    fn the_last_good_reading_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("bad");
        let read = || Watched::read(vec![path.clone()], Duration::ZERO, texts);
        assert_eq!(read().err(), Some("it is bad".to_owned()));
        write("one");
        let watched = read().unwrap();
        let check = |look, expected: &str| {
            assert_eq!(watched.look(), look);
            assert_eq!(*watched.current(), [expected]);
        };
        check(Look::Same, "one");
        write("two");
        check(Look::Replaced, "two");
        write("bad");
        check(Look::Kept("it is bad".to_owned()), "two");
        check(Look::Same, "two");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(watched.look(), Look::Kept(_)));
        check(Look::Same, "two");
        write("three");
        check(Look::Replaced, "three");
    }

    #[test]
    fn a_folder_is_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.pem", "b"), ("a.pem", "a"), (".hidden", "bad")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("c")).unwrap();
        let watched = Watched::read(vec![folder.path().into()], Duration::ZERO, texts).unwrap();
        assert_eq!(*watched.current(), ["a", "b"]);
        std::fs::remove_file(folder.path().join("b.pem")).unwrap();
        assert_eq!(watched.look(), Look::Replaced);
        assert_eq!(*watched.current(), ["a"]);
    }
}
