//! Environments of a workspace.

use mcpg_cp_api::{DisplayName, Slug};
use serde_json::json;

use super::orgs::check_version;
use super::sql::{Row, Sql, values};
use super::{EnvironmentId, Listed, Page, Read, StoreError, UnixMillis, Workspace, WorkspaceId, Write};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.environment_id, e.workspace_id, w.slug AS workspace, e.slug, e.display_name, e.revision, ",
            "e.version, e.created_at, e.updated_at FROM environments e ",
            "JOIN workspaces w ON w.org_id = $1 AND w.workspace_id = e.workspace_id ",
            "WHERE e.org_id = $1 AND ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("w.slug = $2 AND e.slug = $3"));
const BY_ID: Sql = Sql::both(select!("e.environment_id = $2"));
const LOCK: Sql =
    Sql::each(select!("e.environment_id = $2"), select!("e.environment_id = $2 FOR UPDATE OF e"));
const LIST: Sql = Sql::both(select!("e.workspace_id = $2 AND e.slug > $3 ORDER BY e.slug LIMIT $4"));
const CREATE: Sql = Sql::both(
    "INSERT INTO environments (org_id, environment_id, workspace_id, slug, display_name, revision, version, \
     created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 0, 1, $6, $6) \
     ON CONFLICT (org_id, workspace_id, slug) DO NOTHING",
);
const UPDATE: Sql = Sql::both(
    "UPDATE environments SET display_name = $3, version = version + 1, updated_at = $4 \
     WHERE org_id = $1 AND environment_id = $2",
);
const DELETE: Sql = Sql::both("DELETE FROM environments WHERE org_id = $1 AND environment_id = $2");
const IN_USE: Sql = Sql::both(
    "SELECT 1 AS one FROM gateways WHERE org_id = $1 AND environment_id = $2 AND retired_at IS NULL LIMIT 1",
);

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// The workspace that it is in.
    pub workspace_id: WorkspaceId,
    /// That workspace's slug.
    pub workspace: Slug,
    /// Its slug, which never changes.
    pub slug: Slug,
    /// The name that people read.
    pub display_name: DisplayName,
    /// The number of its newest revision; 0 before the first.
    pub revision: i64,
    /// Grows with every change of the environment itself: the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl Environment {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("environment_id")?,
            workspace_id: row.parsed("workspace_id")?,
            workspace: row.parsed("workspace")?,
            slug: row.parsed("slug")?,
            display_name: row.parsed("display_name")?,
            revision: row.int("revision")?,
            version: row.int("version")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }

    /// `env/org/workspace/environment`.
    pub(super) fn target(&self, organization: &str) -> String {
        format!("env/{organization}/{}/{}", self.workspace, self.slug)
    }
}

impl Read {
    /// One environment, by the slugs of its workspace and its own.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn environment(&mut self, workspace: &Slug, slug: &Slug) -> Result<Environment, StoreError> {
        Environment::read(&self.one(READ, values![workspace, slug]).await?)
    }

    /// One environment, by its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn environment_by_id(&mut self, id: &EnvironmentId) -> Result<Environment, StoreError> {
        Environment::read(&self.one(BY_ID, values![id]).await?)
    }

    /// The environments of a workspace, by slug.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn environments(
        &mut self,
        workspace: &WorkspaceId,
        page: &Page,
    ) -> Result<Listed<Environment>, StoreError> {
        let rows = self.all(LIST, values![workspace, page.after_text(), page.fetch()]).await?;
        let environments = rows.iter().map(Environment::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(environments, |environment| environment.slug.to_string()))
    }
}

impl Write {
    /// Makes an environment.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where the slug is taken; [`StoreError::NotFound`] where the workspace is gone.
    pub async fn create_environment(
        &mut self,
        workspace: &Workspace,
        slug: &Slug,
        display_name: &DisplayName,
    ) -> Result<Environment, StoreError> {
        let organization = self.slug().await?;
        let id = EnvironmentId::new(&*self.inner.clock);
        let now = self.now;
        let values = values![&id, &workspace.id, slug, display_name.to_string(), now];
        if self.execute(CREATE, values).await? == 0 {
            return Err(StoreError::Exists);
        }
        let environment = self.environment_by_id(&id).await?;
        let details = json!({ "display_name": display_name.to_string() });
        self.note("environment.create", environment.target(&organization), details);
        Ok(environment)
    }

    /// Changes an environment's display name, if it is at the expected version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::VersionMismatch`].
    pub async fn update_environment(
        &mut self,
        id: &EnvironmentId,
        expected: Option<i64>,
        display_name: &DisplayName,
    ) -> Result<Environment, StoreError> {
        let environment = self.locked_environment(id).await?;
        check_version(expected, environment.version)?;
        let now = self.now;
        self.execute(UPDATE, values![id, display_name.to_string(), now]).await?;
        let details = json!({ "display_name": display_name.to_string() });
        let target = environment.target(&self.slug().await?);
        self.note("environment.update", target, details);
        self.environment_by_id(id).await
    }

    /// Deletes an environment with all that is in it, if it has no gateways but retired ones.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while it has; [`StoreError::NotFound`]; [`StoreError::VersionMismatch`].
    pub async fn delete_environment(
        &mut self,
        id: &EnvironmentId,
        expected: Option<i64>,
    ) -> Result<(), StoreError> {
        let environment = self.locked_environment(id).await?;
        check_version(expected, environment.version)?;
        if self.optional(IN_USE, values![id]).await?.is_some() {
            return Err(StoreError::InUse);
        }
        self.delete(DELETE, values![id]).await?;
        let target = environment.target(&self.slug().await?);
        self.note("environment.delete", target, json!({}));
        Ok(())
    }

    /// Keeps everybody else from publishing to an environment until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn lock_environment(&mut self, id: &EnvironmentId) -> Result<(), StoreError> {
        self.locked_environment(id).await.map(drop)
    }

    /// An environment that nobody else changes, publishes to or enrols into until the transaction ends.
    pub(super) async fn locked_environment(&mut self, id: &EnvironmentId) -> Result<Environment, StoreError> {
        Environment::read(&self.one(LOCK, values![id]).await?)
    }
}
