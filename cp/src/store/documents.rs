//! Documents with versions: plugin sets and policies of workspaces, configurations of environments' gateways.
//!
//! A document has a name in its parent and versions from 1 on; what is put makes the next version, unless it is what is there
//! already. INVARIANT: a version's bytes never change, and a number is never given twice, not even when a document is deleted and made
//! again: an ETag from before cannot match by chance.

use serde_json::json;

use super::ids::hex;
use super::sql::{Row, Sql, values};
use super::{EnvironmentId, Listed, Page, Read, StoreError, UnixMillis, WorkspaceId, Write};

/// Whose a document is, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent<'a> {
    /// A plugin set of a workspace.
    PluginSet(&'a WorkspaceId),
    /// A policy bundle of a workspace.
    Policy(&'a WorkspaceId),
    /// The configuration of an environment's gateways.
    GatewayConfig(&'a EnvironmentId),
}

/// On what a change depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Any,
    /// That there is none yet: `If-None-Match: *`.
    Absent,
    /// That it is at this version: `If-Match`.
    Version(i64),
}

/// A document's content, to be put.
#[derive(Debug, Clone, Copy)]
pub struct NewDocument<'a> {
    /// Its media type.
    pub media: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is called.
    pub name: String,
    /// Which version it is.
    pub version: i64,
    /// BLAKE3 of its bytes, as hexadecimal.
    pub digest: String,
    /// Its media type.
    pub media: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Who put it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

/// The same without the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Document`")]
pub struct DocumentHead {
    pub name: String,
    pub version: i64,
    pub digest: String,
    pub media: String,
    pub size: i64,
    pub created_by: String,
    pub created_at: UnixMillis,
}

/// What putting a document did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// What is there now.
    pub document: DocumentHead,
    /// There was none before.
    pub created: bool,
    /// There is a new version.
    pub changed: bool,
}

/// The statements of one kind of document.
struct Statements {
    lock: Sql,
    create: Sql,
    move_on: Sql,
    add: Sql,
    remove: Sql,
    current: Sql,
    version: Sql,
    list: Sql,
    versions: Sql,
}

macro_rules! statements {
    ($parents:literal, $versions:literal) => {
        Statements {
            lock: Sql::each(
                concat!(
                    "SELECT current, deleted_at FROM ",
                    $parents,
                    " WHERE org_id = $1 AND parent_id = $2 AND name = $3"
                ),
                concat!(
                    "SELECT current, deleted_at FROM ",
                    $parents,
                    " WHERE org_id = $1 AND parent_id = $2 AND name = $3 FOR UPDATE"
                ),
            ),
            create: Sql::both(concat!(
                "INSERT INTO ",
                $parents,
                " (org_id, parent_id, name, current, created_at, deleted_at) VALUES ($1, $2, $3, 0, $4, $4) ",
                "ON CONFLICT (org_id, parent_id, name) DO NOTHING"
            )),
            move_on: Sql::both(concat!(
                "UPDATE ",
                $parents,
                " SET current = $4, deleted_at = NULL WHERE org_id = $1 AND parent_id = $2 AND name = $3"
            )),
            add: Sql::both(concat!(
                "INSERT INTO ",
                $versions,
                " (org_id, parent_id, name, version, digest, media, document, created_by, created_at) ",
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            )),
            remove: Sql::both(concat!(
                "UPDATE ",
                $parents,
                " SET deleted_at = $4 WHERE org_id = $1 AND parent_id = $2 AND name = $3"
            )),
            current: Sql::both(concat!(
                "SELECT v.name, v.version, v.digest, v.media, v.document, CAST(length(v.document) AS BIGINT) AS size, v.created_by, ",
                "v.created_at FROM ",
                $parents,
                " p JOIN ",
                $versions,
                " v ON v.org_id = $1 AND v.parent_id = p.parent_id AND v.name = p.name AND v.version = p.current ",
                "WHERE p.org_id = $1 AND p.parent_id = $2 AND p.name = $3 AND p.deleted_at IS NULL"
            )),
            version: Sql::both(concat!(
                "SELECT v.name, v.version, v.digest, v.media, v.document, CAST(length(v.document) AS BIGINT) AS size, v.created_by, ",
                "v.created_at FROM ",
                $parents,
                " p JOIN ",
                $versions,
                " v ON v.org_id = $1 AND v.parent_id = p.parent_id AND v.name = p.name AND v.version = $4 ",
                "WHERE p.org_id = $1 AND p.parent_id = $2 AND p.name = $3 AND p.deleted_at IS NULL"
            )),
            list: Sql::both(concat!(
                "SELECT v.name, v.version, v.digest, v.media, CAST(length(v.document) AS BIGINT) AS size, v.created_by, v.created_at ",
                "FROM ",
                $parents,
                " p JOIN ",
                $versions,
                " v ON v.org_id = $1 AND v.parent_id = p.parent_id AND v.name = p.name AND v.version = p.current ",
                "WHERE p.org_id = $1 AND p.parent_id = $2 AND p.name > $3 AND p.deleted_at IS NULL ",
                "ORDER BY p.name LIMIT $4"
            )),
            versions: Sql::both(concat!(
                "SELECT v.name, v.version, v.digest, v.media, CAST(length(v.document) AS BIGINT) AS size, v.created_by, v.created_at ",
                "FROM ",
                $parents,
                " p JOIN ",
                $versions,
                " v ON v.org_id = $1 AND v.parent_id = p.parent_id AND v.name = p.name ",
                "WHERE p.org_id = $1 AND p.parent_id = $2 AND p.name = $3 AND p.deleted_at IS NULL ",
                "AND ($4 IS NULL OR v.version < $4) ORDER BY v.version DESC LIMIT $5"
            )),
        }
    };
}

