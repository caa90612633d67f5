//! How far the forwarding of audit rows has come, for the metrics.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::AuditEntry;
use mcpg_ledger::verify::Row;
use mcpg_ledger::{ChainId, Head};
use parking_lot::Mutex;

use super::batch::Batch;
use crate::audit::Ledgers;
use crate::metrics::{Sample, SampleKind};

/// Shared by who sends and who asks.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rows: u64,
    failures: u64,
    logs: HashMap<PathBuf, Log>,
}

#[derive(Debug)]
struct Log {
    organization: String,
    chain: ChainId,
    /// The last row that is at the control plane.
    kept: u64,
    /// When the oldest row was made that was read and is not there.
    oldest: Option<SystemTime>,
}

impl Progress {
    /// A log is at the control plane up to a row.
    pub(super) fn kept(&self, dir: &Path, organization: &str, chain: &ChainId, kept: u64) {
        let mut state = self.0.lock();
        let log = Log { organization: organization.to_owned(), chain: *chain, kept, oldest: None };
        let known = state.logs.entry(dir.to_owned()).or_insert(log);
        (known.chain, known.kept) = (*chain, kept);
    }

    /// These rows are to be sent.
    pub(super) fn sends(&self, dir: &Path, batch: &Batch) {
        if let Some(log) = self.0.lock().logs.get_mut(dir) {
            log.oldest = batch.entries.iter().find_map(made_at);
        }
    }

    /// They are there.
    pub(super) fn sent(&self, dir: &Path, batch: &Batch, now: Head) {
        let mut state = self.0.lock();
        let rows = batch.entries.iter().filter(|entry| matches!(entry, AuditEntry::Row(_))).count();
        state.rows += u64::try_from(rows).unwrap_or(u64::MAX);
        if let Some(log) = state.logs.get_mut(dir) {
            (log.kept, log.oldest) = (now.seq, None);
        }
    }

    /// All of a log is there.
    pub(super) fn is_up_to_date(&self, dir: &Path) {
        if let Some(log) = self.0.lock().logs.get_mut(dir) {
            log.oldest = None;
        }
    }

    /// Something was not taken.
    pub(super) fn failed(&self) {
        self.0.lock().failures += 1;
    }

    /// Only these logs of an organization are there.
    pub(super) fn retain(&self, organization: &str, dirs: &[PathBuf]) {
        self.0.lock().logs.retain(|dir, log| log.organization != organization || dirs.contains(dir));
    }

    /// For the metrics.
    pub fn samples(&self, ledgers: &Ledgers, now: SystemTime) -> Vec<Sample> {
        let state = self.0.lock();
        let waiting = state.logs.values().map(|log| {
            // Other logs are of earlier lives and grow no more.
            let written = ledgers.durable(&log.organization).filter(|(chain, _)| *chain == log.chain);
            written.map_or(0, |(_, seq)| seq.saturating_sub(log.kept))
        });
        let age = |oldest: SystemTime| now.duration_since(oldest).unwrap_or_default();
        let lag = state.logs.values().filter_map(|log| log.oldest).map(age).max().unwrap_or_default();
        vec![
            Sample::new(SampleKind::AuditForwarded, state.rows),
            Sample::new(SampleKind::AuditForwardWaiting, waiting.sum()),
            Sample::new(SampleKind::AuditForwardLag, lag.as_secs()),
            Sample::new(SampleKind::AuditForwardFailures, state.failures),
        ]
    }
}

fn made_at(entry: &AuditEntry) -> Option<SystemTime> {
    let AuditEntry::Row(text) = entry else { return None };
    let row = Row::decode(&URL_SAFE_NO_PAD.decode(text).ok()?)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(row.time))
}
