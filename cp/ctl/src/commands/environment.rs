//! `env`: environments of a workspace.

use clap::Subcommand;
use mcpg_cp_api::{CreateEnvironment, DisplayName, Environment, EnvironmentPath, Rename, WorkspacePath};

use super::whole;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with environments.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Creates an environment.
    Create {
        /// Where, such as `acme-corp/platform-team/prod`.
        env: EnvironmentPath,
        /// The name that people read.
        #[arg(long)]
        display_name: Option<DisplayName>,
    },
    /// Lists the environments of a workspace that you may see.
    List {
        /// The workspace.
        workspace: WorkspacePath,
    },
    /// Shows an environment.
    Get {
        /// Which.
        env: EnvironmentPath,
    },
    /// Renames an environment.
    Update {
        /// Which.
        env: EnvironmentPath,
        /// The name that people read.
        #[arg(long)]
        display_name: DisplayName,
    },
    /// Deletes an environment that has no gateways.
    Delete {
        /// Which.
        env: EnvironmentPath,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Create { env, display_name } => {
                let EnvironmentPath { organization, workspace, environment } = env;
                let path = ApiPath::from(&WorkspacePath { organization, workspace }).join("environments");
                let new = CreateEnvironment { slug: environment, display_name };
                let made: Environment = client.post(&path, &new).await?.value;
                session.output.done(&made, &format!("environment `{}` created", made.path))?;
            }
            Self::List { workspace } => {
                let path = ApiPath::from(&workspace).join("environments");
                let found: Vec<Environment> = client.list(&path, &whole()).await?;
                session.output.list(&found)?;
            }
            Self::Get { env } => {
                session.output.one(&client.get::<Environment>(&ApiPath::from(&env)).await?)?;
            }
            Self::Update { env, display_name } => {
                let path = ApiPath::from(&env);
                let now: Environment = client.get(&path).await?;
                let condition = Condition::Is(now.etag);
                let changed: Environment =
                    client.put(&path, &Rename { display_name }, &condition).await?.value;
                session.output.done(&changed, &format!("environment `{env}` changed"))?;
            }
            Self::Delete { env } => {
                client.delete(&ApiPath::from(&env), &Condition::Exists).await?;
                session.output.say(&format!("environment `{env}` deleted"));
            }
        }
        Ok(Exit::Done)
    }
}

impl Show for Environment {
    const COLUMNS: &'static [&'static str] = &["NAME", "DISPLAY NAME", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![self.path.to_string(), self.display_name.to_string(), self.created_at.to_string()]
    }

    fn name(&self) -> String {
        self.path.to_string()
    }
}
