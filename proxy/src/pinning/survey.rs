//! What the commands show and do: they read and write the files, whether or not a gateway runs.

use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use mcpg_config::PinRules;

use super::error::PinError;
use super::gates::{Findings, Sight};
use super::record::{By, Digest, Record, ToolKey};
use super::store::Store;

/// A tool that is approved, or awaits it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub key: ToolKey,
    /// What was approved.
    pub approved: Option<Record>,
    /// What was seen since, where that is something else.
    pub pending: Option<Record>,
    /// What is to be said against it.
    pub findings: Findings,
    /// Whether it is withheld.
    pub is_withheld: bool,
}

/// Every tool that is known, in order.
///
/// # Errors
/// If a file cannot be read.
pub fn survey(lock: &Path, state_dir: &Path, rules: impl Fn(&str) -> PinRules) -> Result<Vec<Row>, PinError> {
    let store = Store::new(lock, state_dir);
    let approved = store.approved()?.map(|(table, _)| table).unwrap_or_default();
    let mut pending = store.pending()?;
    let mut rows = Vec::new();
    let mut row = |key: ToolKey, approved: Option<Record>, pending: Option<Record>| {
        let sight = approved.as_ref().map(Sight::from);
        let findings =
            pending.as_ref().map_or(Findings::NONE, |seen| Findings::of(sight.as_ref(), &seen.into()));
        let is_withheld = findings.is_withheld(&rules(&key.binding));
        // The gateway may not have noticed yet that it was approved.
        let pending = pending.filter(|_| !findings.is_empty());
        rows.push(Row { key, approved, pending, findings, is_withheld });
    };
    for (key, record) in approved.0 {
        let seen = pending.0.remove(&key);
        row(key, Some(record), seen);
    }
    for (key, seen) in pending.0 {
        row(key, None, Some(seen));
    }
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(rows)
}

/// Approves what awaits it, if it still is what was surveyed. All or nothing.
///
/// # Errors
/// If a file cannot be read or written.
pub fn approve(
    lock: &Path,
    state_dir: &Path,
    chosen: &[(ToolKey, Digest)],
    now: SystemTime,
) -> Result<Approval, PinError> {
    let store = Store::new(lock, state_dir);
    let since = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Secs, true);
    let pending = store.pending()?;
    let outcome = store.change_approved(false, |approved| {
        for (key, digest) in chosen {
            let seen = pending.0.get(key).filter(|seen| seen.digest == *digest).ok_or_else(|| key.clone())?;
            let record = Record { since: since.clone(), by: Some(By::Operator), ..seen.clone() };
            approved.0.insert(key.clone(), record);
        }
        Ok(())
    })?;
    Ok(outcome.map_or_else(Approval::Moved, |_| Approval::Done))
}

/// What became of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// It is on disk.
    Done,
    /// Nothing was approved: this tool is no longer what was surveyed.
    Moved(ToolKey),
}
