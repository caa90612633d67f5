//! Paths of the API, encoded part by part: what a name has in it cannot lead elsewhere.

use std::fmt;

use mcpg_cp_api::{EnvironmentPath, OrganizationPath, Slug, Target, WorkspacePath};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

use super::error::ClientError;

/// A path of the API, without a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// A path as it is written in the API's document, such as `/v1/whoami`.
    pub fn fixed(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// All organizations.
    pub fn organizations() -> Self {
        Self::fixed("/v1/orgs")
    }

    /// An organization.
    pub fn organization(slug: &Slug) -> Self {
        Self::organizations().join(slug.as_str())
    }

    /// The path with one more part.
    #[must_use]
    pub fn join(mut self, part: &str) -> Self {
        self.0.push('/');
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                    self.0.push(char::from(byte));
                }
                other => self.0.push_str(&format!("%{other:02X}")),
            }
        }
        self
    }

    /// The path with a query.
    pub(super) fn with_query(&self, query: &impl Serialize) -> Result<String, ClientError> {
        self.with_query_and_cursor(query, None)
    }

    /// The path with a query and the cursor of a page.
    pub(super) fn with_query_and_cursor(
        &self,
        query: &impl Serialize,
        cursor: Option<&str>,
    ) -> Result<String, ClientError> {
        let query = serde_json::to_value(query).map_err(ClientError::request)?;
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.as_object().into_iter().flatten() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            pairs.append_pair(name, &text);
        }
        if let Some(cursor) = cursor {
            pairs.append_pair("cursor", cursor);
        }
        let pairs = pairs.finish();
        Ok(if pairs.is_empty() { self.0.clone() } else { format!("{}?{pairs}", self.0) })
    }
}

impl From<&OrganizationPath> for ApiPath {
    fn from(path: &OrganizationPath) -> Self {
        Self::organization(&path.organization)
    }
}

impl From<&WorkspacePath> for ApiPath {
    fn from(path: &WorkspacePath) -> Self {
        Self::organization(&path.organization).join("workspaces").join(path.workspace.as_str())
    }
}

impl From<&EnvironmentPath> for ApiPath {
    fn from(path: &EnvironmentPath) -> Self {
        let workspace =
            Self::organization(&path.organization).join("workspaces").join(path.workspace.as_str());
        workspace.join("environments").join(path.environment.as_str())
    }
}

impl From<&Target> for ApiPath {
    fn from(target: &Target) -> Self {
        match target {
            Target::Organization(path) => path.into(),
            Target::Workspace(path) => path.into(),
            Target::Environment(path) => path.into(),
        }
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use mcpg_cp_api::{AuditQuery, PageQuery};

    use super::*;

    #[test]
    fn parts_stay_parts() {
        let environment: EnvironmentPath = "acme-corp/platform-team/prod".parse().unwrap();
        let path = ApiPath::from(&environment);
        assert_eq!(path.to_string(), "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod");
        let path = ApiPath::organizations().join("../a?b#c %").join("alice+x@acme.com");
        assert_eq!(path.to_string(), "/v1/orgs/..%2Fa%3Fb%23c%20%25/alice%2Bx@acme.com");
    }

    #[test]
    fn queries_say_what_is_there() {
        let path = ApiPath::fixed("/v1/orgs");
        assert_eq!(path.with_query(&PageQuery::default()).unwrap(), "/v1/orgs");
        let query = AuditQuery {
            newest_first: true,
            limit: Some(2),
            since: Some("2026-11-22T10:00:00+01:00".parse().unwrap()),
            subject: Some("user:a b".parse().unwrap()),
            ..AuditQuery::default()
        };
        let target = path.with_query_and_cursor(&query, Some("3132")).unwrap();
        for part in
            ["newest_first=true", "limit=2", "since=2026-11-22T09%3A00%3A00.000Z", "subject=user%3Aa+b"]
        {
            assert!(target.contains(part), "{target}");
        }
        assert!(target.ends_with("&cursor=3132"), "{target}");
    }
}
