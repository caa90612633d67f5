//! A gateway's rows within the chain of its organization.

use super::{Log, decision, verify_with};
use crate::verify::Damage;
use crate::{ChainId, ForwardedRef, Head, OperatorRef, RowRef};

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
    assert_eq!(check(&[at(0), at(1), at(4)]), None, "a hole is open to see");
    assert!(matches!(check(&[at(0), at(1), at(1)]), Some((3, Damage::Repeated { .. }))));
    assert!(matches!(check(&[at(1), at(0)]), Some((2, Damage::Repeated { .. }))));
    let spliced = (Claim { seq: 2, previous: [0; 32] }, row.clone());
    assert_eq!(check(&[at(0), spliced]), Some((2, Damage::Foreign)));
}

#[test]
fn rows_of_another_organization_do_not_belong_here() {
    let claim = || Claim { seq: 1, previous: [0; 32] };
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
    assert_eq!(check(&[(Claim { seq: 1, previous: [0; 32] }, row)]), None);
}
