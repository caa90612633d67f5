//! What is read of a log that is written, rotated, shortened and begun anew, and what of it is sent.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use mcpg_cp_api::{AuditEntry, AuditHoleCause};
use mcpg_ledger::verify::{Row, RowBody};
use mcpg_ledger::{ChainId, Completion, DecisionRef, Head, OutcomeRef, RowRef, TargetRef, Texts, Verdict};

use super::batch::{BYTES_MAX, Batch, hex, unhex};
use super::lane::{Lane, LaneError, lanes};
use crate::audit::{AuditLog, AuditSettings};

const ACME: &str = "acme";

fn open(dir: &Path, segment_bytes_max: u64) -> Arc<AuditLog> {
    let key = SigningKey::from_bytes(&[1; 32]);
    let settings = AuditSettings {
        fsync_interval: Duration::from_secs(3600),
        checkpoint_interval: Duration::from_secs(3600),
        segment_bytes_max,
        ..AuditSettings::new(dir.to_owned(), ACME.to_owned(), "gw-1".to_owned(), key)
    };
    AuditLog::open(settings).unwrap()
}

fn decide(log: &AuditLog, number: u64, environment: &str) {
    decide_with(log, number, environment, "user:alice@acme.com");
}

fn decide_with(log: &AuditLog, number: u64, environment: &str, subject: &str) {
    let row = DecisionRef {
        time: number,
        request_id: u128::from(number).to_be_bytes(),
        organization: ACME,
        workspace: "team",
        environment,
        subject,
        auth_method: "api_key",
        source: [192, 0, 2, 1].into(),
        binding: "files",
        method: "tools/call",
        target: TargetRef::Tool("read_file"),
        verdict: Verdict::Permit,
        engine: "policy.cedar",
        policies: Texts::NONE,
        deny_code: None,
        obligations: Texts::NONE,
        revision: 1,
        revision_digest: [3; 32],
        cached: true,
        arguments_digest: None,
        protocol: "2026-07-28",
        input: None,
        shadow: Texts::NONE,
    };
    log.record_now(&RowRef::Decision(&row)).unwrap();
}

fn end(log: &AuditLog, number: u64) {
    let row = OutcomeRef {
        time: number,
        request_id: u128::from(number).to_be_bytes(),
        http_status: 200,
        response_bytes: 1,
        duration_us: 1,
        completion: Completion::Complete,
    };
    log.record_now(&RowRef::Outcome(row)).unwrap();
}

fn prod() -> HashSet<(String, String)> {
    [("team".to_owned(), "prod".to_owned())].into()
}

/// A reader and what it has read.
struct Reading {
    chain: ChainId,
    lane: Lane,
    kept: Head,
    /// Decisions by number, and what else there was.
    found: Vec<String>,
}

impl Reading {
    fn of(dir: &Path) -> Self {
        let folder: PathBuf = lanes(dir).unwrap().remove(0);
        let (chain, lane) = Lane::open(folder, ACME).unwrap().unwrap();
        Self { chain, lane, kept: Head::genesis(ACME, &chain), found: Vec::new() }
    }

    /// The next batch; each row follows the one before it.
    fn next(&mut self, durable: Option<u64>) -> Result<Option<Batch>, LaneError> {
        let Some(batch) = self.lane.read(self.kept, durable, &prod())? else { return Ok(None) };
        for entry in &batch.entries {
            match entry {
                AuditEntry::Row(text) => {
                    let row = URL_SAFE_NO_PAD.decode(text).unwrap();
                    self.kept = self.kept.after(&row);
                    self.found.push(name(&row));
                }
                AuditEntry::Missing(hole) => {
                    self.kept = Head { seq: self.kept.seq + hole.missing, hash: unhex(&hole.hash).unwrap() };
                    let cause = if hole.cause == AuditHoleCause::Lost { "lost" } else { "elsewhere" };
                    self.found.push(format!("{cause} {}", hole.missing));
                }
            }
        }
        assert_eq!(self.kept, batch.last);
        let upload = batch.upload(&self.chain, batch.last);
        assert_eq!((upload.log, upload.last), (hex(&self.chain), hex(&self.kept.hash)));
        Ok(Some(batch))
    }

    fn all(&mut self) -> Vec<String> {
        while self.next(None).unwrap().is_some() {}
        std::mem::take(&mut self.found)
    }
}

fn name(row: &[u8]) -> String {
    match Row::decode(row).unwrap().body {
        RowBody::Decision(decision) => u128::from_be_bytes(decision.request_id).to_string(),
        RowBody::Outcome(_) => "outcome".to_owned(),
        RowBody::Lifecycle(_) => "lifecycle".to_owned(),
        RowBody::Checkpoint(_) => "checkpoint".to_owned(),
        _ => "other".to_owned(),
    }
}

