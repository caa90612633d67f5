//! What applying manifests would do, each compared with what is there and tried by the control plane.

use std::collections::BTreeSet;
use std::fmt;

use mcpg_cp_api::{ProblemCode, Slug, Target};
use serde::Serialize;

use super::change;
use super::counted;
use super::live::Live;
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::manifest::{Manifest, Resource, to_yaml};
use crate::output::say;

/// The steps, in the order of applying.
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
}

/// What becomes of one manifest.
#[derive(Debug)]
pub struct Step {
    wanted: Resource,
    live: Option<Live>,
    is_tried: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was there and said something else.
    Configured,
    /// It was there and said the same.
    Unchanged,
}

impl Plan {
    /// Compares manifests with what is there and has the control plane try the changes.
    ///
    /// # Errors
    /// When it cannot be asked, or would refuse any of them: every refusal is told with its place in the files.
    pub async fn make(client: &Client, manifests: Vec<Manifest>) -> Result<Self, Failure> {
        let mut steps = Vec::new();
        let mut made = BTreeSet::new();
        let mut refused: Vec<ClientError> = Vec::new();
        for Manifest { resource, document } in manifests {
            let live = Live::find(client, &resource).await?;
            let wanted = completed(resource, live.as_ref());
            let mut step = Step { wanted, live, is_tried: false };
            if step.outcome() == Outcome::Created
                && let Some(node) = node(&step.wanted)
            {
                made.insert(node);
            }
            // What is to stand below something that is yet to be made cannot be tried before.
            let can_be_tried = !above(&step.wanted).iter().any(|node| made.contains(node));
            if step.outcome() != Outcome::Unchanged && can_be_tried {
                match change::attempt(client, &step).await {
                    Ok(is_tried) => step.is_tried = is_tried,
                    Err(error) if error.refusal().is_some() => {
                        tell(&error, &step, &document);
                        refused.push(error);
                    }
                    Err(error) => return Err(error.into()),
                }
            } else if step.outcome() == Outcome::Unchanged {
                step.is_tried = true;
            }
            steps.push(step);
        }
        match (refused.len(), refused.pop()) {
            (_, None) => Ok(Self { steps }),
            (1, Some(error)) => Err(error.into()),
            (count, Some(_)) => Err(Failure::Failed(format!(
                "nothing was changed: the control plane refuses {}",
                counted(count, "manifest")
            ))),
        }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// What is to be there.
    pub fn resource(&self) -> &Resource {
        &self.wanted
    }

    /// What is there.
    pub fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// Whether the control plane has tried it, or need not.
    pub fn is_tried(&self) -> bool {
        self.is_tried
    }

    /// What is to be done.
    pub fn outcome(&self) -> Outcome {
        match &self.live {
            None => Outcome::Created,
            Some(live) if live.resource == self.wanted => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// When the control plane refuses it, or what is there has changed since it was compared.
    pub async fn carry_out(&self, client: &Client) -> Result<(), Failure> {
        change::carry_out(client, self).await
    }

    /// What is there and what is to be there, as manifests.
    pub fn texts(&self) -> (String, String) {
        let before = self.live.as_ref().map(|live| to_yaml(&live.resource.to_manifest()));
        (before.unwrap_or_default(), to_yaml(&self.wanted.to_manifest()))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// What a manifest leaves to what is there: names that people read, and how members sign in.
fn completed(wanted: Resource, live: Option<&Live>) -> Resource {
    match (wanted, live.map(|live| &live.resource)) {
        (
            Resource::Organization { path, display_name, single_sign_on },
            Some(Resource::Organization { display_name: name, single_sign_on: sign_on, .. }),
        ) => Resource::Organization {
            path,
            display_name: display_name.or_else(|| name.clone()),
            single_sign_on: single_sign_on.or_else(|| sign_on.clone()),
        },
        (
            Resource::Workspace { path, display_name },
            Some(Resource::Workspace { display_name: name, .. }),
        ) => Resource::Workspace { path, display_name: display_name.or_else(|| name.clone()) },
        (
            Resource::Environment { path, display_name },
            Some(Resource::Environment { display_name: name, .. }),
        ) => Resource::Environment { path, display_name: display_name.or_else(|| name.clone()) },
        (wanted, _) => wanted,
    }
}

/// The node of the tenancy tree that a resource is.
fn node(resource: &Resource) -> Option<String> {
    match resource {
        Resource::Organization { path, .. } => Some(path.to_string()),
        Resource::Workspace { path, .. } => Some(path.to_string()),
        Resource::Environment { path, .. } => Some(path.to_string()),
        _ => None,
    }
}

/// The nodes that a resource is below, or on.
fn above(resource: &Resource) -> Vec<String> {
    let joined = |parts: &[&Slug]| {
        (1..=parts.len())
            .map(|count| parts.iter().take(count).map(|part| part.as_str()).collect::<Vec<_>>().join("/"))
            .collect()
    };
    match resource {
        Resource::Organization { .. } => Vec::new(),
        Resource::Workspace { path, .. } => joined(&[&path.organization]),
        Resource::Environment { path, .. } => joined(&[&path.organization, &path.workspace]),
        Resource::SecretReference { workspace, .. }
        | Resource::Policy { workspace, .. }
        | Resource::PluginSet { workspace, .. } => joined(&[&workspace.organization, &workspace.workspace]),
        Resource::GatewayConfig { environment, .. } => {
            joined(&[&environment.organization, &environment.workspace, &environment.environment])
        }
        Resource::RevocationList { organization, .. } => joined(&[&organization.organization]),
        Resource::RoleBinding { grant, .. } => match &grant.on {
            Target::Organization(path) => joined(&[&path.organization]),
            Target::Workspace(path) => joined(&[&path.organization, &path.workspace]),
            Target::Environment(path) => joined(&[&path.organization, &path.workspace, &path.environment]),
        },
    }
}

/// Tells a refusal with its place in the file.
fn tell(error: &ClientError, step: &Step, document: &mcpg_config::Document) {
    let Some(refusal) = error.refusal() else { return };
    let detail = refusal.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let help = (refusal.code == Some(ProblemCode::NotFound)).then(|| {
        let above = above(&step.wanted).pop().unwrap_or_default();
        format!("`{above}` is not there, or not for you: apply it too, or make it first")
    });
    say(&document.fault("", format!("{}: {}{detail}", step.wanted, refusal.title), help).to_string());
    for error in &refusal.errors {
        say(&document.fault(&error.pointer, error.detail.clone(), None).to_string());
    }
}

#[cfg(test)]
mod tests;
