//! `verify` and `show` over directories.

use std::path::{Path, PathBuf};

use mcpg_ledger::verify::{Damage, Expected, Standing, Trust};
use serde_json::Value;

use super::{decision, record, settings, trust, verified};
use crate::audit::show::{ShowError, show_dir};
use crate::audit::verify_dir::verify_dir;
use crate::audit::{AuditLog, AuditMode, AuditSettings};
use mcpg_ledger::{DecisionRef, RowRef, Texts, Verdict};

fn written() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let settings = AuditSettings { checkpoint_rows: 5, ..settings(dir.path(), AuditMode::Written) };
    let log = AuditLog::open(settings).unwrap();
    for number in 0..20 {
        record(&log, number).unwrap();
    }
    log.close().unwrap();
    let segment = dir.path().join("lane-0/00000001.seg");
    (dir, segment)
}

#[test]
fn a_directory_or_one_lane_of_it_is_verified() {
    let (dir, _) = written();
    assert_eq!(verified(dir.path()).standing(), Standing::Intact);
    assert_eq!(verified(&dir.path().join("lane-0")).standing(), Standing::Intact);
    let text = verified(dir.path()).to_string();
    assert!(text.contains("lane-0: intact: log of `acme`"), "{text}");
}

#[test]
fn no_log_is_not_an_intact_log() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verified(dir.path()).standing(), Standing::Broken);
    assert!(verify_dir(&dir.path().join("nowhere"), &trust()).is_err());
    std::fs::create_dir(dir.path().join("lane-0")).unwrap();
    assert_eq!(verified(dir.path()).standing(), Standing::Broken);
}

#[test]
fn a_lane_that_was_never_written_to_is_no_log() {
    let (dir, _) = written();
    std::fs::create_dir(dir.path().join("lane-1")).unwrap();
    assert_eq!(verified(dir.path()).lanes.len(), 1);
    // With exported heads and no segments it is a log that is gone.
    let checkpoints = dir.path().join("lane-0/checkpoints");
    std::fs::copy(checkpoints, dir.path().join("lane-1/checkpoints")).unwrap();
    let report = verified(dir.path());
    assert_eq!((report.lanes.len(), report.standing()), (2, Standing::Broken));
}

#[test]
fn an_edited_file_is_named() {
    let (dir, segment) = written();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = verified(dir.path());
    let bad = report.lanes[0].report.bad.clone().unwrap();
    assert_eq!((report.standing(), bad.segment.as_str()), (Standing::Broken, "00000001.seg"));
    assert!(report.to_string().contains("in 00000001.seg at byte"), "{report}");
}

#[test]
fn exported_checkpoints_expose_a_truncated_log() {
    let (dir, segment) = written();
    let bytes = std::fs::read(&segment).unwrap();
    let end = mcpg_ledger::scan_until(&bytes, 10).unwrap().end;
    std::fs::write(&segment, &bytes[..end]).unwrap();
    let bad = verified(dir.path()).lanes[0].report.bad.clone().unwrap();
    assert!(matches!(bad.damage, Damage::Truncated { .. }), "{bad}");
    // Whoever cuts that file too is found against a copy kept elsewhere.
    let lines = std::fs::read_to_string(dir.path().join("lane-0/checkpoints")).unwrap();
    std::fs::remove_file(dir.path().join("lane-0/checkpoints")).unwrap();
    assert_eq!(verified(dir.path()).standing(), Standing::Intact);
    let keys = trust().keys;
    let expected = lines.lines().map(|line| Expected::from_line(line, &keys).unwrap()).collect();
    let report = verify_dir(dir.path(), &Trust { keys, expected, ..Trust::default() }).unwrap();
    assert_eq!(report.standing(), Standing::Broken);
}

#[test]
fn a_missing_lane_is_found_against_a_known_head() {
    let (dir, _) = written();
    let expected = vec![Expected { chain: [9; 16], seq: 4, hash: [0; 32] }];
    let report = verify_dir(dir.path(), &Trust { expected, ..trust() }).unwrap();
    assert_eq!((report.standing(), report.missing.len()), (Standing::Broken, 1));
    assert!(report.to_string().contains("missing"), "{report}");
}

#[test]
fn forged_lines_are_named() {
    let (dir, _) = written();
    let path = dir.path().join("lane-0/checkpoints");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}mcpg-audit-checkpoint-v1 00\n")).unwrap();
    let report = verified(dir.path());
    assert_eq!(report.standing(), Standing::Broken);
    assert!(report.to_string().contains("line "), "{report}");
}

fn shown(dir: &Path) -> (Vec<Value>, Result<(), ShowError>) {
    let mut lines = Vec::new();
    let result = show_dir(dir, |line| lines.push(line.clone()));
    (lines, result)
}

#[test]
fn rows_are_shown_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap();
    let denied = DecisionRef {
        verdict: Verdict::Deny,
        deny_code: Some("forbidden"),
        policies: Texts::Refs(&["forbid-delete"]),
        arguments_digest: None,
        ..decision(1)
    };
    log.record_now(&RowRef::Decision(&denied)).unwrap();
    log.close().unwrap();
    let (lines, result) = shown(dir.path());
    result.unwrap();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["lifecycle", "decision", "lifecycle", "checkpoint"]);
    let row = &lines[1];
    for (field, value) in [
        ("scope", "acme/team/prod"),
        ("subject", "user:alice@acme.com"),
        ("decision", "deny"),
        ("deny_code", "forbidden"),
        ("source", "192.0.2.1"),
        ("target", "read_file"),
        ("time", "2026-09-21T14:13:20.000000000Z"),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    assert_eq!(
        (&row["seq"], &row["arguments_digest"], &row["policies"][0]),
        (&2.into(), &Value::Null, &"forbid-delete".into())
    );
    assert_eq!(lines[3]["covers"], 3);
}

#[test]
fn rows_before_a_torn_end_are_shown() {
    let (dir, segment) = written();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.pop();
    std::fs::write(&segment, bytes).unwrap();
    let (lines, result) = shown(dir.path());
    assert!(lines.len() > 20);
    assert!(matches!(result, Err(ShowError::Record { .. })));
}
