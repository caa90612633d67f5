//! What holds for every row and every change of a byte.

use std::net::IpAddr;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{collection, option};

use super::{Log, verify_with};
use crate::verify::{
    Approval, Decision, Forwarded, Hole, Lifecycle, Operator, Outcome, Report, Row, RowBody,
};
use crate::{
    ApprovalEvent, ApprovalRef, Completion, DecisionRef, ForwardedRef, Head, HoleCause, HoleRef,
    LifecycleEvent, LifecycleRef, OperatorRef, OutcomeRef, RowRef, TargetRef, Texts, Verdict, scan,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What the encoder writes, the verifier's decoder reads; so no two rows share bytes.
    #[test]
    fn rows_round_trip(row in row()) {
        let mut bytes = Vec::new();
        encode(&row, &mut bytes);
        assert_eq!(Row::decode(&bytes).as_ref(), Some(&row));
        // Nothing shorter or longer is a row.
        assert_eq!(Row::decode(&bytes[..bytes.len() - 1]), None);
        bytes.push(0);
        assert_eq!(Row::decode(&bytes), None);
    }

    #[test]
    fn every_flipped_bit_is_found_at_its_row(segment in 0_usize..3, place in any::<proptest::sample::Index>(), bit in 0_u32..8) {
        let mut log = Log::sample("acme", 1);
        let at = place.index(log.segments[segment].len());
        log.segments[segment][at] ^= 1_u8 << bit;
        let expected = log.records.iter().find(|record| record.segment == segment && at < record.end).unwrap().seq;
        assert_eq!(wrong_at(&verify_with(&log.segments, &log.trust())), Some(expected));
    }

    #[test]
    fn every_deleted_row_is_found(seq in 1_usize..=36) {
        let mut log = Log::sample("acme", 1);
        let trust = log.expecting_head();
        let place = log.records[seq - 1].clone();
        log.segments[place.segment].drain(place.start..place.end);
        assert_eq!(wrong_at(&verify_with(&log.segments, &trust)), Some(place.seq));
    }

    #[test]
    fn every_swap_is_found(first in 1_usize..36, distance in 1_usize..36) {
        let mut log = Log::sample("acme", 1);
        let second = (first + distance).min(36);
        let (a, b) = (log.records[first - 1].clone(), log.records[second - 1].clone());
        let (bytes_a, bytes_b) = (log.bytes_of(first), log.bytes_of(second));
        log.segments[b.segment].splice(b.start..b.end, bytes_a);
        log.segments[a.segment].splice(a.start..a.end, bytes_b);
        assert_eq!(wrong_at(&verify_with(&log.segments, &log.trust())), Some(a.seq));
    }

    #[test]
    fn every_repeated_row_is_found(row in 1_usize..=36, after in 1_usize..=36) {
        let mut log = Log::sample("acme", 1);
        let (bytes, place) = (log.bytes_of(row), log.records[after - 1].clone());
        log.segments[place.segment].splice(place.end..place.end, bytes);
        // A row that stands in front of itself is repeated where it stood before.
        let expected = if row == after + 1 { row + 1 } else { after + 1 };
        assert_eq!(wrong_at(&verify_with(&log.segments, &log.trust())), Some(expected as u64));
    }

    #[test]
    fn every_foreign_row_is_found(row in 1_usize..=36, replaced in 1_usize..=36) {
        let mut log = Log::sample("acme", 1);
        let (bytes, place) = (Log::sample("evil", 1).bytes_of(row), log.records[replaced - 1].clone());
        log.segments[place.segment].splice(place.start..place.end, bytes);
        assert_eq!(wrong_at(&verify_with(&log.segments, &log.trust())), Some(place.seq));
    }

    #[test]
    fn arbitrary_bytes_harm_nobody(bytes in collection::vec(any::<u8>(), 0..300), keep in 0_usize..400) {
        let log = Log::sample("acme", 1);
        let mut segment = log.segments[0].clone();
        segment.truncate(keep);
        segment.extend_from_slice(&bytes);
        let report = verify_with(&[bytes.clone(), segment.clone()], &log.trust());
        assert!(!report.is_intact());
        let _ = (scan(&bytes), scan(&segment), Row::decode(&bytes), crate::verify::records(&segment).count());
    }
}