const PLUGIN_SETS: Statements = statements!("plugin_sets", "plugin_set_versions");
const POLICIES: Statements = statements!("policies", "policy_versions");
const GATEWAY_CONFIGS: Statements = statements!("gateway_configs", "gateway_config_versions");

impl Parent<'_> {
    fn statements(self) -> &'static Statements {
        match self {
            Self::PluginSet(_) => &PLUGIN_SETS,
            Self::Policy(_) => &POLICIES,
            Self::GatewayConfig(_) => &GATEWAY_CONFIGS,
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::PluginSet(id) | Self::Policy(id) => id.as_str(),
            Self::GatewayConfig(id) => id.as_str(),
        }
    }

    fn action(self, deleted: bool) -> &'static str {
        match (self, deleted) {
            (Self::PluginSet(_), false) => "plugin_set.put",
            (Self::PluginSet(_), true) => "plugin_set.delete",
            (Self::Policy(_), false) => "policy.put",
            (Self::Policy(_), true) => "policy.delete",
            (Self::GatewayConfig(_), false) => "gateway_config.put",
            (Self::GatewayConfig(_), true) => "gateway_config.delete",
        }
    }
}

impl Precondition {
    /// Holds the condition against the version that there is.
    pub(super) fn check(self, current: Option<i64>) -> Result<(), StoreError> {
        match (self, current) {
            (Self::Any, _) | (Self::Absent, None) => Ok(()),
            (Self::Absent, Some(_)) => Err(StoreError::Exists),
            (Self::Version(_), None) => Err(StoreError::NotFound),
            (Self::Version(expected), Some(current)) if expected == current => Ok(()),
            (Self::Version(_), Some(current)) => Err(StoreError::VersionMismatch { current }),
        }
    }
}

impl DocumentHead {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.text("name")?,
            version: row.int("version")?,
            digest: row.text("digest")?,
            media: row.text("media")?,
            size: row.int("size")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
        })
    }
}

impl Document {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let head = DocumentHead::read(row)?;
        let bytes = row.bytes("document")?;
        // A version's bytes are what its digest says, or nobody gets them.
        if digest(&bytes) != head.digest {
            return Err(StoreError::Corrupt { what: "document" });
        }
        let DocumentHead { name, version, digest, media, created_by, created_at, .. } = head;
        Ok(Self { name, version, digest, media, bytes, created_by, created_at })
    }
}

