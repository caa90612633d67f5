//! Who may do what in the tenancy tree.
//!
//! A [`Grant`] gives a member a role on a node; the role holds there and below, never above or beside. Grants below the
//! organization need a tier: `workspace.rbac` and `environment.rbac`. Where the tier lapsed, such a grant has no effect
//! (fail closed); grants on the organization always hold, so an administrator can renew.
//!
//! A caller who has nothing on a node or above it cannot tell it from one that does not exist: [`Refusal::NotFound`].

use mcpg_cp_api::{Grant, Level, Member, Role, Target};
use mcpg_license::{Feature, Tier};

/// Something a member may do, on a node of the level that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See the node, its gateway instances and their state.
    ReadInstances,
    /// See audit rows of the node.
    ReadAudit,
    /// See metrics of the node.
    ReadMetrics,
    /// Change a workspace's plugin sets and policies.
    WritePluginSets,
    /// Change a workspace's secrets.
    WriteSecrets,
    /// Enrol, publish to and retire gateways of an environment.
    ManageGateways,
    /// Create and delete workspaces and environments.
    ManageTree,
    /// Grant and revoke roles.
    ManageRoles,
    /// See and change billing.
    ManageBilling,
    /// Change the SSO domain.
    ManageIdentity,
    /// Install and replace licences.
    ManageLicences,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 11] = [
        Self::ReadInstances,
        Self::ReadAudit,
        Self::ReadMetrics,
        Self::WritePluginSets,
        Self::WriteSecrets,
        Self::ManageGateways,
        Self::ManageTree,
        Self::ManageRoles,
        Self::ManageBilling,
        Self::ManageIdentity,
        Self::ManageLicences,
    ];

    /// The least role that has it.
    pub fn least_role(self) -> Role {
        match self {
            Self::ReadInstances | Self::ReadAudit | Self::ReadMetrics => Role::Viewer,
            Self::WritePluginSets | Self::WriteSecrets | Self::ManageGateways => Role::Operator,
            Self::ManageTree
            | Self::ManageRoles
            | Self::ManageBilling
            | Self::ManageIdentity
            | Self::ManageLicences => Role::Admin,
        }
    }

    /// The level of node that owns what it is about; none where any node has it.
    pub fn level(self) -> Option<Level> {
        match self {
            Self::ManageBilling | Self::ManageIdentity | Self::ManageLicences => Some(Level::Organization),
            Self::WritePluginSets | Self::WriteSecrets => Some(Level::Workspace),
            Self::ManageGateways => Some(Level::Environment),
            Self::ReadInstances
            | Self::ReadAudit
            | Self::ReadMetrics
            | Self::ManageTree
            | Self::ManageRoles => None,
        }
    }
}

/// Decides whether `member` may use `permission` on `target`, given all `grants` and the tier of the target's
/// organization.
///
/// # Errors
/// Why not, in the form the API answers with.
pub fn authorize(
    grants: &[Grant],
    tier: Tier,
    member: &Member,
    permission: Permission,
    target: &Target,
) -> Result<(), Refusal> {
    let role = grants
        .iter()
        .filter(|grant| grant.member == *member && grant.on.contains(target))
        .filter(|grant| admit(grant, tier).is_ok())
        .map(|grant| grant.role)
        .max()
        .ok_or(Refusal::NotFound)?;
    if permission.level().is_some_and(|level| level != target.level()) {
        return Err(Refusal::WrongLevel { permission, level: target.level() });
    }
    if role < permission.least_role() {
        return Err(Refusal::Role { has: role, needs: permission.least_role() });
    }
    Ok(())
}

/// Decides whether `member` may know of `node`: a role in effect on it, above it or below it.
///
/// # Errors
/// [`Refusal::NotFound`] where there is none.
pub fn see(grants: &[Grant], tier: Tier, member: &Member, node: &Target) -> Result<(), Refusal> {
    let touches =
        |grant: &&Grant| grant.member == *member && (grant.on.contains(node) || node.contains(&grant.on));
    let found = grants.iter().filter(touches).any(|grant| admit(grant, tier).is_ok());
    if found { Ok(()) } else { Err(Refusal::NotFound) }
}

/// Decides whether a grant may exist in an organization of this tier.
///
/// # Errors
/// When the role has no meaning that deep in the tree, or the tier does not include grants on that level.
pub fn admit(grant: &Grant, tier: Tier) -> Result<(), GrantError> {
    let level = grant.on.level();
    if level > grant.role.deepest_level() {
        return Err(GrantError::TooDeep { role: grant.role, level });
    }
    let feature = match level {
        Level::Organization => return Ok(()),
        Level::Workspace => Feature::WorkspaceRbac,
        Level::Environment => Feature::EnvironmentRbac,
    };
    if tier.includes(feature) {
        Ok(())
    } else {
        Err(GrantError::Tier { feature: feature.as_str(), needs: feature.least_tier(), has: tier })
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller has no role on the node: for them it does not exist (404).
    #[error("not found")]
    NotFound,
    /// The caller's role is too low (403).
    #[error("role `{has}` is not enough: `{needs}` is needed")]
    Role {
        /// The caller's highest role on the node.
        has: Role,
        /// The least role that would do.
        needs: Role,
    },
    /// Nodes of that level do not own what the permission is about (400).
    #[error("`{permission:?}` does not apply to one {level}")]
    WrongLevel {
        /// What was asked for.
        permission: Permission,
        /// The level of the node it was asked on.
        level: Level,
    },
}

/// Why a grant cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// What the role adds lives higher up.
    #[error("`{role}` cannot be granted on one {level}: grant it on its {}", role.deepest_level())]
    TooDeep {
        /// The role.
        role: Role,
        /// The level asked for.
        level: Level,
    },
    /// The licence does not include it.
    #[error("`{feature}` needs tier `{needs}`; this organization has `{has}`")]
    Tier {
        /// The feature's name.
        feature: &'static str,
        /// The least tier that includes it.
        needs: Tier,
        /// The organization's tier.
        has: Tier,
    },
}

#[cfg(test)]
mod tests;
