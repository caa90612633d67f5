//! Workspaces of an organization.

use mcpg_cp_api::{DisplayName, Slug};
use serde_json::json;

use super::orgs::check_version;
use super::sql::{Row, Sql, values};
use super::{Listed, Page, Read, StoreError, UnixMillis, WorkspaceId, Write};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT workspace_id, slug, display_name, version, created_at, updated_at FROM workspaces ",
            "WHERE org_id = $1 AND ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("slug = $2"));
const BY_ID: Sql = Sql::both(select!("workspace_id = $2"));
const LOCK: Sql = Sql::each(select!("slug = $2"), select!("slug = $2 FOR UPDATE"));
const LIST: Sql = Sql::both(select!("slug > $2 ORDER BY slug LIMIT $3"));
const CREATE: Sql = Sql::both(
    "INSERT INTO workspaces (org_id, workspace_id, slug, display_name, version, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, 1, $5, $5) ON CONFLICT DO NOTHING",
);
const UPDATE: Sql = Sql::both(
    "UPDATE workspaces SET display_name = $3, version = version + 1, updated_at = $4 \
     WHERE org_id = $1 AND workspace_id = $2",
);
const DELETE: Sql = Sql::both("DELETE FROM workspaces WHERE org_id = $1 AND workspace_id = $2");
const IN_USE: Sql =
    Sql::both("SELECT 1 AS one FROM environments WHERE org_id = $1 AND workspace_id = $2 LIMIT 1");

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its slug, which never changes.
    pub slug: Slug,
    /// The name that people read.
    pub display_name: DisplayName,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl Workspace {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("workspace_id")?,
            slug: row.parsed("slug")?,
            display_name: row.parsed("display_name")?,
            version: row.int("version")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

impl Read {
    /// One workspace.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn workspace(&mut self, slug: &Slug) -> Result<Workspace, StoreError> {
        Workspace::read(&self.one(READ, values![slug]).await?)
    }

    /// One workspace, by its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn workspace_by_id(&mut self, id: &WorkspaceId) -> Result<Workspace, StoreError> {
        Workspace::read(&self.one(BY_ID, values![id]).await?)
    }

    /// All workspaces, by slug.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn workspaces(&mut self, page: &Page) -> Result<Listed<Workspace>, StoreError> {
        let rows = self.all(LIST, values![page.after_text(), page.fetch()]).await?;
        let workspaces = rows.iter().map(Workspace::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(workspaces, |workspace| workspace.slug.to_string()))
    }
}

impl Write {
    /// Makes a workspace.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where the slug is taken.
    pub async fn create_workspace(
        &mut self,
        slug: &Slug,
        display_name: &DisplayName,
    ) -> Result<Workspace, StoreError> {
        let organization = self.slug().await?;
        let id = WorkspaceId::new(&*self.inner.clock);
        let now = self.now;
        if self.execute(CREATE, values![&id, slug, display_name.to_string(), now]).await? == 0 {
            return Err(StoreError::Exists);
        }
        let details = json!({ "display_name": display_name.to_string() });
        self.note("workspace.create", format!("workspace/{organization}/{slug}"), details);
        self.workspace(slug).await
    }

    /// Changes a workspace's display name, if it is at the expected version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::VersionMismatch`].
    pub async fn update_workspace(
        &mut self,
        slug: &Slug,
        expected: Option<i64>,
        display_name: &DisplayName,
    ) -> Result<Workspace, StoreError> {
        let (organization, workspace) = self.locked(slug, expected).await?;
        let now = self.now;
        self.execute(UPDATE, values![&workspace.id, display_name.to_string(), now]).await?;
        let details = json!({ "display_name": display_name.to_string() });
        self.note("workspace.update", format!("workspace/{organization}/{slug}"), details);
        self.workspace(slug).await
    }

    /// Deletes a workspace with all that is in it, if it has no environments.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while it has; [`StoreError::NotFound`]; [`StoreError::VersionMismatch`].
    pub async fn delete_workspace(&mut self, slug: &Slug, expected: Option<i64>) -> Result<(), StoreError> {
        let (organization, workspace) = self.locked(slug, expected).await?;
        if self.optional(IN_USE, values![&workspace.id]).await?.is_some() {
            return Err(StoreError::InUse);
        }
        self.delete(DELETE, values![&workspace.id]).await?;
        self.note("workspace.delete", format!("workspace/{organization}/{slug}"), json!({}));
        Ok(())
    }

    async fn locked(
        &mut self,
        slug: &Slug,
        expected: Option<i64>,
    ) -> Result<(String, Workspace), StoreError> {
        let workspace = Workspace::read(&self.one(LOCK, values![slug]).await?)?;
        check_version(expected, workspace.version)?;
        Ok((self.slug().await?, workspace))
    }
}