fn numbers(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn rows_are_read_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    assert!(lanes(&dir.path().join("none")).unwrap().is_empty());
    let log = open(dir.path(), 64 << 20);
    let mut reading = Reading::of(dir.path());
    assert_eq!(reading.all(), ["lifecycle"]);
    for number in 0..3 {
        decide(&log, number, "prod");
        assert_eq!(reading.all(), [number.to_string()]);
    }
    // Not beyond what is on stable storage, where that is known.
    (3..6).for_each(|number| decide(&log, number, "prod"));
    assert!(reading.next(Some(4)).unwrap().is_none());
    reading.next(Some(6)).unwrap().unwrap();
    assert_eq!(std::mem::take(&mut reading.found), ["3", "4"]);
    log.close().unwrap();
    assert_eq!(reading.all(), ["5", "lifecycle", "checkpoint"]);
    // Another process goes on with it.
    let log = open(dir.path(), 64 << 20);
    decide(&log, 6, "prod");
    assert_eq!(reading.all(), ["lifecycle", "6"]);
    // From anywhere.
    reading.kept = Head::genesis(ACME, &reading.chain);
    assert_eq!(reading.all().len(), 1 + 6 + 2 + 2);
}

#[test]
fn segments_follow_each_other_and_batches_have_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 20_000);
    let long = "x".repeat(100_000);
    for number in 0..2500 {
        decide(&log, number, "prod");
        if number % 100 == 0 {
            decide_with(&log, number, "prod", &long);
        }
    }
    let mut reading = Reading::of(dir.path());
    let mut sizes = Vec::new();
    while let Some(batch) = reading.next(None).unwrap() {
        let bytes =
            |entry: &AuditEntry| if let AuditEntry::Row(text) = entry { text.len() / 4 * 3 } else { 0 };
        assert!(batch.entries.iter().map(bytes).sum::<usize>() <= BYTES_MAX + 1000);
        sizes.push(batch.entries.len());
    }
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
    let mut found = reading.found;
    found.dedup();
    found.retain(|name| name.parse::<u64>().is_ok());
    assert_eq!(found, numbers(0..2500));
    assert!(fs::read_dir(dir.path().join("lane-0")).unwrap().count() > 20);
}

#[test]
fn what_retention_took_first_is_a_hole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 4_000);
    (0..60).for_each(|number| decide(&log, number, "prod"));
    let mut reading = Reading::of(dir.path());
    let segments = crate::audit::verify_dir::segments(&dir.path().join("lane-0")).unwrap();
    assert!(segments.len() > 3);
    segments[..2].iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
    let found = reading.all();
    let lost: u64 = found[0].strip_prefix("lost ").unwrap().parse().unwrap();
    assert!(lost > 10, "{found:?}");
    assert_eq!(found.last().unwrap(), "59");
    assert_eq!(found.iter().filter(|name| name.starts_with("lost")).count(), 1);
    // While it rests at a place that is removed then.
    (60..120).for_each(|number| decide(&log, number, "prod"));
    let segments = crate::audit::verify_dir::segments(&dir.path().join("lane-0")).unwrap();
    let (_, kept) = segments.split_last().unwrap();
    kept.iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
    assert!(reading.next(None).unwrap().is_none());
    let found = reading.all();
    assert!(found[0].starts_with("lost ") && found.last().unwrap() == "119", "{found:?}");
}

#[test]
fn only_rows_of_enrolled_environments_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 64 << 20);
    for (number, environment) in [(1, "prod"), (2, "lab"), (3, "lab"), (4, "prod")] {
        decide(&log, number, environment);
    }
    [2, 1, 3].into_iter().for_each(|number| end(&log, number));
    let found = Reading::of(dir.path()).all();
    assert_eq!(found, ["lifecycle", "1", "elsewhere 2", "4", "elsewhere 1", "outcome", "elsewhere 1"]);
    // Another organization's log is not even looked into.
    let refused = Lane::open(dir.path().join("lane-0"), "evil");
    assert!(matches!(refused, Err(LaneError::Foreign { .. })), "{refused:?}");
}

#[test]
fn a_log_that_went_back_in_time_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 64 << 20);
    (0..4).for_each(|number| decide(&log, number, "prod"));
    let mut reading = Reading::of(dir.path());
    reading.all();
    reading.lane.forget();
    let kept = reading.kept;
    reading.kept = Head { hash: [0; 32], ..kept };
    assert!(matches!(reading.next(None), Err(LaneError::Forked { seq: 5, .. })));
    reading.kept = Head { seq: 9, hash: kept.hash };
    assert!(matches!(reading.next(None), Err(LaneError::Behind { seq: 9, .. })));
    // Half a record at the end is no row, and no fault.
    let segment = dir.path().join("lane-0/00000001.seg");
    log.close().unwrap();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 7]).unwrap();
    reading.kept = kept;
    assert_eq!(reading.all(), ["lifecycle"]);
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(reading.all(), ["checkpoint"]);
    // Another log in its place.
    fs::remove_dir_all(dir.path().join("lane-0")).unwrap();
    drop(open(dir.path(), 64 << 20));
    assert!(reading.next(None).unwrap().is_none());
    assert!(matches!(reading.next(None), Err(LaneError::Another { .. })));
}
