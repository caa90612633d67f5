//! Writes down what was decided, and takes over what was approved. Waits for files, so it runs where a thread may.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;

use mcpg_protocol::definition::{diff, printable};

use super::Pins;
use super::error::PinError;
use super::files::Stamp;
use super::record::{self, Record, Table, ToolKey};
use super::state::{NAME_CHARS_MAX, Noted};
use super::store::Store;

/// Fields of a changed definition that are logged.
const LOGGED_CHANGES_MAX: usize = 16;

impl Pins {
    /// Writes down what was decided since the last time, and reports it. What cannot be written holds in memory, and is tried again.
    pub fn save(&self) {
        let _saving = self.saving.lock();
        if !self.state.lock().has_unsaved() {
            return;
        }
        let pins = self.save_pins();
        let pending = self.save_pending();
        match pins.and(pending) {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the files of pinned tools are written again");
                }
            }
            Err(error) => {
                self.metrics.tools_lock_failed();
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "what is new about tools is kept in memory only");
                }
            }
        }
    }

    /// Reads the lock file again if it is another one, and says whether it was. What cannot be read changes nothing.
    pub fn refresh(&self) -> bool {
        let Some(store) = &self.store else { return false };
        let _saving = self.saving.lock();
        let there = match store.stamp() {
            Ok(there) if self.is_noticed(there) => return false,
            Ok(there) => there,
            Err(error) => {
                tracing::debug!(%error, "lock file of tools not inspected");
                return false;
            }
        };
        match store.approved().and_then(|table| table.ok_or_else(|| store.gone())) {
            Ok((table, stamp)) => {
                let mut state = self.state.lock();
                state.approve(&table, stamp);
                tracing::info!(tools = table.0.len(), "lock file of tools read");
                self.publish(&state);
                self.judge_again();
                true
            }
            Err(error) => {
                self.state.lock().refused = Some(there);
                self.metrics.tools_lock_failed();
                tracing::error!(%error, "lock file of tools refused, what was approved before stays in force");
                false
            }
        }
    }

    fn is_noticed(&self, there: Option<Stamp>) -> bool {
        let state = self.state.lock();
        there == state.stamp || state.refused == Some(there)
    }

    /// Adds to the lock file what it has not. What another process has pinned first holds.
    fn save_pins(&self) -> Result<(), PinError> {
        let (pins, was_there) = {
            let state = self.state.lock();
            (state.pins.clone(), state.stamp.is_some())
        };
        if pins.is_empty() {
            return Ok(());
        }
        let Some(store) = &self.store else {
            self.state.lock().pins.clear();
            return Ok(());
        };
        let changed = store.change_approved(was_there, |table| {
            table.add(pins.iter().cloned());
            Ok::<(), Infallible>(())
        })?;
        let Ok((table, stamp)) = changed;
        let mut state = self.state.lock();
        // INVARIANT: only this takes pins out, one call at a time; meanwhile others may have been added behind.
        state.pins.drain(..pins.len());
        state.approve(&table, stamp);
        self.publish(&state);
        let is_other = |(key, record): &(ToolKey, Record)| {
            table.0.get(key).is_none_or(|approved| approved.digest != record.digest)
        };
        if pins.iter().any(is_other) {
            self.judge_again();
        }
        Ok(())
    }

    /// Writes what has become pending, and takes out what is not any more.
    fn save_pending(&self) -> Result<(), PinError> {
        let (mut added, settled) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.added), std::mem::take(&mut state.settled))
        };
        self.report(&mut added);
        let Some(store) = self.store.as_ref().filter(|_| !added.is_empty() || !settled.is_empty()) else {
            return Ok(());
        };
        let records = added.iter().map(|(key, noted)| (key.clone(), noted.record.clone()));
        store.change_pending(records, &settled).inspect_err(|_| self.state.lock().put_back(added, settled))
    }

    /// Says what became pending, once.
    fn report(&self, added: &mut BTreeMap<ToolKey, Noted>) {
        let mut approved = None;
        for (key, noted) in added.iter_mut().filter(|(_, noted)| !noted.is_reported) {
            noted.is_reported = true;
            let Noted { findings, record, .. } = &*noted;
            let differences = if findings.is_changed {
                let table = approved.get_or_insert_with(|| approved_table(self.store.as_ref()));
                differences(table.0.get(key), record)
            } else {
                String::new()
            };
            tracing::warn!(
                binding = key.binding,
                tool = printable(&key.tool, NAME_CHARS_MAX),
                findings = findings.words().collect::<Vec<_>>().join(","),
                differences,
                hidden_text = record.hidden.join("; "),
                digest = %record.digest,
                withheld = noted.is_withheld,
                "tool is not as it was approved"
            );
        }
    }
}

/// What the lock file says, for differences; nothing if it cannot be read.
fn approved_table(store: Option<&Store>) -> Table {
    let table = store.and_then(|store| store.approved().ok()?);
    table.map(|(table, _)| table).unwrap_or_default()
}

/// What differs, on one line.
fn differences(approved: Option<&Record>, seen: &Record) -> String {
    match (approved.and_then(|record| record.definition.as_ref()), seen.definition.as_ref()) {
        (Some(old), Some(new)) => diff(old, new, LOGGED_CHANGES_MAX, &record::limits()).to_string(),
        _ => "too long to be kept and compared".to_owned(),
    }
}
