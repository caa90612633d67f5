//! What can be asked for: one module per noun, with its grammar and what it does.

use clap::Subcommand;

use crate::failure::{Exit, Failure};
use crate::session::Session;

pub mod context;
pub mod environment;
pub mod organization;
pub mod rbac;
pub mod workspace;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Organizations.
    #[command(subcommand)]
    Org(organization::Verb),
    /// Workspaces of an organization.
    #[command(subcommand)]
    Workspace(workspace::Verb),
    /// Environments of a workspace.
    #[command(subcommand)]
    Env(environment::Verb),
    /// Roles of members.
    #[command(subcommand)]
    Rbac(rbac::Verb),
    /// Everybody who has a role.
    #[command(subcommand)]
    Member(rbac::MemberVerb),
    /// Control planes that this machine knows by name.
    #[command(subcommand)]
    Context(context::Verb),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Org(verb) => verb.run(session).await,
            Self::Workspace(verb) => verb.run(session).await,
            Self::Env(verb) => verb.run(session).await,
            Self::Rbac(verb) => verb.run(session).await,
            Self::Member(verb) => verb.run(session).await,
            Self::Context(verb) => verb.run(session),
        }
    }
}

/// The largest page that the API gives: lists are read whole.
pub(crate) fn whole() -> mcpg_cp_api::PageQuery {
    mcpg_cp_api::PageQuery { limit: Some(200), cursor: None }
}
