//! What an operator asks of the control plane.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{EnvironmentPath, OrganizationPath, Role, Target, WorkspacePath};

/// One request of an operator, as a client builds it from a command line and the API receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Creates an organization.
    CreateOrganization(CreateOrganization),
    /// Creates a workspace in an organization.
    CreateWorkspace(CreateWorkspace),
    /// Creates an environment in a workspace.
    CreateEnvironment(CreateEnvironment),
    /// Gives a member a role.
    GrantRole(Grant),
    /// Takes it away.
    RevokeRole(Grant),
}

/// A new organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    /// Its slug.
    pub path: OrganizationPath,
    /// The name that people read; the slug where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

/// A new workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Where.
    pub path: WorkspacePath,
}

/// A new environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEnvironment {
    /// Where.
    pub path: EnvironmentPath,
}

/// A role of a member on a node of the tenancy tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub member: Member,
    /// What they may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
}

/// A person, by the address that their identity provider vouches for: `alice@acme.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Member(String);

/// A name for people to read: 1 to 100 characters, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

impl FromStr for Member {
    type Err = MemberError;

    /// One `@` with something on both sides. ASCII only: two addresses that look alike must not be two members.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
        let plain = text.len() <= 254
            && text.matches('@').count() == 1
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
        match parts {
            Some(_) if plain => Ok(Self(text.to_owned())),
            _ => Err(MemberError { text: text.to_owned() }),
        }
    }
}

impl FromStr for DisplayName {
    type Err = DisplayNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if (1..=100).contains(&length) && text.trim() == text && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DisplayNameError)
        }
    }
}

/// Both are strings on the wire.
macro_rules! as_string {
    ($($name:ident: $error:ident)+) => {$(
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

as_string!(Member: MemberError DisplayName: DisplayNameError);

/// A text that names no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a member: use an address in lower case, such as `alice@acme.com`")]
pub struct MemberError {
    /// The text as given.
    pub text: String,
}

/// A text that is no display name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a display name has 1 to 100 characters on one line, with no space around it")]
pub struct DisplayNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_addresses() {
        for text in ["alice@acme.com", "a.b+c@x"] {
            assert_eq!(text.parse::<Member>().map(|member| member.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "alice",
            "@acme.com",
            "alice@",
            "a@b@c",
            "Alice@acme.com",
            "al ice@acme.com",
            "аlice@acme.com",
        ] {
            assert!(text.parse::<Member>().is_err(), "{text}");
        }
    }

    #[test]
    fn display_names_are_one_line() {
        assert!("Acme, Inc.".parse::<DisplayName>().is_ok());
        for text in ["", " Acme", "Acme\nInc", "a\u{1b}[31m", &"x".repeat(101)] {
            assert!(text.parse::<DisplayName>().is_err(), "{text}");
        }
    }

    #[test]
    fn requests_round_trip_as_json() {
        let json =
            r#"{"request":"grant_role","member":"alice@acme.com","role":"admin","on":"org/acme-corp"}"#;
        let request: Request = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
        for wrong in [
            json.replace("admin", "owner"),
            json.replace("org/", ""),
            json.replace("\"role\"", "\"extra\":1,\"role\""),
        ] {
            assert!(serde_json::from_str::<Request>(&wrong).is_err(), "{wrong}");
        }
    }
}
