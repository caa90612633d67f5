//! The three roles.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Level;

/// What a member may do where the role was granted, and below. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads instances, audit rows and metrics.
    Viewer,
    /// Plugin sets, gateway lifecycle, secrets.
    Operator,
    /// Everything: workspaces, billing, identity, licences.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The deepest level that the role can be granted on: what it adds to the role before it lives there.
    pub fn deepest_level(self) -> Level {
        match self {
            Self::Viewer => Level::Environment,
            Self::Operator => Level::Workspace,
            Self::Admin => Level::Organization,
        }
    }

    /// The name as typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError { text: text.to_owned() })
    }
}

/// A text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a role: use `admin`, `operator` or `viewer`")]
pub struct RoleError {
    /// The text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_print_as_they_parse_and_are_ordered() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!(Role::Admin > Role::Operator && Role::Operator > Role::Viewer);
        assert!("Admin".parse::<Role>().is_err());
    }
}
