//! What every case starts from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use mcpg_cp_api::{DisplayName, Slug};

use super::postgres::{Database, PostgresServer};
use crate::store::{Actor, Clock, NewOrg, Options, Org, Scoped, Store, Write, migrate};

/// A store on an empty database, with two organizations.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) clock: Arc<TestClock>,
    pub(super) acme: Org,
    pub(super) evil: Org,
    pub(super) url: String,
    /// Keeps the file of SQLite.
    _folder: Option<tempfile::TempDir>,
}

/// A clock that stands still, and numbers that nobody else has.
pub(super) struct TestClock {
    now: AtomicI64,
    number: AtomicU64,
}

impl TestClock {
    pub(super) fn new() -> Arc<Self> {
        // Several stores on one database make different ids.
        static STORES: AtomicU64 = AtomicU64::new(1);
        let number = STORES.fetch_add(1, Ordering::Relaxed) << 32;
        Arc::new(Self { now: AtomicI64::new(1_800_000_000_000), number: AtomicU64::new(number) })
    }

    pub(super) fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn random(&self) -> [u8; 16] {
        let number = u128::from(self.number.fetch_add(1, Ordering::Relaxed));
        // Ids sort by what follows the time: let that not be their order.
        (number | u128::from(!u64::try_from(number & 0xff).unwrap()) << 64).to_be_bytes()
    }
}

impl Bench {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("cp.db").display());
        let clock = TestClock::new();
        let store = Store::open(&options(&url, &clock)).await.unwrap();
        Self::new(store, clock, url, Some(folder)).await
    }

    pub(super) async fn postgres(database: &Database) -> Self {
        let clock = TestClock::new();
        let store = Store::open(&options(&database.app_url, &clock)).await.unwrap();
        Self::new(store, clock, database.app_url.clone(), None).await
    }

    async fn new(
        store: Store,
        clock: Arc<TestClock>,
        url: String,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let acme = new_org(&store, "acme").await;
        let evil = new_org(&store, "evil").await;
        Self { store, clock, acme, evil, url, _folder: folder }
    }

    pub(super) fn acme(&self) -> Scoped {
        self.store.scope(self.acme.id.clone())
    }

    pub(super) fn evil(&self) -> Scoped {
        self.store.scope(self.evil.id.clone())
    }

    /// Another store on the same database, as another process has it.
    pub(super) async fn replica(&self) -> Store {
        Store::open(&options(&self.url, &TestClock::new())).await.unwrap()
    }

    /// A transaction on the first organization.
    pub(super) async fn write(&self) -> Write {
        self.acme().begin(alice()).await.unwrap()
    }
}

pub(super) fn options(url: &str, clock: &Arc<TestClock>) -> Options {
    Options { clock: Arc::clone(clock) as Arc<dyn Clock>, ..Options::new(url) }
}

pub(super) async fn new_org(store: &Store, name: &str) -> Org {
    let new = NewOrg { slug: slug(name), display_name: display(name), subdomain: None };
    store.platform().create_org(&alice(), new).await.unwrap()
}

pub(super) fn alice() -> Actor {
    Actor {
        subject: "alice@acme.com".to_owned(),
        method: "token".to_owned(),
        source: Some([192, 0, 2, 1].into()),
        request_id: [7; 16],
    }
}

pub(super) fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

pub(super) fn display(text: &str) -> DisplayName {
    text.parse().unwrap()
}

/// A case, to be run later.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) run: fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Makes a test on SQLite of every case, and a list of them for PostgreSQL.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        mod sqlite {
            use super::Bench;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$module::$case(Bench::sqlite().await).await;
                }
            )+)+
        }

        const CASES: &[super::tests::bench::Case] = &[$($(
            super::tests::bench::Case {
                name: stringify!($case),
                run: |bench| Box::pin($module::$case(bench)),
            },
        )+)+];

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_behaves_alike() {
            super::tests::bench::on_postgres(CASES).await;
        }
    };
}
pub(super) use cases;

/// A server with one migrated database, to be copied.
pub(super) async fn server() -> (PostgresServer, Database) {
    let server = PostgresServer::start();
    let template = server.database(None);
    let migrated = migrate(&template.owner_url, Some(super::postgres::APP)).await.unwrap();
    assert_eq!((migrated.from, migrated.to), (0, 4));
    (server, template)
}

/// Runs every case, each on a new database, and names those that fail.
pub(super) async fn on_postgres(cases: &[Case]) {
    let (server, template) = server().await;
    let mut failed = Vec::new();
    for case in cases {
        let bench = Bench::postgres(&server.database(Some(&template))).await;
        let store = bench.store.clone();
        if tokio::spawn((case.run)(bench)).await.is_err() {
            failed.push(case.name);
        }
        store.close().await;
    }
    assert!(failed.is_empty(), "on PostgreSQL these fail: {failed:?}");
}
