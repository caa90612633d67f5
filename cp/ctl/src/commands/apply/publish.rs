//! Publishing revisions of the environments that manifests concern.

use std::collections::BTreeSet;
use std::fmt;

use mcpg_cp_api::{Environment, EnvironmentPath, GatewayConfig, PublishRevision, Revision, WorkspacePath};
use serde::Serialize;

use super::super::whole;
use super::live::read;
use crate::client::{ApiPath, Client, ClientError};
use crate::manifest::Resource;

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
        for environment in client.list::<Environment>(&path, &whole()).await? {
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
