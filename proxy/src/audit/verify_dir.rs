//! `mcpg audit verify DIR`: reads the files of a log and hands them to the independent verifier.
//!
//! Every lane found below the directory is verified, those of other organizations in `orgs/<organization>` included: each must be
//! of the organization that its folder is called by, and be there once. The lines of a lane's `checkpoints` file are heads
//! that it must contain.
//!
//! INVARIANT: nothing of the writer is used here: neither its names nor its decoding.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use mcpg_ledger::verify::{Damage, Expected, LineError, Report, Standing, Trust, Verifier};

/// What was found in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirReport {
    /// Each lane and what was found in it, in order.
    pub lanes: Vec<LaneReport>,
    /// Heads given from outside whose chain is in none of the lanes.
    pub missing: Vec<Expected>,
    /// Lanes that hold the chain of another lane again, with that one.
    pub copies: Vec<(PathBuf, PathBuf)>,
}

/// What was found in one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    /// Its directory.
    pub dir: PathBuf,
    /// What the verifier says.
    pub report: Report,
    /// How many lines the `checkpoints` file has.
    pub lines: usize,
    /// Lines of the `checkpoints` file that are not what was exported: the line's number and what is wrong.
    pub bad_lines: Vec<(usize, LineError)>,
}

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Verifies the logs in a directory, or a single lane of it.
///
/// The trusted organization, where there is one, is that of the directory itself. A directory within `orgs` must be of the
/// organization that it is called by.
///
/// # Errors
/// When files cannot be read. What they say is in the report.
pub fn verify_dir(dir: &Path, trust: &Trust) -> Result<DirReport, ReadError> {
    let mut lanes = Vec::new();
    for log in logs(dir)? {
        let organization = log.organization.or_else(|| trust.organization.clone());
        let trust = Trust { organization, ..trust.clone() };
        for lane in &log.lanes {
            lanes.push(verify_lane(lane, &trust)?);
        }
    }
    // A lane that was taken and never written to.
    lanes.retain(|lane| !lane.is_empty());
    let is_missing =
        |expected: &&Expected| lanes.iter().all(|lane| lane.report.chain != Some(expected.chain));
    let missing = trust.expected.iter().filter(is_missing).cloned().collect();
    let copies = copies(&lanes);
    Ok(DirReport { lanes, missing, copies })
}

/// Lanes that hold a chain which an earlier one holds already: a chain is written in one place.
fn copies(lanes: &[LaneReport]) -> Vec<(PathBuf, PathBuf)> {
    let mut seen: HashMap<[u8; 16], &Path> = HashMap::new();
    let mut copies = Vec::new();
    for lane in lanes {
        let Some(chain) = lane.report.chain else { continue };
        match seen.entry(chain) {
            Entry::Occupied(first) => copies.push((lane.dir.clone(), first.get().to_path_buf())),
            Entry::Vacant(place) => {
                place.insert(&lane.dir);
            }
        }
    }
    copies
}

impl DirReport {
    /// Whether there is a log and nothing is wrong with it.
    pub fn is_intact(&self) -> bool {
        self.standing() == Standing::Intact
    }

    /// The verdict over all lanes.
    pub fn standing(&self) -> Standing {
        let is = |standing| self.lanes.iter().any(|lane| lane.standing() == standing);
        let incomplete = self.lanes.is_empty() || !self.missing.is_empty();
        if incomplete || !self.copies.is_empty() || is(Standing::Broken) {
            Standing::Broken
        } else if is(Standing::Torn) {
            Standing::Torn
        } else {
            Standing::Intact
        }
    }
}

impl LaneReport {
    fn is_empty(&self) -> bool {
        self.lines == 0 && self.report.bad.as_ref().is_some_and(|bad| bad.damage == Damage::Missing)
    }

    /// The verdict.
    pub fn standing(&self) -> Standing {
        if self.bad_lines.is_empty() { self.report.standing() } else { Standing::Broken }
    }
}

impl fmt::Display for DirReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lanes.is_empty() {
            writeln!(f, "no audit log here")?;
        }
        for lane in &self.lanes {
            writeln!(f, "{}: {}", lane.dir.display(), lane.report)?;
            for (number, error) in &lane.bad_lines {
                writeln!(f, "{}: line {number} of checkpoints: {error}", lane.dir.display())?;
            }
        }
        for expected in &self.missing {
            writeln!(f, "{expected}: {}", Damage::Missing)?;
        }
        for (copy, first) in &self.copies {
            writeln!(f, "{}: foreign: its chain is that of {}", copy.display(), first.display())?;
        }
        Ok(())
    }
}

