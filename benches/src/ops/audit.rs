//! Stage 11: a row of the audit log.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use mcpg::audit::{AuditLog, AuditMode, AuditSettings, Ledgers};
use mcpg_ledger::{DecisionRef, RowRef, TargetRef, Texts, Verdict};

use super::Run;

/// Longer than any measurement: what happens on time would be counted in some of them.
const NEVER: Duration = Duration::from_secs(3600);

pub(super) fn written() -> anyhow::Result<Run> {
    let dir = folder()?;
    let log = open(dir.path(), AuditMode::Written)?;
    let row = row();
    Ok(Box::new(move || {
        let _in_use = &dir;
        let _ = black_box(log.record_now(&RowRef::Decision(black_box(&row))));
    }))
}

pub(super) fn sync() -> anyhow::Result<Run> {
    let dir = folder()?;
    let log = open(dir.path(), AuditMode::Sync)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let row = row();
    Ok(Box::new(move || {
        let _in_use = &dir;
        let _ = black_box(runtime.block_on(log.record(&RowRef::Decision(black_box(&row)))));
    }))
}

/// A log that does nothing by itself while it is measured.
pub(super) fn open(dir: &Path, mode: AuditMode) -> anyhow::Result<Arc<AuditLog>> {
    Ok(AuditLog::open(settings(dir, mode))?)
}

pub(super) fn ledgers(dir: &Path, mode: AuditMode) -> Arc<Ledgers> {
    Ledgers::new(settings(dir, mode), 1)
}

fn settings(dir: &Path, mode: AuditMode) -> AuditSettings {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut settings = AuditSettings::new(dir.join("audit"), "default".to_owned(), "bench".to_owned(), key);
    settings.mode = mode;
    settings.fsync_interval = NEVER;
    settings.checkpoint_interval = NEVER;
    settings.checkpoint_rows = u64::MAX;
    settings
}

/// Beside the program, since temporary folders are often in memory.
pub(super) fn folder() -> anyhow::Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    Ok(tempfile::Builder::new().prefix("audit-").tempdir_in(beside)?)
}

fn row() -> DecisionRef<'static> {
    DecisionRef {
        time: 1_790_000_000_000_000_000,
        request_id: [3; 16],
        organization: "default",
        workspace: "default",
        environment: "default",
        subject: "user:bench@acme.com",
        auth_method: "api_key",
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        binding: "demo",
        method: "tools/call",
        target: TargetRef::Tool("lookup_customer"),
        verdict: Verdict::Permit,
        engine: "policy.cedar",
        policies: Texts::Refs(&["bench-calls-tools"]),
        deny_code: None,
        obligations: Texts::NONE,
        revision: 1,
        revision_digest: [5; 32],
        cached: true,
        arguments_digest: Some([6; 32]),
        protocol: "2026-07-28",
        input: None,
        shadow: Texts::NONE,
    }
}
