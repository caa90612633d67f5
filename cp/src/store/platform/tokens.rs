//! Tokens of the platform itself: of who runs the control plane, not of an organization.

use super::{Mode, Platform, PlatformSql};
use crate::store::sql::{Row, values};
use crate::store::{Listed, Page, StoreError, TokenId, UnixMillis};

const BY_HASH: PlatformSql = PlatformSql::both(
    "SELECT token_id, name, created_at, expires_at, revoked_at FROM platform_tokens WHERE hash = $1",
);
const LIST: PlatformSql = PlatformSql::both(
    "SELECT token_id, name, created_at, expires_at, revoked_at FROM platform_tokens \
     WHERE token_id > $1 ORDER BY token_id LIMIT $2",
);
const CREATE: PlatformSql = PlatformSql::both(
    "INSERT INTO platform_tokens (token_id, name, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
);
const REVOKE: PlatformSql =
    PlatformSql::both("UPDATE platform_tokens SET revoked_at = coalesce(revoked_at, $2) WHERE token_id = $1");

/// A token of the platform, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformToken {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixMillis>,
}

/// A new token of the platform.
#[derive(Debug, Clone)]
pub struct NewPlatformToken {
    /// Its id, where it is part of the secret already.
    pub id: Option<TokenId>,
    /// What it is for.
    pub name: String,
    /// The keyed hash of its secret, as hexadecimal.
    pub hash: String,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
}

impl PlatformToken {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("token_id")?,
            name: row.text("name")?,
            created_at: row.int("created_at")?,
            expires_at: row.int_opt("expires_at")?,
            revoked_at: row.int_opt("revoked_at")?,
        })
    }
}

impl Platform {
    /// The token with this hash. Whether it still holds is for the caller to judge.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn platform_token(&self, hash: &str) -> Result<PlatformToken, StoreError> {
        PlatformToken::read(&self.look_up("platform-token", hash, BY_HASH).await?)
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn platform_tokens(&self, page: &Page) -> Result<Listed<PlatformToken>, StoreError> {
        let mut transaction = self.begin(Mode::Read).await?;
        let rows = self.all(&mut transaction, LIST, values![page.after_text(), page.fetch()]).await?;
        transaction.rollback().await;
        let tokens = rows.iter().map(PlatformToken::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(tokens, |token| token.id.to_string()))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn create_platform_token(&self, new: NewPlatformToken) -> Result<PlatformToken, StoreError> {
        let id = new.id.unwrap_or_else(|| TokenId::new(&*self.inner.clock));
        let created_at = self.inner.clock.now();
        let mut transaction = self.begin(Mode::Write).await?;
        let values = values![&id, &new.name, &new.hash, created_at, new.expires_at];
        self.all(&mut transaction, CREATE, values).await?;
        transaction.commit().await?;
        Ok(PlatformToken { id, name: new.name, created_at, expires_at: new.expires_at, revoked_at: None })
    }

    /// Revokes a token. A second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn revoke_platform_token(&self, id: &TokenId) -> Result<(), StoreError> {
        let mut transaction = self.begin(Mode::Write).await?;
        let sql = REVOKE.text(self.inner.pools.backend());
        let changed = transaction.execute(sql, values![id, self.inner.clock.now()]).await?;
        transaction.commit().await?;
        if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}
