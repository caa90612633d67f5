//! What is in the control plane in the place of a manifest.

use mcpg_cp_api::{
    Environment, GatewayConfig, Id, Organization, PluginSet, Policy, ProblemCode, PutSecretReference,
    RevocationList, RoleBinding, SecretReference, Slug, Workspace, WorkspacePath,
};
use serde::de::DeserializeOwned;

use super::super::whole;
use crate::client::{ApiPath, Client, ClientError};
use crate::manifest::Resource;

/// A resource as it is, and what a change of it has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What is there.
    pub resource: Resource,
    /// Its entity tag; none for what has none.
    pub etag: Option<String>,
    /// Its id, where it is known by that.
    pub id: Option<Id>,
}

impl Live {
    /// What is there in the place of a resource, under the same name.
    ///
    /// # Errors
    /// When the control plane cannot be asked.
    pub async fn find(client: &Client, wanted: &Resource) -> Result<Option<Self>, ClientError> {
        let path = path(wanted);
        let live = |resource: Resource, etag: String| Self { resource, etag: Some(etag), id: None };
        Ok(match wanted.clone() {
            Resource::Organization { path: org, .. } => {
                read::<Organization>(client, &path).await?.map(|found| {
                    let (display_name, single_sign_on) = (Some(found.display_name), found.single_sign_on);
                    live(Resource::Organization { path: org, display_name, single_sign_on }, found.etag)
                })
            }
            Resource::Workspace { path: workspace, .. } => {
                read::<Workspace>(client, &path).await?.map(|found| {
                    let display_name = Some(found.display_name);
                    live(Resource::Workspace { path: workspace, display_name }, found.etag)
                })
            }
            Resource::Environment { path: environment, .. } => {
                read::<Environment>(client, &path).await?.map(|found| {
                    let display_name = Some(found.display_name);
                    live(Resource::Environment { path: environment, display_name }, found.etag)
                })
            }
            Resource::RoleBinding { name, grant } => {
                let bindings =
                    present(client.list::<RoleBinding>(&path, &whole()).await)?.unwrap_or_default();
                let found = bindings.into_iter().find(|binding| binding.grant == grant);
                found.map(|found| Self {
                    resource: Resource::RoleBinding { name, grant: found.grant },
                    etag: None,
                    id: Some(found.id),
                })
            }
            Resource::SecretReference { workspace, name, .. } => {
                read::<SecretReference>(client, &path).await?.map(|found| {
                    let spec = PutSecretReference { reference: found.reference };
                    live(Resource::SecretReference { workspace, name, spec }, found.etag)
                })
            }
            Resource::Policy { workspace, name, .. } => read::<Policy>(client, &path)
                .await?
                .map(|found| live(Resource::Policy { workspace, name, spec: found.spec }, found.etag)),
            Resource::PluginSet { workspace, name, .. } => read::<PluginSet>(client, &path)
                .await?
                .map(|found| live(Resource::PluginSet { workspace, name, spec: found.spec }, found.etag)),
            Resource::GatewayConfig { environment, name, .. } => {
                read::<GatewayConfig>(client, &path).await?.map(|found| {
                    live(Resource::GatewayConfig { environment, name, spec: found.spec }, found.etag)
                })
            }
            Resource::RevocationList { organization, name, .. } => {
                read::<RevocationList>(client, &path).await?.map(|found| {
                    live(Resource::RevocationList { organization, name, spec: found.spec }, found.etag)
                })
            }
        })
    }
}

/// Where the API has a resource: for a role binding, the list that it is in.
pub(super) fn path(resource: &Resource) -> ApiPath {
    let of_workspace = |workspace: &WorkspacePath, kind: &str, name: &Slug| {
        ApiPath::from(workspace).join(kind).join(name.as_str())
    };
    match resource {
        Resource::Organization { path, .. } => path.into(),
        Resource::Workspace { path, .. } => path.into(),
        Resource::Environment { path, .. } => path.into(),
        Resource::RoleBinding { grant, .. } => {
            ApiPath::organization(grant.on.organization()).join("role-bindings")
        }
        Resource::SecretReference { workspace, name, .. } => {
            of_workspace(workspace, "secret-references", name)
        }
        Resource::Policy { workspace, name, .. } => of_workspace(workspace, "policies", name),
        Resource::PluginSet { workspace, name, .. } => of_workspace(workspace, "plugin-sets", name),
        Resource::GatewayConfig { environment, .. } => ApiPath::from(environment).join("config"),
        Resource::RevocationList { organization, .. } => ApiPath::from(organization).join("revocation-list"),
    }
}

/// Reads something that may not be there.
pub(super) async fn read<T: DeserializeOwned>(
    client: &Client,
    path: &ApiPath,
) -> Result<Option<T>, ClientError> {
    present(client.get(path).await)
}

fn present<T>(outcome: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
