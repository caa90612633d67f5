//! Revisions of an environment: numbered, digested, signed documents that its gateways run on.
//!
//! INVARIANT: numbers of an environment begin at 1 and have neither holes nor doubles, but for a hole after the database was set back (an older backup,
//! a standby that had not heard of everything), where its gateways are ahead. The number comes from the environment's row, which
//! stays locked until the transaction ends; [`Write::publish_revision`] takes the number and stores the revision in one step.

use serde_json::json;

use super::changes::Change;
use super::documents::digest;
use super::rollouts::Rollout;
use super::sql::{Row, Sql, values};
use super::{EnvironmentId, Listed, Page, Read, StoreError, UnixMillis, Write};

macro_rules! select {
    ($document:literal, $rest:literal) => {
        concat!(
            "SELECT r.number, r.digest, ",
            $document,
            " CAST(length(r.document) AS BIGINT) AS size, r.signature, r.key_id, r.note, r.rollback_of, r.created_by, ",
            "r.created_at, o.stage, o.state, o.version AS rollout_version, o.created_by AS rollout_by, ",
            "o.created_at AS rollout_at, o.updated_at AS rollout_updated_at FROM revisions r ",
            "LEFT JOIN rollouts o ON o.org_id = $1 AND o.environment_id = r.environment_id AND o.number = r.number ",
            "WHERE r.org_id = $1 AND r.environment_id = $2 ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("r.document,", "AND r.number = $3"));
const HEAD: Sql = Sql::both(select!("", "AND r.number = $3"));
const LIST: Sql = Sql::both(select!("", "AND ($3 IS NULL OR r.number < $3) ORDER BY r.number DESC LIMIT $4"));
/// A gateway that runs a newer revision than there is shows that the database was set back: it would take no number that it has had. How far it can
/// push the numbers on is limited, since it is only a gateway that says so.
const COUNT: Sql = Sql::both(
    "UPDATE environments SET revision = 1 + coalesce((SELECT max(g.applied_revision) FROM gateways g \
         WHERE g.org_id = $1 AND g.environment_id = $2 AND g.retired_at IS NULL \
         AND g.applied_revision > environments.revision AND g.applied_revision <= environments.revision + 1000), revision) \
     WHERE org_id = $1 AND environment_id = $2 RETURNING revision",
);
const CREATE: Sql = Sql::both(
    "INSERT INTO revisions (org_id, environment_id, number, digest, document, signature, key_id, note, rollback_of, \
     created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
);

/// A revision without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHead {
    /// Its number.
    pub number: i64,
    /// BLAKE3 of the document, as hexadecimal.
    pub digest: String,
    /// How long the document is.
    pub size: i64,
    /// What the control plane signed: number, digest, environment, time.
    pub signature: Vec<u8>,
    /// The key that it was signed with.
    pub key_id: String,
    /// What people said about it.
    pub note: String,
    /// The number whose document this is, if it was published before.
    pub rollback_of: Option<i64>,
    /// Who published it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// Who gets it; everybody where there is none.
    pub rollout: Option<Rollout>,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// All but the document.
    pub head: RevisionHead,
    /// The document.
    pub document: Vec<u8>,
}

/// A revision to be published.
#[derive(Debug, Clone)]
pub struct NewRevision {
    /// The document.
    pub document: Vec<u8>,
    /// What the control plane signed.
    pub signature: Vec<u8>,
    /// The key that it was signed with.
    pub key_id: String,
    /// What people say about it.
    pub note: String,
    /// The number whose document this is, if it was published before.
    pub rollback_of: Option<i64>,
}

/// What is known of a revision before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub number: i64,
    /// When it is published.
    pub created_at: UnixMillis,
}

impl RevisionHead {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.int("number")?,
            digest: row.text("digest")?,
            size: row.int("size")?,
            signature: row.bytes("signature")?,
            key_id: row.text("key_id")?,
            note: row.text("note")?,
            rollback_of: row.int_opt("rollback_of")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            rollout: Rollout::read_joined(row)?,
        })
    }
}

impl Read {
    /// A revision with its document.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn revision(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
    ) -> Result<Revision, StoreError> {
        let row = self.one(READ, values![environment, number]).await?;
        let revision = Revision { head: RevisionHead::read(&row)?, document: row.bytes("document")? };
        if digest(&revision.document) != revision.head.digest {
            return Err(StoreError::Corrupt { what: "revision" });
        }
        Ok(revision)
    }

    /// A revision without its document.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn revision_head(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
    ) -> Result<RevisionHead, StoreError> {
        RevisionHead::read(&self.one(HEAD, values![environment, number]).await?)
    }

    /// The revisions of an environment, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the page's key is no number.
    pub async fn revisions(
        &mut self,
        environment: &EnvironmentId,
        page: &Page,
    ) -> Result<Listed<RevisionHead>, StoreError> {
        let rows = self.all(LIST, values![environment, page.after_number()?, page.fetch()]).await?;
        let heads = rows.iter().map(RevisionHead::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(heads, |head| head.number.to_string()))
    }
}

impl Write {
    /// Publishes a document as the next revision. `sign` is told the number; where it fails, so does the transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such environment; what `sign` fails with.
    pub async fn publish_revision<E: From<StoreError>>(
        &mut self,
        environment: &EnvironmentId,
        sign: impl FnOnce(Numbered) -> Result<NewRevision, E>,
    ) -> Result<RevisionHead, E> {
        let number = self.one(COUNT, values![environment]).await?.int("revision")?;
        let now = self.now;
        let new = sign(Numbered { number, created_at: now })?;
        let digest = digest(&new.document);
        let details = json!({
            "number": number, "digest": digest, "note": new.note, "rollback_of": new.rollback_of,
        });
        let by = self.actor.subject.clone();
        let values = values![
            environment,
            number,
            &digest,
            new.document,
            new.signature,
            new.key_id,
            new.note,
            new.rollback_of,
            by,
            now
        ];
        self.execute(CREATE, values).await?;
        let target = self.environment_by_id(environment).await?.target(&self.slug().await?);
        self.note("revision.publish", target, details);
        self.changed(environment, number);
        let row = self.one(READ, values![environment, number]).await?;
        Ok(RevisionHead::read(&row)?)
    }

    /// Has subscribers told once the transaction is in force.
    pub(super) fn changed(&mut self, environment: &EnvironmentId, number: i64) {
        let change = Change { org: self.org.clone(), environment: environment.clone(), number };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }
}
