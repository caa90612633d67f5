//! Under which conditions the store opens, and how it behaves when PostgreSQL does not.

use std::time::{Duration, Instant};

use sqlx::Row as _;

use super::bench::{Bench, TestClock, alice, display, new_org, options, server, slug};
use super::postgres::{Database, OWNER, PostgresServer};
use crate::store::connection::Pools;
use crate::store::open::OpenError;
use crate::store::{Applied, Hint, Page, Scoped, Store, StoreError, migrate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_refused_where_it_cannot_hold_tenants_apart() {
    let (server, template) = server().await;
    let open = async |url: String| Store::open(&options(&url, &TestClock::new())).await;
    let as_role = |role: &str| template.app_url.replace("mcpg_app@", &format!("{role}@"));

    server.psql("postgres", &format!("
        CREATE ROLE bypassing LOGIN BYPASSRLS; CREATE ROLE creating LOGIN CREATEROLE; CREATE ROLE inheriting LOGIN;
        CREATE ROLE reaching LOGIN; CREATE ROLE behind; CREATE ROLE distant LOGIN NOINHERIT;
        GRANT {OWNER} TO inheriting; GRANT pg_execute_server_program TO reaching;
        GRANT {OWNER} TO behind; GRANT behind TO distant;
        CREATE ROLE stranger LOGIN"));
    for (role, expected) in [
        ("postgres", "superuser"),
        (OWNER, "owns"),
        ("bypassing", "bypass"),
        ("creating", "create roles"),
        ("inheriting", "owns"),
        ("distant", "owns"),
        ("reaching", "files"),
    ] {
        let refused = open(as_role(role)).await;
        let Err(OpenError::Role { role: named, reason }) = refused else { panic!("{role}: {refused:?}") };
        assert!(named == role && reason.contains(expected), "{role}: {reason}");
    }
    let stranger = open(as_role("stranger")).await;
    assert!(matches!(stranger, Err(OpenError::NotMigrated { found: 0, .. })), "{stranger:?}");
    assert!(open(template.app_url.clone()).await.is_ok());
    for url in ["mysql://x", "acme", ""] {
        assert!(matches!(open(url.to_owned()).await, Err(OpenError::Url)), "{url}");
    }

    let empty = server.database(None);
    let refused = open(empty.app_url.clone()).await;
    assert!(matches!(refused, Err(OpenError::NotMigrated { found: 0, needed: 4 })), "{refused:?}");
    let failed = migrate(&empty.owner_url, Some("nobody")).await.unwrap_err().to_string();
    assert!(failed.contains("CREATE ROLE nobody"), "{failed}");
    let failed = migrate(&empty.owner_url, Some(OWNER)).await.unwrap_err().to_string();
    assert!(failed.contains("needs one of its own"), "{failed}");
    // A second time changes nothing.
    assert_eq!(migrate(&template.owner_url, None).await.unwrap().from, 4);

    for (change, expected) in [
        ("INSERT INTO _sqlx_migrations VALUES (5, 'later', now(), true, '', 0)", 5),
        ("UPDATE _sqlx_migrations SET checksum = '\\x00'", 1),
        ("UPDATE _sqlx_migrations SET success = false", 1),
    ] {
        let database = server.database(Some(&template));
        server.psql(&database.name, change);
        let refused = open(database.app_url).await;
        assert!(matches!(refused, Err(OpenError::Unknown { found, .. }) if found == expected), "{refused:?}");
    }
    let older = server.database(Some(&template));
    server.psql(&older.name, "DELETE FROM _sqlx_migrations");
    let refused = open(older.app_url).await;
    assert!(matches!(refused, Err(OpenError::NotMigrated { found: 0, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_sqlite_file_is_its_owners_and_not_newer() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cp.db");
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&options(&url, &TestClock::new())).await.unwrap();
    new_org(&store, "acme").await;
    for name in ["cp.db", "cp.db-wal", "cp.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    // A file that others can read is closed to them.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&options(&url, &TestClock::new())).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let Pools::Sqlite { writer, .. } = &store.inner.pools else { panic!() };
    let later = "INSERT INTO _sqlx_migrations VALUES (5, 'later', 0, true, x'00', 0)";
    sqlx::query(later).execute(writer).await.unwrap();
    store.close().await;
    let refused = Store::open(&options(&url, &TestClock::new())).await;
    assert!(matches!(refused, Err(OpenError::Schema(_))), "{refused:?}");
    for url in ["sqlite::memory:", "sqlite://cp.db?mode=memory", "sqlite://cp.db?no-such=option"] {
        let refused = Store::open(&options(url, &TestClock::new())).await;
        assert!(matches!(refused, Err(OpenError::Url | OpenError::Options(_))), "{url}: {refused:?}");
    }
    let missing = format!("sqlite://{}", folder.path().join("no/such/folder.db").display());
    let refused = Store::open(&options(&missing, &TestClock::new())).await;
    assert!(matches!(refused, Err(OpenError::File { .. })), "{refused:?}");
}

/// A store that waits for half a second and has two connections.
async fn impatient(database: &Database) -> Store {
    let mut options = options(&database.app_url, &TestClock::new());
    options.wait_max = Duration::from_millis(500);
    options.connections_max = 2;
    Store::open(&options).await.unwrap()
}

async fn names(scoped: &Scoped) -> Vec<String> {
    let workspaces = scoped.read().await.unwrap().workspaces(&Page::default()).await.unwrap().items;
    workspaces.iter().map(|workspace| workspace.slug.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_on_a_connection_that_is_used_again() {
    let (server, template) = server().await;
    let database = server.database(Some(&template));
    let bench = Bench::postgres(&database).await;
    let store = impatient(&database).await;
    let acme = store.scope(bench.acme.id.clone());
    for round in 0..60_u32 {
        let acme = acme.clone();
        let task = tokio::spawn(async move {
            let mut write = acme.begin(alice()).await.unwrap();
            write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
            assert!(!round.is_multiple_of(3), "panics in the middle of a transaction");
            loop {
                write.workspaces(&Page::default()).await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 150)).await;
        task.abort();
        let _ = task.await;
    }
    let Pools::Postgres(pool) = &store.inner.pools else { panic!() };
    let (mut one, mut two) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    for connection in [&mut one, &mut two] {
        let row = sqlx::query(
            "SELECT coalesce(current_setting('mcpg.org_id', true), '') AS org,
                 coalesce(current_setting('mcpg.lookup', true), '') AS lookup,
                 coalesce(current_setting('mcpg.platform', true), '') AS platform,
                 pg_current_xact_id_if_assigned() IS NULL AS outside, (SELECT count(*) FROM workspaces) AS seen,
                 current_setting('statement_timeout') AS timeout",
        )
        .fetch_one(&mut **connection)
        .await
        .unwrap();
        let text = |column: &str| row.get::<String, _>(column);
        assert_eq!((text("org"), text("lookup"), text("platform")), Default::default());
        assert_eq!((row.get::<i64, _>("seen"), text("timeout").as_str()), (0, "0"));
        assert!(row.get::<bool, _>("outside"), "a transaction is open");
    }
    drop((one, two));
    assert_eq!(names(&acme).await, Vec::<String>::new());
    store.close().await;
    bench.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_or_dies_is_unavailable_and_nothing_is_applied_twice() {
    let (server, template) = server().await;
    let database = server.database(Some(&template));
    let bench = Bench::postgres(&database).await;
    let store = impatient(&database).await;
    let acme = store.scope(bench.acme.id.clone());
    hangs(&server, &acme).await;
    is_ended(&server, &database, &acme).await;
    deadlock(&bench).await;
    changes_are_heard_again(&server, &database, &bench).await;
    store.close().await;
    bench.store.close().await;
}

async fn hangs(server: &PostgresServer, acme: &Scoped) {
    // In the middle of a transaction, at its end, and before it begins.
    let mut write = acme.begin(alice()).await.unwrap();
    write.create_workspace(&slug("middle"), &display("x")).await.unwrap();
    let mut ending = acme.begin(alice()).await.unwrap();
    ending.org().await.unwrap();
    server.freeze(true);
    let started = Instant::now();
    let stalled = write.create_workspace(&slug("more"), &display("x")).await;
    assert!(matches!(stalled, Err(StoreError::Unavailable { applied: Applied::No, .. })), "{stalled:?}");
    assert!(matches!(write.commit().await, Err(StoreError::Aborted)));
    let unknown = ending.commit().await;
    assert!(matches!(unknown, Err(StoreError::Unavailable { applied: Applied::Unknown, .. })), "{unknown:?}");
    let stalled = acme.begin(alice()).await.map(|_| ());
    assert!(matches!(stalled, Err(StoreError::Unavailable { applied: Applied::No, .. })), "{stalled:?}");
    // Three waits of half a second, and not the half a minute that the server hangs.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    server.freeze(false);
    assert_eq!(recovered(acme).await, Vec::<String>::new(), "what was not committed is not in force");
}

async fn is_ended(server: &PostgresServer, database: &Database, acme: &Scoped) {
    // An administrator, a failover or a crash ends the connections.
    let mut write = acme.begin(alice()).await.unwrap();
    write.create_workspace(&slug("lost"), &display("x")).await.unwrap();
    let mut ending = acme.begin(alice()).await.unwrap();
    ending.org().await.unwrap();
    server.disconnect(&database.name);
    let lost = write.workspace(&slug("lost")).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { applied: Applied::No, .. })), "{lost:?}");
    drop(write);
    let unknown = ending.commit().await;
    assert!(matches!(unknown, Err(StoreError::Unavailable { applied: Applied::Unknown, .. })), "{unknown:?}");
    // Who comes next gets a connection that works, at once.
    assert_eq!(names(acme).await, Vec::<String>::new());
    let mut write = acme.begin(alice()).await.unwrap();
    write.create_workspace(&slug("kept"), &display("x")).await.unwrap();
    write.commit().await.unwrap();
    server.disconnect(&database.name);
    assert_eq!(names(acme).await, ["kept"]);
}

/// Two who wait for each other: one goes on, the other is told that nothing was applied.
async fn deadlock(bench: &Bench) {
    let acme = bench.acme();
    let mut write = acme.begin(alice()).await.unwrap();
    for name in ["one", "two"] {
        write.create_workspace(&slug(name), &display("x")).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut first = acme.begin(alice()).await.unwrap();
    let mut second = acme.begin(alice()).await.unwrap();
    first.update_workspace(&slug("one"), None, &display("by first")).await.unwrap();
    second.update_workspace(&slug("two"), None, &display("by second")).await.unwrap();
    let outcomes = tokio::join!(
        async {
            first.update_workspace(&slug("two"), None, &display("by first")).await?;
            first.commit().await
        },
        async {
            second.update_workspace(&slug("one"), None, &display("by second")).await?;
            second.commit().await
        },
    );
    let lost = match outcomes {
        (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
        outcomes => panic!("{outcomes:?}"),
    };
    assert!(matches!(lost, StoreError::Contention) && lost.may_be_retried(), "{lost:?}");
    let mut read = acme.read().await.unwrap();
    let one = read.workspace(&slug("one")).await.unwrap().display_name;
    assert_eq!(
        read.workspace(&slug("two")).await.unwrap().display_name,
        one,
        "all of one, nothing of the other"
    );
}

async fn changes_are_heard_again(server: &PostgresServer, database: &Database, bench: &Bench) {
    let store = bench.store.clone();
    let mut changes = store.changes();
    let following = tokio::spawn(async move { store.follow_changes().await });
    assert_eq!(changes.next().await, Some(Hint::Look));
    server.disconnect(&database.name);
    // Told to look twice: when the connection is lost, and when there is one again.
    for _ in 0..2 {
        let hint = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap();
        assert_eq!(hint, Some(Hint::Look));
    }
    // What anybody who can connect may send, and what is no change.
    for payload in ["", "a/b/c", "x", "018bcfe5-6800-7fff-bfff-ffffffffffff/x/1"] {
        server.psql(&database.name, &format!("SELECT pg_notify('mcpg_changes', '{payload}')"));
    }
    let environment = {
        let mut write = bench.write().await;
        let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
        write.create_environment(&team, &slug("prod"), &display("x")).await.unwrap();
        write.commit().await.unwrap();
        bench.acme().read().await.unwrap().environment(&slug("team"), &slug("prod")).await.unwrap()
    };
    let mut write = bench.write().await;
    let sign = |_| {
        Ok::<_, StoreError>(crate::store::NewRevision {
            document: Vec::new(),
            signature: Vec::new(),
            key_id: String::new(),
            note: String::new(),
            rollback_of: None,
        })
    };
    write.publish_revision(&environment.id, sign).await.unwrap();
    write.commit().await.unwrap();
    loop {
        let hint = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap().unwrap();
        if let Hint::Changed(change) = hint {
            assert_eq!((change.environment, change.number), (environment.id, 1));
            break;
        }
    }
    following.abort();
}

/// What there is once the server answers again.
async fn recovered(acme: &Scoped) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(20);
    while acme.read().await.is_err() {
        assert!(Instant::now() < end, "the store does not recover");
    }
    names(acme).await
}
