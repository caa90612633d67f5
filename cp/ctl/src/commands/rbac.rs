//! `rbac` and `member`: who has which role where.

use clap::{Args, Subcommand};
use mcpg_cp_api::{Grant, Member, MemberRoles, OrganizationPath, Role, RoleBinding, Target};

use super::whole;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with roles.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Gives a member a role.
    Grant(Binding),
    /// Takes a role away from a member.
    Revoke(Binding),
    /// Lists the roles that were granted in an organization.
    List {
        /// The organization.
        org: OrganizationPath,
    },
}

/// A role of a member on a node.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Binding {
    /// Who, such as `alice@acme.com`.
    pub member: Member,
    /// `admin`, `operator` or `viewer`.
    pub role: Role,
    /// Where: `org/ORG`, `workspace/ORG/WORKSPACE` or `env/ORG/WORKSPACE/ENV`.
    #[arg(long)]
    pub on: Target,
}

/// What can be done with members.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MemberVerb {
    /// Lists everybody who has a role in an organization.
    List {
        /// The organization.
        org: OrganizationPath,
    },
    /// Shows the roles of a member.
    Get {
        /// The organization.
        org: OrganizationPath,
        /// Who.
        member: Member,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Grant(binding) => {
                let grant = Grant::from(binding);
                let answer = client.post::<RoleBinding>(&bindings(&grant.on), &grant).await?;
                let Grant { member, role, on } = &grant;
                let had = if answer.is_made() { "is" } else { "was already" };
                session.output.done(&answer.value, &format!("`{member}` {had} `{role}` on `{on}`"))?;
                if !answer.value.effective {
                    session
                        .output
                        .say("the licence does not include roles at that level: it has no effect for now");
                }
            }
            Self::Revoke(binding) => {
                let grant = Grant::from(binding);
                let path = bindings(&grant.on);
                let found: Vec<RoleBinding> = client.list(&path, &whole()).await?;
                let Grant { member, role, on } = &grant;
                let found = found
                    .into_iter()
                    .find(|binding| binding.grant == grant)
                    .ok_or_else(|| Failure::NotFound(format!("`{member}` is not `{role}` on `{on}`")))?;
                client.delete(&path.join(found.id.as_str()), &Condition::Nothing).await?;
                session.output.say(&format!("`{member}` is no longer `{role}` on `{on}`"));
            }
            Self::List { org } => {
                let path = ApiPath::from(&org).join("role-bindings");
                session.output.list(&client.list::<RoleBinding>(&path, &whole()).await?)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl MemberVerb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::List { org } => {
                let path = ApiPath::from(&org).join("members");
                session.output.list(&client.list::<MemberRoles>(&path, &whole()).await?)?;
            }
            Self::Get { org, member } => {
                let path = ApiPath::from(&org).join("members").join(member.as_str());
                session.output.one(&client.get::<MemberRoles>(&path).await?)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn bindings(on: &Target) -> ApiPath {
    ApiPath::organization(on.organization()).join("role-bindings")
}

impl From<Binding> for Grant {
    fn from(binding: Binding) -> Self {
        Self { member: binding.member, role: binding.role, on: binding.on }
    }
}

impl Show for RoleBinding {
    const COLUMNS: &'static [&'static str] = &["MEMBER", "ROLE", "ON", "EFFECTIVE", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.grant.member.to_string(),
            self.grant.role.to_string(),
            self.grant.on.to_string(),
            if self.effective { "yes" } else { "no" }.to_owned(),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Show for MemberRoles {
    const COLUMNS: &'static [&'static str] = &["MEMBER", "ROLES"];

    fn cells(&self) -> Vec<String> {
        let roles = self.roles.iter().map(|role| format!("{} on {}", role.role, role.on));
        vec![self.member.to_string(), roles.collect::<Vec<_>>().join(", ")]
    }

    fn name(&self) -> String {
        self.member.to_string()
    }
}
