//! `platform-token`: tokens of the service's own administrators.

use clap::Subcommand;
use mcpg_cp_api::{CreatePlatformToken, DisplayName, Id, NewPlatformToken, PlatformToken};

use super::whole;
use crate::arguments::Span;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with platform tokens.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Makes a token. It is printed once, alone on standard output.
    Create {
        /// What it is for.
        name: DisplayName,
        /// How long it lives: a minute to a year. Default: 90 days.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<Span>,
    },
    /// Lists the tokens.
    List,
    /// Revokes a token, other than the one that is used for it.
    Revoke {
        /// The token's id.
        id: Id,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let path = ApiPath::fixed("/v1/platform-tokens");
        match self {
            Self::Create { name, expires_in } => {
                let new = CreatePlatformToken { name, expires_in_seconds: super::seconds(expires_in)? };
                let made: NewPlatformToken = client.post(&path, &new).await?.value;
                let until = made.resource.expires_at.map(|time| format!(" until {time}")).unwrap_or_default();
                let id = &made.resource.id;
                let said = format!("token {id} administers the service{until}; it is not shown again");
                session.output.secret(&made, &made.token, &said)?;
            }
            Self::List => {
                session.output.list(&client.list::<PlatformToken>(&path, &whole()).await?)?;
            }
            Self::Revoke { id } => {
                client.delete(&path.join(id.as_str()), &Condition::Nothing).await?;
                session.output.say(&format!("token {id} is revoked"));
            }
        }
        Ok(Exit::Done)
    }
}

impl Show for PlatformToken {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "CREATED", "EXPIRES", "REVOKED"];

    fn cells(&self) -> Vec<String> {
        let time =
            |time: Option<mcpg_cp_api::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        vec![
            self.id.to_string(),
            self.name.to_string(),
            self.created_at.to_string(),
            time(self.expires_at),
            time(self.revoked_at),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
