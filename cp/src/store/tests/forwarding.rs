//! The logs of gateways in the chain of their organization: taken over once, at the right place, counted once.

use std::borrow::Cow;

use ed25519_dalek::SigningKey;
use mcpg_ledger::{
    ChainId, Completion, DecisionRef, Head, HoleCause, OutcomeRef, RowRef, TargetRef, Texts, Verdict,
};

use super::audit::{all_rows, verified};
use super::bench::{Bench, alice, display, slug};
use super::publishing::{enrolled, enrolled_by, tree};
use crate::store::{
    AuditQuery, Entry, Forward, Gateway, Missing, Page, StoreError, UsageCounts, UsageKey, UsageQuery, Write,
};

/// A gateway's log.
#[derive(Clone)]
pub(super) struct GatewayLog {
    organization: &'static str,
    id: ChainId,
    entries: Vec<Entry<'static>>,
    heads: Vec<Head>,
}

impl GatewayLog {
    pub(super) fn new(organization: &'static str, id: ChainId) -> Self {
        let heads = vec![Head::genesis(organization, &id)];
        Self { organization, id, entries: Vec::new(), heads }
    }

    /// So many decisions, all alike.
    pub(super) fn of_decisions(organization: &'static str, rows: u64) -> Self {
        let mut log = Self::new(organization, [5; 16]);
        (0..rows).for_each(|number| log.decision(number, "prod", "user:bob@acme.com", Verdict::Deny));
        log
    }

    pub(super) fn decision(&mut self, number: u64, environment: &str, subject: &str, verdict: Verdict) {
        self.decision_at(1_700_000_000_000_000_000 + number, number, environment, subject, verdict);
    }

    pub(super) fn decision_at(
        &mut self,
        time: u64,
        number: u64,
        environment: &str,
        subject: &str,
        verdict: Verdict,
    ) {
        self.row(&RowRef::Decision(&DecisionRef {
            time,
            request_id: request(number),
            organization: self.organization,
            workspace: "team",
            environment,
            subject,
            auth_method: "oidc",
            source: [192, 0, 2, 7].into(),
            binding: "github",
            method: "tools/call",
            target: TargetRef::Tool("delete_repo"),
            verdict,
            engine: "cedar",
            policies: Texts::NONE,
            deny_code: None,
            obligations: Texts::NONE,
            revision: number,
            revision_digest: [2; 32],
            cached: false,
            arguments_digest: None,
            protocol: "2025-06-18",
            input: None,
            shadow: Texts::NONE,
        }));
    }

    pub(super) fn outcome(&mut self, number: u64, http_status: u16) {
        self.row(&RowRef::Outcome(OutcomeRef {
            time: 1_700_000_001_000_000_000,
            request_id: request(number),
            http_status,
            response_bytes: 100,
            duration_us: 7,
            completion: Completion::Complete,
        }));
    }

    fn row(&mut self, row: &RowRef<'_>) {
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        self.heads.push(self.heads.last().unwrap().after(&bytes));
        self.entries.push(Entry::Row(Cow::Owned(bytes)));
    }

    /// From behind one row to another.
    pub(super) fn stretch(&self, from: usize, to: usize) -> Forward<'_> {
        let (log, previous, last) = (self.id, self.heads[from], self.heads[to].hash);
        Forward { log, previous, entries: &self.entries[from..to], last }
    }

    /// The rows from behind one to another as a hole.
    fn hole(&self, from: usize, to: usize, cause: HoleCause) -> Entry<'static> {
        Entry::Missing(Missing { rows: (to - from) as u64, hash: self.heads[to].hash, cause })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn all(&self) -> Forward<'_> {
        self.stretch(0, self.entries.len())
    }
}

