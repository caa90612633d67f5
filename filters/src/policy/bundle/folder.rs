//! A bundle that is a folder.
//!
//! Links are followed as long as they stay inside the bundle (a Kubernetes volume is made of such links).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{
    BYTES_MAX, Bundle, BundleError, BundleRequest, DEPTH_MAX, FILES_MAX, FileProblem, outside,
    too_many_bytes, too_many_files,
};

/// Reads a folder.
pub(super) fn read(request: &BundleRequest<'_>) -> Result<Bundle, BundleError> {
    let root = request.base.file(request.written).map_err(|error| outside(request, &error))?;
    let shown = root.display().to_string();
    let root = fs::canonicalize(&root).map_err(|source| BundleError::Read { path: shown.clone(), source })?;
    if !root.is_dir() {
        let message = format!("`{shown}` is a file: a bundle is a folder, a `.tar.gz`, or `oci://…`");
        return Err(BundleError::Whole(message));
    }
    let mut reader = Reader {
        root: &root,
        request,
        entries: 0,
        bytes: 0,
        files: BTreeMap::new(),
        ignored: Vec::new(),
        problems: Vec::new(),
    };
    reader.folder(&root, DEPTH_MAX)?;
    let Reader { files, ignored, problems, .. } = reader;
    if !problems.is_empty() {
        return Err(BundleError::Files(problems));
    }
    Ok(Bundle::new(request.written, files, ignored))
}

struct Reader<'a> {
    root: &'a Path,
    request: &'a BundleRequest<'a>,
    entries: usize,
    bytes: u64,
    files: BTreeMap<String, Vec<u8>>,
    ignored: Vec<String>,
    problems: Vec<FileProblem>,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), BundleError> {
        let fail = |source| BundleError::Read { path: self.relative(folder), source };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            paths.push(entry.map_err(fail)?.path());
            if paths.len() > FILES_MAX {
                return Err(too_many_files());
            }
        }
        paths.sort_unstable();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Editors' and volumes' own files.
            if !name.starts_with('.') {
                self.entry(&path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, depth: usize) -> Result<(), BundleError> {
        let shown = self.relative(path);
        self.entries += 1;
        if self.entries > FILES_MAX {
            return Err(too_many_files());
        }
        let target =
            fs::canonicalize(path).map_err(|source| BundleError::Read { path: shown.clone(), source })?;
        if target.is_dir() {
            if path.is_symlink() {
                self.problems.push(FileProblem::new(shown, "a link to a folder is not followed"));
            } else if let Some(depth) = depth.checked_sub(1) {
                self.folder(path, depth)?;
            } else {
                self.problems.push(FileProblem::new(shown, "folders are nested too deep"));
            }
        } else if !target.starts_with(self.root) {
            self.problems.push(FileProblem::new(shown, "the link leads outside the bundle"));
        } else if path.to_str().is_none() {
            self.problems.push(FileProblem::new(shown, "its name is not UTF-8"));
        } else if (self.request.wants)(&shown) {
            self.file(path, shown)?;
        } else {
            self.ignored.push(shown);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, shown: String) -> Result<(), BundleError> {
        let fail = |source| BundleError::Read { path: shown.clone(), source };
        // Before it is opened: a pipe would wait for a writer.
        if !fs::metadata(path).map_err(fail)?.is_file() {
            self.problems.push(FileProblem::new(shown, "is not a regular file"));
            return Ok(());
        }
        let mut bytes = Vec::new();
        let limit = self.request.file_bytes_max;
        let file = fs::File::open(path).map_err(fail)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > limit {
            self.problems.push(FileProblem::too_large(&shown, limit));
            return Ok(());
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > BYTES_MAX {
            return Err(too_many_bytes());
        }
        self.files.insert(shown, bytes);
        Ok(())
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }
}
