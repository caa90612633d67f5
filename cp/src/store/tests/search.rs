//! Searches of the chain beside the plainest one there is: all rows, looked at one by one.

use ed25519_dalek::SigningKey;
use mcpg_ledger::Verdict;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::audit::all_rows;
use super::bench::{Bench, alice, display, slug};
use super::forwarding::GatewayLog;
use super::publishing::{enrolled_by, tree};
use crate::store::audit::Bounds;
use crate::store::{AuditQuery, AuditRow, Page};

/// Rows of the log: a few zones.
const ROWS: u64 = 4000;
/// A few small pages show enough.
const PAGES: usize = 20;

/// A chain of several zones: a log of two environments, with what operators do in between.
async fn chain(bench: &Bench) {
    let (team, prod) = tree(bench).await;
    let mut write = bench.write().await;
    let dev = write.create_environment(&team, &slug("dev"), &display("Dev")).await.unwrap();
    write.commit().await.unwrap();
    let gateways =
        [enrolled_by(bench, &prod, "gw", [1; 32]).await, enrolled_by(bench, &dev, "gw-dev", [2; 32]).await];
    for (index, (gateway, environment)) in gateways.iter().zip(["prod", "dev"]).enumerate() {
        let id = u8::try_from(index).unwrap();
        let mut log = GatewayLog::new("acme", [id; 16]);
        for number in 0..ROWS / 2 {
            let (subject, verdict) = match number {
                700 => ("user:rare@acme.com", Verdict::Deny),
                _ if number % 3 == 0 => ("user:eve@acme.com", Verdict::Permit),
                _ if number % 601 == 600 => ("user:bob@acme.com", Verdict::Deny),
                _ => ("user:bob@acme.com", Verdict::PermitWithObligations),
            };
            log.decision_at(1_000_000_000 * number, number, environment, subject, verdict);
            if number % 2 == 0 {
                log.outcome(number, 200);
            }
        }
        for from in (0..log.len()).step_by(500) {
            let mut write = bench.write().await;
            write.forward(&gateway.id, &log.stretch(from, (from + 500).min(log.len()))).await.unwrap();
            write.commit().await.unwrap();
            if from == 1000 {
                let mut write = bench.write().await;
                let name = slug(&format!("team-{index}"));
                write.create_workspace(&name, &display("Team")).await.unwrap();
                write.sign_head(&SigningKey::from_bytes(&[3; 32])).await.unwrap();
                write.commit().await.unwrap();
            }
        }
    }
}

pub(super) async fn what_fits_is_found(bench: Bench) {
    chain(&bench).await;
    let rows = all_rows(&bench.acme()).await;
    assert!(rows.len() > 5000, "{}", rows.len());
    let bounds = Bounds { zones: 2, zones_at_once: 1, subject_rows: 40, subject_steps: 3 };
    let wide = Bounds { zones: 128, zones_at_once: 2, subject_rows: 100, subject_steps: 100 };
    // Over a socket each takes its time, and what differs there is how statements are planned.
    let every = if bench.url.starts_with("sqlite") { 1 } else { 7 };
    for query in queries().into_iter().step_by(every) {
        let mut expected: Vec<&AuditRow> = rows.iter().filter(|row| fits(&query, row)).collect();
        if query.newest_first {
            expected.reverse();
        }
        for (bounds, limit) in [(bounds, 3), (bounds, 50), (wide, 50), (wide, 1000)] {
            let mut read = bench.acme().read().await.unwrap();
            let (mut found, mut page, mut pages) = (Vec::new(), Page::first(limit), 0);
            loop {
                let listed = read.audit_rows_within(&query, &page, bounds).await.unwrap();
                assert!(listed.items.len() <= usize::try_from(limit).unwrap());
                found.extend(listed.items);
                pages += 1;
                match listed.next.filter(|_| pages < PAGES) {
                    Some(next) => page.after = Some(next),
                    None => break,
                }
            }
            let seen = found.len();
            assert!(pages == PAGES || seen == expected.len(), "{query:?}: {seen} of {}", expected.len());
            assert!(
                found.iter().eq(expected.iter().take(seen).copied()),
                "{query:?} {bounds:?} {limit}: others than expected"
            );
        }
        let mut read = bench.evil().read().await.unwrap();
        let foreign = read.audit_rows(&query, &Page::first(1000)).await.unwrap().items;
        assert!(foreign.iter().all(|row| !rows.contains(row)), "{query:?}");
    }
}

