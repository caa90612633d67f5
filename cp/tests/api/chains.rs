//! The audit chain as a whole: signed in time, handed out, verified by who trusts nobody, removed when it has had its time.

use mcpg_cp::audit::janitor::{Done, Janitor};
use mcpg_ledger::verify::{Damage, Expected, Report, Splitter, Trust, Verifier, VerifyingKey};
use serde_json::Value;

use crate::forwarding::{GatewayLog, Instance, PROD};
use crate::world::{ACME, OTHER, World};

const DAY_MS: i64 = 24 * 3_600_000;

pub(crate) fn janitor<'w>(world: &'w World, holder: &str) -> Janitor<'w> {
    Janitor {
        store: world.store.clone(),
        signer: &world.service.audit,
        license_keys: &world.service.license_keys,
        holder: holder.to_owned(),
    }
}

async fn exported(world: &World, org: &str, query: &str) -> Vec<u8> {
    world.get(&world.platform, &format!("/v1/orgs/{org}/audit/export{query}")).await.expect(200).body
}

async fn trust(world: &World, org: &str) -> Trust {
    let keys = world.get(&world.platform, &format!("/v1/orgs/{org}/audit/keys")).await.expect(200).json();
    let bytes = hex(keys["items"][0]["public_key"].as_str().unwrap());
    let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
    Trust { keys: vec![key], organization: Some(org.to_owned()), ..Trust::default() }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn verified(bytes: &[u8], trust: &Trust) -> Report {
    let mut splitter = Splitter::default();
    splitter.push(bytes);
    let mut segments = Vec::new();
    while let Some(segment) = splitter.next_segment() {
        segments.push(segment);
    }
    segments.extend(splitter.finish());
    let mut verifier = Verifier::new(trust);
    for (index, segment) in segments.iter().enumerate() {
        verifier.segment(&format!("segment {}", index + 1), segment, index + 1 == segments.len());
    }
    verifier.finish()
}

async fn forwarded(world: &World, calls: usize) -> (Instance, GatewayLog) {
    let gateway = Instance::enrolled(world, "gw-1", 1, &[PROD]).await;
    let mut log = GatewayLog::new(ACME);
    (0..calls).for_each(|_| log.call(world, "prod", "echo"));
    for from in (0..calls * 2).step_by(1000) {
        gateway.send(world, &log.upload(from, (from + 1000).min(calls * 2))).await.expect(200);
    }
    (gateway, log)
}

pub(crate) async fn an_export_is_verified_by_whoever_has_the_key(world: World) {
    forwarded(&world, 700).await;
    assert_eq!(janitor(&world, "one").round(false).await.unwrap().unwrap().signed, 2, "both organizations");
    let bytes = exported(&world, ACME, "").await;
    let trust = trust(&world, ACME).await;
    let report = verified(&bytes, &trust);
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.forwarded, report.logs, report.checkpoints), (1400, 1, 1));
    assert_eq!(report.signed_up_to.map(|seq| seq + 1), report.last.map(|last| last.seq), "all is signed");
    // A byte anywhere; the end cut off, which a head from elsewhere tells of.
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let report = verified(&changed, &trust);
        assert!(!report.is_intact(), "byte {at}: {report}");
    }
    let listed = world.get(&world.platform, "/v1/orgs/acme-corp/audit/checkpoints").await.expect(200).json();
    let line = listed["items"][0]["line"].as_str().unwrap();
    let expected = vec![Expected::from_line(line, &trust.keys).unwrap()];
    let shorter = &bytes[..bytes.len() - 2000];
    let report = verified(shorter, &Trust { expected, ..trust.clone() });
    assert!(!report.is_intact(), "{report}");
    // Another organization's chain in its place, or within it.
    let other = exported(&world, OTHER, "").await;
    assert_eq!(verified(&other, &trust).bad.unwrap().damage, Damage::Foreign);
    let spliced = [bytes, other].concat();
    assert_eq!(verified(&spliced, &trust).bad.unwrap().damage, Damage::Foreign);
    let viewer = world.token(OTHER, "admin", "org/other-corp").await;
    for path in ["export", "keys", "checkpoints"] {
        let foreign = world.get(&viewer, &format!("/v1/orgs/acme-corp/audit/{path}")).await;
        assert_eq!(foreign.problem(), "not-found", "{path}");
    }
    let inside = world.token(ACME, "viewer", "workspace/acme-corp/platform-team").await;
    assert_eq!(world.get(&inside, "/v1/orgs/acme-corp/audit/export").await.problem(), "not-found");
}

pub(crate) async fn a_part_of_a_chain_begins_and_ends_at_a_signature(world: World) {
    let (gateway, mut log) = forwarded(&world, 10).await;
    let now = |world: &World| mcpg_cp::store::Clock::now(&*world.clock);
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(now(&world));
        let sent = log.len();
        log.call(&world, "prod", "echo");
        gateway.send(&world, &log.upload(sent, sent + 2)).await.expect(200);
        world.clock.advance_ms(60_000);
        janitor(&world, "one").round(false).await.unwrap().unwrap();
        world.clock.advance_ms(60_000);
    }
    let time = |at: usize| mcpg_cp_api::Timestamp::from_unix_ms(times[at]).to_string();
    let bytes = exported(&world, ACME, &format!("?from={}&until={}", time(2), time(3))).await;
    let trust = Trust { allow_removed_prefix: true, ..trust(&world, ACME).await };
    let report = verified(&bytes, &trust);
    assert!(report.is_intact(), "{report}");
    // The signature before it, the rows of the third minute and of the fourth up to its signature.
    assert_eq!((report.forwarded, report.checkpoints), (4, 3), "{report}");
    assert!(report.removed_up_to.is_some());
    let all = verified(&exported(&world, ACME, "").await, &trust);
    assert_eq!((all.forwarded, all.checkpoints, all.removed_up_to), (28, 4, None));
    let wrong = format!("/v1/orgs/acme-corp/audit/export?from={}&until={}", time(3), time(2));
    assert_eq!(world.get(&world.platform, &wrong).await.problem(), "query");
}