/// The row at which something is wrong, be it bad or torn.
fn wrong_at(report: &Report) -> Option<u64> {
    report.bad.as_ref().map(|bad| bad.seq).or(report.torn_tail.as_ref().map(|torn| torn.seq))
}

fn row() -> impl Strategy<Value = Row> {
    prop_oneof![4 => plain_row(), 1 => forwarded()]
}

/// A gateway's row within another chain.
fn forwarded() -> impl Strategy<Value = Row> {
    (any::<u64>(), text(), any::<[u8; 16]>(), any::<u64>(), any::<[u8; 32]>(), plain_row()).prop_filter_map(
        "operators do not act in gateways",
        |(time, gateway, log, seq, previous, row)| {
            let mut bytes = Vec::new();
            encode(&row, &mut bytes);
            let hash = Head { seq: seq.wrapping_sub(1), hash: previous }.after(&bytes).hash;
            let inner = !matches!(row.body, RowBody::Operator(_) | RowBody::Hole(_));
            let body = RowBody::Forwarded(Box::new(Forwarded { gateway, log, seq, previous, hash, row }));
            inner.then_some(Row { time, body })
        },
    )
}

fn hole() -> impl Strategy<Value = Hole> {
    let numbers = (any::<u32>(), 1_u32..);
    let cause = prop_oneof![Just("lost"), Just("elsewhere")];
    (".{0,8}", any::<[u8; 16]>(), numbers, any::<[u8; 32]>(), cause).prop_map(
        |(gateway, log, (after, rows), hash, cause)| {
            let after = u64::from(after);
            Hole { gateway, log, after, up_to: after + u64::from(rows), hash, cause }
        },
    )
}

/// Boxed: the strategies of all kinds in one value are large.
fn plain_row() -> proptest::strategy::BoxedStrategy<Row> {
    let body = prop_oneof![
        operator().prop_map(|operator| RowBody::Operator(Box::new(operator))).boxed(),
        hole().prop_map(|hole| RowBody::Hole(Box::new(hole))).boxed(),
        decision().prop_map(|decision| RowBody::Decision(Box::new(decision))).boxed(),
        outcome().prop_map(RowBody::Outcome),
        lifecycle().prop_map(RowBody::Lifecycle),
        any::<u64>().prop_map(|dropped| RowBody::Gap { dropped }),
        approval().prop_map(|approval| RowBody::Approval(Box::new(approval))),
    ];
    (any::<u64>(), body).prop_map(|(time, body)| Row { time, body }).boxed()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", "[\u{0}a-c]{0,4}", Just(String::new())]
}

