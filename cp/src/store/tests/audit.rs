//! The chain of each organization: one for all writers, taken over once, signed, verifiable from what is left.

use std::borrow::Cow;

use ed25519_dalek::SigningKey;
use mcpg_ledger::verify::{Damage, Report, Trust, verify};
use mcpg_ledger::{DecisionRef, Head, RowRef, SegmentHeader, TargetRef, Texts, Verdict, key_id};

use super::bench::{Bench, alice, display, slug};
use super::publishing::{enrolled, tree};
use crate::store::{
    AuditQuery, AuditRow, Forward, Gateway, Page, Scoped, StoreError, UsageCounts, UsageKey, UsageQuery,
};

const LOG: [u8; 16] = [5; 16];

/// A gateway's log: so many decisions of an organization, and the head after each.
fn log(organization: &str, rows: u64) -> (Vec<Cow<'static, [u8]>>, Vec<Head>) {
    let mut heads = vec![Head::genesis(organization, &LOG)];
    let mut bytes = Vec::new();
    for number in 1..=rows {
        let mut row = Vec::new();
        RowRef::Decision(&DecisionRef {
            time: 1_700_000_000_000_000_000 + number,
            request_id: [1; 16],
            organization,
            workspace: "team",
            environment: "prod",
            subject: "user:bob@acme.com",
            auth_method: "oidc",
            source: [192, 0, 2, 7].into(),
            binding: "github",
            method: "tools/call",
            target: TargetRef::Tool("delete_repo"),
            verdict: Verdict::Deny,
            engine: "cedar",
            policies: Texts::NONE,
            deny_code: Some("forbidden"),
            obligations: Texts::NONE,
            revision: number,
            revision_digest: [2; 32],
            cached: false,
            arguments_digest: None,
            protocol: "2025-06-18",
            input: None,
            shadow: Texts::NONE,
        })
        .encode(&mut row);
        heads.push(heads.last().unwrap().after(&row));
        bytes.push(Cow::Owned(row));
    }
    (bytes, heads)
}

/// A stretch of such a log, from one row to another.
fn stretch<'a>(rows: &'a [Cow<'static, [u8]>], heads: &[Head], (from, to): (usize, usize)) -> Forward<'a> {
    Forward {
        log: LOG,
        previous: heads[from],
        rows: &rows[from..to],
        last: heads[to].hash,
        after_hole: false,
    }
}

async fn forward(bench: &Bench, gateway: &Gateway, stretch: Forward<'_>) -> Result<(u64, usize), StoreError> {
    let mut write = bench.write().await;
    let forwarded = write.forward(&gateway.id, &stretch).await?;
    write.commit().await?;
    Ok((forwarded.up_to, forwarded.added))
}

/// Writes what is left of a chain as a segment, and has it verified.
async fn verified(scoped: &Scoped, key: &SigningKey, allow_removed_prefix: bool) -> Report {
    let mut read = scoped.read().await.unwrap();
    let chain = read.audit_chain().await.unwrap();
    let rows = all_rows(scoped).await;
    let mut bytes = Vec::new();
    SegmentHeader {
        time: 1,
        organization: chain.organization.clone(),
        chain: chain.chain,
        instance: "export".to_owned(),
        previous: chain.anchor,
        previous_checkpoint: chain.anchor_checkpoint,
        key: key_id(&key.verifying_key()),
    }
    .encode(key, &mut bytes);
    let mut head = chain.anchor;
    for row in &rows {
        head = head.append_encoded(&row.row, &mut bytes).unwrap();
        assert_eq!((head.seq, head.hash), (u64::try_from(row.seq).unwrap(), row.hash));
    }
    assert_eq!(head, chain.head);
    let trust = Trust {
        keys: vec![key.verifying_key()],
        organization: Some(chain.organization),
        allow_removed_prefix,
        ..Trust::default()
    };
    verify([("export", bytes)], &trust)
}

async fn all_rows(scoped: &Scoped) -> Vec<AuditRow> {
    let mut read = scoped.read().await.unwrap();
    let (mut rows, mut page) = (Vec::new(), Page::first(1000));
    loop {
        let listed = read.audit_rows(&AuditQuery::default(), &page).await.unwrap();
        rows.extend(listed.items);
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return rows,
        }
    }
}

