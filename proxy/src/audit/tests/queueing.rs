//! The `async` mode: a bounded queue, gaps that are told of, many rows to a write.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::faults::{ENOSPC, faulty_disk};
use super::{assert_intact, manual, record, rows, settings};
use crate::audit::{AuditError, AuditHealth, AuditLog, AuditMode, AuditSettings, Recorded};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

#[test]
fn queued_rows_are_written_together() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Async), &disk);
    for number in 0..50 {
        assert_eq!(record(&log, number).unwrap(), Recorded::Queued);
    }
    assert_eq!(rows(dir.path()), ["started"]);
    assert_eq!(log.counters().queue_rows.load(Ordering::Relaxed), 50);
    let before = faults.writes.load(Ordering::SeqCst);
    flusher.step(soon());
    assert_eq!(faults.writes.load(Ordering::SeqCst), before + 1);
    assert_eq!(rows(dir.path()).len(), 51);
    flusher.finish().unwrap();
    assert_intact(dir.path());
}

#[test]
fn rows_over_the_limit_become_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = faulty_disk();
    let settings = AuditSettings { queue_rows_max: 3, ..settings(dir.path(), AuditMode::Async) };
    let (log, mut flusher) = manual(settings, &disk);
    let recorded: Vec<_> = (0..5).map(|number| record(&log, number).unwrap()).collect();
    use Recorded::{Dropped, Queued};
    assert_eq!(recorded, [Queued, Queued, Queued, Dropped, Dropped]);
    flusher.step(soon());
    record(&log, 9).unwrap();
    flusher.finish().unwrap();
    assert_eq!(rows(dir.path()), ["started", "0", "1", "2", "gap 2", "9", "stopped", "checkpoint"]);
    assert_eq!(log.counters().dropped.load(Ordering::Relaxed), 2);
    assert_intact(dir.path());
}

#[test]
fn large_rows_fill_the_queue_by_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = faulty_disk();
    let settings = AuditSettings { queue_rows_max: 10, ..settings(dir.path(), AuditMode::Async) };
    let (log, mut flusher) = manual(settings, &disk);
    let long = "x".repeat(600_000);
    let row = mcpg_ledger::DecisionRef { subject: &long, ..super::decision(1) };
    let recorded: Vec<_> =
        (0..4).map(|_| log.record_now(&mcpg_ledger::RowRef::Decision(&row)).unwrap()).collect();
    assert_eq!(recorded.iter().filter(|recorded| **recorded == Recorded::Queued).count(), 2);
    flusher.finish().unwrap();
    assert_intact(dir.path());
}

#[test]
fn a_full_disk_refuses_nobody_and_loses_no_queued_row() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let settings = AuditSettings { queue_rows_max: 4, ..settings(dir.path(), AuditMode::Async) };
    let (log, mut flusher) = manual(settings, &disk);
    faults.fail_writes_after(500, ENOSPC);
    for number in 0..4 {
        record(&log, number).unwrap();
    }
    let mut now = soon();
    flusher.step(now);
    assert_eq!(log.health(), AuditHealth::Failed);
    for number in 4..9 {
        record(&log, number).unwrap();
    }
    faults.mend();
    for _ in 0..3 {
        now += Duration::from_secs(2);
        flusher.step(now);
    }
    assert_eq!(
        rows(dir.path()),
        ["started", "resumed write 0 0", "0", "1", "2", "3", "4", "5", "6", "7", "gap 1"]
    );
    flusher.finish().unwrap();
    assert_intact(dir.path());
}

#[test]
fn a_close_that_cannot_write_says_how_much_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Async), &disk);
    for number in 0..4 {
        record(&log, number).unwrap();
    }
    faults.fail_writes_after(0, ENOSPC);
    assert!(matches!(flusher.finish(), Err(AuditError::Undrained { rows: 4 })));
    assert!(matches!(record(&log, 5), Err(AuditError::Closed)));
    drop((log, flusher));
    AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap().close().unwrap();
    assert_intact(dir.path());
}

#[test]
fn batches_respect_segments_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = faulty_disk();
    let settings = AuditSettings {
        segment_bytes_max: 3000,
        checkpoint_rows: 7,
        ..settings(dir.path(), AuditMode::Async)
    };
    let (log, mut flusher) = manual(settings, &disk);
    for number in 0..60 {
        record(&log, number).unwrap();
    }
    flusher.finish().unwrap();
    let rows = rows(dir.path());
    for group in rows.split(|row| row == "checkpoint") {
        assert!(group.len() <= 7, "{rows:?}");
    }
    assert_eq!(rows.iter().filter(|row| row.parse::<u64>().is_ok()).count(), 60);
    assert_intact(dir.path());
}

#[test]
fn the_running_thread_drains() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(dir.path(), AuditMode::Async)).unwrap();
    for number in 0..1000 {
        record(&log, number).unwrap();
    }
    while log.counters().rows.load(Ordering::Relaxed) < 1001 {
        std::thread::yield_now();
    }
    log.close().unwrap();
    assert_intact(dir.path());
}
