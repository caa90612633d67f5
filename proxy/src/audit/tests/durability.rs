//! The `sync` mode: a row is recorded when stable storage has it, and many share one fdatasync.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mcpg_ledger::RowRef;

use super::faults::faulty_disk;
use super::{assert_intact, decision, manual, record, rows, settings};
use crate::audit::{AuditError, AuditLog, AuditMode, AuditSettings, Recorded};

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn waiters_share_one_fdatasync() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Sync), &disk);
    let decisions: Vec<_> = (0..8).map(decision).collect();
    let rows: Vec<_> = decisions.iter().map(RowRef::Decision).collect();
    let mut waiting: Vec<_> = rows.iter().map(|row| Box::pin(log.record(row))).collect();
    for waiting in &mut waiting {
        assert!(poll(waiting.as_mut()).is_pending(), "written, but not on stable storage");
    }
    let before = faults.syncs.load(Ordering::SeqCst);
    flusher.step(Instant::now());
    assert_eq!(faults.syncs.load(Ordering::SeqCst), before + 1);
    for (index, waiting) in waiting.iter_mut().enumerate() {
        let Poll::Ready(Ok(Recorded::Row(seq))) = poll(waiting.as_mut()) else { panic!("row {index}") };
        assert_eq!(seq, index as u64 + 2);
    }
}

#[test]
fn a_row_written_during_an_fdatasync_waits_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Sync), &disk);
    let (one, two) = (decision(1), decision(2));
    let (one, two) = (RowRef::Decision(&one), RowRef::Decision(&two));
    let mut first = pin!(log.record(&one));
    assert!(poll(first.as_mut()).is_pending());
    let group = log.shared.writer.lock().begin_group();
    let mut second = pin!(log.record(&two));
    assert!(poll(second.as_mut()).is_pending());
    group.sync(&*disk).unwrap();
    log.shared.writer.lock().end_group(&group, &log.shared.counters);
    let durable_seq = log.shared.writer.lock().durable_seq();
    log.shared.progress.send_modify(|progress| progress.durable_seq = durable_seq);
    assert!(poll(first.as_mut()).is_ready());
    assert!(poll(second.as_mut()).is_pending());
    flusher.step(Instant::now());
    assert!(poll(second.as_mut()).is_ready());
}

#[test]
fn a_failed_fdatasync_refuses_every_waiter() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Sync), &disk);
    let row = decision(1);
    let row = RowRef::Decision(&row);
    let mut waiting = pin!(log.record(&row));
    assert!(poll(waiting.as_mut()).is_pending());
    faults.fail_syncs(false);
    flusher.step(Instant::now());
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(AuditError::Unavailable))));
    // Refused, but told of: the row stays in the log, and no call was made.
    faults.mend();
    let later = Instant::now() + Duration::from_secs(5);
    flusher.step(later);
    flusher.step(later + Duration::from_secs(5));
    assert_eq!(rows(dir.path()), ["started", "1", "resumed fdatasync 0 0"]);
    let mut again = pin!(log.record(&row));
    assert!(poll(again.as_mut()).is_pending());
    flusher.step(Instant::now());
    assert!(matches!(poll(again.as_mut()), Poll::Ready(Ok(_))));
    assert_intact(dir.path());
}

#[test]
fn closing_refuses_nobody_whose_row_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = faulty_disk();
    let (log, mut flusher) = manual(settings(dir.path(), AuditMode::Sync), &disk);
    let row = decision(1);
    let row = RowRef::Decision(&row);
    let mut waiting = pin!(log.record(&row));
    assert!(poll(waiting.as_mut()).is_pending());
    flusher.finish().unwrap();
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Ok(Recorded::Row(2)))));
}

#[tokio::test]
async fn the_running_thread_serves_waiters() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(dir.path(), AuditMode::Sync)).unwrap();
    for number in 0..20 {
        let row = decision(number);
        log.record(&RowRef::Decision(&row)).await.unwrap();
        assert_eq!(log.counters().durable_seq.load(Ordering::Acquire), number + 2);
    }
    log.close().unwrap();
    assert_intact(dir.path());
}

#[test]
fn written_rows_follow_to_stable_storage_within_the_interval() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let interval = Duration::from_millis(50);
    let settings = AuditSettings { fsync_interval: interval, ..settings(dir.path(), AuditMode::Written) };
    let (log, mut flusher) = manual(settings, &disk);
    let before = faults.syncs.load(Ordering::SeqCst);
    for number in 0..100 {
        record(&log, number).unwrap();
    }
    let wait = flusher.step(Instant::now());
    assert!(wait <= interval, "comes back in {wait:?}");
    flusher.step(Instant::now() + interval);
    assert_eq!(faults.syncs.load(Ordering::SeqCst), before + 1, "one for all of them");
    let idle = flusher.step(Instant::now() + interval);
    assert!(idle > interval, "nothing is due: {idle:?}");
    assert_eq!(log.counters().durable_seq.load(Ordering::Acquire), 101);
}

#[test]
fn one_row_is_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let (log, _flusher) = manual(settings(dir.path(), AuditMode::Written), &disk);
    let before = faults.writes.load(Ordering::SeqCst);
    record(&log, 1).unwrap();
    assert_eq!(faults.writes.load(Ordering::SeqCst), before + 1);
}
