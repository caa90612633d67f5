//! The two files: `tools.lock`, what is approved, and `tools.pending`, what awaits it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::PinError;
use super::files::{self, Guard, Stamp};
use super::record::{Kind, Record, Table, ToolKey};
use crate::new_file;

/// The file of what awaits approval, in the state folder.
const PENDING_FILE: &str = "tools.pending";

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) struct Store {
    lock: PathBuf,
    pending: PathBuf,
}

impl Store {
    pub(super) fn new(lock: &Path, state_dir: &Path) -> Self {
        Self { lock: lock.to_owned(), pending: state_dir.join(PENDING_FILE) }
    }

    /// What is approved; none if there is no such file.
    pub(super) fn approved(&self) -> Result<Option<(Table, Stamp)>, PinError> {
        read(&self.lock, Kind::Approved)
    }

    /// What awaits approval.
    pub(super) fn pending(&self) -> Result<Table, PinError> {
        Ok(read(&self.pending, Kind::Pending)?.map(|(table, _)| table).unwrap_or_default())
    }

    /// Which version of the lock file is there.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, PinError> {
        Stamp::at(&self.lock)
    }

    /// The lock file is not there, though it should be.
    pub(super) fn gone(&self) -> PinError {
        PinError::Gone { path: self.lock.clone() }
    }

    /// Changes what is approved, under the file's lock. `must_exist`: it was there before. `Err` inside is the caller's own word
    /// that nothing shall change.
    pub(super) fn change_approved<E>(
        &self,
        must_exist: bool,
        change: impl FnOnce(&mut Table) -> Result<(), E>,
    ) -> Result<Result<(Table, Stamp), E>, PinError> {
        make_folder_of(&self.lock)?;
        let guard = Guard::take(&self.lock)?;
        let mut table = match self.approved()? {
            Some((table, _)) => table,
            None if must_exist => return Err(self.gone()),
            None => Table::default(),
        };
        if let Err(word) = change(&mut table) {
            return Ok(Err(word));
        }
        let stamp = guard.replace(&text(&table, Kind::Approved, &self.lock)?)?;
        Ok(Ok((table, stamp)))
    }

    /// Adds to what awaits approval, and takes out of it.
    pub(super) fn change_pending(
        &self,
        added: impl Iterator<Item = (ToolKey, Record)>,
        settled: &BTreeSet<ToolKey>,
    ) -> Result<(), PinError> {
        make_folder_of(&self.pending)?;
        let guard = Guard::take(&self.pending)?;
        // One that is damaged is of no more use: the next lists say the same again.
        let mut table = self.pending().unwrap_or_default();
        table.0.retain(|key, _| !settled.contains(key));
        table.put(added);
        guard.replace(&text(&table, Kind::Pending, &self.pending)?).map(drop)
    }
}

fn read(path: &Path, kind: Kind) -> Result<Option<(Table, Stamp)>, PinError> {
    let Some((text, stamp)) = files::read(path)? else { return Ok(None) };
    Ok(Some((Table::parse(&text, kind, path)?, stamp)))
}

fn text(table: &Table, kind: Kind, path: &Path) -> Result<String, PinError> {
    table.text(kind).map_err(|error| PinError::io("write", path)(error.into()))
}

fn make_folder_of(path: &Path) -> Result<(), PinError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            new_file::folder(folder).map_err(PinError::io("make", folder))
        }
        _ => Ok(()),
    }
}
