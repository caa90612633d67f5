//! Faults of the storage: calls are refused, nothing accepted is lost, and the log goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::faults::{EIO, ENOSPC, Faults, faulty_disk};
use super::{assert_intact, manual, record, rows, settings};
use crate::audit::flusher::Flusher;
use crate::audit::{AuditError, AuditHealth, AuditLog, AuditMode, AuditSettings};

struct Bench {
    dir: tempfile::TempDir,
    log: Arc<AuditLog>,
    flusher: Flusher,
    faults: Arc<Faults>,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut AuditSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path(), AuditMode::Written);
        change(&mut settings);
        let (disk, faults) = faulty_disk();
        let (log, flusher) = manual(settings, &disk);
        Self { dir, log, flusher, faults, now: Instant::now() }
    }

    fn record(&self, number: u64) -> Result<(), AuditError> {
        record(&self.log, number).map(drop)
    }

    /// Lets the flusher look twice: it notes a failure, and tries again when its time has come.
    fn retry(&mut self) {
        for _ in 0..2 {
            self.now += Duration::from_secs(2);
            self.flusher.step(self.now);
        }
    }

    fn rows(&self) -> Vec<String> {
        rows(self.dir.path())
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

#[test]
fn a_failed_write_refuses_calls_until_there_is_room() {
    for (bytes, errno) in [(0, ENOSPC), (1, ENOSPC), (30, ENOSPC), (150, EIO)] {
        let mut bench = Bench::new(|_| {});
        bench.record(1).unwrap();
        bench.faults.fail_writes_after(bytes, errno);
        assert!(matches!(bench.record(2), Err(AuditError::Io { action: "write", .. })));
        assert!(matches!(bench.record(3), Err(AuditError::Unavailable)));
        bench.retry();
        assert!(matches!(bench.record(4), Err(AuditError::Unavailable)), "still no room");
        assert_eq!(bench.log.health(), AuditHealth::Failed);
        bench.faults.mend();
        bench.retry();
        assert_eq!(bench.log.health(), AuditHealth::Accepting);
        bench.record(5).unwrap();
        assert_eq!(bench.rows(), ["started", "1", "resumed write 2 0", "5"], "{bytes} bytes");
        assert_intact(bench.path());
        bench.flusher.finish().unwrap();
        assert_intact(bench.path());
    }
}

#[test]
fn a_crash_while_there_is_no_room_loses_nothing() {
    let bench = Bench::new(|_| {});
    bench.record(1).unwrap();
    bench.faults.fail_writes_after(50, ENOSPC);
    assert!(bench.record(2).is_err());
    let Bench { dir, log, flusher, .. } = bench;
    drop((log, flusher));
    AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap().close().unwrap();
    assert_eq!(rows(dir.path()), ["started", "1", "torn 50", "started", "stopped", "checkpoint"]);
    assert_intact(dir.path());
}

#[test]
fn remains_that_cannot_be_cut_off_keep_the_log_closed() {
    let mut bench = Bench::new(|_| {});
    bench.faults.fail_writes_after(20, EIO);
    bench.faults.fail_cuts();
    assert!(bench.record(1).is_err());
    bench.faults.fail_writes_after(1 << 30, EIO);
    bench.retry();
    assert!(matches!(bench.record(2), Err(AuditError::Unavailable)));
    bench.faults.mend();
    bench.retry();
    bench.record(3).unwrap();
    assert_eq!(bench.rows(), ["started", "resumed write 1 0", "3"]);
    assert_intact(bench.path());
}

#[test]
fn a_segment_that_cannot_be_begun_refuses_calls_too() {
    let header_torn = |faults: &Faults| faults.fail_writes_after(600, ENOSPC);
    let no_file = |faults: &Faults| faults.fail_creates();
    for fault in [&header_torn as &dyn Fn(&Faults), &no_file] {
        let mut bench = Bench::new(|settings| settings.segment_bytes_max = 600);
        bench.record(1).unwrap();
        fault(&bench.faults);
        let accepted = (2..9).take_while(|number| bench.record(*number).is_ok()).count();
        assert!(accepted < 7);
        bench.faults.mend();
        bench.retry();
        bench.record(100).unwrap();
        let rows = bench.rows();
        assert_eq!(rows.iter().filter(|row| row.parse::<u64>().is_ok()).count(), accepted + 2, "{rows:?}");
        assert!(rows.contains(&"resumed write 0 0".to_owned()), "{rows:?}");
        assert_intact(bench.path());
    }
}

#[test]
fn rows_behind_a_failed_fdatasync_are_written_again() {
    for segment_bytes_max in [64 << 20, 1500] {
        let mut bench = Bench::new(|settings| {
            settings.segment_bytes_max = segment_bytes_max;
            settings.checkpoint_rows = 4;
        });
        for number in 0..3 {
            bench.record(number).unwrap();
        }
        bench.flusher.sync_group().unwrap();
        for number in 3..12 {
            bench.record(number).unwrap();
        }
        let before = bench.rows();
        bench.faults.fail_syncs(false);
        assert!(bench.flusher.sync_group().is_err());
        assert!(matches!(bench.record(50), Err(AuditError::Unavailable)));
        bench.retry();
        assert!(matches!(bench.record(51), Err(AuditError::Unavailable)), "still failing");
        bench.faults.mend();
        bench.retry();
        bench.record(12).unwrap();
        let after = bench.rows();
        assert_eq!(after[..before.len()], before, "numbers and order stay");
        assert!(after.contains(&"resumed fdatasync 2 0".to_owned()), "{after:?}");
        bench.flusher.finish().unwrap();
        assert_intact(bench.path());
    }
}

#[test]
fn rows_that_the_storage_lost_are_counted() {
    let mut bench = Bench::new(|_| {});
    bench.record(0).unwrap();
    bench.flusher.sync_group().unwrap();
    for number in 1..4 {
        bench.record(number).unwrap();
    }
    bench.faults.fail_syncs(true);
    assert!(bench.flusher.sync_group().is_err());
    bench.faults.mend();
    bench.retry();
    assert_eq!(bench.rows(), ["started", "0", "resumed fdatasync 0 3"]);
    assert_eq!(bench.log.counters().lost.load(Ordering::Relaxed), 3);
    bench.record(9).unwrap();
    bench.flusher.finish().unwrap();
    assert_intact(bench.path());
}

/// Recovery from a failed fdatasync stops after each of its steps in turn: either it is tried again, or the process is killed
/// there and another opens the log. Every accepted row is there in the end, once.
#[test]
fn recovery_can_stop_at_any_step() {
    for killed in [false, true] {
        for steps in 0..40 {
            let mut bench = Bench::new(|settings| settings.segment_bytes_max = 1500);
            bench.record(0).unwrap();
            bench.flusher.sync_group().unwrap();
            for number in 1..12 {
                bench.record(number).unwrap();
            }
            bench.faults.fail_syncs(false);
            assert!(bench.flusher.sync_group().is_err());
            bench.faults.mend();
            bench.faults.fail_after_operations(steps);
            bench.retry();
            let done = bench.log.health() == AuditHealth::Accepting;
            let dir = if killed {
                let Bench { dir, log, flusher, .. } = bench;
                drop((log, flusher));
                AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap().close().unwrap();
                dir
            } else {
                bench.faults.mend();
                bench.retry();
                assert_eq!(bench.log.health(), AuditHealth::Accepting, "after {steps} steps");
                bench.flusher.finish().unwrap();
                bench.dir
            };
            let numbers: Vec<u64> = rows(dir.path()).iter().filter_map(|row| row.parse().ok()).collect();
            assert_eq!(numbers, (0..12).collect::<Vec<_>>(), "after {steps} steps, killed {killed}");
            assert_intact(dir.path());
            if done {
                break;
            }
            assert!(steps < 39, "recovery never came to its end");
        }
    }
}

#[test]
fn checkpoints_are_exported_once_they_are_durable() {
    let mut bench = Bench::new(|settings| settings.checkpoint_rows = 2);
    let lines = |bench: &Bench| {
        std::fs::read_to_string(bench.path().join("lane-0/checkpoints")).unwrap().lines().count()
    };
    for number in 0..4 {
        bench.record(number).unwrap();
    }
    assert_eq!(lines(&bench), 0);
    bench.faults.fail_syncs(true);
    assert!(bench.flusher.sync_group().is_err());
    bench.faults.mend();
    bench.retry();
    bench.flusher.sync_group().unwrap();
    assert_eq!(lines(&bench), 0, "what the storage lost was never exported");
    for number in 0..4 {
        bench.record(number).unwrap();
    }
    bench.flusher.sync_group().unwrap();
    assert!(lines(&bench) > 0);
    assert_intact(bench.path());
}

#[test]
fn the_running_thread_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = faulty_disk();
    let settings = AuditSettings {
        fsync_interval: Duration::from_millis(1),
        ..settings(dir.path(), AuditMode::Written)
    };
    let log = AuditLog::open_on(settings, &disk).unwrap();
    faults.fail_writes_after(10, ENOSPC);
    assert!(record(&log, 1).is_err());
    faults.mend();
    while log.health() != AuditHealth::Accepting {
        std::thread::yield_now();
    }
    record(&log, 2).unwrap();
    log.close().unwrap();
    assert_intact(dir.path());
}
