//! A gateway's rows within the chain of its organization.

use super::{Log, decision, verify_with};
use crate::verify::Damage;
use crate::{ChainId, ForwardedRef, Head, HoleCause, HoleRef, OperatorRef, RowRef};

const LOG: ChainId = [8; 16];

/// What a forwarded row says beside the row in it.
struct Claim {
    seq: u64,
    previous: [u8; 32],
}

fn bytes(row: &RowRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    row.encode(&mut bytes);
    bytes
}

/// Forwards rows into an organization's chain and has it verified.
fn check(rows: &[(Claim, Vec<u8>)]) -> Option<(u64, Damage)> {
    let mut log = Log::new("acme", 1);
    for (claim, row) in rows {
        log.row(&RowRef::Forwarded(&ForwardedRef {
            time: 1,
            gateway: "gw",
            log: LOG,
            seq: claim.seq,
            previous: claim.previous,
            row,
        }));
    }
    verify_with(&log.segments, &log.trust()).bad.map(|bad| (bad.seq, bad.damage))
}

#[test]
fn forwarded_rows_continue_their_log() {
    let row = bytes(&RowRef::Decision(&decision("acme")));
    let heads: Vec<Head> =
        std::iter::successors(Some(Head::genesis("acme", &LOG)), |head| Some(head.after(&row)))
            .take(6)
            .collect();
    let at = |index: usize| {
        let head: &Head = &heads[index];
        (Claim { seq: head.seq + 1, previous: head.hash }, row.clone())
    };
    assert_eq!(check(&[at(0), at(1), at(2)]), None);
    let missing = Damage::Unaccounted { log: LOG, after: 2 };
    assert_eq!(check(&[at(0), at(1), at(4)]), Some((3, missing)), "a hole that no row tells of");
    assert_eq!(check(&[at(1)]), Some((1, Damage::Unaccounted { log: LOG, after: 0 })));
    let elsewhere = (Claim { seq: 1, previous: Head::genesis("evil", &LOG).hash }, row.clone());
    assert_eq!(check(&[elsewhere]), Some((1, Damage::Foreign)));
    assert!(matches!(check(&[at(0), at(1), at(1)]), Some((3, Damage::Repeated { .. }))));
    assert!(matches!(check(&[at(0), at(1), at(0)]), Some((3, Damage::Repeated { .. }))));
    let spliced = (Claim { seq: 2, previous: [0; 32] }, row.clone());
    assert_eq!(check(&[at(0), spliced]), Some((2, Damage::Foreign)));
}

#[test]
fn holes_are_told() {
    let row = bytes(&RowRef::Gap { time: 1, dropped: 1 });
    let head = |seq: u64| (0..seq).fold(Head::genesis("acme", &LOG), |head, _| head.after(&row));
    let forwarded = |log: &mut Log, seq: u64, gateway: &str| {
        let previous = head(seq - 1).hash;
        log.row(&RowRef::Forwarded(&ForwardedRef { time: 1, gateway, log: LOG, seq, previous, row: &row }));
    };
    let hole = |log: &mut Log, after: u64, up_to: u64, cause: HoleCause| {
        let hash = head(up_to).hash;
        log.row(&RowRef::Hole(&HoleRef { time: 1, gateway: "gw", log: LOG, after, up_to, hash, cause }));
    };
    let mut log = Log::new("acme", 1);
    hole(&mut log, 0, 4, HoleCause::Lost);
    forwarded(&mut log, 5, "gw");
    hole(&mut log, 5, 6, HoleCause::Elsewhere);
    hole(&mut log, 6, 8, HoleCause::Elsewhere);
    // Another instance goes on with the log.
    forwarded(&mut log, 9, "gw-2");
    let report = verify_with(&log.segments, &log.trust());
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.forwarded, report.logs, report.not_forwarded), (2, 1, [4, 3]));
    assert!(report.to_string().contains("lost before they were sent: 4"), "{report}");
    // Neither over each other nor over rows.
    for (after, up_to) in [(8, 9), (9, 8), (10, 11)] {
        let mut log = Log::new("acme", 1);
        hole(&mut log, 0, 9, HoleCause::Lost);
        hole(&mut log, after, up_to, HoleCause::Lost);
        let bad = verify_with(&log.segments, &log.trust()).bad.unwrap();
        assert_eq!(bad.seq, 2, "{after} to {up_to}: {bad}");
    }
}

#[test]
fn rows_of_another_organization_do_not_belong_here() {
    let claim = || Claim { seq: 1, previous: Head::genesis("acme", &LOG).hash };
    let foreign = bytes(&RowRef::Decision(&decision("evil")));
    assert_eq!(check(&[(claim(), foreign)]), Some((1, Damage::Foreign)));
    let operator = OperatorRef {
        time: 1,
        request_id: [0; 16],
        organization: "evil",
        subject: "alice@acme.com",
        auth_method: "token",
        source: None,
        action: "org.update",
        target: "org/evil",
        details: "{}",
    };
    let mut log = Log::new("acme", 1);
    log.row(&RowRef::Operator(&operator));
    let bad = verify_with(&log.segments, &log.trust()).bad.unwrap();
    assert_eq!((bad.seq, bad.damage), (1, Damage::Foreign));
    // Neither an operator's row nor a forwarded one comes from a gateway.
    let operator = bytes(&RowRef::Operator(&OperatorRef { organization: "acme", ..operator }));
    assert_eq!(check(&[(claim(), operator)]), Some((1, Damage::Malformed)));
    let row = bytes(&RowRef::Gap { time: 1, dropped: 1 });
    let nested = ForwardedRef { time: 1, gateway: "gw", log: LOG, seq: 1, previous: [0; 32], row: &row };
    assert_eq!(check(&[(claim(), bytes(&RowRef::Forwarded(&nested)))]), Some((1, Damage::Malformed)));
}

#[test]
fn the_largest_row_can_be_forwarded() {
    let fill = crate::ROW_BYTES_MAX
        - bytes(&RowRef::Decision(&crate::DecisionRef { subject: "", ..decision("acme") })).len();
    let long = "x".repeat(fill);
    let row = bytes(&RowRef::Decision(&crate::DecisionRef { subject: &long, ..decision("acme") }));
    assert_eq!(row.len(), crate::ROW_BYTES_MAX);
    assert_eq!(check(&[(Claim { seq: 1, previous: Head::genesis("acme", &LOG).hash }, row)]), None);
}
