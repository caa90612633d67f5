//! The schema: which version a database has, bringing it to ours, and what the service's role may do with it.
//!
//! SQLite files are migrated when they are opened. On PostgreSQL `mcpg-cp migrate` does it, as the role that owns the tables; the
//! service then runs as another, which is granted what it needs: rows that only ever grow cannot be changed by it.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _,
    SqlSafeStr as _, SqlStr,
};

use super::Backend;
use super::open::{self, OpenError, Target};

const SQLITE: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("../../migrations/sqlite/0001_tables.sql")),
    (2, "forwarding", include_str!("../../migrations/sqlite/0002_forwarding.sql")),
    (3, "audit zones", include_str!("../../migrations/sqlite/0003_audit_zones.sql")),
    (4, "terms", include_str!("../../migrations/sqlite/0004_terms.sql")),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("../../migrations/postgres/0001_tables.sql")),
    (2, "forwarding", include_str!("../../migrations/postgres/0002_forwarding.sql")),
    (3, "audit zones", include_str!("../../migrations/postgres/0003_audit_zones.sql")),
    (4, "terms", include_str!("../../migrations/postgres/0004_terms.sql")),
];

/// Tables whose rows the service adds and never changes, and whether it may remove them (retention).
const APPEND_ONLY: &[(&str, bool)] = &[
    ("audit_checkpoints", false),
    ("audit_rows", true),
    ("gateway_config_versions", false),
    ("plugin_set_versions", false),
    ("policy_versions", false),
    ("revisions", false),
    ("revocation_lists", false),
];

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 for an empty database.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// Brings a database to this program's schema. On PostgreSQL `url` is the owner's, and `app_role`, the role that the service
/// will connect as, is granted what it needs.
///
/// # Errors
/// When the database cannot be reached, is newer than this program, or the role does not fit.
pub async fn migrate(url: &str, app_role: Option<&str>) -> Result<Migrated, MigrateError> {
    match Target::parse(url)? {
        Target::Sqlite(options) => {
            open::prepare_file(&options)?;
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
            let from = version(Backend::Sqlite, &mut *pool.acquire().await?).await?;
            run_sqlite(&pool).await?;
            pool.close().await;
            Ok(Migrated { from, to: newest(Backend::Sqlite) })
        }
        Target::Postgres(options) => migrate_postgres(&options, app_role).await,
    }
}

/// Why a database was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The URL or the file is wrong.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database said no.
    #[error("the database cannot be migrated")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or the database has one that this program does not know.
    #[error("the schema cannot be brought to version {}", newest(Backend::Postgres))]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The role is not there.
    #[error("there is no role `{role}`: make it with `CREATE ROLE {role} LOGIN PASSWORD '…'`")]
    NoRole {
        /// Its name.
        role: String,
    },
    /// The role owns the tables, so row-level security would not be proof against it.
    #[error("the service cannot run as `{role}`, the role that migrates: it needs one of its own")]
    SameRole {
        /// Its name.
        role: String,
    },
}

/// The version that this program has.
pub(super) const fn newest(backend: Backend) -> i64 {
    let migrations = match backend {
        Backend::Sqlite => SQLITE,
        Backend::Postgres => POSTGRES,
    };
    match migrations.last() {
        Some((version, ..)) => *version,
        None => 0,
    }
}

/// Every migration of this program with its checksum, to be compared with what a database has.
pub(super) fn checksums(backend: Backend) -> Vec<(i64, Vec<u8>)> {
    migrator(backend).iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect()
}

/// Takes a pool: of a borrowed connection the compiler does not see that the future can change threads.
pub(super) async fn run_sqlite(pool: &sqlx::SqlitePool) -> Result<(), sqlx::migrate::MigrateError> {
    migrator(Backend::Sqlite).run(pool).await
}

async fn migrate_postgres(
    options: &PgConnectOptions,
    app_role: Option<&str>,
) -> Result<Migrated, MigrateError> {
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.clone().disable_statement_logging()).await?;
    let mut connection = pool.acquire().await?;
    open::check_server(&mut connection).await?;
    if let Some(role) = app_role {
        check_app_role(&mut connection, role).await?;
    }
    let from = version(Backend::Postgres, &mut *connection).await?;
    drop(connection);
    migrator(Backend::Postgres).run(&pool).await?;
    if let Some(role) = app_role {
        grant(&mut *pool.acquire().await?, role).await?;
    }
    pool.close().await;
    Ok(Migrated { from, to: newest(Backend::Postgres) })
}

async fn check_app_role(connection: &mut PgConnection, role: &str) -> Result<(), MigrateError> {
    let row = sqlx::query("SELECT rolname = current_user AS same FROM pg_roles WHERE rolname = $1")
        .bind(role)
        .fetch_optional(connection)
        .await?;
    match row {
        None => Err(MigrateError::NoRole { role: role.to_owned() }),
        Some(row) if row.try_get("same")? => Err(MigrateError::SameRole { role: role.to_owned() }),
        Some(_) => Ok(()),
    }
}

/// Grants what the service needs, table by table, and nothing to anybody else.
async fn grant(connection: &mut PgConnection, role: &str) -> Result<(), MigrateError> {
    // The role exists by this name, so it is a name; quoted, it is no statement.
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    let rows = sqlx::query(
        "SELECT c.relname::text AS name, quote_ident(current_schema()) AS schema FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut transaction = connection.begin().await?;
    for (index, row) in rows.iter().enumerate() {
        let (name, schema): (String, String) = (row.try_get("name")?, row.try_get("schema")?);
        if index == 0 {
            run(&mut transaction, format!("GRANT USAGE ON SCHEMA {schema} TO {quoted}")).await?;
        }
        let rights = match APPEND_ONLY.iter().find(|(table, _)| *table == name) {
            _ if name == "_sqlx_migrations" => "SELECT",
            Some((_, true)) => "SELECT, INSERT, DELETE",
            Some((_, false)) => "SELECT, INSERT",
            None => "SELECT, INSERT, UPDATE, DELETE",
        };
        run(&mut transaction, format!("REVOKE ALL ON {schema}.{name} FROM PUBLIC, {quoted}")).await?;
        run(&mut transaction, format!("GRANT {rights} ON {schema}.{name} TO {quoted}")).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())
}

/// The version of a database; 0 where there is no schema.
async fn version<C>(backend: Backend, connection: &mut C) -> Result<i64, sqlx::Error>
where
    C: sqlx::Connection,
    for<'c> &'c mut C: sqlx::Executor<'c, Database = C::Database>,
    i64: for<'r> sqlx::Decode<'r, C::Database> + sqlx::Type<C::Database>,
    for<'r> &'r str: sqlx::ColumnIndex<<C::Database as sqlx::Database>::Row>,
    <C::Database as sqlx::Database>::Arguments: sqlx::IntoArguments<C::Database>,
{
    let exists = match backend {
        Backend::Sqlite => {
            "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'"
        }
        Backend::Postgres => "SELECT count(*) AS n FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')",
    };
    let found: i64 = sqlx::query(exists).fetch_one(&mut *connection).await?.try_get("n")?;
    if found == 0 {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) AS n FROM _sqlx_migrations";
    sqlx::query(newest).fetch_one(&mut *connection).await?.try_get("n")
}

fn migrator(backend: Backend) -> Migrator {
    let migrations = match backend {
        Backend::Sqlite => SQLITE,
        Backend::Postgres => POSTGRES,
    };
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        let sql: SqlStr = (*sql).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(migrations.iter().map(migration).collect())
}
