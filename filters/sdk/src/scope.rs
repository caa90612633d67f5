//! Organization, workspace and environment: where a request belongs.

use std::fmt;
use std::str::FromStr;

/// One environment of one workspace of one organization. Prints as `org/workspace/env`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    organization: String,
    workspace: String,
    environment: String,
}

impl Scope {
    /// Builds a scope from its three slugs.
    ///
    /// # Errors
    /// When a part is not a slug: 2 to 40 of `[a-z0-9-]`.
    pub fn new(organization: &str, workspace: &str, environment: &str) -> Result<Self, ScopeError> {
        for part in [organization, workspace, environment] {
            if !is_slug(part) {
                return Err(ScopeError::Slug { part: part.to_owned() });
            }
        }
        Ok(Self {
            organization: organization.to_owned(),
            workspace: workspace.to_owned(),
            environment: environment.to_owned(),
        })
    }

    /// The organization's slug.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The workspace's slug.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The environment's slug.
    pub fn environment(&self) -> &str {
        &self.environment
    }
}

impl Default for Scope {
    /// The one scope of a single-team deployment: `default/default/default`.
    fn default() -> Self {
        let slug = || "default".to_owned();
        Self { organization: slug(), workspace: slug(), environment: slug() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.workspace, self.environment)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(organization), Some(workspace), Some(environment), None) => {
                Self::new(organization, workspace, environment)
            }
            _ => Err(ScopeError::Shape { text: text.to_owned() }),
        }
    }
}

/// Why a text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A part is not a slug.
    #[error("`{part}` is not a slug: use 2 to 40 characters of `a-z`, `0-9` and `-`")]
    Slug {
        /// The part as given.
        part: String,
    },
    /// Not three parts.
    #[error("`{text}` is not `org/workspace/env`")]
    Shape {
        /// The text as given.
        text: String,
    },
}

fn is_slug(text: &str) -> bool {
    (2..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        let scope: Scope = "acme-corp/platform-team/prod".parse().unwrap();
        assert_eq!(scope.organization(), "acme-corp");
        assert_eq!(scope.to_string(), "acme-corp/platform-team/prod");
        assert_eq!("default/default/default".parse(), Ok(Scope::default()));
    }

    #[test]
    fn refuses_what_is_no_scope() {
        for text in ["", "a/b/c", "acme/team", "acme/team/prod/x", "Acme/team/prod", "ac me/team/prod"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
