//! The log in good health: rows, segments, checkpoints, close.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mcpg_ledger::{Completion, OutcomeRef, RowRef};

use super::{assert_intact, decision, manual, os_disk, record, rows, settings, verified};
use crate::audit::{AuditError, AuditHealth, AuditLog, AuditMode, AuditSettings, Recorded};

#[test]
fn rows_are_numbered_chained_signed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap();
    assert_eq!(record(&log, 1).unwrap(), Recorded::Row(2));
    let outcome = RowRef::Outcome(OutcomeRef {
        time: 1,
        request_id: [0; 16],
        http_status: 200,
        response_bytes: 5,
        duration_us: 10,
        completion: Completion::Complete,
    });
    assert_eq!(log.record_now(&outcome).unwrap(), Recorded::Row(3));
    assert_eq!(log.health(), AuditHealth::Accepting);
    log.close().unwrap();
    assert_eq!(rows(dir.path()), ["started", "1", "outcome", "stopped", "checkpoint"]);
    assert_intact(dir.path());
    assert_eq!(log.counters().rows.load(Ordering::Relaxed), 5);
    assert_eq!(log.counters().durable_seq.load(Ordering::Relaxed), 5);
}

#[test]
fn a_closed_log_refuses_rows_and_lets_the_directory_go() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [AuditMode::Written, AuditMode::Async] {
        let log = AuditLog::open(settings(dir.path(), mode)).unwrap();
        log.close().unwrap();
        log.close().unwrap();
        assert!(matches!(record(&log, 1), Err(AuditError::Closed)));
        assert_eq!(log.health(), AuditHealth::Closed);
    }
    assert_intact(dir.path());
}

#[test]
fn a_dropped_log_is_closed_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap();
    record(&log, 1).unwrap();
    drop(log);
    assert_eq!(rows(dir.path()), ["started", "1", "stopped", "checkpoint"]);
}

#[test]
fn a_reopened_log_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let log = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap();
        assert_eq!(record(&log, round).unwrap(), Recorded::Row(4 * round + 2));
        log.close().unwrap();
    }
    let report = verified(dir.path());
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.lanes[0].report.segments, report.lanes[0].report.rows), (1, 12));
}

#[test]
fn full_segments_are_followed_by_the_next_and_checkpoints_are_regular() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AuditSettings {
        segment_bytes_max: 4000,
        checkpoint_rows: 5,
        ..settings(dir.path(), AuditMode::Written)
    };
    let (log, mut flusher) = manual(settings, &os_disk());
    for number in 0..100 {
        record(&log, number).unwrap();
    }
    flusher.finish().unwrap();
    let report = verified(dir.path());
    assert!(report.is_intact(), "{report}");
    let report = &report.lanes[0].report;
    assert!(report.segments > 5, "{report}");
    // Rows 1 to 5 are signed by row 6, and so on.
    assert!(report.checkpoints >= 102 / 5, "{report}");
    assert_eq!(report.expected_found, report.checkpoints, "every exported head is in the log");
    let decisions = rows(dir.path()).iter().filter(|row| row.parse::<u64>().is_ok()).count();
    assert_eq!(decisions, 100);
    for (_, path) in crate::audit::verify_dir::segments(&dir.path().join("lane-0")).unwrap() {
        assert!(std::fs::metadata(path).unwrap().len() < 5000);
    }
}

#[test]
fn the_head_is_signed_when_time_has_passed_and_rows_are_new() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Written), &os_disk());
    record(&log, 1).unwrap();
    let later = Instant::now() + Duration::from_secs(3601);
    flusher.step(later);
    flusher.step(later + Duration::from_secs(3601));
    assert_eq!(rows(dir.path()), ["started", "1", "checkpoint"], "an idle log signs nothing");
}

#[test]
fn many_threads_write_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AuditSettings {
        checkpoint_rows: 50,
        segment_bytes_max: 20_000,
        ..settings(dir.path(), AuditMode::Written)
    };
    let log = AuditLog::open(settings).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                (0..100).for_each(|number| assert!(record(log, thread * 100 + number).is_ok()))
            });
        }
    });
    log.close().unwrap();
    let mut numbers: Vec<u64> = rows(dir.path()).iter().filter_map(|row| row.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
    assert_intact(dir.path());
}

#[test]
fn only_the_owner_can_read_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(&dir.path().join("new/audit"), AuditMode::Written)).unwrap();
    record(&log, 1).unwrap();
    log.close().unwrap();
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    for path in ["new", "new/audit", "new/audit/lane-0"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    for path in ["00000001.seg", "lock", "checkpoints"] {
        assert_eq!(mode(&format!("new/audit/lane-0/{path}")), 0o600, "{path}");
    }
}

#[test]
fn a_row_of_another_organization_never_enters() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [AuditMode::Written, AuditMode::Async] {
        let (log, _flusher) = manual(settings(&dir.path().join(format!("{mode:?}")), mode), &os_disk());
        let mut foreign = decision(1);
        foreign.organization = "evil";
        let error = log.record_now(&RowRef::Decision(&foreign)).unwrap_err();
        assert!(matches!(error, AuditError::ForeignRow { .. }));
        assert_eq!(log.health(), AuditHealth::Accepting, "one bad row harms no other");
        record(&log, 2).unwrap();
    }
}

#[test]
fn a_row_over_the_limit_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [AuditMode::Written, AuditMode::Async] {
        let dir = dir.path().join(format!("{mode:?}"));
        let (log, mut flusher) = manual(settings(&dir, mode), &os_disk());
        let long = "x".repeat(2 << 20);
        let row = mcpg_ledger::DecisionRef { subject: &long, ..decision(1) };
        assert!(matches!(log.record_now(&RowRef::Decision(&row)), Err(AuditError::Row(_))));
        record(&log, 2).unwrap();
        flusher.finish().unwrap();
        assert_eq!(rows(&dir), ["started", "2", "stopped", "checkpoint"]);
    }
}
