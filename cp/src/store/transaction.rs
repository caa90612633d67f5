//! Reading and changing one organization: what handlers hold while they do it.
//!
//! A [`Read`] sees one moment. A [`Write`] is a read that can change things; it is for one [`Actor`], and what the actor did is
//! appended to the organization's audit chain when it is committed, in the same transaction. The chain's head is locked then, last
//! of all, so transactions of one organization wait for each other only there.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::audit::Pending;
use super::changes::{Change, Hint};
use super::connection::{Mode, Sight, Transaction};
use super::sql::{ROWS_AT_ONCE, Row, Rows, Sql, Value, columns};
use super::{Backend, GatewayId, Inner, OrgId, Scoped, StoreError, UnixMillis};

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The member, the token or the gateway.
    pub subject: String,
    /// How they proved it: `token`, `session`, `bootstrap`, `agent`.
    pub method: String,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// The request; zeros where there is none.
    pub request_id: [u8; 16],
}

impl Actor {
    /// The control plane itself.
    pub fn system(subject: &str) -> Self {
        Self { subject: subject.to_owned(), method: "system".to_owned(), source: None, request_id: [0; 16] }
    }
}

/// One moment of an organization.
pub struct Read {
    pub(super) inner: Arc<Inner>,
    pub(super) org: OrgId,
    transaction: Transaction,
}

/// Changes to an organization, none of which is in force before [`Write::commit`]. Dropped, they never are.
pub struct Write {
    read: Read,
    pub(super) actor: Actor,
    pub(super) now: UnixMillis,
    pub(super) pending: Vec<Pending>,
    pub(super) changes: Vec<Change>,
    pub(super) retired: Vec<GatewayId>,
    /// Whether what holds for all gateways of the organization may be another now.
    pub(super) changes_terms: bool,
}

impl Scoped {
    /// Begins to read.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn read(&self) -> Result<Read, StoreError> {
        self.open(Mode::Read).await
    }

    /// Begins to change something.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn begin(&self, actor: Actor) -> Result<Write, StoreError> {
        Ok(Write::new(self.open(Mode::Write).await?, actor))
    }

    async fn open(&self, mode: Mode) -> Result<Read, StoreError> {
        let sight = Sight::Tenant(self.org.as_str());
        let transaction = self.inner.pools.begin(mode, sight, self.inner.wait_max).await?;
        Ok(Read::new(Arc::clone(&self.inner), self.org.clone(), transaction))
    }
}

impl Read {
    pub(super) fn new(inner: Arc<Inner>, org: OrgId, transaction: Transaction) -> Self {
        Self { inner, org, transaction }
    }

    /// The organization.
    pub fn org_id(&self) -> &OrgId {
        &self.org
    }

    pub(super) fn backend(&self) -> Backend {
        self.inner.pools.backend()
    }

    /// Runs a statement with the organization as `$1` and the values behind it.
    pub(super) async fn all(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let values = self.bound(values);
        self.transaction.all(sql.text(self.inner.pools.backend()), values).await
    }

    /// The same for at most one row.
    pub(super) async fn optional(&mut self, sql: Sql, values: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    /// The same for a row that must be there.
    pub(super) async fn one(&mut self, sql: Sql, values: Vec<Value>) -> Result<Row, StoreError> {
        self.optional(sql, values).await?.ok_or(StoreError::NotFound)
    }

    async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64, StoreError> {
        let values = self.bound(values);
        self.transaction.execute(sql.text(self.inner.pools.backend()), values).await
    }

    fn bound(&self, values: Vec<Value>) -> Vec<Value> {
        let mut bound = Vec::with_capacity(values.len() + 1);
        bound.push(Value::from(&self.org));
        bound.extend(values);
        bound
    }
}

impl Write {
    pub(super) fn new(read: Read, actor: Actor) -> Self {
        let now = read.inner.clock.now();
        Self {
            read,
            actor,
            now,
            pending: Vec::new(),
            changes: Vec::new(),
            retired: Vec::new(),
            changes_terms: false,
        }
    }

    /// The time of everything in this transaction.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Runs a changing statement with the organization as `$1`; how many rows it changed.
    pub(super) async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64, StoreError> {
        self.read.execute(sql, values).await
    }

    /// Runs a changing statement for each row: one by one on SQLite, with a list for each column on PostgreSQL, whose text
    /// reads them with `UNNEST`.
    pub(super) async fn execute_each(&mut self, sql: Sql, rows: Vec<Vec<Value>>) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        if self.backend() == Backend::Postgres {
            return self.execute(sql, columns(rows)?).await;
        }
        let mut changed = 0;
        for row in rows {
            changed += self.execute(sql, row).await?;
        }
        Ok(changed)
    }

    /// Inserts rows: the same, but many at a time on SQLite.
    pub(super) async fn execute_rows(
        &mut self,
        sql: &Rows,
        rows: Vec<Vec<Value>>,
    ) -> Result<u64, StoreError> {
        if self.backend() == Backend::Postgres {
            return self.execute_each(sql.one, rows).await;
        }
        let (mut changed, mut rows) = (0, rows.into_iter());
        while rows.len() >= ROWS_AT_ONCE {
            // The tenant is bound for each row.
            let many = rows.by_ref().take(ROWS_AT_ONCE).flat_map(|row| self.read.bound(row)).collect();
            changed += self.read.transaction.execute(sql.many, many).await?;
        }
        Ok(changed + self.execute_each(sql.one, rows.collect()).await?)
    }

    /// The same for a statement that answers with rows.
    pub(super) async fn all_each(&mut self, sql: Sql, rows: Vec<Vec<Value>>) -> Result<Vec<Row>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        if self.backend() == Backend::Postgres {
            return self.all(sql, columns(rows)?).await;
        }
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.extend(self.all(sql, row).await?);
        }
        Ok(all)
    }

    /// Deletes; a row that others refer to is in use.
    pub(super) async fn delete(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64, StoreError> {
        self.execute(sql, values).await.map_err(|error| match error {
            // Nothing else is referred to by what goes.
            StoreError::NotFound => StoreError::InUse,
            error => error,
        })
    }

    /// Brings all changes into force, with the rows about them in the organization's chain.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says whether they can be in force all the same.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.append_pending().await?;
        self.notify().await?;
        let committed = self.read.transaction.commit().await;
        // Where nobody knows whether it is in force, it may be.
        for gateway in self.retired.drain(..) {
            self.read.inner.known.forget(&gateway);
        }
        committed?;
        for change in self.changes.drain(..) {
            self.read.inner.changes.tell(Hint::Changed(change));
        }
        if self.changes_terms {
            self.read.inner.changes.tell(Hint::Terms(self.read.org.clone()));
        }
        Ok(())
    }

    /// Gives all changes up, and waits until they are undone.
    pub async fn rollback(self) {
        self.read.transaction.rollback().await;
    }
}

impl Deref for Write {
    type Target = Read;

    fn deref(&self) -> &Read {
        &self.read
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Read {
        &mut self.read
    }
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("org", &self.org).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Write")
            .field("org", &self.read.org)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}