fn request(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

async fn forward(bench: &Bench, gateway: &Gateway, stretch: Forward<'_>) -> Result<(u64, usize), StoreError> {
    let mut write = bench.write().await;
    let forwarded = write.forward(&gateway.id, &stretch).await?;
    write.commit().await?;
    Ok((forwarded.kept.seq, forwarded.added))
}

/// Signs the chain and has all of it verified.
async fn is_whole(bench: &Bench) -> mcpg_ledger::verify::Report {
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut write = bench.write().await;
    write.sign_head(&key).await.unwrap();
    write.commit().await.unwrap();
    let report = verified(&bench.acme(), &key, false).await;
    assert!(report.is_intact(), "{report}");
    report
}

/// Kind, workspace and environment of the rows of gateways.
async fn places(bench: &Bench) -> Vec<(String, Option<String>, Option<String>)> {
    let mut rows = all_rows(&bench.acme()).await;
    rows.retain(|row| row.gateway_id.is_some());
    let gateway = |row: &crate::store::AuditRow| row.gateway_id.as_ref().map(ToString::to_string);
    rows.iter().map(|row| (row.kind.clone(), row.environment.clone(), gateway(row))).collect()
}

async fn usage(bench: &Bench) -> Vec<(UsageKey, UsageCounts)> {
    let query = UsageQuery {
        until: i64::MAX,
        by_environment: true,
        by_tool: true,
        by_caller: true,
        limit: 100_000,
        ..UsageQuery::default()
    };
    bench.acme().read().await.unwrap().usage(&query).await.unwrap()
}

pub(super) async fn logs_are_taken_over_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let log = GatewayLog::of_decisions("acme", 10);
    let nothing = Head::genesis("acme", &log.id);
    assert_eq!(forward(&bench, &gateway, log.stretch(0, 0)).await.unwrap(), (0, 0), "who asks is told");
    assert!(matches!(
        forward(&bench, &gateway, log.stretch(1, 3)).await,
        Err(StoreError::OutOfOrder { kept }) if kept == nothing
    ));
    assert_eq!(forward(&bench, &gateway, log.stretch(0, 3)).await.unwrap(), (3, 3));
    // Again, overlapping, behind, asking.
    assert_eq!(forward(&bench, &gateway, log.stretch(0, 3)).await.unwrap(), (3, 0));
    assert_eq!(forward(&bench, &gateway, log.stretch(1, 5)).await.unwrap(), (5, 2));
    assert_eq!(forward(&bench, &gateway, log.stretch(0, 2)).await.unwrap(), (5, 0));
    assert_eq!(forward(&bench, &gateway, log.stretch(0, 0)).await.unwrap(), (5, 0));
    assert!(matches!(
        forward(&bench, &gateway, log.stretch(6, 7)).await,
        Err(StoreError::OutOfOrder { kept }) if kept == log.heads[5]
    ));
    assert_eq!(forward(&bench, &gateway, log.stretch(5, 8)).await.unwrap(), (8, 3));

    // Another history by the same numbers, a hash that does not fit, bytes that are no row, or a control plane's.
    let mut fork =
        GatewayLog { entries: log.entries[..7].to_vec(), heads: log.heads[..8].to_vec(), ..log.clone() };
    (0..3).for_each(|number| fork.decision(number, "prod", "user:eve@acme.com", Verdict::Permit));
    let forked = forward(&bench, &gateway, fork.stretch(6, 9)).await;
    assert!(matches!(forked, Err(StoreError::Forked { seq: 8 })), "{forked:?}");
    let wrong = Forward { last: [0; 32], ..log.stretch(8, 9) };
    assert!(matches!(forward(&bench, &gateway, wrong).await, Err(StoreError::Invalid { .. })));
    let mut operator = Vec::new();
    RowRef::Hole(&mcpg_ledger::HoleRef {
        time: 1,
        gateway: "gw",
        log: log.id,
        after: 8,
        up_to: 9,
        hash: [0; 32],
        cause: HoleCause::Lost,
    })
    .encode(&mut operator);
    for bytes in [b"garbage".to_vec(), operator] {
        let last = log.heads[8].after(&bytes).hash;
        let entries = [Entry::Row(Cow::Owned(bytes))];
        let wrong = Forward { entries: &entries, last, ..log.stretch(8, 9) };
        assert!(matches!(forward(&bench, &gateway, wrong).await, Err(StoreError::Invalid { .. })));
    }
    found_by_what_they_say(&bench).await;
    assert_eq!(is_whole(&bench).await.forwarded, 8);
}