fn verify_lane(dir: &Path, trust: &Trust) -> Result<LaneReport, ReadError> {
    // The exported heads first: a log that is being written only grows meanwhile.
    let (mut expected, bad_lines) = exported(dir, trust)?;
    let lines = expected.len() + bad_lines.len();
    expected.extend(trust.expected.iter().cloned());
    let trust = Trust { expected, ..trust.clone() };
    let segments = segments(dir)?;
    let mut verifier = Verifier::new(&trust);
    for (index, (name, path)) in segments.iter().enumerate() {
        let bytes = std::fs::read(path).map_err(|source| ReadError { path: path.clone(), source })?;
        verifier.segment(name, &bytes, index + 1 == segments.len());
    }
    Ok(LaneReport { dir: dir.to_owned(), report: verifier.finish(), lines, bad_lines })
}

type Exported = (Vec<Expected>, Vec<(usize, LineError)>);

/// The heads in a lane's `checkpoints` file. A last line without its end is one that is being written.
fn exported(dir: &Path, trust: &Trust) -> Result<Exported, ReadError> {
    let path = dir.join("checkpoints");
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ReadError { path, source }),
    };
    let (mut expected, mut bad) = (Vec::new(), Vec::new());
    for (index, line) in text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate() {
        match Expected::from_line(line, &trust.keys) {
            Ok(head) => expected.push(head),
            Err(error) => bad.push((index + 1, error)),
        }
    }
    Ok((expected, bad))
}

/// The log of one organization.
struct Log {
    /// Whose it must be, where its folder says so.
    organization: Option<String>,
    /// The directories that hold its segments.
    lanes: Vec<PathBuf>,
}

/// The directories with the segments of a log, those of other organizations below it included, in order.
///
/// # Errors
/// When a directory cannot be read.
pub fn lanes_below(dir: &Path) -> Result<Vec<PathBuf>, ReadError> {
    Ok(logs(dir)?.into_iter().flat_map(|log| log.lanes).collect())
}

/// The log in a directory and those of other organizations below it, in order.
fn logs(dir: &Path) -> Result<Vec<Log>, ReadError> {
    let mut logs = vec![Log { organization: named(dir), lanes: lanes(dir)? }];
    let others = dir.join(ORGANIZATIONS);
    if others.is_dir() {
        let mut others = entries(&others)?;
        others.retain(|(_, path)| path.is_dir());
        others.sort();
        for (organization, path) in others {
            logs.push(Log { organization: Some(organization), lanes: lanes(&path)? });
        }
    }
    Ok(logs)
}

/// The folder of the other organizations' logs.
const ORGANIZATIONS: &str = "orgs";

/// The organization that a directory within `orgs`, or a lane of it, is called by.
fn named(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mut folders = dir.ancestors().take(2).filter(|folder| {
        folder.parent().and_then(Path::file_name).is_some_and(|parent| parent == ORGANIZATIONS)
    });
    folders.next()?.file_name()?.to_str().map(str::to_owned)
}

/// The directories that hold segments: the `lane-N` below this one, or this one itself.
fn lanes(dir: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut lanes: Vec<(u32, PathBuf)> = Vec::new();
    for (name, path) in entries(dir)? {
        let number = name.strip_prefix("lane-").and_then(|digits| digits.parse().ok());
        lanes.extend(number.map(|number| (number, path)));
    }
    lanes.sort();
    if lanes.is_empty() && !segments(dir)?.is_empty() {
        return Ok(vec![dir.to_owned()]);
    }
    Ok(lanes.into_iter().map(|(_, path)| path).collect())
}

/// A lane's segments in the order of their numbers: their names and paths.
///
/// # Errors
/// When the directory cannot be read.
pub fn segments(dir: &Path) -> Result<Vec<(String, PathBuf)>, ReadError> {
    let mut segments = Vec::new();
    for (name, path) in entries(dir)? {
        let number: Option<u64> = name.strip_suffix(".seg").and_then(|digits| digits.parse().ok());
        segments.extend(number.map(|number| (number, name, path)));
    }
    segments.sort();
    Ok(segments.into_iter().map(|(_, name, path)| (name, path)).collect())
}

fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, ReadError> {
    let fail = |source| ReadError { path: dir.to_owned(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        entries.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(entries)
}
