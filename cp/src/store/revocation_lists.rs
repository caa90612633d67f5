//! The list of revoked plugins of an organization. Its version only grows, so that a gateway can tell an older list from a newer one.

use serde_json::json;

use super::documents::{Precondition, digest};
use super::sql::{Row, Sql, values};
use super::{Read, StoreError, UnixMillis, Write};

const NEWEST: Sql = Sql::both(
    "SELECT version, digest, document, created_by, created_at FROM revocation_lists WHERE org_id = $1 \
     ORDER BY version DESC LIMIT 1",
);
const ADD: Sql = Sql::both(
    "INSERT INTO revocation_lists (org_id, version, digest, document, created_by, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, version) DO NOTHING",
);

/// A list of revoked plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Grows by one with every change: the ETag.
    pub version: i64,
    /// BLAKE3 of its bytes, as hexadecimal.
    pub digest: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Who put it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

impl RevocationList {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: row.int("version")?,
            digest: row.text("digest")?,
            bytes: row.bytes("document")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
        })
    }
}

impl Read {
    /// The newest list; none before the first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn revocation_list(&mut self) -> Result<Option<RevocationList>, StoreError> {
        self.optional(NEWEST, values![]).await?.as_ref().map(RevocationList::read).transpose()
    }
}

impl Write {
    /// Puts the next list, unless it is the one that is there.
    ///
    /// # Errors
    /// What the precondition says; [`StoreError::Contention`] where somebody else puts one at the same time.
    pub async fn put_revocation_list(
        &mut self,
        precondition: Precondition,
        bytes: &[u8],
    ) -> Result<RevocationList, StoreError> {
        let organization = self.slug().await?;
        let current = self.revocation_list().await?;
        precondition.check(current.as_ref().map(|list| list.version))?;
        let digest = digest(bytes);
        let version = match current {
            Some(list) if list.digest == digest => return Ok(list),
            Some(list) => list.version + 1,
            None => 1,
        };
        let (by, now) = (self.actor.subject.clone(), self.now);
        if self.execute(ADD, values![version, &digest, bytes, by, now]).await? == 0 {
            return Err(StoreError::Contention);
        }
        let details = json!({ "version": version, "digest": digest });
        self.note("revocation_list.put", format!("org/{organization}"), details);
        self.revocation_list().await?.ok_or(StoreError::NotFound)
    }
}