async fn found_by_what_they_say(bench: &Bench) {
    let mut read = bench.acme().read().await.unwrap();
    let query = AuditQuery { kind: Some("decision".to_owned()), newest_first: true, ..AuditQuery::default() };
    let found = read.audit_rows(&query, &Page::first(2)).await.unwrap();
    let first = &found.items[0];
    assert_eq!(
        (first.subject.as_deref(), first.target.as_deref(), first.verdict.as_deref()),
        (Some("user:bob@acme.com"), Some("delete_repo"), Some("deny"))
    );
    assert!(first.seq > found.items[1].seq);
    let next = read.audit_rows(&query, &Page { after: found.next, limit: 1000 }).await.unwrap();
    assert_eq!((next.items.len(), next.next), (6, None));
    for query in [
        AuditQuery { verdict: Some("permit".to_owned()), ..query.clone() },
        AuditQuery { environment: Some("dev".to_owned()), ..query.clone() },
        AuditQuery { until: Some(1_700_000_000_000), ..query.clone() },
        AuditQuery { from: Some(1_700_000_000_001), ..query },
    ] {
        assert_eq!(read.audit_rows(&query, &Page::default()).await.unwrap().items, [], "{query:?}");
    }
}

pub(super) async fn replicas_take_over_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let replica = bench.replica().await;
    let log = GatewayLog::of_decisions("acme", 60);
    let mut senders = Vec::new();
    for store in [&bench.store, &replica, &bench.store, &replica] {
        let (scoped, log, id) = (store.scope(bench.acme.id.clone()), log.clone(), gateway.id.clone());
        senders.push(tokio::spawn(async move {
            // Each sends all of it in small stretches, from where it is told to.
            let mut kept = 0;
            while kept < 60 {
                let to = (kept + 7).min(60);
                let mut write = scoped.begin(alice()).await.unwrap();
                let outcome = match write.forward(&id, &log.stretch(kept, to)).await {
                    Ok(forwarded) => write.commit().await.map(|()| forwarded.kept),
                    Err(StoreError::OutOfOrder { kept }) => Ok(kept),
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(head) => kept = usize::try_from(head.seq).unwrap(),
                    Err(error) => assert!(error.may_be_retried(), "{error:?}"),
                }
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(is_whole(&bench).await.forwarded, 60);
    let [(_, counts)] = usage(&bench).await.try_into().unwrap();
    assert_eq!((counts.calls, counts.denied), (60, 60), "counted once too");
    replica.close().await;
}

pub(super) async fn a_foreign_log_is_not_taken_over(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    // The log of another organization does not begin where one of this does, nor do its rows belong here.
    let log = GatewayLog::of_decisions("evil", 2);
    let forked = forward(&bench, &gateway, log.all()).await;
    assert!(matches!(forked, Err(StoreError::Forked { seq: 0 })), "{forked:?}");
    let mut behind = GatewayLog::new("acme", log.id);
    behind.entries = vec![log.hole(0, 1, HoleCause::Lost), log.entries[1].clone()];
    behind.heads.extend([log.heads[1], log.heads[2]]);
    let foreign = forward(&bench, &gateway, behind.all()).await;
    assert!(matches!(foreign, Err(StoreError::Invalid { .. })), "{foreign:?}");
    // A gateway of another organization does not exist, and a retired one no longer.
    let log = GatewayLog::of_decisions("acme", 2);
    let mut evil = bench.evil().begin(alice()).await.unwrap();
    let unknown = evil.forward(&gateway.id, &log.all()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
    drop(evil);
    let mut write = bench.write().await;
    write.retire_gateway(&gateway.id).await.unwrap();
    write.commit().await.unwrap();
    let retired = forward(&bench, &gateway, log.all()).await;
    assert!(matches!(retired, Err(StoreError::NotFound)), "{retired:?}");
    assert_eq!(is_whole(&bench).await.forwarded, 0);
}

pub(super) async fn holes_are_rows(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let log = GatewayLog::of_decisions("acme", 12);
    let send = async |entries: &[Entry<'static>], from: usize, to: usize| {
        let stretch = Forward { entries, ..log.stretch(from, to) };
        forward(&bench, &gateway, stretch).await
    };
    // What was removed before it was sent; what is not for this control plane, in two parts.
    let entries = [
        log.hole(0, 3, HoleCause::Lost),
        log.entries[3].clone(),
        log.hole(4, 5, HoleCause::Elsewhere),
        log.hole(5, 6, HoleCause::Elsewhere),
    ];
    assert_eq!(send(&entries, 0, 6).await.unwrap(), (6, 4));
    // A hole that reaches over what is known is one from there on.
    assert_eq!(send(&[log.hole(2, 8, HoleCause::Lost), log.entries[8].clone()], 2, 9).await.unwrap(), (9, 2));
    for rows in [0, u64::MAX] {
        let nonsense = Entry::Missing(Missing { rows, hash: log.heads[10].hash, cause: HoleCause::Lost });
        let refused = send(&[nonsense], 9, 10).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{rows}: {refused:?}");
    }
    let report = is_whole(&bench).await;
    assert_eq!((report.forwarded, report.not_forwarded), (2, [3 + 2, 2]));
    let kinds: Vec<String> = places(&bench).await.into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["hole", "decision", "hole", "hole", "decision"]);
}

pub(super) async fn rows_go_to_their_environment(bench: Bench) {
    let (team, prod) = tree(&bench).await;
    let mut write = bench.write().await;
    let dev = write.create_environment(&team, &slug("dev"), &display("Dev")).await.unwrap();
    write.create_environment(&team, &slug("lab"), &display("Lab")).await.unwrap();
    write.commit().await.unwrap();
    // One instance in two environments of three; another one in the third.
    let in_prod = enrolled(&bench, &prod, "gw").await;
    let in_dev = enrolled(&bench, &dev, "gw-dev").await;
    let mut log = GatewayLog::new("acme", [6; 16]);
    log.row(&RowRef::Gap { time: 1, dropped: 1 });
    for (number, environment) in [(1, "prod"), (2, "dev"), (3, "lab"), (4, "prod")] {
        log.decision(number, environment, "user:bob@acme.com", Verdict::Permit);
    }
    [3, 2, 1].into_iter().for_each(|number| log.outcome(number, 200));
    // By whichever enrolment they come, they go where they say, and nowhere else.
    assert_eq!(forward(&bench, &in_dev, log.stretch(0, 3)).await.unwrap(), (3, 3));
    assert_eq!(forward(&bench, &in_prod, log.stretch(3, 7)).await.unwrap(), (7, 4));
    assert_eq!(forward(&bench, &in_dev, log.stretch(7, 8)).await.unwrap(), (8, 1));
    let (prod, dev) = (Some(in_prod.id.to_string()), Some(in_dev.id.to_string()));
    let at = |kind: &str, environment: &str, gateway: &Option<String>| {
        (kind.to_owned(), Some(environment.to_owned()), gateway.clone())
    };
    let expected = [
        // About the log as a whole, from whoever sent it.
        ("gap".to_owned(), None, dev.clone()),
        at("decision", "prod", &prod),
        at("decision", "dev", &dev),
        ("hole".to_owned(), None, prod.clone()),
        at("decision", "prod", &prod),
        ("hole".to_owned(), None, prod.clone()),
        at("outcome", "dev", &dev),
        at("outcome", "prod", &prod),
    ];
    assert_eq!(places(&bench).await, expected);
    assert_eq!(is_whole(&bench).await.not_forwarded, [0, 2]);
    // Once it is enrolled there no more, nothing is taken for it.
    let mut write = bench.write().await;
    write.retire_gateway(&in_dev.id).await.unwrap();
    write.commit().await.unwrap();
    log.decision(9, "dev", "user:bob@acme.com", Verdict::Permit);
    log.row(&RowRef::Gap { time: 1, dropped: 1 });
    assert_eq!(forward(&bench, &in_prod, log.stretch(8, 10)).await.unwrap(), (10, 2));
    let expected = [("hole".to_owned(), Some("prod".to_owned()), prod.clone()), at("gap", "prod", &prod)];
    assert_eq!(places(&bench).await[8..], expected);
}

pub(super) async fn a_log_is_one_instance_s(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let first = enrolled_by(&bench, &prod, "gw-1", [1; 32]).await;
    let second = enrolled_by(&bench, &prod, "gw-2", [2; 32]).await;
    let log = GatewayLog::of_decisions("acme", 6);
    assert_eq!(forward(&bench, &first, log.stretch(0, 3)).await.unwrap(), (3, 3));
    for stretch in [log.stretch(0, 0), log.stretch(0, 3), log.stretch(3, 5)] {
        let refused = forward(&bench, &second, stretch).await;
        assert!(matches!(refused, Err(StoreError::OtherGateway)), "{refused:?}");
    }
    // A machine that enrolled anew, with the log that it had, once the old enrolment is retired.
    let mut write = bench.write().await;
    write.retire_gateway(&first.id).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(forward(&bench, &second, log.stretch(3, 5)).await.unwrap(), (5, 2));
    assert_eq!(is_whole(&bench).await.logs, 1);
}

pub(super) async fn calls_are_counted_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let mut log = GatewayLog::new("acme", [7; 16]);
    log.decision(1, "prod", "alice", Verdict::Permit);
    log.decision(2, "prod", "bob", Verdict::Deny);
    log.outcome(1, 200);
    log.decision(3, "prod", "alice", Verdict::PermitWithObligations);
    log.decision(4, "prod", "eve\nil", Verdict::Permit);
    log.outcome(4, 502);
    log.outcome(3, 200);
    log.outcome(3, 200);
    for (from, to) in [(0, 2), (0, 2), (1, 5), (4, 8), (0, 8)] {
        forward(&bench, &gateway, log.stretch(from, to)).await.unwrap();
    }
    let found = usage(&bench).await;
    let found: Vec<_> =
        found.iter().map(|(key, counts)| (key.tool.as_str(), key.caller.as_str(), *counts)).collect();
    let counts = |calls, denied, failed, ended: i64| UsageCounts {
        calls,
        denied,
        failed,
        bytes: 100 * ended,
        duration_us: 7 * ended,
    };
    let tool = "github.delete_repo";
    assert_eq!(
        found,
        [
            (tool, "(other)", counts(1, 0, 1, 1)),
            (tool, "alice", counts(2, 0, 0, 2)),
            (tool, "bob", counts(1, 1, 0, 0)),
        ]
    );
    let sweep = bench.store.sweep("here").await.unwrap();
    assert_eq!(sweep, Some(0), "no call waits");
}

pub(super) async fn names_are_bounded(bench: Bench) {
    let counts = UsageCounts { calls: 1, ..UsageCounts::default() };
    let key = |number: usize| UsageKey {
        hour: 0,
        workspace: "team".to_owned(),
        environment: "prod".to_owned(),
        tool: format!("tool-{number}"),
        caller: "alice".to_owned(),
    };
    let add = async |numbers: std::ops::Range<usize>| {
        let mut write: Write = bench.write().await;
        let used: Vec<_> = numbers.map(|number| (key(number), counts)).collect();
        write.add_usage(&used).await.unwrap();
        write.commit().await.unwrap();
    };
    add(0..9_990).await;
    add(9_980..10_010).await;
    let found = usage(&bench).await;
    let sum: i64 = found.iter().map(|(_, counts)| counts.calls).sum();
    assert_eq!((found.len(), sum), (9_991, 9_990 + 30), "nothing is lost");
    let other = found.iter().find(|(key, _)| key.tool == "(other)").unwrap();
    assert_eq!((other.0.caller.as_str(), other.1.calls), ("(other)", 20));
    let again = found.iter().find(|(found, _)| *found == key(9_985)).map(|(_, counts)| counts.calls);
    assert_eq!(again, Some(2));
    // What is kept of all callers together is the same.
    let of = |(key, counts): &(UsageKey, UsageCounts)| (key.tool.clone(), counts.calls);
    let mut by_caller: Vec<_> = found.iter().map(of).collect();
    by_caller.sort();
    let query = UsageQuery { until: i64::MAX, by_tool: true, limit: 100_000, ..UsageQuery::default() };
    let by_tool = bench.acme().read().await.unwrap().usage(&query).await.unwrap();
    assert_eq!(by_tool.iter().map(of).collect::<Vec<_>>(), by_caller);
}
