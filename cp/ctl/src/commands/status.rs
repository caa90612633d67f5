//! `status`: the control plane, who one is there, and the tree with its gateways.

use clap::Args;
use mcpg_cp_api::{
    Environment, EnvironmentPath, Gateway, Organization, Page, ProblemCode, Revision, Target, VersionsQuery,
    WhoAmI, Workspace, WorkspacePath,
};
use serde::Serialize;

use super::{gateway, whole};
use crate::arguments::{Place, ago};
use crate::client::{ApiPath, Client, ClientError};
use crate::failure::{Exit, Failure};
use crate::output::{Rows, Show as _};
use crate::session::Session;
use crate::text::plain;

/// How much of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Status {
    /// Only below `ORG`, `ORG/WORKSPACE` or `ORG/WORKSPACE/ENV`.
    place: Option<Place>,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    ready: bool,
    whoami: WhoAmI,
    environments: Vec<EnvironmentReport>,
}

/// An environment as far as the caller may see it.
#[derive(Debug, Serialize)]
struct EnvironmentReport {
    environment: EnvironmentPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    gateways: Vec<Gateway>,
}

impl Status {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let ready = client.get_text(&ApiPath::fixed("/readyz")).await.is_ok();
        let whoami = client.get(&ApiPath::fixed("/v1/whoami")).await?;
        let mut environments = Vec::new();
        for environment in below(client, self.place.as_ref().map(|place| &place.0)).await? {
            environments.push(report(client, environment).await?);
        }
        let report = Report { server: client.server().to_string(), ready, whoami, environments };
        session.output.text_or(&report, || report.text())?;
        Ok(if ready { Exit::Done } else { Exit::Failed })
    }
}

/// The environments below a node that the caller may see. The node itself must be there.
async fn below(client: &Client, node: Option<&Target>) -> Result<Vec<EnvironmentPath>, ClientError> {
    let organizations = match node {
        Some(Target::Environment(path)) => {
            return Ok(vec![client.get::<Environment>(&ApiPath::from(path)).await?.path]);
        }
        Some(Target::Workspace(path)) => return environments(client, path).await,
        Some(Target::Organization(path)) => vec![client.get::<Organization>(&ApiPath::from(path)).await?],
        None => client.list(&ApiPath::organizations(), &whole()).await?,
    };
    let mut found = Vec::new();
    for organization in organizations {
        let path = ApiPath::from(&organization.path).join("workspaces");
        for workspace in client.list::<Workspace>(&path, &whole()).await? {
            found.extend(environments(client, &workspace.path).await?);
        }
    }
    Ok(found)
}

async fn environments(
    client: &Client,
    workspace: &WorkspacePath,
) -> Result<Vec<EnvironmentPath>, ClientError> {
    let path = ApiPath::from(workspace).join("environments");
    let found = client.list::<Environment>(&path, &whole()).await?;
    Ok(found.into_iter().map(|environment| environment.path).collect())
}

async fn report(client: &Client, environment: EnvironmentPath) -> Result<EnvironmentReport, ClientError> {
    let newest = VersionsQuery { limit: Some(1), cursor: None };
    let revisions =
        client.get_with::<Page<Revision>>(&ApiPath::from(&environment).join("revisions"), &newest).await;
    let revision = seen(revisions.map(|page| page.items))?.into_iter().next();
    let gateways = seen(gateway::list(client, &environment).await)?;
    Ok(EnvironmentReport { environment, revision, gateways })
}

/// What a role that sees an environment's name may not see in it is left out.
fn seen<T>(found: Result<Vec<T>, ClientError>) -> Result<Vec<T>, ClientError> {
    match found {
        Err(error) if matches!(error.code(), Some(ProblemCode::Forbidden | ProblemCode::NotFound)) => {
            Ok(Vec::new())
        }
        found => found,
    }
}

impl Report {
    fn text(&self) -> String {
        let ready = if self.ready { "ready" } else { "NOT READY" };
        let roles = self.whoami.cells().into_iter().nth(2).unwrap_or_default();
        let mut text = format!(
            "control plane  {}  {ready}\nyou            {}  {}\n",
            self.server,
            self.whoami.actor,
            plain(&roles)
        );
        for environment in &self.environments {
            text.push('\n');
            text.push_str(&environment.text());
        }
        text
    }
}

impl EnvironmentReport {
    fn text(&self) -> String {
        let revision = match &self.revision {
            None => "no revision".to_owned(),
            Some(Revision { number, progress, created_at, .. }) => format!(
                "revision {number} ({}), applied by {} of {}, rejected by {}",
                ago(*created_at, gateway::now()),
                progress.applied,
                progress.wanted,
                progress.rejected
            ),
        };
        let mut text = format!("{}  {revision}\n", self.environment);
        if self.gateways.is_empty() {
            return text;
        }
        let mut rows =
            Rows::new(&["  GATEWAY", "STATUS", "APPLIED", "WANTED", "REVOKED BY", "LAST SEEN", "REJECTED"]);
        for gateway in &self.gateways {
            let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            rows.push(&[
                format!("  {}", gateway.name),
                gateway::status(gateway).to_owned(),
                number(gateway.applied),
                number(gateway.wanted),
                gateway::revoked_by(gateway),
                gateway.last_seen_at.map(|time| ago(time, gateway::now())).unwrap_or_default(),
                gateway::rejected(gateway),
            ]);
        }
        text.push_str(&rows.text());
        text
    }
}