pub(crate) async fn one_replica_looks_after_the_chains(world: World) {
    let (one, two) = (janitor(&world, "one"), janitor(&world, "two"));
    assert_eq!(one.round(true).await.unwrap(), Some(Done { signed: 2, rows: 0, usage: 0 }));
    assert_eq!(two.round(true).await.unwrap(), None);
    assert_eq!(one.round(true).await.unwrap(), Some(Done::default()), "nothing new, nothing signed");
    world.clock.advance_ms(11 * 60_000);
    assert_eq!(two.round(true).await.unwrap(), Some(Done::default()));
    assert_eq!(one.round(true).await.unwrap(), None);
}

pub(crate) async fn rows_are_kept_as_long_as_the_licence_says(world: World) {
    let usage = async || {
        let path = "/v1/orgs/acme-corp/usage?since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z";
        let usage: Value = world.get(&world.platform, path).await.expect(200).json();
        usage["items"][0]["calls"].as_u64().unwrap_or_default()
    };
    let round = async || janitor(&world, "one").round(true).await.unwrap().unwrap();
    forwarded(&world, 5).await;
    round().await;
    // A licence of 180 days that ends tomorrow; afterwards nobody knows.
    world.buy(ACME, "team").await;
    world.clock.advance_ms(31 * DAY_MS);
    let done = round().await;
    let other = exported(&world, OTHER, "").await;
    assert_eq!((done.usage, usage().await), (0, 5), "it does not hold any more, so nothing goes");
    assert!(done.rows > 0, "of the other, which has no licence");
    let removed = verified(&other, &Trust { allow_removed_prefix: true, ..trust(&world, OTHER).await });
    assert!(removed.is_intact() && removed.removed_up_to.is_some(), "{removed}");
    let complete = verified(&exported(&world, ACME, "").await, &trust(&world, ACME).await);
    assert!(complete.is_intact(), "{complete}");
    world.buy(ACME, "team").await;
    assert_eq!((round().await.rows, usage().await), (0, 5), "180 days");
    world.buy(ACME, "community").await;
    let done = round().await;
    assert!(done.rows >= 10 && done.usage == 1, "{done:?}");
    assert_eq!(usage().await, 0);
    let left = exported(&world, ACME, "").await;
    let trust = Trust { allow_removed_prefix: true, ..trust(&world, ACME).await };
    let report = verified(&left, &trust);
    assert!(report.is_intact() && report.removed_up_to.is_some(), "{report}");
    assert_eq!(report.forwarded, 0);
    // What is left begins with the signature over what is gone.
    let strict = verified(&left, &Trust { allow_removed_prefix: false, ..trust });
    assert!(matches!(strict.bad.unwrap().damage, Damage::Deleted { .. }));
}

pub(crate) async fn what_was_changed_in_the_database_is_named(world: World) {
    forwarded(&world, 5).await;
    janitor(&world, "one").round(false).await.unwrap().unwrap();
    let trust = trust(&world, ACME).await;
    let report = verified(&exported(&world, ACME, "").await, &trust);
    assert!(report.is_intact(), "{report}");
    if world.backend != "sqlite" {
        return;
    }
    let ids = [
        "(SELECT org_id FROM orgs WHERE slug = 'acme-corp')",
        "(SELECT org_id FROM orgs WHERE slug = 'other-corp')",
    ];
    let of = |row: &str, organization: usize, seq: u64| {
        format!("(SELECT {row} FROM audit_rows WHERE org_id = {} AND seq = {seq})", ids[organization])
    };
    let pool = sqlx::SqlitePool::connect(&world.url).await.unwrap();
    let last = report.last.unwrap().seq;
    for (what, change, damage) in [
        ("a row", format!("row = {}", of("row", 0, last - 4)), Damage::Edited),
        (
            "a row and its hash",
            format!("row = {}, hash = {}", of("row", 0, 2), of("hash", 0, 2)),
            Damage::Edited,
        ),
        ("a hash", "hash = zeroblob(32)".to_owned(), Damage::Edited),
        ("another's row", format!("row = {}, hash = {}", of("row", 1, 2), of("hash", 1, 2)), Damage::Foreign),
    ] {
        let seq = last - 3;
        let (row, hash): (Vec<u8>, Vec<u8>) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT row, hash FROM audit_rows WHERE org_id = {} AND seq = {seq}",
            ids[0]
        )))
        .fetch_one(&pool)
        .await
        .unwrap();
        let change = format!("UPDATE audit_rows SET {change} WHERE org_id = {} AND seq = {seq}", ids[0]);
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&pool).await.unwrap();
        let bad = verified(&exported(&world, ACME, "").await, &trust).bad.unwrap();
        assert_eq!((bad.seq, bad.damage), (seq, damage), "{what}");
        let back =
            format!("UPDATE audit_rows SET row = ?, hash = ? WHERE org_id = {} AND seq = {seq}", ids[0]);
        sqlx::query(sqlx::AssertSqlSafe(back)).bind(row).bind(hash).execute(&pool).await.unwrap();
    }
    assert!(verified(&exported(&world, ACME, "").await, &trust).is_intact());
    pool.close().await;
}
