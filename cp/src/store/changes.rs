//! Telling every replica that an environment has a new revision or a new stage of a rollout, or an organization other terms.
//!
//! A change is a hint: who waits for one reads its own environment, through its own handle, and finds out what there is. So a lost
//! hint costs time and nothing else: [`Hint::Look`] comes at intervals, and whenever the connection that listens was lost.
//! A gateway that was retired is told about by itself: replicas that know it forget it ([`super::known`]).
//! What goes through PostgreSQL's NOTIFY, which row-level security does not cover, are ids and a number.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Executor as _, PgPool};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::sql::{Sql, values};
use super::{Backend, EnvironmentId, GatewayId, Inner, OrgId, Store, StoreError, Write};

const CHANNEL: &str = "mcpg_changes";
const RETIRED: &str = "mcpg_retired";

/// How many hints a slow subscriber may fall behind before it is told to look instead.
const BACKLOG: usize = 1024;

/// How often everybody looks without having been told.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long the connection that listens may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long to wait before listening again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// An environment has something new.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// The organization.
    pub org: OrgId,
    /// The environment.
    pub environment: EnvironmentId,
    /// The number of its newest revision.
    pub number: i64,
}

/// Why to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// This changed.
    Changed(Change),
    /// What holds for all gateways of this organization changed.
    Terms(OrgId),
    /// Anything can have changed.
    Look,
}

/// Hints, as they come.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Hint>,
}

/// Who tells.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    sender: broadcast::Sender<Hint>,
    /// PostgreSQL tells this replica as it tells the others.
    by_itself: bool,
}

impl Store {
    /// Hints from now on, about all organizations: for the part that serves gateways, which looks through scoped handles.
    pub fn changes(&self) -> Changes {
        Changes { receiver: self.inner.changes.sender.subscribe() }
    }

    /// Has the gateways of an environment believed for longer: these were live, with these keys, when it began to be read. To be called
    /// after each reading.
    pub fn confirm_gateways(
        &self,
        environment: &EnvironmentId,
        live: &HashMap<GatewayId, [u8; 32]>,
        begun: std::time::Instant,
    ) {
        self.inner.known.confirm(live, environment, begun);
    }

    /// Listens for other replicas and reminds subscribers to look, until it is dropped. To be run beside the server.
    pub async fn follow_changes(&self) {
        let sender = &self.inner.changes.sender;
        match &self.inner.pools {
            super::connection::Pools::Postgres(pool) => loop {
                if let Err(error) = listen(pool, &self.inner).await {
                    tracing::warn!(%error, "changes of other replicas are not heard of for a moment");
                }
                self.inner.known.forget_all();
                let _ = sender.send(Hint::Look);
                tokio::time::sleep(LISTEN_AGAIN).await;
            },
            super::connection::Pools::Sqlite { .. } => loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let _ = sender.send(Hint::Look);
            },
        }
    }
}

impl Changes {
    /// The next hint; none once the store is gone.
    pub async fn next(&mut self) -> Option<Hint> {
        match self.receiver.recv().await {
            Ok(hint) => Some(hint),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Hint::Look),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Teller {
    pub(super) fn new(backend: Backend) -> Self {
        Self { sender: broadcast::channel(BACKLOG).0, by_itself: backend == Backend::Sqlite }
    }

    /// Tells about a change that is in force.
    pub(super) fn tell(&self, hint: Hint) {
        if self.by_itself {
            // Nobody may be listening.
            let _ = self.sender.send(hint);
        }
    }
}

impl Write {
    /// Has PostgreSQL tell about the changes once the transaction is committed.
    pub(super) async fn notify(&mut self) -> Result<(), StoreError> {
        // The environment's row proves that it is this organization's.
        const NOTIFY: Sql = Sql::both(
            "SELECT pg_notify($2, $1 || '/' || environment_id || '/' || revision) FROM environments \
             WHERE org_id = $1 AND environment_id = $3",
        );
        const NOTIFY_RETIRED: Sql =
            Sql::both("SELECT pg_notify($2, gateway_id) FROM gateways WHERE org_id = $1 AND gateway_id = $3");
        const NOTIFY_TERMS: Sql = Sql::both("SELECT pg_notify($2, org_id) FROM orgs WHERE org_id = $1");
        if self.backend() == Backend::Sqlite {
            return Ok(());
        }
        if self.changes_terms {
            self.all(NOTIFY_TERMS, values![CHANNEL]).await?;
        }
        // First: who hears of the change then knows the gateway no more.
        for gateway in self.retired.clone() {
            self.all(NOTIFY_RETIRED, values![RETIRED, &gateway]).await?;
        }
        let changed: Vec<EnvironmentId> =
            self.changes.iter().map(|change| change.environment.clone()).collect();
        for environment in changed {
            self.all(NOTIFY, values![CHANNEL, &environment]).await?;
        }
        Ok(())
    }

    /// Has subscribers told, once the transaction is in force, that the organization's terms may be others.
    pub(super) fn terms_changed(&mut self) {
        self.changes_terms = true;
    }
}

async fn listen(pool: &PgPool, inner: &Inner) -> Result<(), sqlx::Error> {
    let sender = &inner.changes.sender;
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([CHANNEL, RETIRED]).await?;
    // What happened before this moment was not heard.
    inner.known.forget_all();
    let _ = sender.send(Hint::Look);
    let mut look_at = Instant::now() + LOOK_EVERY;
    loop {
        let hint = match tokio::time::timeout_at(look_at, listener.try_recv()).await {
            // The connection was lost.
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(notification))) if notification.channel() == RETIRED => {
                if let Ok(gateway) = notification.payload().parse() {
                    inner.known.forget(&gateway);
                }
                continue;
            }
            Ok(Ok(Some(notification))) => match parse(notification.payload()) {
                Some(hint) => hint,
                None => continue,
            },
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                look_at = Instant::now() + LOOK_EVERY;
                // A connection that died without a word would be silent for ever.
                if !answers(&mut listener).await? {
                    return Ok(());
                }
                Hint::Look
            }
        };
        let _ = sender.send(hint);
    }
}

async fn answers(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(ANSWER_MAX, listener.execute(sqlx::raw_sql("SELECT 1"))).await {
        Ok(answer) => answer.map(|_| true),
        Err(_) => Ok(false),
    }
}

/// Anybody who can connect can notify, so nothing but well-formed ids is passed on.
fn parse(payload: &str) -> Option<Hint> {
    let mut parts = payload.split('/');
    let org: OrgId = parts.next()?.parse().ok()?;
    let Some(environment) = parts.next() else { return Some(Hint::Terms(org)) };
    let change = Change { org, environment: environment.parse().ok()?, number: parts.next()?.parse().ok()? };
    parts.next().is_none().then_some(Hint::Changed(change))
}
