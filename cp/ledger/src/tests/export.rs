//! Segments one behind another, as an export has them.

use super::{Log, verify_with};
use crate::verify::{Damage, Splitter, Verifier};

/// Cuts bytes that come in pieces of a size.
fn split(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut splitter, mut segments) = (Splitter::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        splitter.push(piece);
        while let Some(segment) = splitter.next_segment() {
            segments.push(segment);
        }
    }
    segments.extend(splitter.finish());
    segments
}

#[test]
fn a_stream_is_cut_where_segments_begin() {
    let log = Log::sample("acme", 1);
    assert!(log.segments.len() > 2);
    let stream = log.segments.concat();
    for piece in [1, 7, 100, 4096, stream.len()] {
        assert_eq!(split(&stream, piece), log.segments, "{piece}");
    }
    assert_eq!(split(&[], 1), [] as [Vec<u8>; 0]);
}

#[test]
fn changed_bytes_of_a_stream_are_found() {
    let log = Log::sample("acme", 1);
    let stream = log.segments.concat();
    let trust = log.trust();
    for at in (0..stream.len()).step_by(61) {
        let mut changed = stream.clone();
        changed[at] ^= 1;
        let segments = split(&changed, 4096);
        let mut verifier = Verifier::new(&trust);
        let last = segments.len() - 1;
        for (index, segment) in segments.iter().enumerate() {
            verifier.segment(&format!("segment {}", index + 1), segment, index == last);
        }
        let report = verifier.finish();
        assert!(!report.is_intact(), "byte {at} of {}: {report}", stream.len());
    }
}

#[test]
fn a_segment_of_another_organization_in_the_stream_is_foreign() {
    let (log, other) = (Log::sample("acme", 1), Log::sample("evil", 1));
    let stream = [&log.segments[0][..], &other.segments[1], &log.segments[2]].concat();
    let segments = split(&stream, 64);
    let bad = verify_with(&segments, &log.trust()).bad.unwrap();
    assert_eq!(bad.damage, Damage::Foreign);
}