/// Each filter by itself and with others.
fn queries() -> Vec<AuditQuery> {
    let text = |text: &str| Some(text.to_owned());
    let mut queries = Vec::new();
    for newest_first in [false, true] {
        for (workspace, environment) in
            [(None, None), (text("team"), None), (text("team"), text("dev")), (text("x"), None)]
        {
            for subject in
                [None, text("user:bob@acme.com"), text("user:rare@acme.com"), text("user:nobody@acme.com")]
            {
                for (kind, verdict) in [
                    (None, None),
                    (text("outcome"), None),
                    (None, text("deny")),
                    (text("operator"), None),
                    (text("gap"), None),
                    (text("x"), None),
                ] {
                    let (workspace, environment) = (workspace.clone(), environment.clone());
                    let query = AuditQuery {
                        newest_first,
                        workspace,
                        environment,
                        kind,
                        verdict,
                        subject: subject.clone(),
                        ..AuditQuery::default()
                    };
                    queries.push(AuditQuery { from: Some(300_000), until: Some(700_000), ..query.clone() });
                    queries.push(query);
                }
            }
        }
    }
    queries
}

fn fits(query: &AuditQuery, row: &AuditRow) -> bool {
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    is(&query.workspace, row.workspace.as_deref())
        && is(&query.environment, row.environment.as_deref())
        && is(&query.kind, Some(&row.kind))
        && is(&query.subject, row.subject.as_deref())
        && is(&query.verdict, row.verdict.as_deref())
        && query.from.is_none_or(|from| row.time >= from)
        && query.until.is_none_or(|until| row.time < until)
}

/// What is noted with each row is what the migration finds in all of them.
pub(super) async fn zones_are_what_a_migration_makes_of_rows(bench: Bench) {
    chain(&bench).await;
    let mut write = bench.evil().begin(alice()).await.unwrap();
    write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    write.commit().await.unwrap();
    let migration = include_str!("../../../migrations/sqlite/0003_audit_zones.sql");
    let (_, insert) = migration.split_once("INSERT INTO audit_zones").unwrap();
    let insert = format!("INSERT INTO audit_zones {}", insert.split_once(';').unwrap().0);
    const ZONES: &str = "SELECT zone || ' ' || workspace || ' ' || environment || ' ' || traits || ' ' || first_time || ' ' || last_time \
                         AS line FROM audit_zones ORDER BY zone, workspace, environment";
    let orgs = [bench.acme.id.clone(), bench.evil.id.clone()];
    for org in orgs {
        let (before, after): (Vec<String>, Vec<String>) = if bench.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&bench.url).await.unwrap();
            let lines = async |connection: &mut SqliteConnection| {
                let rows = sqlx::query(ZONES).fetch_all(connection).await.unwrap();
                rows.iter().map(|row| row.get("line")).collect()
            };
            let before = lines(&mut connection).await;
            connection.execute("DELETE FROM audit_zones").await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(insert.clone()))).await.unwrap();
            (before, lines(&mut connection).await)
        } else {
            let mut connection = PgConnection::connect(&bench.url).await.unwrap();
            let look = format!("SELECT set_config('mcpg.org_id', '{org}', false)");
            connection.execute(sqlx::raw_sql(AssertSqlSafe(look))).await.unwrap();
            let lines = async |connection: &mut PgConnection| {
                let rows = sqlx::query(ZONES).fetch_all(connection).await.unwrap();
                rows.iter().map(|row| row.get("line")).collect()
            };
            let before = lines(&mut connection).await;
            connection.execute("DELETE FROM audit_zones").await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(insert.clone()))).await.unwrap();
            (before, lines(&mut connection).await)
        };
        assert!(!before.is_empty());
        assert_eq!(before, after);
    }
}
