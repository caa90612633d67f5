//! Each way to tamper with a log, and what the verifier says of it.

use ed25519_dalek::SigningKey;

use super::{Log, Place, verify_with};
use crate::verify::{Damage, Expected, Report, Standing, Trust};

#[test]
fn an_untouched_log_is_intact() {
    let log = Log::sample("acme", 1);
    let report = verify_with(&log.segments, &log.expecting_head());
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.rows, report.segments, report.checkpoints), (36, 3, 3));
    assert_eq!(report.first.map(|row| row.seq), Some(1));
    assert_eq!(report.last.map(|row| (row.seq, row.time)), Some((36, 10)));
    assert_eq!((report.signed_up_to, report.expected_found), (Some(33), 1));
}

/// Tampers with row 15 (in the middle of the second segment) and expects to be told so.
fn check(tamper: impl FnOnce(&mut Log, Place), seq: u64, damage: &Damage) {
    let mut log = Log::sample("acme", 1);
    let trust = log.trust();
    let place = log.records[14].clone();
    tamper(&mut log, place);
    let report = verify_with(&log.segments, &trust);
    let bad = report.bad.clone().unwrap_or_else(|| panic!("{report}"));
    assert_eq!((bad.seq, &bad.damage, bad.segment.as_str()), (seq, damage, "1.seg"), "{report}");
}

#[test]
fn an_edited_row_is_named() {
    check(|log, row| log.segments[row.segment][row.end - 1] ^= 1, 15, &Damage::Edited);
    // The number, the hash and the length beside it are no way out.
    check(|log, row| log.segments[row.segment][row.start + 36] ^= 2, 15, &Damage::Edited);
    check(|log, row| log.segments[row.segment][row.start + 4] ^= 1, 15, &Damage::Edited);
    check(|log, row| log.segments[row.segment][row.start] ^= 1, 15, &Damage::Edited);
    check(|log, row| log.segments[row.segment][row.start + 1] = 9, 15, &Damage::Edited);
}

#[test]
fn deleted_rows_are_named() {
    let cut = |log: &mut Log, row: Place| drop(log.segments[row.segment].drain(row.start..row.end));
    check(cut, 15, &Damage::Deleted { up_to: 15 });
    let cut_two = |log: &mut Log, row: Place| {
        let end = log.records[15].end;
        log.segments[row.segment].drain(row.start..end);
    };
    check(cut_two, 15, &Damage::Deleted { up_to: 16 });
    // To the end of the segment: the next one says what is missing.
    let cut_rest = |log: &mut Log, row: Place| {
        log.segments[row.segment].truncate(row.start);
        log.segments[2].truncate(0);
        let third = Log::sample("acme", 1).segments[2].clone();
        log.segments[2] = third;
    };
    let mut log = Log::sample("acme", 1);
    let place = log.records[14].clone();
    cut_rest(&mut log, place);
    let bad = verify_with(&log.segments, &log.trust()).bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (15, Damage::Deleted { up_to: 23 }));
}

#[test]
fn inserted_swapped_and_repeated_rows_are_named() {
    let insert = |log: &mut Log, row: Place| {
        let mut forged = log.bytes_of(15);
        *forged.last_mut().unwrap() ^= 1;
        log.segments[row.segment].splice(row.start..row.start, forged);
    };
    check(insert, 15, &Damage::Inserted);
    let swap = |log: &mut Log, row: Place| {
        let pair = [log.bytes_of(16), log.bytes_of(15)].concat();
        let end = log.records[15].end;
        log.segments[row.segment].splice(row.start..end, pair);
    };
    check(swap, 15, &Damage::Swapped);
    let repeat = |log: &mut Log, row: Place| {
        let again = log.bytes_of(15);
        log.segments[row.segment].splice(row.end..row.end, again);
    };
    check(repeat, 16, &Damage::Repeated { seq: 15 });
}

#[test]
fn rows_and_segments_of_another_chain_are_named() {
    // Row 15 is a decision, which names its organization; row 14 is an outcome, which does not.
    let splice = |log: &mut Log, row: Place| {
        let foreign = Log::sample("evil", 2).bytes_of(15);
        log.segments[row.segment].splice(row.start..row.end, foreign);
    };
    check(splice, 15, &Damage::Foreign);
    let splice_outcome = |log: &mut Log, row: Place| {
        let (foreign, place) = (Log::sample("evil", 2).bytes_of(14), log.records[13].clone());
        log.segments[row.segment].splice(place.start..place.end, foreign);
    };
    check(splice_outcome, 14, &Damage::Edited);
    let segment = |organization, seed| {
        move |log: &mut Log, row: Place| {
            log.segments[row.segment] = Log::sample(organization, seed).segments[1].clone();
        }
    };
    check(segment("evil", 2), 13, &Damage::Foreign);
    // The same organization, another chain: another gateway's log.
    check(segment("acme", 2), 13, &Damage::Foreign);
}

