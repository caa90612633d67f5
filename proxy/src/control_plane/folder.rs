//! What a gateway keeps of an environment on disk: that it has enrolled, and its revisions.
//!
//! `enrolled.json`; `terms.json`, the standing terms of its organization as they were received; `signed/NUMBER.json`, revisions as they were received; `revisions/NUMBER/`, what is unpacked of them; and `current`, a link to the signed
//! one that was in force last. What is unpacked is for reading only: at every start it is unpacked anew from what was signed, which stays where it is
//! meanwhile, so nothing is lost wherever that is cut off.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use mcpg_cp_api::{Enrolled, EnvironmentPath, ScopeDocument, SignedRevision, SignedTerms};
use serde::{Deserialize, Serialize};

use crate::new_file;

/// The scope's file in a revision's folder. JSON is YAML.
const SCOPE_FILE: &str = "scope.yaml";
const SIGNED: &str = "signed";
const ENROLLED_FILE: &str = "enrolled.json";
const TERMS_FILE: &str = "terms.json";
const CURRENT: &str = "current";
const REVISIONS: &str = "revisions";

/// Revisions that are kept beside the current one: what still runs may read from the one before.
const KEPT_BEFORE: usize = 1;

/// The folder of one environment.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// That an environment was enrolled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Enrollment {
    /// BLAKE3 of the token, in hexadecimal digits.
    pub(super) token: String,
    /// What the control plane said.
    pub(super) enrolled: Enrolled,
}

impl Folder {
    /// The folder of an environment below that of the control plane.
    pub(super) fn of(root: &Path, environment: &EnvironmentPath) -> Self {
        let names = [&environment.organization, &environment.workspace, &environment.environment];
        Self(names.into_iter().fold(root.join("environments"), |dir, name| dir.join(name.as_str())))
    }

    /// The enrollments below a control plane's folder, in the order of their names. What cannot be read is left out with a warning.
    pub(super) fn enrollments(root: &Path) -> Vec<(Self, Enrollment)> {
        let below = |dirs: Vec<PathBuf>| -> Vec<PathBuf> {
            let entries = dirs.into_iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
            let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            dirs.sort();
            dirs
        };
        let environments = below(below(below(vec![root.join("environments")])));
        let read = |dir: PathBuf| {
            let bytes = fs::read(dir.join(ENROLLED_FILE)).ok()?;
            match serde_json::from_slice(&bytes) {
                Ok(enrollment) => Some((Self(dir), enrollment)),
                Err(error) => {
                    tracing::warn!(folder = %dir.display(), %error, "an enrollment cannot be read");
                    None
                }
            }
        };
        environments.into_iter().filter_map(read).collect()
    }

    /// Notes that the environment was enrolled in.
    pub(super) fn enrolled(&self, enrollment: &Enrollment) -> io::Result<()> {
        new_file::folder(&self.0)?;
        replace(&self.0.join(ENROLLED_FILE), &serde_json::to_vec_pretty(enrollment)?)
    }

    /// Keeps terms that have been verified, in the place of those before.
    pub(super) fn keep_terms(&self, signed: &SignedTerms) -> io::Result<()> {
        new_file::folder(&self.0)?;
        replace(&self.0.join(TERMS_FILE), &serde_json::to_vec(signed)?)
    }

    /// The terms that are kept, as they were signed. None before the first.
    pub(super) fn terms(&self) -> io::Result<Option<SignedTerms>> {
        match fs::read(self.0.join(TERMS_FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Unpacks a revision that has been verified, and returns the scope's file.
    pub(super) fn unpack(&self, signed: &SignedRevision, document: &ScopeDocument) -> io::Result<PathBuf> {
        let dir = self.revision(signed.number);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        new_file::folder(&dir)?;
        for (name, contents) in &document.files {
            let path = dir.join(name.as_str());
            if let Some(parent) = path.parent() {
                new_file::folder(parent)?;
            }
            write(&path, contents.as_bytes())?;
        }
        let scope = dir.join(SCOPE_FILE);
        write(&scope, &serde_json::to_vec_pretty(&document.scope)?)?;
        new_file::folder(&self.0.join(SIGNED))?;
        replace(&self.signed(signed.number), &serde_json::to_vec(signed)?)?;
        Ok(scope)
    }

    /// Notes that a revision is in force, and lets go of those long before.
    pub(super) fn current(&self, number: u64) -> io::Result<()> {
        let draft = self.0.join(".current");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(Path::new(SIGNED).join(format!("{number}.json")), &draft)?;
        fs::rename(&draft, self.0.join(CURRENT))?;
        fs::File::open(&self.0)?.sync_all()?;
        self.prune(number);
        Ok(())
    }

    /// The revision that was in force last, as it was signed. None before the first.
    pub(super) fn last(&self) -> io::Result<Option<SignedRevision>> {
        let bytes = match fs::read(self.0.join(CURRENT)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// The scope's file of the revision that was in force last, if it is unpacked.
    pub(super) fn last_file(&self) -> Option<PathBuf> {
        let signed = fs::read_link(self.0.join(CURRENT)).ok()?;
        let number = signed.file_stem()?.to_str()?.parse().ok()?;
        let file = self.revision(number).join(SCOPE_FILE);
        file.is_file().then_some(file)
    }

    fn signed(&self, number: u64) -> PathBuf {
        self.0.join(SIGNED).join(format!("{number}.json"))
    }

    fn revision(&self, number: u64) -> PathBuf {
        self.0.join(REVISIONS).join(number.to_string())
    }

    fn prune(&self, current: u64) {
        let entries = fs::read_dir(self.0.join(REVISIONS)).into_iter().flatten().flatten();
        let number = |name: &str| name.parse::<u64>().ok();
        let mut numbers: Vec<u64> = entries
            .filter_map(|entry| number(entry.file_name().to_str()?))
            .filter(|one| *one < current)
            .collect();
        numbers.sort_unstable();
        numbers.truncate(numbers.len().saturating_sub(KEPT_BEFORE));
        for number in numbers {
            let removed =
                fs::remove_file(self.signed(number)).and_then(|()| fs::remove_dir_all(self.revision(number)));
            if let Err(error) = removed {
                tracing::warn!(number, %error, "an old revision is left on disk");
            }
        }
    }
}

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents).and_then(|()| file.sync_all())
}

/// Puts a whole file in the place of another.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write(&draft, contents)?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
