//! Connections and transactions on either database.
//!
//! A [`Transaction`] owns its connection from `BEGIN` to its end. INVARIANT: a connection goes back to its pool only with no
//! transaction open on it. One that is dropped between statements is rolled back in the background first; one that is dropped
//! while a statement runs (a cancelled request, a timeout) is closed, and the database rolls back.
//! A statement that failed aborts the transaction on both databases, as PostgreSQL does by itself.

use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgPool, Postgres, Sqlite, SqlitePool};

use super::error::TimedOut;
use super::sql::{Row, Value};
use super::watched::Watched;
use super::{Backend, StoreError};

/// How long the rollback of an abandoned transaction may take before its connection is closed.
const ROLLBACK_MAX: Duration = Duration::from_secs(2);

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    /// SQLite has one writer.
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    /// PostgreSQL.
    Postgres(PgPool),
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reads of one moment.
    Read,
    /// Changes.
    Write,
}

/// What a transaction may see on PostgreSQL, as settings that end with it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sight<'a> {
    /// One tenant's rows.
    Tenant(&'a str),
    /// The row that has a key, such as `token:…`.
    Lookup(&'a str),
    /// Organizations and leases.
    Platform,
    /// Organizations, and the rows of one that is being made or named.
    PlatformFor(&'a str),
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// An open transaction.
pub(super) struct Transaction {
    /// Taken when the transaction ends.
    connection: Option<Connection>,
    wait_max: Duration,
    /// Whether a statement is under way.
    busy: bool,
    /// Whether one failed.
    failed: bool,
    watched: Watched,
}

impl Pools {
    pub(super) fn backend(&self) -> Backend {
        match self {
            Self::Sqlite { .. } => Backend::Sqlite,
            Self::Postgres(_) => Backend::Postgres,
        }
    }

    /// Opens a transaction. Tried again on another connection where the one from the pool turns out to be dead.
    pub(super) async fn begin(
        &self,
        mode: Mode,
        sight: Sight<'_>,
        wait_max: Duration,
    ) -> Result<Transaction, StoreError> {
        let mut tries = 0;
        loop {
            match self.try_begin(mode, sight, wait_max).await {
                Err(error) if error.may_be_retried() && tries < 2 && !timed_out(&error) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn try_begin(
        &self,
        mode: Mode,
        sight: Sight<'_>,
        wait_max: Duration,
    ) -> Result<Transaction, StoreError> {
        let connection = match self {
            Self::Sqlite { readers, writer } => {
                let pool = if mode == Mode::Write { writer } else { readers };
                Connection::Sqlite(within(wait_max, pool.acquire()).await?)
            }
            Self::Postgres(pool) => Connection::Postgres(within(wait_max, pool.acquire()).await?),
        };
        let watched = Watched::begins(mode);
        let mut transaction =
            Transaction { connection: Some(connection), wait_max, busy: false, failed: false, watched };
        let begin = match (self.backend(), mode) {
            (Backend::Sqlite, Mode::Read) => "BEGIN DEFERRED",
            (Backend::Sqlite, Mode::Write) => "BEGIN IMMEDIATE",
            (Backend::Postgres, Mode::Read) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // Not `READ WRITE`: a standby refuses that with a code that says nothing of a standby.
            (Backend::Postgres, Mode::Write) => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        transaction.plain(begin).await?;
        transaction.look(sight).await?;
        Ok(transaction)
    }

    /// Connections that are open, and those of them that nobody uses.
    pub(super) fn connections(&self) -> (u64, u64) {
        let count = |open: u32, idle: usize| (u64::from(open), u64::try_from(idle).unwrap_or(u64::MAX));
        match self {
            Self::Sqlite { readers, writer } => {
                count(readers.size() + writer.size(), readers.num_idle() + writer.num_idle())
            }
            Self::Postgres(pool) => count(pool.size(), pool.num_idle()),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    fn backend(&self) -> Backend {
        match self.connection {
            Some(Connection::Postgres(_)) => Backend::Postgres,
            _ => Backend::Sqlite,
        }
    }

    /// Says what is visible until the transaction ends. PostgreSQL's policies read it; SQLite has none.
    async fn look(&mut self, sight: Sight<'_>) -> Result<(), StoreError> {
        if self.backend() == Backend::Sqlite {
            return Ok(());
        }
        let (org, lookup, platform) = match sight {
            Sight::Tenant(org) => (org, "", ""),
            Sight::Lookup(key) => ("", key, ""),
            Sight::Platform => ("", "", "on"),
            Sight::PlatformFor(org) => (org, "", "on"),
        };
        // Plans are made with the values: a plan for all values would read every row where a filter is optional.
        // Lists are read in the order of an index, a page at a time: a bitmap would be made of all that there is.
        // The server's own limits, a little later than ours: a connection that we gave up does not keep its locks.
        let limit = (self.wait_max.as_millis() + 1000).to_string();
        let settings = super::sql::values![org, lookup, platform, limit.as_str(), limit.as_str()];
        self.all(
            "SELECT set_config('mcpg.org_id', $1, true), set_config('mcpg.lookup', $2, true),
                 set_config('mcpg.platform', $3, true), set_config('statement_timeout', $4, true),
                 set_config('idle_in_transaction_session_timeout', $5, true),
                 set_config('plan_cache_mode', 'force_custom_plan', true),
                 set_config('enable_bitmapscan', 'off', true)",
            settings,
        )
        .await
        .map(|_| ())
    }

    /// Runs a statement and returns its rows.
    pub(super) async fn all(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let wait_max = self.wait_max;
        let connection = self.start(sql, &values)?;
        let outcome = tokio::time::timeout(wait_max, rows(connection, sql, values)).await;
        self.end(outcome.ok())
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        let wait_max = self.wait_max;
        let connection = self.start(sql, &values)?;
        let outcome = tokio::time::timeout(wait_max, changed(connection, sql, values)).await;
        self.end(outcome.ok())
    }

    /// A statement without parameters and rows.
    async fn plain(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let wait_max = self.wait_max;
        let connection = self.start(sql, &[])?;
        let outcome = tokio::time::timeout(wait_max, plain(connection, sql)).await;
        self.end(outcome.ok())
    }

    fn start(&mut self, sql: &'static str, values: &[Value]) -> Result<&mut Connection, StoreError> {
        for value in values {
            value.check()?;
        }
        if self.failed {
            return Err(StoreError::Aborted);
        }
        let connection = self.connection.as_mut().ok_or(StoreError::Aborted)?;
        self.busy = true;
        self.watched.runs(sql);
        Ok(connection)
    }

    /// Takes note of how a statement ended; with nothing, the time was over and it is still under way.
    fn end<T>(&mut self, outcome: Option<Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        let outcome = match outcome {
            Some(outcome) => outcome.map_err(StoreError::from),
            None => Err(StoreError::unavailable(TimedOut { waited_ms: self.wait_max.as_millis() })),
        };
        // After an error of the connection nothing is known about it: `busy` stays, so it is closed.
        self.busy = matches!(outcome, Err(StoreError::Unavailable { .. }));
        self.failed = outcome.is_err();
        outcome
    }

    /// Brings the changes into force.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.plain("COMMIT").await.map_err(|error| match error {
            StoreError::Aborted => error,
            error => error.while_committing(),
        })?;
        // Nothing is open any more: the connection goes back as it is.
        self.connection = None;
        self.watched.ends("committed");
        Ok(())
    }

    /// Ends it without any change, and waits for that.
    pub(super) async fn rollback(mut self) {
        if let Some(connection) = self.connection.take() {
            abandon(connection, self.busy).await;
            self.watched.ends("rolled back");
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let busy = self.busy;
        self.watched.ends(if busy { "cut off" } else { "rolled back" });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Bounded: it ends within ROLLBACK_MAX, and the pool waits for its connection when it is closed.
            runtime.spawn(abandon(connection, busy));
        }
    }
}

/// Rolls back what is open on a connection, or closes it.
async fn abandon(mut connection: Connection, busy: bool) {
    let rolled_back = !busy
        && tokio::time::timeout(ROLLBACK_MAX, plain(&mut connection, "ROLLBACK"))
            .await
            .is_ok_and(|outcome| outcome.is_ok());
    if !rolled_back {
        match &mut connection {
            Connection::Sqlite(connection) => connection.close_on_drop(),
            Connection::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

async fn rows(
    connection: &mut Connection,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    Ok(match connection {
        Connection::Sqlite(connection) => {
            let rows = sqlite_query(sql, values)?.fetch_all(&mut **connection).await?;
            rows.into_iter().map(Row::Sqlite).collect()
        }
        Connection::Postgres(connection) => {
            let rows = postgres_query(sql, values).fetch_all(&mut **connection).await?;
            rows.into_iter().map(Row::Postgres).collect()
        }
    })
}

async fn changed(
    connection: &mut Connection,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<u64, sqlx::Error> {
    Ok(match connection {
        Connection::Sqlite(connection) => {
            sqlite_query(sql, values)?.execute(&mut **connection).await?.rows_affected()
        }
        Connection::Postgres(connection) => {
            postgres_query(sql, values).execute(&mut **connection).await?.rows_affected()
        }
    })
}

async fn plain(connection: &mut Connection, sql: &'static str) -> Result<(), sqlx::Error> {
    match connection {
        Connection::Sqlite(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
        Connection::Postgres(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
    }
}

/// Waits for the pool no longer than granted.
async fn within<T>(
    wait_max: Duration,
    acquired: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(wait_max, acquired).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StoreError::unavailable(TimedOut { waited_ms: wait_max.as_millis() })),
    }
}

fn timed_out(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    source.is::<TimedOut>() || matches!(source.downcast_ref(), Some(sqlx::Error::PoolTimedOut))
}

type Query<DB> = sqlx::query::Query<'static, DB, <DB as sqlx::Database>::Arguments>;

fn sqlite_query(sql: &'static str, values: Vec<Value>) -> Result<Query<Sqlite>, sqlx::Error> {
    let mut query = sqlx::query(sql);
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Texts(_) | Value::Ints(_) | Value::Blobs(_) => {
                return Err(sqlx::Error::Encode("SQLite has no lists".into()));
            }
        };
    }
    Ok(query)
}

fn postgres_query(sql: &'static str, values: Vec<Value>) -> Query<Postgres> {
    let mut query = sqlx::query(sql);
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Texts(texts) => query.bind(texts),
            Value::Ints(numbers) => query.bind(numbers),
            Value::Blobs(blobs) => query.bind(blobs),
        };
    }
    query
}
