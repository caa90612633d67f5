//! The bytes as `docs/AUDIT.md` gives them, and limits.

use ed25519_dalek::SigningKey;

use super::{Log, decision, verify_with};
use crate::verify::{RowBody, records};
use crate::{DecisionRef, Head, ROW_BYTES_MAX, RowError, RowRef, SegmentHeader, TargetRef, Texts, key_id};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_test_vector_of_the_documentation_holds() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let chain = [2; 16];
    let genesis = Head::genesis("acme", &chain);
    let header = SegmentHeader {
        time: 1,
        organization: "acme".to_owned(),
        chain,
        instance: "gw".to_owned(),
        previous: genesis,
        previous_checkpoint: [0; 32],
        key: key_id(&key.verifying_key()),
    };
    let mut bytes = Vec::new();
    header.encode(&key, &mut bytes);
    let start = bytes.len();
    genesis.append(&RowRef::Gap { time: 3, dropped: 4 }, &mut bytes).unwrap();
    let document = include_str!("../../../../docs/AUDIT.md");
    let listed: String = document.split_whitespace().collect();
    for expected in [hex(&genesis.hash), hex(&header.key), hex(&bytes[..start]), hex(&bytes[start..])] {
        assert!(listed.contains(&expected), "docs/AUDIT.md lacks {expected}");
    }
}

#[test]
fn no_byte_moves_between_fields_unseen() {
    let base = decision("acme");
    let bytes = |row: DecisionRef<'_>| {
        let mut out = Vec::new();
        RowRef::Decision(&row).encode(&mut out);
        out
    };
    let rows = [
        bytes(DecisionRef { binding: "ab", method: "c", ..base }),
        bytes(DecisionRef { binding: "a", method: "bc", ..base }),
        bytes(DecisionRef { binding: "", method: "abc", ..base }),
        bytes(DecisionRef { policies: Texts::Refs(&["a", "b"]), obligations: Texts::NONE, ..base }),
        bytes(DecisionRef { policies: Texts::Refs(&["a"]), obligations: Texts::Refs(&["b"]), ..base }),
        bytes(DecisionRef { policies: Texts::Refs(&["ab"]), obligations: Texts::NONE, ..base }),
        bytes(DecisionRef { policies: Texts::NONE, obligations: Texts::NONE, ..base }),
        bytes(DecisionRef { policies: Texts::Refs(&[""]), obligations: Texts::NONE, ..base }),
        bytes(DecisionRef { deny_code: Some(""), ..base }),
        bytes(DecisionRef { deny_code: None, ..base }),
        bytes(DecisionRef { arguments_digest: Some([0; 32]), ..base }),
        bytes(DecisionRef { arguments_digest: None, ..base }),
        bytes(DecisionRef { input: Some(""), ..base }),
        bytes(DecisionRef { input: Some("{}"), ..base }),
        bytes(DecisionRef { shadow: Texts::Refs(&["{}"]), ..base }),
        bytes(DecisionRef { shadow: Texts::Refs(&["a=permit"]), ..base }),
        bytes(DecisionRef { input: Some(""), shadow: Texts::Refs(&[""]), ..base }),
        bytes(DecisionRef { obligations: Texts::Refs(&["a=permit"]), ..base }),
        bytes(DecisionRef { protocol: "{}", ..base }),
        bytes(DecisionRef { target: TargetRef::Resource("read_file"), ..base }),
        bytes(DecisionRef { target: TargetRef::Prompt("read_file"), ..base }),
        bytes(DecisionRef { source: std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into(), ..base }),
    ];
    for (index, row) in rows.iter().enumerate() {
        assert!(!rows[..index].contains(row), "row {index} has the bytes of an earlier one");
    }
}

