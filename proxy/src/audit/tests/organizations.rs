//! The logs of several organizations: each in its place, none in another's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpg_ledger::verify::{Damage, Standing, Trust};
use mcpg_ledger::{DecisionRef, RowRef};

use super::{decision, rows_of, settings, trust, verified};
use crate::audit::ledgers::{Ledger, Ledgers};
use crate::audit::show::show_dir;
use crate::audit::verify_dir::verify_dir;
use crate::audit::{AuditError, AuditHealth, AuditMode};

fn ledgers(dir: &Path, open_max: usize) -> Arc<Ledgers> {
    Ledgers::new(settings(dir, AuditMode::Written), open_max)
}

fn decide(ledger: &Arc<Ledger>, organization: &str, number: u64) -> Result<(), AuditError> {
    let row = DecisionRef { organization, ..decision(number) };
    ledger.record_now(&RowRef::Decision(&row)).map(|_| ())
}

/// Three rows each of the gateway's own organization and two others.
fn written() -> (tempfile::TempDir, [PathBuf; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let ledgers = ledgers(dir.path(), 8);
    for number in 0..3 {
        for organization in ["acme", "umbrella", "initech"] {
            decide(&ledgers.of(organization), organization, number).unwrap();
        }
    }
    ledgers.close().unwrap();
    let lane = |folder: &str| dir.path().join(folder).join("lane-0");
    let lanes = [lane("."), lane("orgs/umbrella"), lane("orgs/initech")];
    (dir, lanes)
}

fn damage(dir: &Path, lane: &Path) -> Option<Damage> {
    let report = verified(dir);
    let lane = lane.canonicalize().unwrap();
    let of_lane = report.lanes.iter().find(|report| report.dir.canonicalize().unwrap() == lane).unwrap();
    of_lane.report.bad.as_ref().map(|bad| bad.damage.clone())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn one_command_verifies_and_shows_the_logs_of_all() {
    let (dir, lanes) = written();
    let report = verified(dir.path());
    assert_eq!((report.lanes.len(), report.standing()), (3, Standing::Intact), "{report}");
    for organization in ["acme", "umbrella", "initech"] {
        assert!(report.to_string().contains(&format!("log of `{organization}`")), "{report}");
    }
    for lane in &lanes {
        assert_eq!(rows_of(lane), ["started", "0", "1", "2", "stopped", "checkpoint"]);
    }
    let mut scopes = Vec::new();
    show_dir(dir.path(), |row| scopes.extend(row["scope"].as_str().map(str::to_owned))).unwrap();
    let of = |organization: &str| format!("{organization}/team/prod");
    let expected = ["acme", "initech", "umbrella"].map(of);
    assert_eq!(scopes.chunks(3).map(|each| each[0].clone()).collect::<Vec<_>>(), expected);
    assert_eq!(scopes.len(), 9);
}

#[test]
fn a_log_in_the_folder_of_another_organization_is_foreign() {
    let (dir, [own, umbrella, initech]) = written();
    std::fs::remove_dir_all(&initech).unwrap();
    copy(&umbrella, &initech);
    assert_eq!(damage(dir.path(), &initech), Some(Damage::Foreign));
    assert_eq!(damage(dir.path(), &umbrella), None);
    // Also when only that folder, or only its lane, is looked at.
    for folder in [initech.parent().unwrap(), &initech] {
        assert_eq!(verified(folder).standing(), Standing::Broken, "{}", folder.display());
    }
    // The top folder is called by nobody: whose it must be has to be said.
    for (organization, standing) in [("acme", Standing::Intact), ("umbrella", Standing::Broken)] {
        let trust = Trust { organization: Some(organization.to_owned()), ..trust() };
        assert_eq!(verify_dir(&own, &trust).unwrap().standing(), standing, "{organization}");
    }
}

#[test]
fn a_chain_that_is_there_twice_is_named() {
    let (dir, [own, ..]) = written();
    copy(&own, &dir.path().join("lane-1"));
    let report = verified(dir.path());
    assert_eq!((report.standing(), report.copies.len()), (Standing::Broken, 1));
    assert!(report.to_string().contains("lane-1: foreign: its chain is that of"), "{report}");
}

#[test]
fn logs_that_rest_make_room_and_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let ledgers = ledgers(dir.path(), 2);
    for round in 0..3 {
        for organization in ["acme", "umbrella", "initech", "hooli"] {
            decide(&ledgers.of(organization), organization, round).unwrap();
            assert!(ledgers.totals().1 <= 2);
        }
    }
    assert_eq!(ledgers.health(), AuditHealth::Accepting);
    ledgers.close().unwrap();
    assert!(matches!(decide(&ledgers.of("acme"), "acme", 9), Err(AuditError::Closed)));
    let report = verified(dir.path());
    assert_eq!((report.lanes.len(), report.standing()), (4, Standing::Intact), "{report}");
    let decided: Vec<_> = rows_of(&dir.path().join("orgs/hooli/lane-0"))
        .into_iter()
        .filter(|row| row.parse::<u64>().is_ok())
        .collect();
    assert_eq!(decided, ["0", "1", "2"]);
}

#[test]
fn an_organization_that_is_served_no_more_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let ledgers = ledgers(dir.path(), 8);
    let gone = ledgers.of("umbrella");
    decide(&gone, "umbrella", 1).unwrap();
    decide(&ledgers.of("acme"), "acme", 1).unwrap();
    ledgers.retain(|organization| organization == "initech");
    assert_eq!(ledgers.totals().1, 1, "its own organization's log stays open");
    // Whoever still holds it may write to its end; the chain stays one.
    decide(&gone, "umbrella", 2).unwrap();
    ledgers.close().unwrap();
    assert_eq!(verified(dir.path()).standing(), Standing::Intact);
}

#[test]
fn a_damaged_log_refuses_its_organization_alone() {
    let (dir, [_, umbrella, _]) = written();
    let segment = umbrella.join("00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let ledgers = ledgers(dir.path(), 8);
    assert!(decide(&ledgers.of("umbrella"), "umbrella", 4).is_err());
    decide(&ledgers.of("initech"), "initech", 4).unwrap();
    decide(&ledgers.of("acme"), "acme", 4).unwrap();
    ledgers.close().unwrap();
}
