//! What PostgreSQL's catalogue says about the schema, and what the service's role can do in it by itself.

use std::collections::BTreeSet;

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::bench::{Bench, TestClock, options, server};
use super::postgres::{APP, OWNER};
use crate::store::open::OpenError;
use crate::store::{Store, migrate};

/// Indexes that are unique among all organizations: the names by which a row is found before its organization is known. All but the
/// first two are random.
const UNIQUE_AMONG_ALL: &[&str] = &[
    "orgs(slug)",
    "orgs(subdomain)",
    "api_tokens(hash)",
    "enrollment_tokens(hash)",
    "gateways(gateway_id)",
    "sign_ins(state_hash)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_holds_tenants_apart_by_itself() {
    let (server, template) = server().await;
    let lines = |sql: &str| -> BTreeSet<String> {
        server.psql(&template.name, sql).lines().map(str::to_owned).collect()
    };

    // Every table with `org_id`, and they are many.
    let tables = lines(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id'
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
    );
    assert_eq!(tables.len(), 29, "{tables:?}");
    let held = lines(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid
         WHERE c.relkind = 'r' AND c.relrowsecurity AND c.relforcerowsecurity AND p.polcmd = '*' AND p.polpermissive
             AND pg_get_expr(p.polqual, c.oid) = '(org_id = current_setting(''mcpg.org_id''::text, true))'
             AND pg_get_expr(p.polwithcheck, c.oid) = '(org_id = current_setting(''mcpg.org_id''::text, true))'",
    );
    assert_eq!(tables, held);
    // What else is admitted: reading by a presented key, and what is the platform's.
    let others = lines(
        "SELECT relname || ':' || polname || ':' || polcmd::text FROM pg_policy p \
                        JOIN pg_class c ON c.oid = polrelid WHERE polname <> 'tenant'",
    );
    let expected = [
        "api_tokens:lookup_token:r",
        "enrollment_tokens:lookup_enrol:r",
        "gateways:lookup_gateway:r",
        "orgs:lookup_slug:r",
        "orgs:lookup_subdomain:r",
        "orgs:platform:*",
        "platform_tokens:lookup_platform_token:r",
        "platform_tokens:platform:*",
        "sign_ins:lookup_sign_in:r",
    ];
    assert_eq!(others, expected.map(str::to_owned).into());
    // Tables without an organization are these.
    let without = lines(
        "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
         AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id')",
    );
    assert_eq!(without, ["_sqlx_migrations", "leases", "platform_tokens"].map(str::to_owned).into());
    // No way around: no view, no function, no rule, no trigger of our own.
    assert_eq!(
        lines(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm', 'f')"
        ),
        BTreeSet::new()
    );
    assert_eq!(
        lines("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"),
        BTreeSet::new()
    );
    assert_eq!(lines("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"), BTreeSet::new());
    assert_eq!(lines("SELECT rulename FROM pg_rules WHERE schemaname = 'public'"), BTreeSet::new());
    // Every reference carries the organization at both ends.
    let references = lines(
        "SELECT conrelid::regclass::text || ' ' || conname FROM pg_constraint o WHERE contype = 'f' AND NOT (
             (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) = 'org_id'
             AND (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) = 'org_id')",
    );
    assert_eq!(references, BTreeSet::new());
    let unique = lines(
        "SELECT c.relname || '(' || string_agg(a.attname, ',' ORDER BY a.attnum) || ')'
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
         WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname NOT IN
             ('_sqlx_migrations', 'leases', 'platform_tokens')
         GROUP BY c.relname, i.indexrelid HAVING NOT bool_or(a.attname = 'org_id')",
    );
    assert_eq!(unique, UNIQUE_AMONG_ALL.iter().map(|name| (*name).to_owned()).collect());
    // What grows is never changed.
    let changeable = lines(&format!(
        "SELECT table_name FROM information_schema.role_table_grants WHERE grantee = '{APP}' AND privilege_type = 'UPDATE'
         AND table_name IN ('audit_rows', 'audit_checkpoints', 'revisions', 'plugin_set_versions', 'policy_versions',
             'gateway_config_versions', 'revocation_lists', '_sqlx_migrations')"
    ));
    assert_eq!(changeable, BTreeSet::new());
    assert_eq!(
        lines(&format!(
            "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = 'public'
             AND grantee NOT IN ('{APP}', '{OWNER}')"
        )),
        BTreeSet::new()
    );
    by_its_own_hand(&server.database(Some(&template))).await;
    both_have_the_same_columns(&lines(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    ))
    .await;
    // Each of these breaks it, and is found when the service starts.
    for broken in [
        "CREATE TABLE extra (org_id text)",
        "ALTER TABLE workspaces NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE workspaces DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON gateways",
        "DROP POLICY tenant ON gateways; CREATE POLICY tenant ON gateways USING (true)",
        "CREATE VIEW everything AS SELECT * FROM workspaces",
        "CREATE POLICY also ON workspaces USING (true)",
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM workspaces'",
    ] {
        let database = server.database(Some(&template));
        server.psql(&database.name, broken);
        let opened = Store::open(&options(&database.app_url, &TestClock::new())).await;
        assert!(matches!(opened, Err(OpenError::Unprotected { .. })), "{broken}: {opened:?}");
    }
}