#[test]
fn missing_segments_are_named() {
    let log = Log::sample("acme", 1);
    let bad = |segments: &[Vec<u8>]| verify_with(segments, &log.trust()).bad.map(|bad| (bad.seq, bad.damage));
    let [first, second, third] = log.segments.as_slice() else { panic!() };
    let (first, second, third) = (first.clone(), second.clone(), third.clone());
    assert_eq!(bad(&[first.clone(), third.clone()]), Some((13, Damage::Deleted { up_to: 23 })));
    assert_eq!(bad(&[first.clone(), first.clone(), second.clone()]), Some((13, Damage::Repeated { seq: 1 })));
    assert_eq!(bad(&[first, third, second.clone()]), Some((13, Damage::Deleted { up_to: 23 })));
    // The start is missing: an error, unless retention is known to remove segments.
    assert_eq!(bad(std::slice::from_ref(&second)), Some((1, Damage::Deleted { up_to: 12 })));
    let trust = Trust { allow_removed_prefix: true, ..log.trust() };
    let report = verify_with(&log.segments[1..], &trust);
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.removed_up_to, report.rows), (Some(12), 24));
    assert_eq!(bad(&[]).map(|(_, damage)| damage), Some(Damage::Missing));
}

/// An attacker without the key rewrites every hash from an edited row on.
fn rehash_from(log: &Log, seq: usize, keep_checkpoints: bool) -> Vec<Vec<u8>> {
    let mut forged = Log::new("acme", 1);
    for place in &log.records {
        let mut row = log.segments[place.segment][place.start + 44..place.end].to_vec();
        let is_checkpoint = row[1] == 5;
        if place.seq == seq as u64 {
            row[12] ^= 1;
        }
        if place.segment == forged.segments.len() {
            // Segment headers need the key as well: this attacker keeps everything in one segment.
            break;
        }
        if !is_checkpoint || keep_checkpoints {
            forged.put(|head, out| head.append_encoded(&row, out).unwrap());
        }
    }
    forged.segments
}

#[test]
fn a_rewritten_chain_fails_at_the_next_signature() {
    let log = Log::sample("acme", 1);
    let report = verify_with(&rehash_from(&log, 5, true), &log.trust());
    let bad = report.bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (12, Damage::Rewritten { since: 0 }));
    // Without its checkpoints the forged chain is whole but unsigned; a head known from elsewhere exposes it.
    let forged = rehash_from(&log, 5, false);
    let report = verify_with(&forged, &log.trust());
    assert_eq!((report.standing(), report.signed_up_to), (Standing::Intact, None));
    let known = Expected { chain: log.chain, seq: 11, hash: hash_at(&log, 11) };
    let report = verify_with(&forged, &Trust { expected: vec![known], ..log.trust() });
    assert_eq!(report.bad.map(|bad| (bad.seq, bad.damage)), Some((11, Damage::Rewritten { since: 0 })));
}

#[test]
fn a_truncated_end_is_found_against_a_known_head() {
    let log = Log::sample("acme", 1);
    let mut shorter = log.segments.clone();
    let place = log.records[34].clone();
    shorter[place.segment].truncate(place.start);
    assert!(verify_with(&shorter, &log.trust()).is_intact(), "nothing in the log itself can tell");
    let report = verify_with(&shorter, &log.expecting_head());
    assert_eq!(report.bad.map(|bad| (bad.seq, bad.damage)), Some((35, Damage::Truncated { expected: 36 })));
    // A whole segment less.
    let report = verify_with(&log.segments[..2], &log.expecting_head());
    assert_eq!(report.bad.map(|bad| (bad.seq, bad.damage)), Some((24, Damage::Truncated { expected: 36 })));
}

#[test]
fn an_exported_checkpoint_is_a_known_head() {
    let mut log = Log::sample("acme", 1);
    let line = export_head(&mut log);
    let keys = log.trust().keys;
    let expected = vec![Expected::from_line(&line, &keys).unwrap()];
    assert_eq!((expected[0].seq, expected[0].chain), (36, log.chain));
    let report = verify_with(&log.segments, &Trust { expected: expected.clone(), ..log.trust() });
    assert_eq!((report.standing(), report.expected_found), (Standing::Intact, 1));
    let report = verify_with(&log.segments[..2], &Trust { expected, ..log.trust() });
    assert_eq!(report.bad.map(|bad| bad.damage), Some(Damage::Truncated { expected: 36 }));
    for bad in [line.replace("v1", "v2"), shorter(&line), flip_digit(&line), String::new()] {
        assert!(Expected::from_line(&bad, &keys).is_err(), "{bad}");
    }
    let stranger = SigningKey::from_bytes(&[9; 32]).verifying_key();
    assert!(Expected::from_line(&line, &[stranger]).is_err());
}

