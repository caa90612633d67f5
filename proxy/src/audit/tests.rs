//! What the log promises, with real files and with a file system that fails.

mod durability;
mod faults;
mod healing;
mod kill;
mod lifecycle;
mod opening;
mod organizations;
mod queueing;
mod verification;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use mcpg_ledger::verify::{Lifecycle, RowBody, Trust, VerifyingKey};
use mcpg_ledger::{DecisionRef, RowRef, TargetRef, Texts, Verdict};
use parking_lot::Mutex;

use super::disk::{Disk, OsDisk};
use super::flusher::Flusher;
use super::verify_dir::{DirReport, verify_dir};
use super::{AuditLog, AuditMode, AuditSettings, Recorded, build};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Settings under which nothing happens by time.
fn settings(dir: &Path, mode: AuditMode) -> AuditSettings {
    AuditSettings {
        mode,
        fsync_interval: Duration::from_secs(3600),
        checkpoint_interval: Duration::from_secs(3600),
        ..AuditSettings::new(dir.to_owned(), "acme".to_owned(), "gw-1".to_owned(), key())
    }
}

/// A log whose thread does not run: the test takes each step itself.
fn manual(settings: AuditSettings, disk: &Arc<dyn Disk>) -> (Arc<AuditLog>, Flusher) {
    let mode = settings.mode;
    let (shared, flusher) = build(settings, disk).unwrap();
    let chain = shared.writer.lock().chain;
    let log = AuditLog { shared, mode, flusher: Mutex::new(None), thread: std::thread::current(), chain };
    (Arc::new(log), flusher)
}

fn os_disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

/// A decision whose request id is a number.
fn decision(number: u64) -> DecisionRef<'static> {
    let mut request_id = [0; 16];
    request_id[..8].copy_from_slice(&number.to_le_bytes());
    DecisionRef {
        time: 1_790_000_000_000_000_000,
        request_id,
        organization: "acme",
        workspace: "team",
        environment: "prod",
        subject: "user:alice@acme.com",
        auth_method: "api_key",
        source: [192, 0, 2, 1].into(),
        binding: "files",
        method: "tools/call",
        target: TargetRef::Tool("read_file"),
        verdict: Verdict::Permit,
        engine: "policy.cedar",
        policies: Texts::Refs(&["allow-read"]),
        deny_code: None,
        obligations: Texts::NONE,
        revision: 1,
        revision_digest: [3; 32],
        cached: true,
        arguments_digest: Some([5; 32]),
        protocol: "2026-07-28",
        input: None,
        shadow: Texts::NONE,
    }
}

fn record(log: &AuditLog, number: u64) -> Result<Recorded, super::AuditError> {
    log.record_now(&RowRef::Decision(&decision(number)))
}

fn trust() -> Trust {
    Trust { keys: vec![key().verifying_key()], ..Trust::default() }
}

fn verified(dir: &Path) -> DirReport {
    verify_dir(dir, &trust()).unwrap()
}

fn assert_intact(dir: &Path) {
    let report = verified(dir);
    assert!(report.is_intact(), "{report}");
}

/// What a row is, in short: decisions by number, lifecycle events by name.
fn rows(dir: &Path) -> Vec<String> {
    rows_of(&dir.join("lane-0"))
}

fn rows_of(lane: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for (_, path) in super::verify_dir::segments(lane).unwrap() {
        for record in mcpg_ledger::verify::records(&std::fs::read(path).unwrap()) {
            rows.push(name(&record.unwrap().row.body));
        }
    }
    rows
}

fn name(body: &RowBody) -> String {
    match body {
        RowBody::Decision(decision) => {
            u64::from_le_bytes(decision.request_id[..8].try_into().unwrap()).to_string()
        }
        RowBody::Outcome(_) => "outcome".to_owned(),
        RowBody::Lifecycle(Lifecycle::Started { .. }) => "started".to_owned(),
        RowBody::Lifecycle(Lifecycle::Stopped) => "stopped".to_owned(),
        RowBody::Lifecycle(Lifecycle::TailRecovered { bytes, .. }) => format!("torn {bytes}"),
        RowBody::Lifecycle(Lifecycle::Resumed { cause, refused, lost }) => {
            format!("resumed {cause} {refused} {lost}")
        }
        RowBody::Gap { dropped } => format!("gap {dropped}"),
        RowBody::Checkpoint(_) => "checkpoint".to_owned(),
        other => format!("{other:?}"),
    }
}

fn other_key() -> (SigningKey, VerifyingKey) {
    let key = SigningKey::from_bytes(&[2; 32]);
    let public = key.verifying_key();
    (key, public)
}
