//! `whoami`: who the credential is, and what it may do.

use mcpg_cp_api::WhoAmI;

use crate::client::ApiPath;
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    session.output.one(&session.client().await?.get::<WhoAmI>(&ApiPath::fixed("/v1/whoami")).await?)?;
    Ok(Exit::Done)
}

impl Show for WhoAmI {
    const COLUMNS: &'static [&'static str] = &["ACTOR", "ORGANIZATION", "ROLES", "EXPIRES"];

    fn cells(&self) -> Vec<String> {
        let roles = self.roles.iter().map(|role| format!("{} on {}", role.role, role.on));
        let service = self.platform_admin.then(|| "administrator of the service".to_owned());
        vec![
            self.actor.to_string(),
            self.organization.as_ref().map(ToString::to_string).unwrap_or_default(),
            service.into_iter().chain(roles).collect::<Vec<_>>().join(", "),
            self.expires_at.map(|time| time.to_string()).unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.actor.to_string()
    }
}
