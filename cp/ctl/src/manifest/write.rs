//! Resources as the manifests that would make them.

use serde::Serialize;
use serde_json::{Value, json};

use super::kinds::{self, Form, Metadata};
use super::{API_VERSION, Resource};

impl Resource {
    /// The manifest, as JSON.
    pub fn to_manifest(&self) -> Value {
        let spec = match self.clone() {
            Self::Organization { display_name, single_sign_on, .. } => {
                value(&kinds::Organization { display_name, single_sign_on })
            }
            Self::Workspace { path, display_name } => {
                let organization = mcpg_cp_api::OrganizationPath { organization: path.organization };
                value(&kinds::Workspace { organization, display_name })
            }
            Self::Environment { path, display_name } => {
                let mcpg_cp_api::EnvironmentPath { organization, workspace, .. } = path;
                let workspace = mcpg_cp_api::WorkspacePath { organization, workspace };
                value(&kinds::Environment { workspace, display_name })
            }
            Self::RoleBinding { grant, .. } => {
                value(&kinds::RoleBinding { member: grant.member, role: grant.role, on: grant.on })
            }
            Self::SecretReference { workspace, spec, .. } => {
                value(&kinds::SecretReference { workspace, reference: spec.reference })
            }
            Self::Policy { workspace, spec, .. } => value(&kinds::Policy {
                workspace,
                engine: spec.engine,
                files: Some(spec.files),
                folder: None,
            }),
            Self::PluginSet { workspace, spec, .. } => value(&kinds::PluginSet::join(workspace, spec)),
            Self::GatewayConfig { environment, spec, .. } => {
                value(&kinds::GatewayConfig::join(environment, spec))
            }
            Self::RevocationList { organization, spec, .. } => {
                value(&kinds::RevocationList { organization, artifacts: spec.artifacts })
            }
        };
        let metadata = Metadata {
            name: self.name(),
            namespace: None,
            labels: Default::default(),
            annotations: Default::default(),
        };
        let kind = self.kind().as_str().to_owned();
        value(&Form { api_version: API_VERSION.to_owned(), kind, metadata, spec })
    }
}

/// What consists of texts, numbers and maps by text is always a value.
fn value(spec: &impl Serialize) -> Value {
    serde_json::to_value(spec).unwrap_or_else(|_| json!({}))
}
