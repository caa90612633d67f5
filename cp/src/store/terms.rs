//! The standing terms of an organization, as they were signed last: what holds for all of its gateways.
//!
//! INVARIANT: the version only grows. Two replicas that make the next one at the same time are told apart by the version that each began with: one
//! finds that nothing has changed for it, and begins again.

use super::documents::digest;
use super::sql::{Row, Sql, values};
use super::{Numbered, Read, StoreError, UnixMillis, Write};

const READ: Sql = Sql::both(
    "SELECT version, digest, document, signature, key_id, created_at FROM standing_terms WHERE org_id = $1",
);
const VERSION: Sql = Sql::both("SELECT version FROM standing_terms WHERE org_id = $1");
/// A live gateway with newer terms than there are shows that the database was set back: it would take no version that it has had. How far it can push the
/// versions on is limited, since it is only a gateway that says so.
const NEXT: Sql = Sql::both(
    "SELECT 1 + coalesce(max(terms_version), $2) AS version FROM gateways WHERE org_id = $1 AND retired_at IS NULL \
     AND terms_version > $2 AND terms_version <= $2 + 1000",
);
const PUT: Sql = Sql::both(
    "INSERT INTO standing_terms (org_id, version, digest, document, signature, key_id, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org_id) DO UPDATE SET version = excluded.version, \
     digest = excluded.digest, document = excluded.document, signature = excluded.signature, key_id = excluded.key_id, \
     created_at = excluded.created_at WHERE standing_terms.version = $8",
);

/// Terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingTerms {
    /// Grows with every change.
    pub version: i64,
    /// BLAKE3 of the document, as hexadecimal.
    pub digest: String,
    /// The document.
    pub document: Vec<u8>,
    /// What the control plane signed: organization, version, digest, time.
    pub signature: Vec<u8>,
    /// The key that it was signed with.
    pub key_id: String,
    /// When they became these.
    pub created_at: UnixMillis,
}

impl StandingTerms {
    /// Whether they say this, signed by this key.
    pub fn is(&self, document: &[u8], key_id: &str) -> bool {
        self.key_id == key_id && self.digest == digest(document)
    }
}

impl Read {
    /// The version of the terms that were signed last; none before the first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn standing_terms_version(&mut self) -> Result<Option<i64>, StoreError> {
        self.optional(VERSION, values![]).await?.map(|row| row.int("version")).transpose()
    }

    /// The terms that were signed last; none before the first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the document is another.
    pub async fn standing_terms(&mut self) -> Result<Option<StandingTerms>, StoreError> {
        let Some(row) = self.optional(READ, values![]).await? else { return Ok(None) };
        let terms = read(&row)?;
        if digest(&terms.document) != terms.digest {
            return Err(StoreError::Corrupt { what: "terms" });
        }
        Ok(Some(terms))
    }
}

impl Write {
    /// Puts the next terms, unless they are those that are there. `sign` is told their version, and gives the signature and the name of its key. It is
    /// no operator's action: what has changed has its own row in the audit chain.
    ///
    /// # Errors
    /// [`StoreError::Contention`] where somebody else puts some at the same time.
    pub async fn put_standing_terms(
        &mut self,
        document: &[u8],
        key_id: &str,
        sign: impl FnOnce(Numbered) -> Vec<u8>,
    ) -> Result<StandingTerms, StoreError> {
        let current = self.standing_terms().await?;
        let before = current.as_ref().map_or(0, |terms| terms.version);
        if let Some(current) = current.filter(|terms| terms.is(document, key_id)) {
            return Ok(current);
        }
        let version = self.one(NEXT, values![before]).await?.int("version")?;
        let now = self.now;
        let signature = sign(Numbered { number: version, created_at: now });
        let terms = StandingTerms {
            version,
            digest: digest(document),
            document: document.to_vec(),
            signature,
            key_id: key_id.to_owned(),
            created_at: now,
        };
        let values = values![version, &terms.digest, document, terms.signature.clone(), key_id, now, before];
        if self.execute(PUT, values).await? == 0 {
            return Err(StoreError::Contention);
        }
        Ok(terms)
    }
}

fn read(row: &Row) -> Result<StandingTerms, StoreError> {
    Ok(StandingTerms {
        version: row.int("version")?,
        digest: row.text("digest")?,
        document: row.bytes("document")?,
        signature: row.bytes("signature")?,
        key_id: row.text("key_id")?,
        created_at: row.int("created_at")?,
    })
}
