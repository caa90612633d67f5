//! `revocation-list`: artifacts that must not run anywhere in an organization. It is written by `apply`.

use clap::Subcommand;
use mcpg_cp_api::{OrganizationPath, RevocationList};

use crate::client::ApiPath;
use crate::failure::{Exit, Failure};
use crate::session::Session;

/// What can be done with the revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Shows the list.
    Get {
        /// The organization.
        org: OrganizationPath,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let Self::Get { org } = self;
        let path = ApiPath::from(&org).join("revocation-list");
        session.output.one(&session.client().await?.get::<RevocationList>(&path).await?)?;
        Ok(Exit::Done)
    }
}
