//! The files of a policy, read from a folder beside its manifest.
//!
//! INVARIANT: nothing outside the manifest's folder is read, whatever links lead there: manifests come from repositories of others, and what is
//! read is sent to the control plane.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use mcpg_config::{Diagnostic, Document};
use mcpg_cp_api::{FileName, PolicySpec, WorkspacePath};

use super::kinds;
use super::source::Source;

/// Files of one policy.
const FILES_MAX: usize = 1000;
/// Bytes of all of them: what the API takes.
const BYTES_MAX: u64 = 4 << 20;
/// Folders within folders: what the name of a file can say.
const DEPTH_MAX: usize = 7;

/// A folder with the files of a policy, or one file.
#[derive(Debug)]
pub struct PolicyFolder<'a> {
    /// The folder that it has to be in.
    pub base: &'a Path,
    /// Its path as written.
    pub path: &'a str,
}

/// Why the files of a policy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A path that leads elsewhere.
    #[error("`{path}` leads out of the folder `{base}`: keep the files of a policy in it")]
    Outside {
        /// The path as written.
        path: String,
        /// The folder.
        base: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that cannot be part of a policy.
    #[error("`{path}` cannot be a file of a policy: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Too much or nothing.
    #[error("`{path}` has {what}")]
    Amount {
        /// Which folder.
        path: String,
        /// How much.
        what: String,
    },
}

impl PolicyFolder<'_> {
    /// Reads the files. Those that begin with a dot are not looked at.
    ///
    /// # Errors
    /// When one cannot be read or sent, and when there is none.
    pub fn read(&self) -> Result<BTreeMap<FileName, String>, FolderError> {
        let written = Path::new(self.path);
        if written.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(self.outside());
        }
        let base = canonical(self.base)?;
        let root = canonical(&self.base.join(written))?;
        let mut found = Found { base: &base, files: BTreeMap::new(), bytes: 0, folder: self };
        if root.is_dir() {
            found.folder(&root, "", DEPTH_MAX)?;
        } else {
            let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.file(&root, &name)?;
        }
        if found.files.is_empty() {
            return Err(FolderError::Amount { path: self.path.to_owned(), what: "no files".to_owned() });
        }
        Ok(found.files)
    }

    fn outside(&self) -> FolderError {
        FolderError::Outside { path: self.path.to_owned(), base: self.base.display().to_string() }
    }
}

struct Found<'a> {
    base: &'a Path,
    files: BTreeMap<FileName, String>,
    bytes: u64,
    folder: &'a PolicyFolder<'a>,
}

impl Found<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), FolderError> {
        if !folder.starts_with(self.base) {
            return Err(self.folder.outside());
        }
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for entry in entries.map_err(|source| unreadable(folder, source))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{name}");
            let path = canonical(&entry.path())?;
            match (path.is_dir(), depth) {
                (false, _) => self.file(&path, &name)?,
                (true, 0) => return Err(self.wrong(&name, "folders are nested more than 8 deep")),
                (true, depth) => self.folder(&path, &format!("{name}/"), depth - 1)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<(), FolderError> {
        if !path.starts_with(self.base) {
            return Err(self.folder.outside());
        }
        let parsed: FileName = name.parse().map_err(|error| self.wrong(name, &format!("{error}")))?;
        let metadata = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if !metadata.is_file() {
            return Err(self.wrong(name, "it is no plain file"));
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        let much = |what: String| FolderError::Amount { path: self.folder.path.to_owned(), what };
        if self.bytes > BYTES_MAX {
            return Err(much(format!("more than {BYTES_MAX} bytes")));
        }
        if self.files.len() >= FILES_MAX {
            return Err(much(format!("more than {FILES_MAX} files")));
        }
        let bytes = std::fs::read(path).map_err(|source| unreadable(path, source))?;
        let text = String::from_utf8(bytes).map_err(|_| self.wrong(name, "it is no UTF-8 text"))?;
        self.files.insert(parsed, text);
        Ok(())
    }

    fn wrong(&self, name: &str, reason: &str) -> FolderError {
        FolderError::File { path: format!("{}/{name}", self.folder.path), reason: reason.to_owned() }
    }
}

fn canonical(path: &Path) -> Result<PathBuf, FolderError> {
    path.canonicalize().map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> FolderError {
    FolderError::Read { path: path.display().to_string(), source }
}

/// The policy of a manifest, with the files of its folder if it has one.
pub(super) fn policy(
    source: &Source,
    document: &Document,
    spec: kinds::Policy,
) -> Result<(WorkspacePath, PolicySpec), Diagnostic> {
    let kinds::Policy { workspace, engine, files, folder } = spec;
    let files = match (files, folder) {
        (Some(files), None) => files,
        (None, Some(folder)) => {
            let read = PolicyFolder { base: &source.base, path: folder.as_str() }.read();
            read.map_err(|error| document.fault("/spec/folder", error.to_string(), None))?
        }
        (Some(_), Some(_)) => {
            let message = "`files` and `folder` are both there";
            return Err(document.fault("/spec/folder", message, Some("keep one".to_owned())));
        }
        (None, None) => {
            let help = "write them as `files: { all.cedar: … }`, or name their `folder`";
            return Err(document.fault("/spec", "the policy has no files", Some(help.to_owned())));
        }
    };
    Ok((workspace, PolicySpec { engine, files }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("here/policies/all.cedar", "permit"),
            ("here/policies/more/b.cedar", "forbid"),
            ("here/policies/.git/config", "x"),
            ("here/empty/.keep", ""),
            ("here/odd/a b.cedar", ""),
            ("away/secret.txt", "hunter2"),
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, folder.path().join(at)).unwrap();
        std::fs::create_dir(folder.path().join("here/linked")).unwrap();
        link("../../away/secret.txt", "here/linked/a.cedar");
        link("../away", "here/away");
        link("policies", "here/alias");
        std::fs::create_dir(folder.path().join("here/binary")).unwrap();
        std::fs::write(folder.path().join("here/binary/a.tar.gz"), [0x1f, 0x8b, 0xff]).unwrap();
        folder
    }

    #[test]
    fn the_files_of_a_folder_are_read() {
        let folder = folder();
        let base = folder.path().join("here");
        for path in ["policies", "./policies/", "alias"] {
            let files = PolicyFolder { base: &base, path }.read().unwrap();
            let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!(files, [("all.cedar", "permit"), ("more/b.cedar", "forbid")], "{path}");
        }
        let files = PolicyFolder { base: &base, path: "policies/all.cedar" }.read().unwrap();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn nothing_outside_is_read() {
        let folder = folder();
        let base = folder.path().join("here");
        for (path, expected) in [
            ("../away", "leads out of"),
            ("policies/../../away", "leads out of"),
            ("/etc", "leads out of"),
            ("away", "leads out of"),
            ("away/secret.txt", "leads out of"),
            ("linked", "leads out of"),
            ("none", "cannot read"),
            ("empty", "has no files"),
            ("odd", "`odd/a b.cedar` cannot be a file of a policy"),
            ("binary", "it is no UTF-8 text"),
        ] {
            let error = PolicyFolder { base: &base, path }.read().expect_err(path).to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{path}: {error}");
        }
    }
}
