//! `workspace`: workspaces of an organization.

use clap::Subcommand;
use mcpg_cp_api::{CreateWorkspace, DisplayName, OrganizationPath, Rename, Workspace, WorkspacePath};

use super::whole;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with workspaces.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Creates a workspace.
    Create {
        /// Where, such as `acme-corp/platform-team`.
        workspace: WorkspacePath,
        /// The name that people read.
        #[arg(long)]
        display_name: Option<DisplayName>,
    },
    /// Lists the workspaces of an organization that you may see.
    List {
        /// The organization.
        org: OrganizationPath,
    },
    /// Shows a workspace.
    Get {
        /// Which.
        workspace: WorkspacePath,
    },
    /// Renames a workspace.
    Update {
        /// Which.
        workspace: WorkspacePath,
        /// The name that people read.
        #[arg(long)]
        display_name: DisplayName,
    },
    /// Deletes a workspace that has no environments.
    Delete {
        /// Which.
        workspace: WorkspacePath,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Create { workspace, display_name } => {
                let new = CreateWorkspace { slug: workspace.workspace, display_name };
                let path = ApiPath::organization(&workspace.organization).join("workspaces");
                let made: Workspace = client.post(&path, &new).await?.value;
                session.output.done(&made, &format!("workspace `{}` created", made.path))?;
            }
            Self::List { org } => {
                let found: Vec<Workspace> =
                    client.list(&ApiPath::from(&org).join("workspaces"), &whole()).await?;
                session.output.list(&found)?;
            }
            Self::Get { workspace } => {
                session.output.one(&client.get::<Workspace>(&ApiPath::from(&workspace)).await?)?;
            }
            Self::Update { workspace, display_name } => {
                let path = ApiPath::from(&workspace);
                let now: Workspace = client.get(&path).await?;
                let condition = Condition::Is(now.etag);
                let changed: Workspace = client.put(&path, &Rename { display_name }, &condition).await?.value;
                session.output.done(&changed, &format!("workspace `{workspace}` changed"))?;
            }
            Self::Delete { workspace } => {
                client.delete(&ApiPath::from(&workspace), &Condition::Exists).await?;
                session.output.say(&format!("workspace `{workspace}` deleted"));
            }
        }
        Ok(Exit::Done)
    }
}

impl Show for Workspace {
    const COLUMNS: &'static [&'static str] = &["NAME", "DISPLAY NAME", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![self.path.to_string(), self.display_name.to_string(), self.created_at.to_string()]
    }

    fn name(&self) -> String {
        self.path.to_string()
    }
}
