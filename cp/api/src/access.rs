//! Who may do what: the caller, members, role bindings, API tokens, signing in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Actor, DisplayName, Grant, Id, Member, OrganizationPath, Role, Slug, Target, Timestamp};

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

/// A token that was just made. This is the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewApiToken {
    /// The token, for `Authorization: Bearer`.
    pub token: String,
    /// What is known of it later.
    pub resource: ApiToken,
}

/// Asks to sign in with the organization's identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSignIn {
    /// The organization.
    pub organization: Slug,
    /// Where the browser returns to: `http://127.0.0.1:PORT/callback` of a program on the member's machine.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^http://(127\.0\.0\.1|\[::1\]):[0-9]{1,5}/[a-z/-]{0,100}$")
    )]
    pub redirect_uri: String,
    /// SHA-256 of a verifier that only the asking program knows, base64url: without it nobody can finish.
    #[schemars(length(equal = 43), regex(pattern = "^[A-Za-z0-9_-]{43}$"))]
    pub code_challenge: String,
}

/// Where the browser goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignInStarted {
    /// The provider's page.
    pub authorization_url: String,
    /// What the redirect must bring back as `state`.
    pub state: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// What the redirect brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishSignIn {
    /// `state` of the redirect.
    #[schemars(length(min = 1, max = 200))]
    pub state: String,
    /// `code` of the redirect.
    #[schemars(length(min = 1, max = 4096))]
    pub code: String,
    /// What `code_challenge` is the hash of.
    #[schemars(length(min = 43, max = 128), regex(pattern = "^[A-Za-z0-9._~-]{43,128}$"))]
    pub code_verifier: String,
}

/// A member has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// The token of the session, for `Authorization: Bearer`.
    pub token: String,
    /// Who.
    pub member: Member,
    /// When the session ends.
    pub expires_at: Timestamp,
}