fn decision() -> impl Strategy<Value = Decision> {
    let who = (any::<[u8; 16]>(), [text(), text(), text(), text(), text()], any::<IpAddr>());
    let what = (text(), text(), 0_usize..4, text(), 0_usize..3, text());
    let why = (collection::vec(text(), 0..4), option::of(text()), collection::vec(text(), 0..4));
    let digest = option::of(any::<[u8; 32]>());
    let more = (option::of(text()), collection::vec(text(), 0..3));
    let by = (any::<u64>(), any::<[u8; 32]>(), any::<bool>(), digest, text(), more);
    (who, what, why, by).prop_map(|(who, what, why, by)| {
        let (request_id, [organization, workspace, environment, subject, auth_method], source) = who;
        let (binding, method, target_kind, target, verdict, engine) = what;
        let (policies, deny_code, obligations) = why;
        let (revision, revision_digest, cached, arguments_digest, protocol, (input, shadow)) = by;
        let target_kind = ["binding", "tool", "resource", "prompt"][target_kind];
        let target = if target_kind == "binding" { String::new() } else { target };
        let verdict = ["permit", "permit_with_obligations", "deny"][verdict];
        Decision {
            request_id,
            organization,
            workspace,
            environment,
            subject,
            auth_method,
            source,
            binding,
            method,
            target_kind,
            target,
            verdict,
            engine,
            policies,
            deny_code,
            obligations,
            revision,
            revision_digest,
            cached,
            arguments_digest,
            protocol,
            input,
            shadow,
        }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let completion =
        proptest::sample::select(vec!["complete", "client_aborted", "upstream_error", "withheld"]);
    (any::<[u8; 16]>(), any::<u16>(), any::<u64>(), any::<u64>(), completion).prop_map(
        |(request_id, http_status, response_bytes, duration_us, completion)| Outcome {
            request_id,
            http_status,
            response_bytes,
            duration_us,
            completion,
        },
    )
}

fn approval() -> impl Strategy<Value = Approval> {
    let said = (option::of(text()), option::of(text()));
    (any::<[u8; 16]>(), text(), 0..EVENTS.len(), text(), said, any::<[u8; 32]>()).prop_map(
        |(request_id, approval, event, gate, (by, reason), bound)| Approval {
            request_id,
            approval,
            event: EVENTS[event].0,
            gate,
            by,
            reason,
            bound,
        },
    )
}

fn operator() -> impl Strategy<Value = Operator> {
    let texts = [text(), text(), text(), text(), text(), text()];
    (any::<[u8; 16]>(), texts, option::of(any::<IpAddr>())).prop_map(|(request_id, texts, source)| {
        let [organization, subject, auth_method, action, target, details] = texts;
        Operator { request_id, organization, subject, auth_method, source, action, target, details }
    })
}

const EVENTS: [(&str, ApprovalEvent); 6] = [
    ("asked", ApprovalEvent::Asked),
    ("approved", ApprovalEvent::Approved),
    ("denied", ApprovalEvent::Denied),
    ("expired", ApprovalEvent::Expired),
    ("cancelled", ApprovalEvent::Cancelled),
    ("failed", ApprovalEvent::Failed),
];

fn lifecycle() -> impl Strategy<Value = Lifecycle> {
    prop_oneof![
        (text(), text()).prop_map(|(instance, version)| Lifecycle::Started { instance, version }),
        Just(Lifecycle::Stopped),
        any::<(u64, [u8; 32])>()
            .prop_map(|(revision, digest)| Lifecycle::RevisionSwapped { revision, digest }),
        text().prop_map(|reason| Lifecycle::RevisionRefused { reason }),
        (text(), any::<(u64, u64, [u8; 32])>()).prop_map(|(segment, (offset, bytes, digest))| {
            Lifecycle::TailRecovered { segment, offset, bytes, digest }
        }),
        (text(), any::<(u64, u64)>()).prop_map(|(cause, (refused, lost))| Lifecycle::Resumed {
            cause,
            refused,
            lost
        }),
    ]
}

/// The row as the writing half takes it.
fn encode(row: &Row, out: &mut Vec<u8>) {
    let time = row.time;
    match &row.body {
        RowBody::Decision(decision) => encode_decision(time, decision, out),
        RowBody::Outcome(outcome) => RowRef::Outcome(OutcomeRef {
            time,
            request_id: outcome.request_id,
            http_status: outcome.http_status,
            response_bytes: outcome.response_bytes,
            duration_us: outcome.duration_us,
            completion: match outcome.completion {
                "complete" => Completion::Complete,
                "client_aborted" => Completion::ClientAborted,
                "upstream_error" => Completion::UpstreamError,
                _ => Completion::Withheld,
            },
        })
        .encode(out),
        RowBody::Approval(approval) => RowRef::Approval(&ApprovalRef {
            time,
            request_id: approval.request_id,
            approval: &approval.approval,
            event: EVENTS.iter().find(|(name, _)| *name == approval.event).unwrap().1,
            gate: &approval.gate,
            by: approval.by.as_deref(),
            reason: approval.reason.as_deref(),
            bound: approval.bound,
        })
        .encode(out),
        RowBody::Lifecycle(event) => {
            RowRef::Lifecycle(LifecycleRef { time, event: event_ref(event) }).encode(out);
        }
        RowBody::Gap { dropped } => RowRef::Gap { time, dropped: *dropped }.encode(out),
        RowBody::Operator(operator) => RowRef::Operator(&OperatorRef {
            time,
            request_id: operator.request_id,
            organization: &operator.organization,
            subject: &operator.subject,
            auth_method: &operator.auth_method,
            source: operator.source,
            action: &operator.action,
            target: &operator.target,
            details: &operator.details,
        })
        .encode(out),
        RowBody::Forwarded(forwarded) => {
            let mut inner = Vec::new();
            encode(&forwarded.row, &mut inner);
            RowRef::Forwarded(&ForwardedRef {
                time,
                gateway: &forwarded.gateway,
                log: forwarded.log,
                seq: forwarded.seq,
                previous: forwarded.previous,
                row: &inner,
            })
            .encode(out);
        }
        RowBody::Hole(hole) => RowRef::Hole(&HoleRef {
            time,
            gateway: &hole.gateway,
            log: hole.log,
            after: hole.after,
            up_to: hole.up_to,
            hash: hole.hash,
            cause: if hole.cause == "lost" { HoleCause::Lost } else { HoleCause::Elsewhere },
        })
        .encode(out),
        RowBody::Checkpoint(_) => unreachable!("not generated"),
    }
}

fn encode_decision(time: u64, decision: &Decision, out: &mut Vec<u8>) {
    let name = decision.target.as_str();
    RowRef::Decision(&DecisionRef {
        time,
        request_id: decision.request_id,
        organization: &decision.organization,
        workspace: &decision.workspace,
        environment: &decision.environment,
        subject: &decision.subject,
        auth_method: &decision.auth_method,
        source: decision.source,
        binding: &decision.binding,
        method: &decision.method,
        target: match decision.target_kind {
            "binding" => TargetRef::Binding,
            "tool" => TargetRef::Tool(name),
            "resource" => TargetRef::Resource(name),
            _ => TargetRef::Prompt(name),
        },
        verdict: match decision.verdict {
            "permit" => Verdict::Permit,
            "deny" => Verdict::Deny,
            _ => Verdict::PermitWithObligations,
        },
        engine: &decision.engine,
        policies: Texts::Strings(&decision.policies),
        deny_code: decision.deny_code.as_deref(),
        obligations: Texts::Strings(&decision.obligations),
        revision: decision.revision,
        revision_digest: decision.revision_digest,
        cached: decision.cached,
        arguments_digest: decision.arguments_digest,
        protocol: &decision.protocol,
        input: decision.input.as_deref(),
        shadow: Texts::Strings(&decision.shadow),
    })
    .encode(out);
}

fn event_ref(event: &Lifecycle) -> LifecycleEvent<'_> {
    match event {
        Lifecycle::Started { instance, version } => LifecycleEvent::Started { instance, version },
        Lifecycle::Stopped => LifecycleEvent::Stopped,
        Lifecycle::RevisionSwapped { revision, digest } => {
            LifecycleEvent::RevisionSwapped { revision: *revision, digest: *digest }
        }
        Lifecycle::RevisionRefused { reason } => LifecycleEvent::RevisionRefused { reason },
        Lifecycle::TailRecovered { segment, offset, bytes, digest } => {
            LifecycleEvent::TailRecovered { segment, offset: *offset, bytes: *bytes, digest: *digest }
        }
        Lifecycle::Resumed { cause, refused, lost } => {
            LifecycleEvent::Resumed { cause, refused: *refused, lost: *lost }
        }
    }
}
