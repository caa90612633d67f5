//! The requests that make the control plane say what a manifest says.

use mcpg_cp_api::{
    CreateEnvironment, CreateOrganization, CreateWorkspace, OrganizationPath, ProblemCode, PutQuery,
    PutVersion, Rename, UpdateOrganization, WorkspacePath,
};
use serde::Serialize;
use serde_json::Value;

use super::live::{Live, path};
use super::plan::{Outcome, Step};
use crate::client::{ApiPath, Client, ClientError, Condition};
use crate::failure::Failure;
use crate::manifest::Resource;

/// Has the control plane try a step. Whether it can: trees and roles it can only make.
pub(super) async fn attempt(client: &Client, step: &Step) -> Result<bool, ClientError> {
    match body(step.resource())? {
        None => Ok(false),
        Some(body) => {
            put(client, step, &body, true).await?;
            Ok(true)
        }
    }
}

/// Carries a step out.
pub(super) async fn carry_out(client: &Client, step: &Step) -> Result<(), Failure> {
    let done = match step.outcome() {
        Outcome::Unchanged => Ok(()),
        outcome => match body(step.resource())? {
            Some(body) => put(client, step, &body, false).await,
            None if outcome == Outcome::Created => make(client, step.resource()).await,
            None => update(client, step).await,
        },
    };
    done.map_err(|error| match error.code() {
        Some(ProblemCode::Precondition | ProblemCode::Exists) => {
            crate::output::say(&format!(
                "{} was changed by somebody else meanwhile: see `mcpg-ctl diff`, then apply again",
                step.resource()
            ));
            error.into()
        }
        _ => error.into(),
    })
}

/// Deletes what is there.
pub(super) async fn delete(client: &Client, resource: &Resource, live: &Live) -> Result<(), ClientError> {
    let path = path(resource);
    match &live.id {
        Some(id) => client.delete(&path.join(id.as_str()), &Condition::Nothing).await,
        None => client.delete(&path, &unchanged(live)).await,
    }
}

fn unchanged(live: &Live) -> Condition {
    live.etag.clone().map_or(Condition::Exists, Condition::Is)
}

/// What is put for what the control plane has as a document; none for anything else.
fn body(resource: &Resource) -> Result<Option<Value>, ClientError> {
    fn version<T: Serialize + Clone>(spec: &T) -> serde_json::Result<Value> {
        serde_json::to_value(PutVersion { spec: spec.clone() })
    }
    let body = match resource {
        Resource::Policy { spec, .. } => version(spec),
        Resource::PluginSet { spec, .. } => version(spec),
        Resource::GatewayConfig { spec, .. } => version(spec),
        Resource::RevocationList { spec, .. } => version(spec),
        Resource::SecretReference { spec, .. } => serde_json::to_value(spec),
        Resource::Organization { .. }
        | Resource::Workspace { .. }
        | Resource::Environment { .. }
        | Resource::RoleBinding { .. } => return Ok(None),
    };
    body.map(Some).map_err(|error| ClientError::Request { reason: error.to_string() })
}

async fn put(client: &Client, step: &Step, body: &Value, dry_run: bool) -> Result<(), ClientError> {
    let condition = step.live().map_or(Condition::Absent, unchanged);
    client.put_with::<Value>(&path(step.resource()), &PutQuery { dry_run }, body, &condition).await.map(drop)
}

async fn make(client: &Client, resource: &Resource) -> Result<(), ClientError> {
    let post = async |path: ApiPath, body: Result<Value, serde_json::Error>| {
        let body = body.map_err(|error| ClientError::Request { reason: error.to_string() })?;
        client.post::<Value>(&path, &body).await.map(drop)
    };
    match resource.clone() {
        Resource::Organization { path, display_name, single_sign_on } => {
            let slug = path.organization.clone();
            let new = CreateOrganization { slug, display_name, subdomain: None };
            let made = client.post::<mcpg_cp_api::Organization>(&ApiPath::organizations(), &new).await?.value;
            if single_sign_on.is_some() {
                let change = UpdateOrganization { display_name: made.display_name, single_sign_on };
                client.put::<Value>(&ApiPath::from(&path), &change, &Condition::Is(made.etag)).await?;
            }
            Ok(())
        }
        Resource::Workspace { path: WorkspacePath { organization, workspace }, display_name } => {
            let new = CreateWorkspace { slug: workspace, display_name };
            let organization = OrganizationPath { organization };
            post(ApiPath::from(&organization).join("workspaces"), serde_json::to_value(new)).await
        }
        Resource::Environment { path, display_name } => {
            let new = CreateEnvironment { slug: path.environment, display_name };
            let workspace = WorkspacePath { organization: path.organization, workspace: path.workspace };
            post(ApiPath::from(&workspace).join("environments"), serde_json::to_value(new)).await
        }
        Resource::RoleBinding { grant, .. } => post(path(resource), serde_json::to_value(grant)).await,
        _ => Ok(()),
    }
}

async fn update(client: &Client, step: &Step) -> Result<(), ClientError> {
    let path = path(step.resource());
    let condition = step.live().map_or(Condition::Exists, unchanged);
    match step.resource().clone() {
        Resource::Organization { display_name: Some(display_name), single_sign_on, .. } => {
            let change = UpdateOrganization { display_name, single_sign_on };
            client.put::<Value>(&path, &change, &condition).await.map(drop)
        }
        Resource::Workspace { display_name: Some(display_name), .. }
        | Resource::Environment { display_name: Some(display_name), .. } => {
            client.put::<Value>(&path, &Rename { display_name }, &condition).await.map(drop)
        }
        // INVARIANT: what is there has a name, and a plan has taken it over; a role is there or not.
        _ => Ok(()),
    }
}