#[test]
fn keys_are_checked() {
    let log = Log::sample("acme", 1);
    let damage = |trust: &Trust| verify_with(&log.segments, trust).bad.map(|bad| bad.damage);
    let key = crate::key_id(&log.key.verifying_key());
    assert_eq!(damage(&Trust::default()), Some(Damage::UnknownKey { key }));
    let other = Trust { keys: vec![SigningKey::from_bytes(&[9; 32]).verifying_key()], ..Trust::default() };
    assert_eq!(damage(&other), Some(Damage::UnknownKey { key }));
}

#[test]
fn a_rotated_key_verifies_when_both_are_trusted() {
    let mut log = Log::sample("acme", 1);
    let old = log.key.verifying_key();
    log.key = SigningKey::from_bytes(&[8; 32]);
    log.rotate();
    log.decision("bob", "delete_repo");
    log.checkpoint();
    let both = Trust { keys: vec![old, log.key.verifying_key()], ..Trust::default() };
    assert!(verify_with(&log.segments, &both).is_intact());
    let bad = verify_with(&log.segments, &Trust { keys: vec![old], ..Trust::default() }).bad.unwrap();
    assert_eq!((bad.seq, bad.segment.as_str()), (37, "3.seg"));
}

#[test]
fn a_forged_signature_is_named() {
    let mut log = Log::sample("acme", 1);
    let stranger = SigningKey::from_bytes(&[9; 32]);
    // Signed by a stranger under the trusted key's id: the id is part of the claim, so only the claim's bytes can lie.
    let trusted = std::mem::replace(&mut log.key, stranger);
    log.checkpoint();
    let place = log.records.last().unwrap().clone();
    let id = crate::key_id(&trusted.verifying_key());
    let row_start = place.start + 44;
    let mut row = log.segments[2][row_start..place.end].to_vec();
    let at = row.len() - 96;
    row[at..at + 32].copy_from_slice(&id);
    log.segments[2].truncate(place.start);
    let head = crate::Head { seq: 36, hash: hash_at(&log, 36) };
    head.append_encoded(&row, &mut log.segments[2]).unwrap();
    let trust = Trust { keys: vec![trusted.verifying_key()], ..Trust::default() };
    let bad = verify_with(&log.segments, &trust).bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (37, Damage::BadSignature));
}

#[test]
fn a_torn_end_is_not_called_tampering() {
    let log = Log::sample("acme", 1);
    let last = log.records.last().unwrap();
    for len in last.start + 1..last.end {
        let mut segments = log.segments.clone();
        segments[2].truncate(len);
        let report = verify_with(&segments, &log.trust());
        assert_eq!(report.standing(), Standing::Torn, "{report}");
        let torn = report.torn_tail.unwrap();
        assert_eq!((torn.seq, torn.offset, torn.bytes), (36, last.start as u64, (len - last.start) as u64));
        assert_eq!(report.rows, 35);
    }
    // The same cut where other segments follow is tampering.
    let mut segments = log.segments.clone();
    segments[1].pop();
    let bad = verify_with(&segments, &log.trust()).bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (23, Damage::Incomplete));
}

#[test]
fn a_report_reads_well() {
    let mut log = Log::sample("acme", 1);
    let text = |report: Report| report.to_string();
    let intact = text(verify_with(&log.segments, &log.trust()));
    let expected = "intact: log of `acme`, rows 1 to 36, whole segments: 3, checkpoints: 3 \
                    (signed up to row 33, 3 rows after it), head 01010101010101010101010101010101:36:";
    assert!(intact.starts_with(expected), "{intact}");
    let place = log.records[14].clone();
    log.segments[1][place.end - 1] ^= 1;
    let broken = text(verify_with(&log.segments, &log.trust()));
    assert!(broken.starts_with("broken"), "{broken}");
    assert!(broken.contains("row 15 in 1.seg at byte"), "{broken}");
}

fn hash_at(log: &Log, seq: usize) -> [u8; 32] {
    log.bytes_of(seq)[4..36].try_into().unwrap()
}

fn export_head(log: &mut Log) -> String {
    let claim = crate::CheckpointClaim {
        time: 8,
        organization: log.organization,
        chain: log.chain,
        head: log.head,
        previous: log.last_checkpoint,
    };
    crate::Checkpoint::sign(&claim, &log.key).to_line()
}

fn shorter(line: &str) -> String {
    let mut line = line.to_owned();
    line.pop();
    line
}

fn flip_digit(line: &str) -> String {
    let flipped = if line.ends_with('0') { '1' } else { '0' };
    let mut line = shorter(line);
    line.push(flipped);
    line
}

#[test]
fn a_head_is_written_down_and_read_again() {
    let log = Log::sample("acme", 1);
    let head = verify_with(&log.segments, &log.trust()).head().unwrap();
    assert_eq!(head.to_string().parse(), Ok(head.clone()));
    let text = head.to_string();
    for bad in ["", "36", "01:36:02", &shorter(&text), &text.replace(":36:", ":x:"), &format!("{text}:")] {
        assert!(bad.parse::<Expected>().is_err(), "{bad}");
    }
}
