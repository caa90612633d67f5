//! The list of revoked plugins of an organization. Its version only grows, so that a gateway can tell an older list from a newer one.

use serde_json::json;

use super::documents::{Precondition, digest};
use super::sql::{Row, Sql, values};
use super::{Read, StoreError, UnixMillis, Write};

const NEWEST: Sql = Sql::both(
    "SELECT version, digest, document, created_by, created_at FROM revocation_lists WHERE org_id = $1 \
     ORDER BY version DESC LIMIT 1",
);
/// A live gateway with a newer list than there is shows that the database was set back: it would take no version that it has had. How far it can push the
/// versions on is limited, since it is only a gateway that says so.
const AHEAD: Sql = Sql::both(
    "SELECT max(list_version) AS version FROM gateways WHERE org_id = $1 AND retired_at IS NULL \
     AND list_version > $2 AND list_version <= $2 + 1000",
);
const VERSION: Sql =
    Sql::both("SELECT coalesce(max(version), 0) AS version FROM revocation_lists WHERE org_id = $1");
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

impl Read {
    /// The version of the newest list; 0 before the first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn revocation_list_version(&mut self) -> Result<i64, StoreError> {
        self.one(VERSION, values![]).await?.int("version")
    }
}

impl Write {
    /// Puts the next list, and has gateways told, unless it is the one that is there.
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
        let before = current.as_ref().map_or(0, |list| list.version);
        let ahead = self.one(AHEAD, values![before]).await?.int_opt("version")?;
        if let Some(list) = current.filter(|list| list.digest == digest && ahead.is_none()) {
            return Ok(list);
        }
        let version = ahead.unwrap_or(before) + 1;
        let (by, now) = (self.actor.subject.clone(), self.now);
        if self.execute(ADD, values![version, &digest, bytes, by, now]).await? == 0 {
            return Err(StoreError::Contention);
        }
        let details = json!({ "version": version, "digest": digest });
        self.note("revocation_list.put", format!("org/{organization}"), details);
        self.terms_changed();
        self.revocation_list().await?.ok_or(StoreError::NotFound)
    }
}
