//! The kinds of manifest as they are written: what serde reads, the structure check walks and the CRDs describe.

use std::collections::BTreeMap;

use mcpg_cp_api::{
    DisplayName, EnvironmentPath, FileName, GatewayConfigSpec, Line, Member, OrganizationPath, PluginEntry,
    PluginId, PluginSetSpec, PolicyEngine, RevokedArtifact, Role, SecretUri, SingleSignOn, Slug, Target,
    TrustedKey, WorkspacePath,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A manifest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Form<N, S> {
    /// `mcpg.dev/v1`.
    pub api_version: String,
    /// Such as `MCPGPluginSet`.
    pub kind: String,
    /// Its name, and what other tools say of it.
    pub metadata: Metadata<N>,
    /// What it says.
    pub spec: S,
}

/// Its name, and what other tools say of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata<N> {
    /// Its name.
    pub name: N,
    /// The namespace of a cluster that the manifest is kept in. The control plane has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Line<63>>,
    /// Labels of other tools. The control plane keeps none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of other tools. The control plane keeps none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An organization. What is absent stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Organization {
    /// The name that people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// How its members sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_sign_on: Option<SingleSignOn>,
}

/// A workspace of an organization.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Workspace {
    /// The organization: `acme-corp`.
    pub organization: OrganizationPath,
    /// The name that people read. Absent: it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

/// An environment of a workspace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Environment {
    /// The workspace: `acme-corp/platform-team`.
    pub workspace: WorkspacePath,
    /// The name that people read. Absent: it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

/// A role of a member on a node of the tenancy tree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleBinding {
    /// Who: an address.
    pub member: Member,
    /// What they may do.
    pub role: Role,
    /// Where, and below: `org/ORG`, `workspace/ORG/WORKSPACE` or `env/ORG/WORKSPACE/ENV`.
    pub on: Target,
}

/// A name for a secret that gateways resolve. The control plane never sees the secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretReference {
    /// The workspace: `acme-corp/platform-team`.
    pub workspace: WorkspacePath,
    /// Where gateways find it: `$secret://vault/kv/data/mcpg/api-keys/prod#token`.
    pub reference: SecretUri,
}

/// A bundle of policies for one engine. It has either `files` or `folder`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// The workspace: `acme-corp/platform-team`.
    pub workspace: WorkspacePath,
    /// Which engine reads it.
    pub engine: PolicyEngine,
    /// The files by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<FileName, String>>,
    /// The folder of the files, below that of the manifest, or the one file: `mcpg-ctl` reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Line<1024>>,
}

/// The plugins of a workspace, in order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginSet {
    /// The workspace: `acme-corp/platform-team`.
    pub workspace: WorkspacePath,
    /// The entries, in order.
    #[schemars(length(max = 256))]
    pub plugins: Vec<PluginEntry>,
    /// Whether an artifact without a valid signature is refused.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub require_signed: bool,
    /// Whose signatures are valid.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_keys: Vec<TrustedKey>,
    /// What each plugin may ask of the gateway: plugin id to names such as `cap.host.outbound_http`.
    #[schemars(extend("maxProperties" = 256))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capability_grants: BTreeMap<PluginId, Vec<Line<64>>>,
}

/// What the gateways of an environment run, beside the plugin set and the policies that it names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayConfig {
    /// The environment: `acme-corp/platform-team/prod`.
    pub environment: EnvironmentPath,
    /// The plugin set of the workspace that is in force here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_set: Option<Slug>,
    /// The policies of the workspace that are mounted here, each at `./policies/<name>`.
    #[schemars(length(max = 100))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Slug>,
    /// The upstreams, as in a gateway's file.
    #[schemars(length(max = 1000))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Map<String, Value>>,
    /// How bindings are served as one, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federation: Option<Map<String, Value>>,
    /// Sessions, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Map<String, Value>>,
    /// What happens when an upstream's tool is not as it was, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinning: Option<Map<String, Value>>,
}

/// Artifacts that must not run anywhere in an organization.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationList {
    /// The organization: `acme-corp`.
    pub organization: OrganizationPath,
    /// The artifacts by their digest.
    #[schemars(length(max = 10_000))]
    pub artifacts: Vec<RevokedArtifact>,
}

impl PluginSet {
    /// Where it is, and what the API is told of it.
    pub(super) fn split(self) -> (WorkspacePath, PluginSetSpec) {
        let Self { workspace, plugins, require_signed, trusted_keys, capability_grants } = self;
        (workspace, PluginSetSpec { plugins, require_signed, trusted_keys, capability_grants })
    }

    /// The other way round.
    pub(super) fn join(workspace: WorkspacePath, spec: PluginSetSpec) -> Self {
        let PluginSetSpec { plugins, require_signed, trusted_keys, capability_grants } = spec;
        Self { workspace, plugins, require_signed, trusted_keys, capability_grants }
    }
}

impl GatewayConfig {
    /// Where it is, and what the API is told of it.
    pub(super) fn split(self) -> (EnvironmentPath, GatewayConfigSpec) {
        let Self { environment, plugin_set, policies, bindings, federation, sessions, pinning } = self;
        (environment, GatewayConfigSpec { plugin_set, policies, bindings, federation, sessions, pinning })
    }

    /// The other way round.
    pub(super) fn join(environment: EnvironmentPath, spec: GatewayConfigSpec) -> Self {
        let GatewayConfigSpec { plugin_set, policies, bindings, federation, sessions, pinning } = spec;
        Self { environment, plugin_set, policies, bindings, federation, sessions, pinning }
    }
}

fn yes() -> bool {
    true
}