#[test]
fn a_row_without_input_and_shadows_has_the_bytes_of_version_1() {
    let bytes = |input, shadow| {
        let mut out = Vec::new();
        RowRef::Decision(&DecisionRef { input, shadow, ..decision("acme") }).encode(&mut out);
        out
    };
    let read = |bytes: &[u8]| match crate::verify::Row::decode(bytes).map(|row| row.body) {
        Some(RowBody::Decision(decision)) => (decision.input, decision.shadow),
        other => panic!("{other:?}"),
    };
    let (input, opinions) = ("{\"groups\":[]}", ["next=deny:forbidden"]);
    let without = bytes(None, Texts::NONE);
    assert_eq!((without[0], read(&without)), (1, (None, Vec::new())));
    for (input, shadow) in
        [(Some(input), Texts::NONE), (None, Texts::Refs(&opinions)), (Some(input), Texts::Refs(&opinions))]
    {
        let with = bytes(input, shadow);
        assert_eq!((with[0], &with[1..without.len()]), (2, &without[1..]));
        let (read_input, read_shadow) = read(&with);
        assert_eq!(read_input.as_deref(), input);
        assert_eq!(read_shadow.len(), shadow.len());
    }
    let with = bytes(Some(input), Texts::NONE);
    // Neither may pass for the other, and no other kind has a version 2.
    let relabelled = |bytes: &[u8], version: u8| [&[version], &bytes[1..]].concat();
    assert_eq!(crate::verify::Row::decode(&relabelled(&without, 2)), None);
    assert_eq!(crate::verify::Row::decode(&relabelled(&with, 1)), None);
    // Nor is a version 2 with nothing more a second form of the same row.
    assert_eq!(crate::verify::Row::decode(&[&relabelled(&without, 2)[..], &[0; 5]].concat()), None);
}

#[test]
fn lists_encode_alike_whoever_owns_them() {
    let owned = ["a".to_owned(), "b".to_owned()];
    let shared = ["a".into(), "b".into()];
    let encoded =
        [Texts::Refs(&["a", "b"]), Texts::Strings(&owned), Texts::Shared(&shared)].map(|policies| {
            let mut out = Vec::new();
            RowRef::Decision(&DecisionRef { policies, ..decision("acme") }).encode(&mut out);
            out
        });
    assert_eq!(encoded[0], encoded[1]);
    assert_eq!(encoded[0], encoded[2]);
}

#[test]
fn a_row_over_the_limit_is_refused_and_leaves_no_trace() {
    let log = Log::new("acme", 1);
    let long = "x".repeat(ROW_BYTES_MAX);
    let row = DecisionRef { subject: &long, ..decision("acme") };
    let mut out = b"before".to_vec();
    let error = log.head.append(&RowRef::Decision(&row), &mut out).unwrap_err();
    assert!(matches!(error, RowError::TooLong { bytes } if bytes > ROW_BYTES_MAX));
    assert_eq!(out, b"before");
}

#[test]
fn a_decision_of_another_organization_does_not_verify() {
    // The writer refuses such a row; a log that holds one was not made by it.
    let mut log = Log::new("acme", 1);
    log.row(&RowRef::Decision(&decision("evil")));
    let bad = verify_with(&log.segments, &log.trust()).bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (1, crate::verify::Damage::Foreign));
}

#[test]
fn unknown_rows_do_not_verify() {
    let mut row = Vec::new();
    RowRef::Gap { time: 1, dropped: 2 }.encode(&mut row);
    let longer = [row.as_slice(), &[0]].concat();
    let (mut version, mut kind) = (row.clone(), row.clone());
    (version[0], kind[1]) = (2, 9);
    for bytes in [longer, version, kind, Vec::new(), row[..5].to_vec()] {
        let mut log = Log::new("acme", 1);
        log.put(|head, out| head.append_encoded(&bytes, out).unwrap());
        let bad = verify_with(&log.segments, &log.trust()).bad.unwrap();
        assert_eq!((bad.seq, bad.damage), (1, crate::verify::Damage::Malformed), "{bytes:?}");
    }
}

#[test]
fn records_are_listed_in_order() {
    let log = Log::sample("acme", 1);
    let rows: Vec<_> = log.segments.iter().flat_map(|bytes| records(bytes)).map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=36).collect::<Vec<_>>());
    let RowBody::Decision(first) = &rows[1].row.body else { panic!() };
    assert_eq!(
        (first.subject.as_str(), first.target.as_str(), first.verdict),
        ("alice", "tool-0-0", "permit_with_obligations")
    );
    assert_eq!(records(b"nothing").count(), 1);
    let torn = &log.segments[0][..log.segments[0].len() - 1];
    assert_eq!(records(torn).filter(Result::is_err).count(), 1);
}
