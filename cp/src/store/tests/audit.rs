//! The chain of each organization: one for all writers, taken over once, signed, verifiable from what is left.

use ed25519_dalek::SigningKey;
use mcpg_ledger::verify::{Damage, Report, Trust, verify};
use mcpg_ledger::{SegmentHeader, key_id};

use super::bench::{Bench, alice, display, slug};
use super::forwarding::GatewayLog;
use super::publishing::{enrolled, tree};
use crate::store::{AuditQuery, AuditRow, Page, Scoped, UsageCounts, UsageKey, UsageQuery};

/// Writes what is left of a chain as a segment, and has it verified.
pub(super) async fn verified(scoped: &Scoped, key: &SigningKey, allow_removed_prefix: bool) -> Report {
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

pub(super) async fn all_rows(scoped: &Scoped) -> Vec<AuditRow> {
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
    let log = GatewayLog::of_decisions("acme", 40);
    let mut writers = Vec::new();
    for index in 0..50_usize {
        let store = if index % 2 == 0 { &bench.store } else { &replica };
        let scoped = store.scope(bench.acme.id.clone());
        let (log, id) = (log.clone(), gateway.id.clone());
        writers.push(tokio::spawn(async move {
            loop {
                let mut write = scoped.begin(alice()).await.unwrap();
                let done = match index % 5 {
                    // The same stretch from several at once: it is taken over once.
                    0 => write.forward(&id, &log.stretch(0, 20 + index % 20)).await.map(|_| ()),
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

pub(super) async fn what_retention_leaves_verifies(bench: Bench) {
    let key = SigningKey::from_bytes(&[4; 32]);
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let log = GatewayLog::of_decisions("acme", 30);
    for part in 0..3 {
        let mut write = bench.write().await;
        write.forward(&gateway.id, &log.stretch(part * 10, part * 10 + 10)).await.unwrap();
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
    // The first two checkpoints are: the chain begins behind the second at once, and the rows before it go a few at a time.
    for removed in [5, 5, 5, 5, 5, 1, 0] {
        assert_eq!(remove(oldest + 1001).await, removed);
        let left = verified(&bench.acme(), &key, true).await;
        assert!(left.is_intact() && left.removed_up_to == Some(26), "{left:?}");
    }
    let left = verified(&bench.acme(), &key, true).await;
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