impl Read {
    /// A document at its current version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn document(&mut self, parent: Parent<'_>, name: &str) -> Result<Document, StoreError> {
        Document::read(&self.one(parent.statements().current, values![parent.id(), name]).await?)
    }

    /// A document at some version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or the document is deleted.
    pub async fn document_version(
        &mut self,
        parent: Parent<'_>,
        name: &str,
        version: i64,
    ) -> Result<Document, StoreError> {
        Document::read(&self.one(parent.statements().version, values![parent.id(), name, version]).await?)
    }

    /// The documents of a parent, by name.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn documents(
        &mut self,
        parent: Parent<'_>,
        page: &Page,
    ) -> Result<Listed<DocumentHead>, StoreError> {
        let values = values![parent.id(), page.after_text(), page.fetch()];
        let rows = self.all(parent.statements().list, values).await?;
        let heads = rows.iter().map(DocumentHead::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(heads, |head| head.name.clone()))
    }

    /// The versions of a document, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the page's key is no number.
    pub async fn document_versions(
        &mut self,
        parent: Parent<'_>,
        name: &str,
        page: &Page,
    ) -> Result<Listed<DocumentHead>, StoreError> {
        let values = values![parent.id(), name, page.after_number()?, page.fetch()];
        let rows = self.all(parent.statements().versions, values).await?;
        let heads = rows.iter().map(DocumentHead::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(heads, |head| head.version.to_string()))
    }
}

impl Write {
    /// Puts a document: the next version, unless the bytes and the media type are those that are there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the parent does not exist; what the precondition says.
    pub async fn put_document(
        &mut self,
        parent: Parent<'_>,
        name: &str,
        precondition: Precondition,
        new: NewDocument<'_>,
    ) -> Result<Put, StoreError> {
        let target = self.document_target(parent).await?;
        let statements = parent.statements();
        let now = self.now;
        // The row exists from here on, so that two who put at once wait for each other.
        self.execute(statements.create, values![parent.id(), name, now]).await?;
        let row = self.one(statements.lock, values![parent.id(), name]).await?;
        let newest = row.int("current")?;
        let current = if row.int_opt("deleted_at")?.is_none() { Some(newest) } else { None };
        precondition.check(current)?;
        let digest = digest(new.bytes);
        if current.is_some() {
            let row = self.one(statements.current, values![parent.id(), name]).await?;
            let document = DocumentHead::read(&row)?;
            if document.digest == digest && document.media == new.media {
                return Ok(Put { document, created: false, changed: false });
            }
        }
        let version = newest + 1;
        let by = self.actor.subject.clone();
        let values = values![parent.id(), name, version, &digest, new.media, new.bytes, by, now];
        self.execute(statements.add, values).await?;
        self.execute(statements.move_on, values![parent.id(), name, version]).await?;
        let details = json!({ "name": name, "version": version, "digest": digest });
        self.note(parent.action(false), target, details);
        let row = self.one(statements.current, values![parent.id(), name]).await?;
        Ok(Put { document: DocumentHead::read(&row)?, created: current.is_none(), changed: true })
    }

    /// Deletes a document. Its versions are kept, out of sight.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none; what the precondition says.
    pub async fn delete_document(
        &mut self,
        parent: Parent<'_>,
        name: &str,
        precondition: Precondition,
    ) -> Result<(), StoreError> {
        let row = self.one(parent.statements().lock, values![parent.id(), name]).await?;
        if row.int_opt("deleted_at")?.is_some() {
            return Err(StoreError::NotFound);
        }
        let version = row.int("current")?;
        precondition.check(Some(version))?;
        let now = self.now;
        self.execute(parent.statements().remove, values![parent.id(), name, now]).await?;
        let target = self.document_target(parent).await?;
        self.note(parent.action(true), target, json!({ "name": name, "version": version }));
        Ok(())
    }

    async fn document_target(&mut self, parent: Parent<'_>) -> Result<String, StoreError> {
        let organization = self.slug().await?;
        Ok(match parent {
            Parent::PluginSet(id) | Parent::Policy(id) => {
                format!("workspace/{organization}/{}", self.workspace_by_id(id).await?.slug)
            }
            Parent::GatewayConfig(id) => self.environment_by_id(id).await?.target(&organization),
        })
    }
}

/// BLAKE3, as hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(blake3::hash(bytes).as_bytes())
}
