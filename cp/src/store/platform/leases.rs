//! Leases: work that one replica does at a time.
//!
//! INVARIANT: [`Lease::token`] grows with every change of hands, so who still works on an old lease can be told apart.
//! Time is that of the store's clock; replicas whose clocks differ by more than a lease's life can overlap, which is why what is
//! done under a lease must bear being done twice.

use super::{Mode, Platform, PlatformSql};
use crate::store::sql::values;
use crate::store::{StoreError, UnixMillis};

const ACQUIRE: PlatformSql = PlatformSql::both(
    "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $4) \
     ON CONFLICT (name) DO UPDATE SET \
         token = leases.token + CASE WHEN leases.holder = excluded.holder AND leases.expires_at > $3 \
             THEN 0 ELSE 1 END, \
         holder = excluded.holder, expires_at = excluded.expires_at \
     WHERE leases.holder = excluded.holder OR leases.expires_at <= $3 \
     RETURNING token, expires_at",
);
const RELEASE: PlatformSql =
    PlatformSql::both("UPDATE leases SET expires_at = 0 WHERE name = $1 AND token = $2");

/// The right to do some work until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The work.
    pub name: String,
    /// Who has it.
    pub holder: String,
    /// Grows with every change of hands.
    pub token: i64,
    /// When it ends unless it is acquired again.
    pub expires_at: UnixMillis,
}

/// Keeps a lease for as long as there is work: to be asked between one piece of it and the next. It is short, so that another replica, or this
/// one after a crash, goes on soon.
#[derive(Debug)]
pub struct Keeper<'a> {
    platform: Platform,
    name: &'static str,
    holder: &'a str,
    held: Option<Lease>,
}

/// How long a replica that is gone keeps the others from its work. Longer than any one piece of it takes.
const KEPT_MS: i64 = 60_000;

impl<'a> Keeper<'a> {
    /// Of some work.
    pub fn new(platform: Platform, name: &'static str, holder: &'a str) -> Self {
        Self { platform, name, holder, held: None }
    }

    /// Whether the work is this replica's to do. Renews the lease once half of it is over.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn holds(&mut self) -> Result<bool, StoreError> {
        let now = self.platform.inner.clock.now();
        if self.held.as_ref().is_none_or(|lease| lease.expires_at - now <= KEPT_MS / 2) {
            self.held = self.platform.acquire_lease(self.name, self.holder, KEPT_MS).await?;
        }
        Ok(self.held.is_some())
    }
}

impl Platform {
    /// Takes or renews a lease; none while another holder has it.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl_ms: i64,
    ) -> Result<Option<Lease>, StoreError> {
        let now = self.inner.clock.now();
        let mut transaction = self.begin(Mode::Write).await?;
        let rows = self.all(&mut transaction, ACQUIRE, values![name, holder, now, now + ttl_ms]).await?;
        transaction.commit().await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token: row.int("token")?,
            expires_at: row.int("expires_at")?,
        }))
    }

    /// Gives a lease back before its time. One that has changed hands stays where it is.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut transaction = self.begin(Mode::Write).await?;
        let sql = RELEASE.text(self.inner.pools.backend());
        transaction.execute(sql, values![&lease.name, lease.token]).await?;
        transaction.commit().await
    }
}
