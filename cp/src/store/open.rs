//! Opening a store, and what is refused: a role that row-level security does not hold, a schema of another version, a table
//! without policies. A control plane that cannot prove the isolation of its tenants does not start.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};

use super::connection::Pools;
use super::{Backend, Clock, Inner, Store, SystemClock, migrate};

/// The oldest PostgreSQL that is supported, as the server counts.
const POSTGRES_MIN: i32 = 150_000;

/// Readers of a SQLite file, beside its one writer.
const SQLITE_READERS: u32 = 4;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// How many connections to PostgreSQL there may be.
    pub connections_max: u32,
    /// How long one statement, or the wait for a connection, may take.
    pub wait_max: Duration,
}

impl Options {
    /// The system's clock, 16 connections, 10 seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            clock: Arc::new(SystemClock),
            connections_max: 16,
            wait_max: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for Options {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("connections_max", &self.connections_max)
            .field("wait_max", &self.wait_max)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store. A SQLite file is made if it is not there, and migrated.
    ///
    /// # Errors
    /// When the database cannot be reached, or cannot keep tenants apart: see [`OpenError`].
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let pools = match Target::parse(&options.url)? {
            Target::Sqlite(file) => open_sqlite(file, options.wait_max).await?,
            Target::Postgres(server) => open_postgres(server, options).await?,
        };
        let changes = super::changes::Teller::new(pools.backend());
        let clock = Arc::clone(&options.clock);
        let inner = Inner {
            pools,
            clock,
            wait_max: options.wait_max,
            changes,
            known: super::known::KnownGateways::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<(), super::StoreError> {
        let sight = super::connection::Sight::Lookup("");
        let mode = super::connection::Mode::Read;
        self.inner.pools.begin(mode, sight, self.inner.wait_max).await?.rollback().await;
        Ok(())
    }
}

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of a database that there is support for.
    #[error("the database is not given as `sqlite://PATH` or `postgres://…`")]
    Url,
    /// The URL has options that the driver does not know.
    #[error("the database's URL cannot be read")]
    Options(#[source] sqlx::Error),
    /// The file cannot be made or opened.
    #[error("`{}` cannot be opened", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be reached, or refuses the connection.
    #[error("the database cannot be opened")]
    Database(#[from] sqlx::Error),
    /// A SQLite file cannot be migrated, or is newer.
    #[error("the schema cannot be brought to version {}", migrate::newest(Backend::Sqlite))]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// PostgreSQL is too old.
    #[error("PostgreSQL {found} is too old: 15 is the oldest that is supported")]
    TooOld {
        /// Its version, as it gives it.
        found: String,
    },
    /// The role can get around row-level security.
    #[error(
        "the service must not connect as `{role}`, which {reason}: use a role that only has what `mcpg-cp migrate --app-role` grants"
    )]
    Role {
        /// The role.
        role: String,
        /// What it is or can.
        reason: &'static str,
    },
    /// The schema is missing, or older than this program.
    #[error("the database is at version {found} of the schema and needs {needed}: run `mcpg-cp migrate`")]
    NotMigrated {
        /// What it has; 0 is nothing.
        found: i64,
        /// What this program needs.
        needed: i64,
    },
    /// The schema is newer, or another than the one this program knows by that number.
    #[error(
        "the database is at version {found} of the schema, which this program does not know: it has {known}"
    )]
    Unknown {
        /// What it has.
        found: i64,
        /// What this program has.
        known: i64,
    },
    /// A table with tenants' rows is not protected.
    #[error("row-level security does not hold on table `{table}`")]
    Unprotected {
        /// Which.
        table: String,
    },
}

/// Which database a URL names.
pub(super) enum Target {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        if url.starts_with("sqlite:") {
            // Readers and the writer are different connections: in memory each would have a database of its own.
            if url.contains(":memory:") || url.contains("mode=memory") {
                return Err(OpenError::Url);
            }
            let options = SqliteConnectOptions::from_str(url).map_err(OpenError::Options)?;
            return Ok(Self::Sqlite(sqlite_options(options)));
        }
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(OpenError::Url);
        }
        let options = PgConnectOptions::from_str(url).map_err(OpenError::Options)?;
        // Over a network the server proves who it is, unless the URL says otherwise in so many words.
        let host = options.get_host();
        let local = host.starts_with('/')
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let options = if local || url.contains("sslmode=") || url.contains("ssl-mode=") {
            options
        } else {
            options.ssl_mode(PgSslMode::VerifyFull)
        };
        Ok(Self::Postgres(options.application_name("mcpg-cp")))
    }
}

fn sqlite_options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .create_if_missing(false)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was answered survives a loss of power.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

