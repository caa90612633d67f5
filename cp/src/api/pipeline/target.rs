//! The node of the tree that a request's path names.

use mcpg_cp_api::{EnvironmentPath, OrganizationPath, Slug, Target, WorkspacePath};

use super::super::endpoint::Endpoint;

/// The slugs of a path, from the organization down.
pub(super) fn slugs(endpoint: &Endpoint, parameters: &[(String, String)]) -> Vec<String> {
    let level = |name: &&str| matches!(*name, "org" | "workspace" | "environment");
    let value =
        |name: &str| parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    endpoint.parameters().filter(level).filter_map(value).collect()
}

/// The node that slugs name. What is no slug names nothing.
pub(super) fn target(path: &[&str]) -> Option<Target> {
    let slugs: Option<Vec<Slug>> = path.iter().map(|slug| slug.parse().ok()).collect();
    let mut slugs = slugs?.into_iter();
    let organization = slugs.next()?;
    Some(match (slugs.next(), slugs.next()) {
        (None, _) => Target::Organization(OrganizationPath { organization }),
        (Some(workspace), None) => Target::Workspace(WorkspacePath { organization, workspace }),
        (Some(workspace), Some(environment)) => {
            Target::Environment(EnvironmentPath { organization, workspace, environment })
        }
    })
}
