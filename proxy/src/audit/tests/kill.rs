//! kill -9 at random moments: no acknowledged row is lost.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use mcpg_ledger::RowRef;
use mcpg_ledger::verify::{Standing, records};

use super::{assert_intact, decision, name, settings, verified};
use crate::audit::verify_dir::segments;
use crate::audit::{AuditLog, AuditMode, AuditSettings};

/// Tells the child where to write and in which mode.
const DIR: &str = "MCPG_TEST_AUDIT_KILL_DIR";

/// The process that is killed: writes rows and says on its output which ones are recorded. Without its variable it is an empty test.
#[tokio::test]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (mode, dir) = dir.split_once(':').unwrap();
    let mode = if mode == "sync" { AuditMode::Sync } else { AuditMode::Written };
    let log = AuditLog::open(AuditSettings {
        segment_bytes_max: 10_000,
        checkpoint_rows: 7,
        fsync_interval: std::time::Duration::from_millis(1),
        ..settings(Path::new(dir), mode)
    })
    .unwrap();
    let first = u64::from(std::process::id()) << 32;
    for number in first.. {
        log.record(&RowRef::Decision(&decision(number))).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "recorded {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, waits for some rows, kills it, and returns all that it acknowledged.
fn killed_after(rows: usize, mode: &str, dir: &Path) -> Vec<u64> {
    let name = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{name}::child"), "--exact", "--nocapture"])
        .env(DIR, format!("{mode}:{}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        let line = line.unwrap();
        // A line is one write to a pipe: none is cut off by the kill.
        acknowledged.extend(line.split_once("recorded ").and_then(|(_, number)| number.parse::<u64>().ok()));
        if acknowledged.len() == rows {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= rows, "the child ended by itself");
    acknowledged
}

fn check(mode: &str, rounds: &[usize]) {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for wanted in rounds {
        acknowledged.extend(killed_after(*wanted, mode, dir.path()));
        let report = verified(dir.path());
        // Killed between making a segment and writing its header it is torn; the next start mends that.
        assert_ne!(report.standing(), Standing::Broken, "{report}");
        let found = decisions(dir.path());
        let lost: Vec<_> = acknowledged.iter().filter(|number| !found.contains(number)).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
    }
    // Whatever the last kill left, the next start goes on from there.
    AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap().close().unwrap();
    assert_intact(dir.path());
}

/// The numbers of all decisions in the log.
fn decisions(dir: &Path) -> HashSet<u64> {
    let mut found = HashSet::new();
    for (_, path) in segments(&dir.join("lane-0")).unwrap() {
        let bytes = std::fs::read(path).unwrap();
        found.extend(records(&bytes).filter_map(|record| name(&record.ok()?.row.body).parse::<u64>().ok()));
    }
    found
}

#[test]
fn written_rows_survive_the_process() {
    check("written", &[1, 13, 2, 61, 7, 150]);
}

#[test]
fn synced_rows_survive_the_process() {
    check("sync", &[1, 9, 30]);
}
