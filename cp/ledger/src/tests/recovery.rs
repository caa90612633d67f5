//! The writer's own look at a segment after a crash.

use super::{Log, Place};
use crate::{Head, SegmentError, SegmentHeader, Tail, follow, scan, scan_until};

fn one_segment() -> (Log, Vec<u8>, Vec<Place>) {
    let mut log = Log::new("acme", 1);
    for row in 0..4 {
        log.decision("alice", &format!("tool-{row}"));
    }
    log.checkpoint();
    log.decision("alice", "last");
    let (bytes, records) = (log.segments[0].clone(), log.records.clone());
    (log, bytes, records)
}

#[test]
fn a_whole_segment_is_scanned_to_its_end() {
    let (log, bytes, _) = one_segment();
    let found = scan(&bytes).unwrap();
    assert_eq!((found.head, found.end, found.tail), (log.head, bytes.len(), Tail::Clean));
    assert_eq!((found.last_checkpoint, found.rows_since_checkpoint), (log.last_checkpoint, 1));
    let part = scan_until(&bytes, 3).unwrap();
    assert_eq!((part.head.seq, part.tail, part.end), (3, Tail::Clean, log.records[2].end));
}

#[test]
fn every_cut_is_torn_at_the_last_whole_row() {
    let (_, bytes, records) = one_segment();
    for len in records[0].start..bytes.len() {
        let found = scan(&bytes[..len]).unwrap();
        let whole = records.iter().filter(|record| record.end <= len).count();
        let end = if whole == 0 { records[0].start } else { records[whole - 1].end };
        assert_eq!((found.head.seq, found.end), (whole as u64, end));
        assert_eq!(found.tail, if len == end { Tail::Clean } else { Tail::Torn }, "cut at {len}");
    }
    for len in 0..records[0].start {
        assert_eq!(scan(&bytes[..len]).unwrap_err(), SegmentError::Incomplete, "cut at {len}");
    }
}

#[test]
fn what_power_loss_leaves_at_the_end_is_torn() {
    let (_, bytes, records) = one_segment();
    let last = records.last().unwrap();
    let zeros = [&bytes[..last.start], &[0; 5000]].concat();
    let mut half_zeros = bytes;
    half_zeros[last.start + 60..].fill(0);
    for bytes in [zeros, half_zeros] {
        let found = scan(&bytes).unwrap();
        assert_eq!((found.tail, found.head.seq), (Tail::Torn, 5));
    }
}

#[test]
fn damage_before_the_last_row_is_corrupt() {
    let (_, bytes, records) = one_segment();
    for record in &records[..records.len() - 1] {
        for place in [record.start, record.start + 3, record.start + 10, record.start + 40, record.end - 1] {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x40;
            let found = scan(&bytes).unwrap();
            assert_eq!((found.tail, found.head.seq), (Tail::Corrupt, record.seq - 1), "byte {place}");
        }
    }
}

#[test]
fn what_is_no_segment_is_refused() {
    let (_, bytes, _) = one_segment();
    let with = |place: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = value;
        scan(&bytes).map(|found| found.tail)
    };
    assert_eq!(with(0, b'X'), Err(SegmentError::NotASegment));
    assert_eq!(with(7, 2), Err(SegmentError::NotASegment));
    assert_eq!(with(11, 0xff), Err(SegmentError::Damaged));
    assert_eq!(with(8, 1), Err(SegmentError::Damaged));
    assert_eq!(scan(b"").unwrap_err(), SegmentError::Incomplete);
    let (header, _) = SegmentHeader::decode(&bytes).unwrap();
    assert_eq!((header.organization.as_str(), header.instance.as_str()), ("acme", "gw-1"));
}

#[test]
fn records_can_be_followed_from_any_head() {
    let (log, bytes, records) = one_segment();
    let genesis = Head::genesis("acme", &log.chain);
    assert_eq!(follow(genesis, &bytes[records[0].start..]), (log.head, bytes.len() - records[0].start));
    assert_eq!(follow(genesis, &bytes[records[1].start..]), (genesis, 0));
}
