//! Paths down the tenancy tree: `acme-corp`, `acme-corp/platform-team`, `acme-corp/platform-team/prod`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Slug, SlugError};

/// An organization: `acme-corp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrganizationPath {
    /// The organization.
    pub organization: Slug,
}

/// A workspace of an organization: `acme-corp/platform-team`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspacePath {
    /// The organization.
    pub organization: Slug,
    /// The workspace in it.
    pub workspace: Slug,
}

/// An environment of a workspace: `acme-corp/platform-team/prod`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentPath {
    /// The organization.
    pub organization: Slug,
    /// The workspace in it.
    pub workspace: Slug,
    /// The environment in that.
    pub environment: Slug,
}

impl FromStr for OrganizationPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [organization] = slugs(text, "org")?;
        Ok(Self { organization })
    }
}

impl FromStr for WorkspacePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [organization, workspace] = slugs(text, "org/workspace")?;
        Ok(Self { organization, workspace })
    }
}

impl FromStr for EnvironmentPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [organization, workspace, environment] = slugs(text, "org/workspace/env")?;
        Ok(Self { organization, workspace, environment })
    }
}

impl fmt::Display for OrganizationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.organization.fmt(f)
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.workspace)
    }
}

impl fmt::Display for EnvironmentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.workspace, self.environment)
    }
}

crate::text::wire_text!(OrganizationPath, PathError, "^[a-z0-9-]{2,40}$", 2, 40, "acme-corp");
crate::text::wire_text!(
    WorkspacePath,
    PathError,
    "^[a-z0-9-]{2,40}/[a-z0-9-]{2,40}$",
    5,
    81,
    "acme-corp/platform-team"
);
crate::text::wire_text!(
    EnvironmentPath,
    PathError,
    "^[a-z0-9-]{2,40}/[a-z0-9-]{2,40}/[a-z0-9-]{2,40}$",
    8,
    122,
    "acme-corp/platform-team/prod"
);

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part is not a slug.
    #[error(transparent)]
    Slug(#[from] SlugError),
    /// Too few parts or too many.
    #[error("`{text}` is not `{shape}`")]
    Shape {
        /// The text as given.
        text: String,
        /// The form that was wanted.
        shape: &'static str,
    },
}

fn slugs<const N: usize>(text: &str, shape: &'static str) -> Result<[Slug; N], PathError> {
    let parts = text.split('/').map(str::parse).collect::<Result<Vec<Slug>, _>>();
    // A wrong number of parts is the clearer thing to say.
    if text.split('/').count() != N {
        return Err(PathError::Shape { text: text.to_owned(), shape });
    }
    parts?.try_into().map_err(|_| PathError::Shape { text: text.to_owned(), shape })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_they_parse() {
        fn check<P: FromStr<Err = PathError> + fmt::Display>(text: &str) {
            assert_eq!(text.parse::<P>().map(|path| path.to_string()).as_deref(), Ok(text));
        }
        check::<OrganizationPath>("acme-corp");
        check::<WorkspacePath>("acme-corp/platform-team");
        check::<EnvironmentPath>("acme-corp/platform-team/prod");
    }

    #[test]
    fn a_path_has_exactly_its_parts() {
        fn check<P: FromStr<Err = PathError>>(text: &str, message: &str) {
            assert_eq!(text.parse::<P>().err().map(|error| error.to_string()).as_deref(), Some(message));
        }
        check::<OrganizationPath>("acme-corp/x", "`acme-corp/x` is not `org`");
        check::<WorkspacePath>("acme-corp", "`acme-corp` is not `org/workspace`");
        check::<WorkspacePath>("acme-corp/team/", "`acme-corp/team/` is not `org/workspace`");
        check::<EnvironmentPath>(
            "acme-corp//prod",
            "`` is not a slug: use 2 to 40 characters of `a-z`, `0-9` and `-`",
        );
    }

    #[test]
    fn json_holds_strings() {
        let path: WorkspacePath = serde_json::from_str("\"acme-corp/platform-team\"").unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"acme-corp/platform-team\"");
        assert!(serde_json::from_str::<WorkspacePath>("\"../etc\"").is_err());
    }
}
