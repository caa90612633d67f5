//! Publishing revisions of the environments that manifests concern, and waiting until gateways have taken them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use mcpg_cp_api::{
    Environment, EnvironmentPath, Gateway, GatewayConfig, PageQuery, PublishRevision, Revision,
    RevisionDocument, WorkspacePath,
};
use serde::Serialize;

use super::counted;
use super::live::read;
use crate::client::{ApiPath, Client, ClientError};
use crate::failure::Failure;
use crate::manifest::Resource;

const PAGE: PageQuery = PageQuery { limit: Some(200), cursor: None };
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A revision that is in force now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Where.
    pub environment: EnvironmentPath,
    /// Its number.
    pub number: u64,
    /// Whether it was made by this.
    pub is_new: bool,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.is_new { "published" } else { "unchanged" };
        write!(f, "revision.mcpg.dev/{}/{} {said}", self.environment, self.number)
    }
}

/// The environments whose revision resources can change: their configuration, and what it names.
///
/// # Errors
/// When the control plane cannot be asked.
pub async fn touched(
    client: &Client,
    resources: &[&Resource],
) -> Result<BTreeSet<EnvironmentPath>, ClientError> {
    let mut touched = BTreeSet::new();
    let mut workspaces: BTreeSet<&WorkspacePath> = BTreeSet::new();
    for resource in resources {
        match resource {
            Resource::GatewayConfig { environment, .. } => {
                touched.insert(environment.clone());
            }
            Resource::PluginSet { workspace, .. }
            | Resource::Policy { workspace, .. }
            | Resource::SecretReference { workspace, .. } => {
                workspaces.insert(workspace);
            }
            _ => {}
        }
    }
    for workspace in workspaces {
        let path = ApiPath::from(workspace).join("environments");
        for environment in client.list::<Environment>(&path, &PAGE).await? {
            let path = ApiPath::from(&environment.path).join("config");
            let Some(config) = read::<GatewayConfig>(client, &path).await? else { continue };
            let is_named = |resource: &&Resource| match resource {
                Resource::PluginSet { workspace: of, name, .. } => {
                    of == workspace && config.spec.plugin_set.as_ref() == Some(name)
                }
                Resource::Policy { workspace: of, name, .. } => {
                    of == workspace && config.spec.policies.contains(name)
                }
                // Settings anywhere can name it; publishing the same again makes nothing.
                Resource::SecretReference { workspace: of, .. } => of == workspace,
                _ => false,
            };
            if resources.iter().any(is_named) {
                touched.insert(environment.path);
            }
        }
    }
    Ok(touched)
}

/// Publishes what an environment is configured with.
///
/// # Errors
/// When the control plane refuses it, as where no gateway would take it.
pub async fn publish(client: &Client, environment: &EnvironmentPath) -> Result<Published, ClientError> {
    let path = ApiPath::from(environment).join("revisions");
    let answer = client.post::<Revision>(&path, &PublishRevision::default()).await?;
    let is_new = answer.is_made();
    Ok(Published { environment: environment.clone(), number: answer.value.number, is_new })
}

/// Waits until every gateway that a revision is for has taken it. Says how many have.
///
/// # Errors
/// When one rejects it, with its reason, or time is up.
pub async fn wait(client: &Client, published: &Published, timeout: Duration) -> Result<String, Failure> {
    let path = ApiPath::from(&published.environment).join("revisions").join(&published.number.to_string());
    let looked = async {
        loop {
            let progress = client.get::<RevisionDocument>(&path).await?.revision.progress;
            if progress.rejected > 0 {
                return Err(Failure::Failed(rejected(client, published).await?));
            }
            if progress.applied >= progress.wanted {
                return Ok(format!("applied by {}", gateways(progress.applied)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(timeout, looked).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let progress = client.get::<RevisionDocument>(&path).await?.revision.progress;
            Err(Failure::Failed(format!(
                "{published}: after {} s applied by {} of {}: see `mcpg-ctl gateway list {}`",
                timeout.as_secs(),
                progress.applied,
                gateways(progress.wanted),
                published.environment
            )))
        }
    }
}

fn gateways(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "gateway")
}

/// Who rejects a revision, and why.
async fn rejected(client: &Client, published: &Published) -> Result<String, ClientError> {
    let path = ApiPath::from(&published.environment).join("gateways");
    let mut said = format!("{published}: rejected");
    for gateway in client.list::<Gateway>(&path, &PAGE).await? {
        if let Some(rejected) = gateway.rejected.filter(|rejected| rejected.number == published.number) {
            said += &format!("\n  {}: {}", gateway.name, rejected.reason);
        }
    }
    Ok(said)
}
