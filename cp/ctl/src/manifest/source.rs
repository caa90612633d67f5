//! Where manifests come from: files, folders, the standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of one source.
const BYTES_MAX: u64 = 8 << 20;
/// Files of one run.
const FILES_MAX: usize = 10_000;
/// Folders within folders.
const DEPTH_MAX: usize = 16;

/// A text with manifests.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// The folder that its relative paths are below.
    pub base: PathBuf,
    /// The text.
    pub bytes: Vec<u8>,
}

/// Why manifests cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that is too long.
    #[error("`{path}` has more than {BYTES_MAX} bytes")]
    TooLong {
        /// Which.
        path: String,
    },
    /// More files than anybody means.
    #[error("more than {FILES_MAX} files")]
    TooMany,
    /// A folder without manifests.
    #[error(
        "`{path}` has no `.yaml`, `.yml` or `.json` file; with `-R` those of the folders in it count too"
    )]
    Nothing {
        /// Which.
        path: String,
    },
}

impl Source {
    /// Reads files, the files of folders (with `recursive` also of those in them), and the standard input for `-`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(paths: &[PathBuf], recursive: bool) -> Result<Vec<Self>, SourceError> {
        let mut sources = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                let bytes = bounded(std::io::stdin().lock(), Path::new("-"))?;
                sources.push(Self { name: "-".to_owned(), base: PathBuf::from("."), bytes });
            } else if path.is_dir() {
                let mut files = Vec::new();
                walk(path, if recursive { DEPTH_MAX } else { 0 }, &mut files)?;
                if files.is_empty() {
                    return Err(SourceError::Nothing { path: path.display().to_string() });
                }
                for file in files {
                    sources.push(Self::file(&file)?);
                }
            } else {
                sources.push(Self::file(path)?);
            }
        }
        Ok(sources)
    }

    fn file(path: &Path) -> Result<Self, SourceError> {
        let file = std::fs::File::open(path).map_err(|source| unreadable(path, source))?;
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(Self {
            name: path.display().to_string(),
            base: base.unwrap_or(Path::new(".")).to_owned(),
            bytes: bounded(file, path)?,
        })
    }
}

fn bounded(from: impl std::io::Read, path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SourceError::TooLong { path: path.display().to_string() });
    }
    Ok(bytes)
}

/// The manifests of a folder in order of name. What begins with a dot is not looked at.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| unreadable(folder, source))?;
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        let is_manifest =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, files)?;
            }
        } else if is_manifest {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(SourceError::TooMany);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, source: std::io::Error) -> SourceError {
    SourceError::Read { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_of_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.json", "readme.md", ".hidden.yaml", "d/e.yaml"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let names = |recursive: bool| {
            let sources = Source::all(&[folder.path().to_owned()], recursive).unwrap();
            sources.iter().map(|source| String::from_utf8(source.bytes.clone()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a.yml", "b.yaml", "c.json"]);
        assert_eq!(names(true), ["a.yml", "b.yaml", "c.json", "d/e.yaml"]);
        let error = |path: &str| Source::all(&[folder.path().join(path)], true).unwrap_err().to_string();
        assert!(error("none.yaml").contains("cannot read"));
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(error("empty").contains("with `-R`"));
    }
}
