//! Sign-ins that are under way at an organization's identity provider. Each ends once.

use super::sql::{PlatformSql, Row, Sql, values};
use super::{OrgId, StoreError, UnixMillis, Write};

pub(super) const BY_STATE: PlatformSql = PlatformSql::both(
    "SELECT org_id, state_hash, details, created_at, expires_at FROM sign_ins WHERE state_hash = $1",
);
const CREATE: Sql = Sql::both(
    "INSERT INTO sign_ins (org_id, state_hash, details, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
);
const TAKE: Sql = Sql::both(
    "DELETE FROM sign_ins WHERE org_id = $1 AND state_hash = $2 \
     RETURNING org_id, state_hash, details, created_at, expires_at",
);
const SWEEP: Sql = Sql::both("DELETE FROM sign_ins WHERE org_id = $1 AND expires_at < $2");

/// A sign-in that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The organization.
    pub org_id: OrgId,
    /// The hash of the state that the provider sends back.
    pub state_hash: String,
    /// What is needed to end it, as JSON.
    pub details: String,
    /// When it began.
    pub created_at: UnixMillis,
    /// When it is too late.
    pub expires_at: UnixMillis,
}

impl SignIn {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            org_id: row.parsed("org_id")?,
            state_hash: row.text("state_hash")?,
            details: row.text("details")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
        })
    }
}

impl Write {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn begin_sign_in(
        &mut self,
        state_hash: &str,
        details: &str,
        expires_at: UnixMillis,
    ) -> Result<(), StoreError> {
        let now = self.now;
        self.execute(CREATE, values![state_hash, details, now, expires_at]).await.map(|_| ())
    }

    /// Ends a sign-in: it is taken out, and cannot be ended again. Sign-ins whose time is over go too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or its time is over.
    pub async fn take_sign_in(&mut self, state_hash: &str) -> Result<SignIn, StoreError> {
        self.remove_ended_sign_ins().await?;
        SignIn::read(&self.one(TAKE, values![state_hash]).await?)
    }

    /// Removes sign-ins whose time is over; how many.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn remove_ended_sign_ins(&mut self) -> Result<u64, StoreError> {
        let now = self.now;
        self.execute(SWEEP, values![now]).await
    }
}
