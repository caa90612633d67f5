//! What a role is granted on: `org/acme-corp`, `workspace/acme-corp/platform-team`, `env/acme-corp/platform-team/prod`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{EnvironmentPath, OrganizationPath, PathError, Slug, WorkspacePath};

/// A node of the tenancy tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `org/…`
    Organization(OrganizationPath),
    /// `workspace/…`
    Workspace(WorkspacePath),
    /// `env/…`
    Environment(EnvironmentPath),
}

/// How deep in the tenancy tree, from the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Owns licence, audit chain, billing and the SSO domain.
    Organization,
    /// Owns plugin sets, policies, identity chains and secrets.
    Workspace,
    /// Owns gateway instances, runtime configuration and observability data.
    Environment,
}

impl Target {
    /// The node's depth.
    pub fn level(&self) -> Level {
        match self {
            Self::Organization(_) => Level::Organization,
            Self::Workspace(_) => Level::Workspace,
            Self::Environment(_) => Level::Environment,
        }
    }

    /// The organization it is, or is in.
    pub fn organization(&self) -> &Slug {
        match self {
            Self::Organization(path) => &path.organization,
            Self::Workspace(path) => &path.organization,
            Self::Environment(path) => &path.organization,
        }
    }

    /// The workspace it is, or is in.
    pub fn workspace(&self) -> Option<&Slug> {
        match self {
            Self::Organization(_) => None,
            Self::Workspace(path) => Some(&path.workspace),
            Self::Environment(path) => Some(&path.workspace),
        }
    }

    /// Whether `other` is this node or below it.
    pub fn contains(&self, other: &Self) -> bool {
        match self {
            Self::Organization(path) => path.organization == *other.organization(),
            Self::Workspace(path) => {
                path.organization == *other.organization() && Some(&path.workspace) == other.workspace()
            }
            Self::Environment(_) => self == other,
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some(("org", path)) => Ok(Self::Organization(path.parse()?)),
            Some(("workspace", path)) => Ok(Self::Workspace(path.parse()?)),
            Some(("env", path)) => Ok(Self::Environment(path.parse()?)),
            _ => Err(TargetError::Kind { text: text.to_owned() }),
        }
    }
}

crate::text::wire_text!(
    Target,
    TargetError,
    "^(org/[a-z0-9-]{2,40}|workspace/[a-z0-9-]{2,40}/[a-z0-9-]{2,40}|env/[a-z0-9-]{2,40}/[a-z0-9-]{2,40}/[a-z0-9-]{2,40})$",
    6,
    126,
    "workspace/acme-corp/platform-team"
);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(path) => write!(f, "org/{path}"),
            Self::Workspace(path) => write!(f, "workspace/{path}"),
            Self::Environment(path) => write!(f, "env/{path}"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Organization => "organization",
            Self::Workspace => "workspace",
            Self::Environment => "environment",
        })
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The kind is missing or unknown.
    #[error("`{text}` is not `org/ORG`, `workspace/ORG/WORKSPACE` or `env/ORG/WORKSPACE/ENV`")]
    Kind {
        /// The text as given.
        text: String,
    },
    /// The path after the kind is wrong.
    #[error(transparent)]
    Path(#[from] PathError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_print_as_they_parse() {
        for (text, level) in [
            ("org/acme-corp", Level::Organization),
            ("workspace/acme-corp/platform-team", Level::Workspace),
            ("env/acme-corp/platform-team/prod", Level::Environment),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.to_string().as_str(), target.level()), (text, level));
        }
        for text in ["acme-corp", "org", "org/", "org/acme-corp/x", "workspace/acme-corp", "team/acme-corp"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_node_contains_itself_and_what_is_below() {
        let check = |outer: &str, inner: &str, expected: bool| {
            let (outer, inner): (Target, Target) = (outer.parse().unwrap(), inner.parse().unwrap());
            assert_eq!(outer.contains(&inner), expected, "{outer} contains {inner}");
        };
        let (org, team, prod) = ("org/acme", "workspace/acme/team", "env/acme/team/prod");
        for (outer, inner) in [(org, org), (org, team), (org, prod), (team, team), (team, prod), (prod, prod)]
        {
            check(outer, inner, true);
        }
        for (outer, inner) in [
            (team, org),
            (prod, team),
            (org, "org/other"),
            (team, "workspace/other/team"),
            (team, "env/acme/team2/prod"),
            (prod, "env/acme/other/prod"),
        ] {
            check(outer, inner, false);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "(org|workspace|env|[a-z]{0,3})(/[a-zA-Z0-9_-]{0,5}){0,4}") {
            if let Ok(target) = text.parse::<Target>() {
                proptest::prop_assert_eq!(target.to_string(), text);
            }
        }
    }
}
