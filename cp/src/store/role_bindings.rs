//! Who has which role where.

use mcpg_cp_api::{EnvironmentPath, Grant, Member, OrganizationPath, Role, Slug, Target, WorkspacePath};
use serde_json::json;

use super::sql::{Row, Sql, values};
use super::{BindingId, EnvironmentId, Listed, Page, Read, StoreError, UnixMillis, WorkspaceId, Write};

/// Of every binding: the slugs of its node and of what that is in.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT b.binding_id, b.member, b.role, o.slug AS org, w.slug AS workspace, e.slug AS environment, ",
            "b.created_by, b.created_at FROM role_bindings b ",
            "JOIN orgs o ON o.org_id = $1 ",
            "LEFT JOIN environments e ON e.org_id = $1 AND e.environment_id = b.environment_id ",
            "LEFT JOIN workspaces w ON w.org_id = $1 AND w.workspace_id = coalesce(e.workspace_id, b.workspace_id) ",
            "WHERE b.org_id = $1 AND ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("b.binding_id = $2"));
const LIST: Sql = Sql::both(select!("b.binding_id > $2 ORDER BY b.binding_id LIMIT $3"));
const OF_MEMBER: Sql = Sql::both(select!("b.member = $2 ORDER BY b.binding_id LIMIT 1000"));
const SAME: Sql = Sql::both(select!("b.member = $2 AND b.role = $3 AND b.target = $4"));
const MEMBERS: Sql = Sql::both(
    "SELECT DISTINCT member FROM role_bindings WHERE org_id = $1 AND member > $2 ORDER BY member LIMIT $3",
);
const CREATE: Sql = Sql::both(
    "INSERT INTO role_bindings (org_id, binding_id, member, role, target, workspace_id, environment_id, created_by, \
     created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (org_id, member, role, target) DO NOTHING",
);
const DELETE: Sql = Sql::both("DELETE FROM role_bindings WHERE org_id = $1 AND binding_id = $2");

/// A grant that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleBinding {
    /// Its id.
    pub id: BindingId,
    /// Who, what, where.
    pub grant: Grant,
    /// Who granted it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

/// A node of the tree as its rows are named.
pub(super) struct Node {
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) environment: Option<EnvironmentId>,
}

impl RoleBinding {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let role: Role = row.parsed("role")?;
        let grant = Grant { member: row.parsed("member")?, role, on: read_target(row)? };
        Ok(Self {
            id: row.parsed("binding_id")?,
            grant,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
        })
    }
}

impl Node {
    /// The id of the deepest node, or nothing for the organization.
    fn target(&self) -> &str {
        let environment = self.environment.as_ref().map(EnvironmentId::as_str);
        environment.or(self.workspace.as_ref().map(WorkspaceId::as_str)).unwrap_or_default()
    }

    /// The workspace, only where it is the node itself.
    pub(super) fn own_workspace(&self) -> Option<&str> {
        if self.environment.is_some() { None } else { self.workspace.as_ref().map(WorkspaceId::as_str) }
    }

    pub(super) fn own_environment(&self) -> Option<&str> {
        self.environment.as_ref().map(EnvironmentId::as_str)
    }
}

/// The target that columns `org`, `workspace` and `environment` name.
pub(super) fn read_target(row: &Row) -> Result<Target, StoreError> {
    let organization: Slug = row.parsed("org")?;
    let workspace: Option<Slug> = row.parsed_opt("workspace")?;
    let environment: Option<Slug> = row.parsed_opt("environment")?;
    Ok(match (workspace, environment) {
        (None, None) => Target::Organization(OrganizationPath { organization }),
        (Some(workspace), None) => Target::Workspace(WorkspacePath { organization, workspace }),
        (Some(workspace), Some(environment)) => {
            Target::Environment(EnvironmentPath { organization, workspace, environment })
        }
        (None, Some(_)) => return Err(StoreError::Corrupt { what: "environment" }),
    })
}

impl Read {
    /// One binding.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn role_binding(&mut self, id: &BindingId) -> Result<RoleBinding, StoreError> {
        RoleBinding::read(&self.one(READ, values![id]).await?)
    }

    /// All bindings, the oldest first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn role_bindings(&mut self, page: &Page) -> Result<Listed<RoleBinding>, StoreError> {
        let rows = self.all(LIST, values![page.after_text(), page.fetch()]).await?;
        let bindings = rows.iter().map(RoleBinding::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(bindings, |binding| binding.id.to_string()))
    }

    /// What a member was granted, anywhere in the organization.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn grants_of(&mut self, member: &Member) -> Result<Vec<Grant>, StoreError> {
        let rows = self.all(OF_MEMBER, values![member.to_string()]).await?;
        rows.iter().map(|row| RoleBinding::read(row).map(|binding| binding.grant)).collect()
    }

    /// Everybody who was granted anything, by address.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn members(&mut self, page: &Page) -> Result<Listed<Member>, StoreError> {
        let rows = self.all(MEMBERS, values![page.after_text(), page.fetch()]).await?;
        let members = rows.iter().map(|row| row.parsed("member")).collect::<Result<Vec<Member>, _>>()?;
        Ok(page.listed(members, ToString::to_string))
    }

    /// Finds the rows of a target. Another organization's is not there.
    pub(super) async fn node(&mut self, target: &Target) -> Result<Node, StoreError> {
        if self.slug().await? != target.organization().as_str() {
            return Err(StoreError::NotFound);
        }
        Ok(match target {
            Target::Organization(_) => Node { workspace: None, environment: None },
            Target::Workspace(path) => {
                Node { workspace: Some(self.workspace(&path.workspace).await?.id), environment: None }
            }
            Target::Environment(path) => {
                let found = self.environment(&path.workspace, &path.environment).await?;
                Node { workspace: Some(found.workspace_id), environment: Some(found.id) }
            }
        })
    }
}

impl Write {
    /// Grants a role. One that was granted already stays as it is, and the answer says so with `false`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such node in the organization.
    pub async fn grant(&mut self, grant: &Grant) -> Result<(RoleBinding, bool), StoreError> {
        let node = self.node(&grant.on).await?;
        let id = BindingId::new(&*self.inner.clock);
        let (by, now) = (self.actor.subject.clone(), self.now);
        let (member, role) = (grant.member.to_string(), grant.role.as_str());
        let values =
            values![&id, &member, role, node.target(), node.own_workspace(), node.own_environment(), by, now];
        let is_new = self.execute(CREATE, values).await? == 1;
        if is_new {
            self.note("role.grant", grant.on.to_string(), json!({ "member": member, "role": role }));
        }
        let row = self.one(SAME, values![&member, role, node.target()]).await?;
        Ok((RoleBinding::read(&row)?, is_new))
    }

    /// Takes a grant away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn revoke(&mut self, id: &BindingId) -> Result<(), StoreError> {
        let binding = self.role_binding(id).await?;
        if self.execute(DELETE, values![id]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        let grant = binding.grant;
        let details = json!({ "member": grant.member.to_string(), "role": grant.role.as_str() });
        self.note("role.revoke", grant.on.to_string(), details);
        Ok(())
    }

    /// Takes a grant away, by what it says.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it was not granted.
    pub async fn revoke_grant(&mut self, grant: &Grant) -> Result<(), StoreError> {
        let node = self.node(&grant.on).await?;
        let values = values![grant.member.to_string(), grant.role.as_str(), node.target()];
        let id = self.one(SAME, values).await?.parsed("binding_id")?;
        self.revoke(&id).await
    }
}
