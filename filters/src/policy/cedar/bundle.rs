//! The files of a bundle: every `*.cedar` below a folder, at most one `*.cedarschema`, and `entities.json`.
//!
//! Links are followed as long as they stay inside the bundle (a Kubernetes volume is made of such links). What
//! would be ignored silently, and may hold a `forbid`, is an error or a warning.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problem::{CedarError, Problem};
use super::source::Source;

/// Folders within folders.
const DEPTH_MAX: usize = 8;

/// Files of a bundle.
const FILES_MAX: usize = 10_000;

/// The texts of a bundle.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    /// Policy files, sorted by path.
    pub(super) policies: Vec<Source>,
    pub(super) schema: Option<Source>,
    pub(super) entities: Option<Source>,
    pub(super) warnings: Vec<String>,
}

/// Reads a bundle.
///
/// # Errors
/// When it cannot be read, holds no policy, leads outside itself or is too large.
pub(super) fn read(root: &Path, file_bytes_max: u64) -> Result<Bundle, CedarError> {
    let shown = root.display().to_string();
    let root = fs::canonicalize(root).map_err(|source| CedarError::Read { path: shown.clone(), source })?;
    if !root.is_dir() {
        return Err(CedarError::Bundle(format!(
            "`{shown}` is a file: a bundle is a folder of `.cedar` files"
        )));
    }
    let mut reader =
        Reader { root: &root, file_bytes_max, files: 0, bundle: Bundle::default(), problems: Vec::new() };
    reader.folder(&root, DEPTH_MAX)?;
    let Reader { bundle, problems, .. } = reader;
    if !problems.is_empty() {
        return Err(CedarError::Policies(problems));
    }
    if bundle.policies.is_empty() {
        return Err(CedarError::Bundle(format!("`{shown}` holds no `.cedar` file")));
    }
    Ok(bundle)
}

struct Reader<'a> {
    root: &'a Path,
    file_bytes_max: u64,
    files: usize,
    bundle: Bundle,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), CedarError> {
        let fail = |source| CedarError::Read { path: self.relative(folder), source };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            paths.push(entry.map_err(fail)?.path());
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

    fn entry(&mut self, path: &Path, depth: usize) -> Result<(), CedarError> {
        let shown = self.relative(path);
        self.files += 1;
        if self.files > FILES_MAX {
            return Err(CedarError::Bundle(format!("the bundle holds more than {FILES_MAX} files")));
        }
        let target =
            fs::canonicalize(path).map_err(|source| CedarError::Read { path: shown.clone(), source })?;
        if target.is_dir() {
            if path.is_symlink() {
                self.problems.push(Problem::of_file(shown, "a link to a folder is not followed"));
            } else if let Some(depth) = depth.checked_sub(1) {
                self.folder(path, depth)?;
            } else {
                self.problems.push(Problem::of_file(shown, "folders are nested too deep"));
            }
            return Ok(());
        }
        if !target.starts_with(self.root) {
            self.problems.push(Problem::of_file(shown, "the link leads outside the bundle"));
            return Ok(());
        }
        self.file(path, &shown)
    }

    fn file(&mut self, path: &Path, shown: &str) -> Result<(), CedarError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_entities = shown == "entities.json";
        if !matches!(extension, "cedar" | "cedarschema") && !is_entities {
            if !matches!(extension, "md" | "txt") {
                self.bundle
                    .warnings
                    .push(format!("{shown}: ignored: policies are in files called `*.cedar`"));
            }
            return Ok(());
        }
        let Some(source) = self.text(path, shown)? else { return Ok(()) };
        match extension {
            "cedar" => self.bundle.policies.push(source),
            "cedarschema" => {
                if let Some(first) = self.bundle.schema.replace(source) {
                    let message = format!("a bundle has one schema, and `{}` is one already", first.path);
                    self.problems.push(Problem::of_file(shown, message));
                }
            }
            _ => self.bundle.entities = Some(source),
        }
        Ok(())
    }

    fn text(&mut self, path: &Path, shown: &str) -> Result<Option<Source>, CedarError> {
        let fail = |source| CedarError::Read { path: shown.to_owned(), source };
        let file = fs::File::open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            self.problems.push(Problem::of_file(shown, "is not a regular file"));
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(self.file_bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > self.file_bytes_max {
            let message = format!("is larger than {} bytes (`limits.file_bytes_max`)", self.file_bytes_max);
            self.problems.push(Problem::of_file(shown, message));
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Source::new(shown.to_owned(), text))),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.problems.push(Problem::of_file(shown, format!("is not UTF-8 at byte {at}")));
                Ok(None)
            }
        }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }
}