/// What the role can do with a connection of its own, without our statements.
async fn by_its_own_hand(database: &super::postgres::Database) {
    let bench = Bench::postgres(database).await;
    let mut connection = PgConnection::connect(&database.app_url).await.unwrap();
    let count = async |connection: &mut PgConnection| -> i64 {
        sqlx::query("SELECT (SELECT count(*) FROM orgs) + (SELECT count(*) FROM audit_rows) + (SELECT count(*) FROM audit_heads) AS n")
            .fetch_one(connection)
            .await
            .unwrap()
            .get("n")
    };
    assert_eq!(count(&mut connection).await, 0, "without a tenant there is nothing");
    let scope = |org: &str| format!("SELECT set_config('mcpg.org_id', '{org}', false)");
    let run = async |connection: &mut PgConnection, sql: String| {
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.map(|done| done.rows_affected())
    };
    run(&mut connection, scope(bench.acme.id.as_str())).await.unwrap();
    assert_eq!(count(&mut connection).await, 3, "its own, and no other");
    let (acme, evil) = (bench.acme.id.as_str(), bench.evil.id.as_str());
    let workspace =
        |org: &str| format!("INSERT INTO workspaces VALUES ('{org}', 'w', 'team', 'Team', 1, 0, 0)");
    run(&mut connection, workspace(acme)).await.unwrap();
    for refused in [
        workspace(evil),
        "UPDATE workspaces SET org_id = '018bcfe5-6800-7fff-bfff-ffffffffffff'".to_owned(),
        format!("UPDATE workspaces SET org_id = '{evil}'"),
        "UPDATE audit_rows SET row = ''".to_owned(),
        "TRUNCATE audit_rows".to_owned(),
        "ALTER TABLE workspaces DISABLE ROW LEVEL SECURITY".to_owned(),
        "CREATE TABLE mine (a text)".to_owned(),
        "COPY workspaces TO PROGRAM 'cat'".to_owned(),
        format!("SET ROLE {OWNER}"),
        "INSERT INTO orgs VALUES ('x', 'x', 'x', NULL, NULL, NULL, 1, 0, 0)".to_owned(),
    ] {
        assert!(run(&mut connection, refused.clone()).await.is_err(), "{refused}");
    }
    // With `row_security` off a statement fails, and shows nothing.
    run(&mut connection, "SET row_security = off".to_owned()).await.unwrap();
    assert!(run(&mut connection, "SELECT * FROM workspaces".to_owned()).await.is_err());
    run(&mut connection, "SET row_security = on".to_owned()).await.unwrap();
    for (sql, changed) in [
        (format!("DELETE FROM orgs WHERE org_id = '{evil}'"), 0),
        (format!("UPDATE orgs SET display_name = 'x' WHERE org_id = '{evil}'"), 0),
        (format!("DELETE FROM audit_rows WHERE org_id <> '{acme}'"), 0),
        ("UPDATE workspaces SET display_name = 'x'".to_owned(), 1),
    ] {
        assert_eq!(run(&mut connection, sql.clone()).await.unwrap(), changed, "{sql}");
    }
    // A key opens the one row that has it, for reading.
    run(&mut connection, scope("")).await.unwrap();
    run(&mut connection, "SELECT set_config('mcpg.lookup', 'slug:evil', false)".to_owned()).await.unwrap();
    assert_eq!(count(&mut connection).await, 1);
    assert_eq!(run(&mut connection, "UPDATE orgs SET display_name = 'x'".to_owned()).await.unwrap(), 0);
    bench.store.close().await;
}

async fn both_have_the_same_columns(postgres: &BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("cp.db").display());
    migrate(&url, None).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let rows = sqlx::query(
        "SELECT m.name || '.' || c.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence')",
    );
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    let sqlite: BTreeSet<String> = rows.iter().map(|row| row.get("name")).collect();
    assert_eq!(&sqlite, postgres);
}
