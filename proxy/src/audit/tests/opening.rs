//! Opening what is there: one writer, torn ends, damage, other owners.

use std::path::{Path, PathBuf};

use super::{assert_intact, manual, os_disk, other_key, record, rows, rows_of, settings, trust, verified};
use crate::audit::verify_dir::verify_dir;
use crate::audit::{AuditError, AuditLog, AuditMode, AuditSettings};

/// A log with the rows `started, 0, 1, 2`, left as by kill -9.
fn crashed() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (log, flusher) = manual(settings(dir.path(), AuditMode::Written), &os_disk());
    for number in 0..3 {
        record(&log, number).unwrap();
    }
    drop((log, flusher));
    let segment = dir.path().join("lane-0/00000001.seg");
    (dir, segment)
}

fn reopen(dir: &Path) -> Result<(), AuditError> {
    AuditLog::open(settings(dir, AuditMode::Written))?.close()
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap();
    let error = AuditLog::open(settings(dir.path(), AuditMode::Written)).unwrap_err();
    assert!(matches!(error, AuditError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("written by another process"));
}

#[test]
fn a_process_that_takes_over_writes_a_lane_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let open = || AuditLog::open(AuditSettings { lanes_max: 2, ..settings(dir.path(), AuditMode::Written) });
    let (old, new) = (open().unwrap(), open().unwrap());
    assert!(matches!(open(), Err(AuditError::Locked { .. })));
    record(&old, 1).unwrap();
    record(&new, 2).unwrap();
    old.close().unwrap();
    let next = open().unwrap();
    record(&next, 3).unwrap();
    new.close().unwrap();
    next.close().unwrap();
    assert_eq!(
        rows(dir.path()),
        ["started", "1", "stopped", "checkpoint", "started", "3", "stopped", "checkpoint"]
    );
    assert_eq!(rows_of(&dir.path().join("lane-1")), ["started", "2", "stopped", "checkpoint"]);
    let report = verified(dir.path());
    assert!(report.is_intact(), "{report}");
    assert_ne!(report.lanes[0].report.chain, report.lanes[1].report.chain);
}

#[test]
fn a_killed_log_goes_on_without_a_trace_of_damage() {
    let (dir, _) = crashed();
    assert_intact(dir.path());
    reopen(dir.path()).unwrap();
    assert_eq!(rows(dir.path()), ["started", "0", "1", "2", "started", "stopped", "checkpoint"]);
    assert_intact(dir.path());
}

#[test]
fn a_torn_end_is_cut_off_kept_and_told_of() {
    let (_dir, segment) = crashed();
    let whole = std::fs::read(&segment).unwrap();
    let found = mcpg_ledger::scan_until(&whole, 3).unwrap();
    for cut in [found.end + 1, found.end + 4, found.end + 40, found.end + 100, whole.len() - 1] {
        let (dir, segment) = crashed();
        std::fs::write(&segment, &std::fs::read(&segment).unwrap()[..cut]).unwrap();
        reopen(dir.path()).unwrap();
        let torn = format!("torn {}", cut - found.end);
        assert_eq!(rows(dir.path()), ["started", "0", "1", &torn, "started", "stopped", "checkpoint"]);
        assert_intact(dir.path());
        let kept = segment.with_file_name(format!("00000001.seg.torn-{}", found.end));
        assert_eq!(std::fs::read(kept).unwrap().len(), cut - found.end);
    }
}

#[test]
fn a_segment_that_was_being_begun_is_set_aside() {
    let header = {
        let (_dir, segment) = crashed();
        std::fs::read(segment).unwrap()[..100].to_vec()
    };
    for len in [0, 1, 8, 12, 100] {
        let (dir, segment) = crashed();
        std::fs::write(segment.with_file_name("00000002.seg"), &header[..len]).unwrap();
        reopen(dir.path()).unwrap();
        let torn = format!("torn {len}");
        assert_eq!(rows(dir.path()), ["started", "0", "1", "2", &torn, "started", "stopped", "checkpoint"]);
        assert_intact(dir.path());
    }
    // The very first one: a new chain begins.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("lane-0")).unwrap();
    std::fs::write(dir.path().join("lane-0/00000001.seg"), &header[..50]).unwrap();
    reopen(dir.path()).unwrap();
    assert_eq!(rows(dir.path()), ["torn 50", "started", "stopped", "checkpoint"]);
    assert_intact(dir.path());
}

#[test]
fn damage_that_no_crash_makes_is_refused_and_left_untouched() {
    let check = |damage: &dyn Fn(&mut Vec<u8>), at_seq: u64| {
        let (dir, segment) = crashed();
        let mut bytes = std::fs::read(&segment).unwrap();
        damage(&mut bytes);
        std::fs::write(&segment, &bytes).unwrap();
        let error = reopen(dir.path()).unwrap_err();
        assert!(matches!(&error, AuditError::Corrupt { seq, .. } if *seq == at_seq), "{error}");
        assert_eq!(std::fs::read(&segment).unwrap(), bytes);
        assert!(!verified(dir.path()).is_intact());
    };
    let (_dir, segment) = crashed();
    let middle = mcpg_ledger::scan_until(&std::fs::read(segment).unwrap(), 2).unwrap().end;
    check(&|bytes| bytes[middle + 60] ^= 1, 3);
    check(&|bytes| bytes[middle + 2] ^= 1, 3);
    check(&|bytes| bytes[0] ^= 1, 1);
    check(&|bytes| bytes[11] ^= 0x80, 1);
}

#[test]
fn the_log_of_another_organization_is_refused() {
    let (dir, _) = crashed();
    let mut settings = settings(dir.path(), AuditMode::Written);
    settings.organization = "evil".to_owned();
    let error = AuditLog::open(settings).unwrap_err();
    assert!(matches!(error, AuditError::OtherOrganization { .. }), "{error}");
    assert_intact(dir.path());
}

#[test]
fn another_key_or_instance_begins_a_segment() {
    let (dir, _) = crashed();
    let (key, public) = other_key();
    let other = AuditSettings { key, ..settings(dir.path(), AuditMode::Written) };
    AuditLog::open(other).unwrap().close().unwrap();
    assert!(!verified(dir.path()).is_intact(), "the new key is not trusted yet");
    let mut both = trust();
    both.keys.push(public);
    let report = verify_dir(dir.path(), &both).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.lanes[0].report.segments, 2);
    let mut renamed = settings(dir.path(), AuditMode::Written);
    renamed.instance = "gw-2".to_owned();
    AuditLog::open(renamed).unwrap().close().unwrap();
    let report = verify_dir(dir.path(), &both).unwrap();
    assert_eq!((report.is_intact(), report.lanes[0].report.segments), (true, 3), "{report}");
}

#[test]
fn an_export_that_was_cut_off_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    reopen(dir.path()).unwrap();
    let path = dir.path().join("lane-0/checkpoints");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("mcpg-audit-checkpoint-v1 01");
    std::fs::write(&path, &text).unwrap();
    assert_intact(dir.path());
    reopen(dir.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_intact(dir.path());
}

#[test]
fn a_directory_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = AuditLog::open(settings(&dir.path().join("file/audit"), AuditMode::Written)).unwrap_err();
    assert!(matches!(error, AuditError::Io { action: "make", .. }), "{error}");
}
