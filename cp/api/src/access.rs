//! Who may do what: the caller, members, role bindings, API tokens, signing in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Actor, DisplayName, Grant, Id, Member, OrganizationPath, Role, Target, Timestamp};

/// Who the caller is, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// The caller, as the audit log names them.
    pub actor: Actor,
    /// The address, if it is a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    /// The organization that the credential is of. A platform administrator has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationPath>,
    /// Whether the caller administers the whole service.
    pub platform_admin: bool,
    /// The roles that are in effect.
    pub roles: Vec<RoleOn>,
    /// When the credential ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A role, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleOn {
    /// What.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
}

/// A member of an organization: somebody with a role in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberRoles {
    /// Who.
    pub member: Member,
    /// Their roles, in effect or not.
    pub roles: Vec<RoleOn>,
}

/// A role of a member on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleBinding {
    /// Its id.
    pub id: Id,
    /// Who, what, where.
    #[serde(flatten)]
    pub grant: Grant,
    /// Whether it is in effect: the licence includes roles at that level.
    pub effective: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// A token for programs. The token itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiToken {
    /// Its id, which stands in the token.
    pub id: Id,
    /// What it is for.
    pub name: DisplayName,
    /// What it may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was last used, within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// A new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiToken {
    /// What it is for.
    pub name: DisplayName,
    /// What it may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
    /// How long it lives: a minute to a year; 90 days where it is absent.
    #[schemars(range(min = 60, max = 31_622_400))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
}

/// A token of an administrator of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlatformToken {
    /// Its id, which stands in the token.
    pub id: Id,
    /// What it is for.
    pub name: DisplayName,
    /// When it ends; the first one does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new token of an administrator of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePlatformToken {
    /// What it is for.
    pub name: DisplayName,
    /// How long it lives: a minute to a year; 90 days where it is absent.
    #[schemars(range(min = 60, max = 31_622_400))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
}

/// A token of an administrator of the service that was just made. This is the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewPlatformToken {
    /// The token, for `Authorization: Bearer`.
    pub token: String,
    /// What is known of it later.
    pub resource: PlatformToken,
}

/// A token that was just made. This is the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewApiToken {
    /// The token, for `Authorization: Bearer`.
    pub token: String,
    /// What is known of it later.
    pub resource: ApiToken,
}
