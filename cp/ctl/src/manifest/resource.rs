//! What a manifest says, and which kinds there are.

use std::fmt;

use mcpg_cp_api::{
    DisplayName, EnvironmentPath, GatewayConfigSpec, Grant, OrganizationPath, PluginSetSpec, PolicySpec,
    PutSecretReference, RevocationListSpec, SingleSignOn, Slug, WorkspacePath,
};

use super::FreeName;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a run has few of them; how large maps are, another crate's features say"
)]
pub enum Resource {
    /// An organization.
    Organization {
        /// Which.
        path: OrganizationPath,
        /// The name that people read.
        display_name: Option<DisplayName>,
        /// How its members sign in.
        single_sign_on: Option<SingleSignOn>,
    },
    /// A workspace.
    Workspace {
        /// Which.
        path: WorkspacePath,
        /// The name that people read.
        display_name: Option<DisplayName>,
    },
    /// An environment.
    Environment {
        /// Which.
        path: EnvironmentPath,
        /// The name that people read.
        display_name: Option<DisplayName>,
    },
    /// A role of a member on a node.
    RoleBinding {
        /// What the manifest is called.
        name: FreeName,
        /// Who, what, where.
        grant: Grant,
    },
    /// A name for a secret.
    SecretReference {
        /// The workspace.
        workspace: WorkspacePath,
        /// Its name there.
        name: Slug,
        /// What it says.
        spec: PutSecretReference,
    },
    /// A policy.
    Policy {
        /// The workspace.
        workspace: WorkspacePath,
        /// Its name there.
        name: Slug,
        /// What it says.
        spec: PolicySpec,
    },
    /// A plugin set.
    PluginSet {
        /// The workspace.
        workspace: WorkspacePath,
        /// Its name there.
        name: Slug,
        /// What it says.
        spec: PluginSetSpec,
    },
    /// The gateway configuration of an environment.
    GatewayConfig {
        /// The environment.
        environment: EnvironmentPath,
        /// What the manifest is called.
        name: FreeName,
        /// What it says.
        spec: GatewayConfigSpec,
    },
    /// The revocation list of an organization.
    RevocationList {
        /// The organization.
        organization: OrganizationPath,
        /// What the manifest is called.
        name: FreeName,
        /// What it says.
        spec: RevocationListSpec,
    },
}

/// A kind of manifest. They are applied in this order, and deleted in the reverse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `MCPGOrganization`
    Organization,
    /// `MCPGWorkspace`
    Workspace,
    /// `MCPGEnvironment`
    Environment,
    /// `MCPGRoleBinding`
    RoleBinding,
    /// `MCPGSecretReference`
    SecretReference,
    /// `MCPGPolicy`
    Policy,
    /// `MCPGPluginSet`
    PluginSet,
    /// `MCPGGatewayConfig`
    GatewayConfig,
    /// `MCPGRevocationList`
    RevocationList,
}

impl Kind {
    /// Every kind, in the order in which they are applied.
    pub const ALL: [Self; 9] = [
        Self::Organization,
        Self::Workspace,
        Self::Environment,
        Self::RoleBinding,
        Self::SecretReference,
        Self::Policy,
        Self::PluginSet,
        Self::GatewayConfig,
        Self::RevocationList,
    ];

    /// What stands in `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "MCPGOrganization",
            Self::Workspace => "MCPGWorkspace",
            Self::Environment => "MCPGEnvironment",
            Self::RoleBinding => "MCPGRoleBinding",
            Self::SecretReference => "MCPGSecretReference",
            Self::Policy => "MCPGPolicy",
            Self::PluginSet => "MCPGPluginSet",
            Self::GatewayConfig => "MCPGGatewayConfig",
            Self::RevocationList => "MCPGRevocationList",
        }
    }

    /// The word for one of it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Workspace => "workspace",
            Self::Environment => "environment",
            Self::RoleBinding => "rolebinding",
            Self::SecretReference => "secretreference",
            Self::Policy => "policy",
            Self::PluginSet => "pluginset",
            Self::GatewayConfig => "gatewayconfig",
            Self::RevocationList => "revocationlist",
        }
    }

    /// What the verbs about one kind are below, such as `mcpg-ctl plugin-set list`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Organization => "org",
            Self::Workspace => "workspace",
            Self::Environment => "env",
            Self::RoleBinding => "rbac",
            Self::SecretReference => "secret-ref",
            Self::Policy => "policy",
            Self::PluginSet => "plugin-set",
            Self::GatewayConfig => "config",
            Self::RevocationList => "revocation-list",
        }
    }

    /// The word for several.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Organization => "organizations",
            Self::Workspace => "workspaces",
            Self::Environment => "environments",
            Self::RoleBinding => "rolebindings",
            Self::SecretReference => "secretreferences",
            Self::Policy => "policies",
            Self::PluginSet => "pluginsets",
            Self::GatewayConfig => "gatewayconfigs",
            Self::RevocationList => "revocationlists",
        }
    }
}

impl Resource {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Organization { .. } => Kind::Organization,
            Self::Workspace { .. } => Kind::Workspace,
            Self::Environment { .. } => Kind::Environment,
            Self::RoleBinding { .. } => Kind::RoleBinding,
            Self::SecretReference { .. } => Kind::SecretReference,
            Self::Policy { .. } => Kind::Policy,
            Self::PluginSet { .. } => Kind::PluginSet,
            Self::GatewayConfig { .. } => Kind::GatewayConfig,
            Self::RevocationList { .. } => Kind::RevocationList,
        }
    }

    /// What the manifest is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Organization { path, .. } => path.organization.as_str(),
            Self::Workspace { path, .. } => path.workspace.as_str(),
            Self::Environment { path, .. } => path.environment.as_str(),
            Self::SecretReference { name, .. } | Self::Policy { name, .. } | Self::PluginSet { name, .. } => {
                name.as_str()
            }
            Self::RoleBinding { name, .. }
            | Self::GatewayConfig { name, .. }
            | Self::RevocationList { name, .. } => name.as_str(),
        }
    }

    /// What tells it apart from all others in the control plane.
    pub fn identity(&self) -> String {
        let place = match self {
            Self::Organization { path, .. } => path.to_string(),
            Self::Workspace { path, .. } => path.to_string(),
            Self::Environment { path, .. } => path.to_string(),
            Self::RoleBinding { grant, .. } => format!("{} {} {}", grant.member, grant.role, grant.on),
            Self::SecretReference { workspace, name, .. }
            | Self::Policy { workspace, name, .. }
            | Self::PluginSet { workspace, name, .. } => format!("{workspace}/{name}"),
            Self::GatewayConfig { environment, .. } => environment.to_string(),
            Self::RevocationList { organization, .. } => organization.to_string(),
        };
        format!("{} {place}", self.kind().as_str())
    }
}

/// As `kubectl` shows it: `pluginset.mcpg.dev/platform-team-prod`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.mcpg.dev/{}", self.kind().word(), self.name())
    }
}
