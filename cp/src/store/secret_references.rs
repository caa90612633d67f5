//! Where secrets are to be had. The secrets themselves are never here: a reference is resolved by the gateway that needs it.

use serde_json::json;

use super::documents::Precondition;
use super::sql::{Row, Sql, values};
use super::{Listed, Page, Read, StoreError, UnixMillis, WorkspaceId, Write};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT name, uri, version, created_by, created_at, updated_at FROM secret_references ",
            "WHERE org_id = $1 AND workspace_id = $2 AND ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("name = $3"));
const LOCK: Sql = Sql::each(select!("name = $3"), select!("name = $3 FOR UPDATE"));
const LIST: Sql = Sql::both(select!("name > $3 ORDER BY name LIMIT $4"));
const CREATE: Sql = Sql::both(
    "INSERT INTO secret_references (org_id, workspace_id, name, uri, version, created_by, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, 1, $5, $6, $6) ON CONFLICT (org_id, workspace_id, name) DO NOTHING",
);
const UPDATE: Sql = Sql::both(
    "UPDATE secret_references SET uri = $4, version = version + 1, updated_at = $5 \
     WHERE org_id = $1 AND workspace_id = $2 AND name = $3",
);
const DELETE: Sql =
    Sql::both("DELETE FROM secret_references WHERE org_id = $1 AND workspace_id = $2 AND name = $3");

/// A reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// What it is called in the workspace.
    pub name: String,
    /// Where the secret is: `$secret://…`.
    pub uri: String,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl SecretReference {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.text("name")?,
            uri: row.text("uri")?,
            version: row.int("version")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

impl Read {
    /// One reference.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn secret_reference(
        &mut self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<SecretReference, StoreError> {
        SecretReference::read(&self.one(READ, values![workspace, name]).await?)
    }

    /// The references of a workspace, by name.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn secret_references(
        &mut self,
        workspace: &WorkspaceId,
        page: &Page,
    ) -> Result<Listed<SecretReference>, StoreError> {
        let rows = self.all(LIST, values![workspace, page.after_text(), page.fetch()]).await?;
        let references = rows.iter().map(SecretReference::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(references, |reference| reference.name.clone()))
    }
}

impl Write {
    /// Makes or changes a reference.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the workspace does not exist; what the precondition says.
    pub async fn put_secret_reference(
        &mut self,
        workspace: &WorkspaceId,
        name: &str,
        uri: &str,
        precondition: Precondition,
    ) -> Result<SecretReference, StoreError> {
        let target = self.workspace_target(workspace).await?;
        let (by, now) = (self.actor.subject.clone(), self.now);
        let found = self.optional(LOCK, values![workspace, name]).await?;
        let found = found.as_ref().map(SecretReference::read).transpose()?;
        precondition.check(found.as_ref().map(|reference| reference.version))?;
        match found {
            Some(reference) if reference.uri == uri => return Ok(reference),
            Some(_) => {
                self.execute(UPDATE, values![workspace, name, uri, now]).await?;
            }
            None => {
                // Who was faster has not been seen by the precondition.
                if self.execute(CREATE, values![workspace, name, uri, by, now]).await? == 0 {
                    return Err(StoreError::Contention);
                }
            }
        }
        self.note("secret_reference.put", target, json!({ "name": name, "uri": uri }));
        self.secret_reference(workspace, name).await
    }

    /// Deletes a reference.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none; what the precondition says.
    pub async fn delete_secret_reference(
        &mut self,
        workspace: &WorkspaceId,
        name: &str,
        precondition: Precondition,
    ) -> Result<(), StoreError> {
        let reference = SecretReference::read(&self.one(LOCK, values![workspace, name]).await?)?;
        precondition.check(Some(reference.version))?;
        self.execute(DELETE, values![workspace, name]).await?;
        let target = self.workspace_target(workspace).await?;
        self.note("secret_reference.delete", target, json!({ "name": name }));
        Ok(())
    }

    async fn workspace_target(&mut self, workspace: &WorkspaceId) -> Result<String, StoreError> {
        Ok(format!("workspace/{}/{}", self.slug().await?, self.workspace_by_id(workspace).await?.slug))
    }
}
