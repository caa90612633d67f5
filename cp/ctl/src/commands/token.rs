//! `token`: API tokens of an organization, for programs.

use clap::Subcommand;
use mcpg_cp_api::{ApiToken, CreateApiToken, DisplayName, Id, NewApiToken, OrganizationPath, Role, Target};

use super::whole;
use crate::arguments::Span;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with API tokens.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Makes a token. It is printed once, alone on standard output.
    Create {
        /// What it is for.
        name: DisplayName,
        /// `admin`, `operator` or `viewer`.
        #[arg(long)]
        role: Role,
        /// Where: `org/ORG`, `workspace/ORG/WORKSPACE` or `env/ORG/WORKSPACE/ENV`.
        #[arg(long)]
        on: Target,
        /// How long it lives: a minute to a year. Default: 90 days.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<Span>,
    },
    /// Lists the tokens of an organization that can be used.
    List {
        /// The organization.
        org: OrganizationPath,
    },
    /// Revokes a token.
    Revoke {
        /// The organization.
        org: OrganizationPath,
        /// The token's id.
        id: Id,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Create { name, role, on, expires_in } => {
                let path = ApiPath::organization(on.organization()).join("api-tokens");
                let expires_in_seconds = super::seconds(expires_in)?;
                let new = CreateApiToken { name, role, on, expires_in_seconds };
                let made: NewApiToken = client.post(&path, &new).await?.value;
                let ApiToken { id, role, on, expires_at, .. } = &made.resource;
                let said =
                    format!("token {id} is `{role}` on `{on}` until {expires_at}; it is not shown again");
                session.output.secret(&made, &made.token, &said)?;
            }
            Self::List { org } => {
                let path = ApiPath::from(&org).join("api-tokens");
                session.output.list(&client.list::<ApiToken>(&path, &whole()).await?)?;
            }
            Self::Revoke { org, id } => {
                let path = ApiPath::from(&org).join("api-tokens").join(id.as_str());
                client.delete(&path, &Condition::Nothing).await?;
                session.output.say(&format!("token {id} is revoked"));
            }
        }
        Ok(Exit::Done)
    }
}

impl Show for ApiToken {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ROLE", "ON", "EXPIRES", "LAST USED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.to_string(),
            self.role.to_string(),
            self.on.to_string(),
            self.expires_at.to_string(),
            self.last_used_at.map(|time| time.to_string()).unwrap_or_default(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