pub(super) async fn fifty_writers_make_one_chain(bench: Bench) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let replica = bench.replica().await;
    let (rows, heads) = log("acme", 40);
    let mut writers = Vec::new();
    for index in 0..50_usize {
        let store = if index % 2 == 0 { &bench.store } else { &replica };
        let scoped = store.scope(bench.acme.id.clone());
        let (rows, heads, id) = (rows.clone(), heads.clone(), gateway.id.clone());
        writers.push(tokio::spawn(async move {
            loop {
                let mut write = scoped.begin(alice()).await.unwrap();
                let done = match index % 5 {
                    // The same stretch from several at once: it is taken over once.
                    0 => write.forward(&id, &stretch(&rows, &heads, (0, 20 + index % 20))).await.map(|_| ()),
                    1 => write.sign_head(&SigningKey::from_bytes(&[3; 32])).await.map(|_| ()),
                    _ => {
                        let name = slug(&format!("team-{index}"));
                        write.create_workspace(&name, &display("Team")).await.map(|_| ())
                    }
                };
                let outcome = match done {
                    Ok(()) => write.commit().await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(()) => return,
                    Err(error) if error.may_be_retried() => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let report = verified(&bench.acme(), &key, false).await;
    assert!(report.is_intact(), "{report:?}");
    assert!(report.checkpoints >= 1);
    let rows = all_rows(&bench.acme()).await;
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (1..=i64::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
    let forwarded = rows.iter().filter(|row| row.gateway_id.is_some()).count();
    assert_eq!(forwarded, 35, "the longest stretch, once");
    assert_eq!(rows.iter().filter(|row| row.kind == "operator").count(), 5 + 30);
    replica.close().await;
}

pub(super) async fn logs_are_taken_over_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let (rows, heads) = log("acme", 10);
    assert!(matches!(
        forward(&bench, &gateway, stretch(&rows, &heads, (1, 3))).await,
        Err(StoreError::OutOfOrder { expected: 1 })
    ));
    assert_eq!(forward(&bench, &gateway, stretch(&rows, &heads, (0, 3))).await.unwrap(), (3, 3));
    // Again, overlapping, behind.
    assert_eq!(forward(&bench, &gateway, stretch(&rows, &heads, (0, 3))).await.unwrap(), (3, 0));
    assert_eq!(forward(&bench, &gateway, stretch(&rows, &heads, (1, 5))).await.unwrap(), (5, 2));
    assert_eq!(forward(&bench, &gateway, stretch(&rows, &heads, (0, 2))).await.unwrap(), (5, 0));
    assert!(matches!(
        forward(&bench, &gateway, stretch(&rows, &heads, (6, 7))).await,
        Err(StoreError::OutOfOrder { expected: 6 })
    ));
    let behind = Forward { after_hole: true, ..stretch(&rows, &heads, (6, 8)) };
    assert_eq!(forward(&bench, &gateway, behind).await.unwrap(), (8, 2));

    // Another history by the same numbers, a hash that does not fit, bytes that are no row.
    let mut other = rows.clone();
    other[7] = rows[0].clone();
    let mut forked = heads.clone();
    for index in 7..10 {
        forked[index + 1] = forked[index].after(&other[index]);
    }
    let stretch_of_fork = stretch(&other, &forked, (6, 9));
    assert!(matches!(forward(&bench, &gateway, stretch_of_fork).await, Err(StoreError::Forked { seq: 8 })));
    let wrong = Forward { last: [0; 32], ..stretch(&rows, &heads, (8, 9)) };
    assert!(matches!(forward(&bench, &gateway, wrong).await, Err(StoreError::Invalid { .. })));
    let garbage: [Cow<'_, [u8]>; 1] = [Cow::Borrowed(b"garbage")];
    let last = heads[8].after(b"garbage").hash;
    let wrong = Forward { rows: &garbage, last, ..stretch(&rows, &heads, (8, 9)) };
    assert!(matches!(forward(&bench, &gateway, wrong).await, Err(StoreError::Invalid { .. })));
    let mut read = bench.acme().read().await.unwrap();
    let query = AuditQuery { kind: Some("decision".to_owned()), newest_first: true, ..AuditQuery::default() };
    let found = read.audit_rows(&query, &Page::first(2)).await.unwrap();
    assert_eq!(found.items.len(), 2);
    assert_eq!(
        (
            found.items[0].subject.as_deref(),
            found.items[0].target.as_deref(),
            found.items[0].verdict.as_deref()
        ),
        (Some("user:bob@acme.com"), Some("delete_repo"), Some("deny"))
    );
    assert!(found.items[0].seq > found.items[1].seq);
    let next = read.audit_rows(&query, &Page { after: found.next, limit: 1000 }).await.unwrap();
    assert_eq!((next.items.len(), next.next), (5, None));
    for query in [
        AuditQuery { verdict: Some("permit".to_owned()), ..query.clone() },
        AuditQuery { environment: Some("dev".to_owned()), ..query.clone() },
        AuditQuery { until: Some(1_700_000_000_000), ..query.clone() },
        AuditQuery { from: Some(1_700_000_000_001), ..query },
    ] {
        assert_eq!(read.audit_rows(&query, &Page::default()).await.unwrap().items, [], "{query:?}");
    }
}

pub(super) async fn a_foreign_log_is_not_taken_over(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    // The log of another organization does not begin where one of this does, nor do its rows belong here.
    let (rows, heads) = log("evil", 2);
    let mut write = bench.write().await;
    let forked = write.forward(&gateway.id, &stretch(&rows, &heads, (0, 2))).await;
    assert!(matches!(forked, Err(StoreError::Forked { seq: 0 })), "{forked:?}");
    drop(write);
    let mut write = bench.write().await;
    let behind = Forward { after_hole: true, ..stretch(&rows, &heads, (1, 2)) };
    let foreign = write.forward(&gateway.id, &behind).await;
    assert!(matches!(foreign, Err(StoreError::Invalid { .. })), "{foreign:?}");
    drop(write);
    // A gateway of another organization does not exist, and a retired one no longer.
    let (rows, heads) = log("acme", 2);
    let mut evil = bench.evil().begin(alice()).await.unwrap();
    let unknown = evil.forward(&gateway.id, &stretch(&rows, &heads, (0, 2))).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
    drop(evil);
    let mut write = bench.write().await;
    write.retire_gateway(&gateway.id).await.unwrap();
    let retired = write.forward(&gateway.id, &stretch(&rows, &heads, (0, 2))).await;
    assert!(matches!(retired, Err(StoreError::NotFound)), "{retired:?}");
}

pub(super) async fn what_retention_leaves_verifies(bench: Bench) {
    let key = SigningKey::from_bytes(&[4; 32]);
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let (rows, heads) = log("acme", 30);
    for part in 0..3 {
        let mut write = bench.write().await;
        write.forward(&gateway.id, &stretch(&rows, &heads, (part * 10, part * 10 + 10))).await.unwrap();
        assert!(write.sign_head(&key).await.unwrap().is_some());
        assert_eq!(write.sign_head(&key).await.unwrap(), None, "nothing new");
        write.commit().await.unwrap();
        bench.clock.advance(1000);
    }
    let before = verified(&bench.acme(), &key, false).await;
    assert!(before.is_intact(), "{before:?}");
    let oldest = bench.store.now() - 3000;
    let remove = async |older_than: i64| {
        let mut write = bench.write().await;
        let removed = write.remove_audit_rows(older_than, 5).await.unwrap();
        write.commit().await.unwrap();
        removed
    };
    assert_eq!(remove(oldest).await, 0, "none is older");
    // The first two checkpoints are; each removal ends at one.
    assert_eq!(remove(oldest + 1001).await, 5 + 10);
    assert_eq!(remove(oldest + 1001).await, 11);
    assert_eq!(remove(oldest + 1001).await, 0);
    let left = verified(&bench.acme(), &key, true).await;
    assert!(left.is_intact() && left.removed_up_to == Some(26), "{left:?}");
    assert_eq!(left.first.unwrap().seq, 27);
    let strict = verified(&bench.acme(), &key, false).await;
    assert_eq!(strict.bad.unwrap().damage, Damage::Deleted { up_to: 26 });
    let mut read = bench.acme().read().await.unwrap();
    assert_eq!(read.audit_checkpoints(&Page::default()).await.unwrap().items.len(), 3, "they stay");
    assert_eq!(bench.evil().read().await.unwrap().audit_chain().await.unwrap().head.seq, 1);
}

pub(super) async fn usage_adds_up(bench: Bench) {
    let key = |hour: i64, tool: &str, caller: &str| UsageKey {
        hour,
        workspace: "team".to_owned(),
        environment: "prod".to_owned(),
        tool: tool.to_owned(),
        caller: caller.to_owned(),
    };
    let counts = |calls: i64| UsageCounts { calls, denied: 1, failed: 0, bytes: 10 * calls, duration_us: 5 };
    let mut write = bench.write().await;
    write.add_usage(&[]).await.unwrap();
    write.add_usage(&[(key(0, "a", "x"), counts(1)), (key(0, "a", "x"), counts(2))]).await.unwrap();
    write.add_usage(&[(key(0, "a", "x"), counts(3)), (key(3_600_000, "b", "y"), counts(4))]).await.unwrap();
    write.commit().await.unwrap();
    let mut read = bench.acme().read().await.unwrap();
    let query = UsageQuery { until: i64::MAX, limit: 100, ..UsageQuery::default() };
    let all = read.usage(&query).await.unwrap();
    let sum = UsageCounts { calls: 10, denied: 4, failed: 0, bytes: 100, duration_us: 20 };
    assert_eq!(all, [(UsageKey::default(), sum)]);
    let by_tool = UsageQuery { by_tool: true, by_caller: true, ..query.clone() };
    let by_tool = read.usage(&by_tool).await.unwrap();
    let told: Vec<_> =
        by_tool.iter().map(|(key, counts)| (key.tool.as_str(), key.caller.as_str(), counts.calls)).collect();
    assert_eq!(told, [("a", "x", 6), ("b", "y", 4)]);
    let hour = UsageQuery { from: 3_600_000, by_hour: true, by_environment: true, ..query.clone() };
    let hour = read.usage(&hour).await.unwrap();
    assert_eq!((hour.len(), hour[0].0.hour, hour[0].0.environment.as_str()), (1, 3_600_000, "prod"));
    let elsewhere = UsageQuery { environment: Some("dev".to_owned()), ..query.clone() };
    assert_eq!(read.usage(&elsewhere).await.unwrap(), []);
    assert_eq!(bench.evil().read().await.unwrap().usage(&query).await.unwrap(), []);
}