/// Makes the file if it is not there, for its owner only.
pub(super) fn prepare_file(options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let path = options.get_filename();
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let mut file = std::fs::OpenOptions::new();
    file.read(true).append(true).create(true).mode(0o600);
    let file = file.open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

async fn open_sqlite(options: SqliteConnectOptions, wait_max: Duration) -> Result<Pools, OpenError> {
    prepare_file(&options)?;
    let pool = |max: u32| {
        SqlitePoolOptions::new()
            .max_connections(max)
            .acquire_timeout(wait_max)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    migrate::run_sqlite(&writer).await?;
    let readers = pool(SQLITE_READERS).connect_lazy_with(options.read_only(true));
    Ok(Pools::Sqlite { readers, writer })
}

async fn open_postgres(server: PgConnectOptions, options: &Options) -> Result<Pools, OpenError> {
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max.max(2))
        .acquire_timeout(options.wait_max)
        .connect_with(server.disable_statement_logging().statement_cache_capacity(256))
        .await?;
    let mut connection = pool.acquire().await?;
    check_server(&mut connection).await?;
    check_role(&mut connection).await?;
    check_schema(&mut connection).await?;
    check_policies(&mut connection).await?;
    drop(connection);
    Ok(Pools::Postgres(pool))
}

/// Refuses a server that is too old.
pub(super) async fn check_server(connection: &mut PgConnection) -> Result<(), OpenError> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS name",
    )
    .fetch_one(connection)
    .await?;
    if row.try_get::<i32, _>("number")? < POSTGRES_MIN {
        return Err(OpenError::TooOld { found: row.try_get("name")? });
    }
    Ok(())
}

/// Refuses a role that is, or can become, one that row-level security does not hold.
async fn check_role(connection: &mut PgConnection) -> Result<(), OpenError> {
    let row = sqlx::query(
        "SELECT session_user::text AS role,
             bool_or(r.rolsuper) AS superuser,
             bool_or(r.rolbypassrls) AS bypass,
             bool_or(r.rolcreaterole) AS creates,
             bool_or(r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
                 AS reaches,
             EXISTS (SELECT 1 FROM pg_class c
                     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
                         AND pg_has_role(session_user, c.relowner, 'MEMBER')) AS owner
         FROM pg_roles r WHERE pg_has_role(session_user, r.oid, 'MEMBER')",
    )
    .fetch_one(connection)
    .await?;
    let reasons = [
        ("superuser", "is a superuser or can become one"),
        ("bypass", "can bypass row-level security"),
        ("creates", "can create roles"),
        ("reaches", "can reach the server's files"),
        ("owner", "owns tables"),
    ];
    for (column, reason) in reasons {
        if row.try_get::<Option<bool>, _>(column)?.unwrap_or(true) {
            return Err(OpenError::Role { role: row.try_get("role")?, reason });
        }
    }
    Ok(())
}

/// Refuses a schema that is not exactly this program's.
async fn check_schema(connection: &mut PgConnection) -> Result<(), OpenError> {
    let known = migrate::checksums(Backend::Postgres);
    let needed = migrate::newest(Backend::Postgres);
    let exists = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS found");
    if !exists.fetch_one(&mut *connection).await?.try_get::<bool, _>("found")? {
        return Err(OpenError::NotMigrated { found: 0, needed });
    }
    let rows = sqlx::query("SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(|error| match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            // The role was never granted anything.
            Some(code) if code == "42501" => OpenError::NotMigrated { found: 0, needed },
            _ => error.into(),
        })?;
    let mut found = 0;
    for row in &rows {
        let version: i64 = row.try_get("version")?;
        let checksum: Vec<u8> = row.try_get("checksum")?;
        if !row.try_get::<bool, _>("success")? || !known.contains(&(version, checksum)) {
            return Err(OpenError::Unknown { found: version, known: needed });
        }
        found = version;
    }
    if rows.len() == known.len() { Ok(()) } else { Err(OpenError::NotMigrated { found, needed }) }
}

/// Refuses a database with a table of tenants' rows that row-level security does not hold, or a way around it.
pub(super) async fn check_policies(connection: &mut PgConnection) -> Result<(), OpenError> {
    let found = sqlx::query(
        "SELECT c.relname::text AS name FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
             AND NOT (c.relkind IN ('r', 'p') AND c.relrowsecurity AND c.relforcerowsecurity
                 AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'
                     AND p.polcmd = '*'
                     AND pg_get_expr(p.polqual, c.oid) LIKE '(org_id = current_setting(''mcpg.org_id''%'
                     AND pg_get_expr(p.polwithcheck, c.oid) LIKE '(org_id = current_setting(''mcpg.org_id''%'))
         UNION ALL
         SELECT c.relname::text FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid
         WHERE c.relnamespace = current_schema()::regnamespace AND p.polpermissive AND p.polname <> 'tenant'
             AND NOT (p.polcmd = 'r' AND pg_get_expr(p.polqual, c.oid) LIKE '%current_setting(''mcpg.lookup''%')
             AND NOT (c.relname IN ('orgs', 'platform_tokens') AND p.polname = 'platform')
        UNION ALL
         SELECT p.proname::text FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace AND p.prosecdef
         LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    match found {
        Some(row) => Err(OpenError::Unprotected { table: row.try_get("name")? }),
        None => Ok(()),
    }
}
