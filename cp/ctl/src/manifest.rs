//! Manifests: what an operator keeps in files and applies to the control plane.
//!
//! A manifest is a YAML document with `apiVersion: mcpg.dev/v1`, a kind, a name and what it says. It is read along the schema of its
//! kind, so that a mistake is told with its line and the nearest name, and becomes a [`Resource`] that the API would not refuse
//! for its form.

mod crd;
mod diff;
mod folder;
mod gateway_file;
mod kinds;
mod resource;
mod source;
mod write;

use mcpg_config::{Diagnostic, Document};
use mcpg_cp_api::{
    EnvironmentPath, Grant, Line, OrganizationPath, PutSecretReference, RevocationListSpec, Slug,
    WorkspacePath,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use crate::yaml::text as to_yaml;
pub use crd::{crds, definition};
pub use diff::unified;
pub use folder::PolicyFolder;
pub use resource::{Kind, Resource};
pub use source::{Source, SourceError};

use kinds::Form;

/// The one version of the manifests.
pub const API_VERSION: &str = "mcpg.dev/v1";
/// A name that tells manifests of a kind apart, and that the control plane does not keep.
pub type FreeName = Line<253>;

/// Mistakes that are told; more help nobody.
const MISTAKES_MAX: usize = 100;

/// A manifest, and the document that it was read from, if it was.
#[derive(Clone)]
pub struct Manifest {
    /// What it is to become.
    pub resource: Resource,
    /// Where it stands.
    pub document: Document,
}

/// Reads the manifests of sources, in the order of applying.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(sources: &[Source], env: Option<&EnvironmentPath>) -> Result<Read, Vec<Diagnostic>> {
    let mut read = Read { manifests: Vec::new(), notes: Vec::new() };
    let mut mistakes = Vec::new();
    for source in sources {
        let documents = match Document::all(&source.bytes, &source.name) {
            Ok(documents) => documents,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        for document in documents {
            let found = if gateway_file::is_one(&document) {
                gateway_file::read(source, &document, env)
            } else {
                manifest(source, &document).map(|resource| (vec![resource], Vec::new()))
            };
            match found {
                Ok((resources, notes)) => {
                    let manifest = |resource| Manifest { resource, document: document.clone() };
                    read.manifests.extend(resources.into_iter().map(manifest));
                    read.notes.extend(notes);
                }
                Err(found) => mistakes.extend(found),
            }
            if mistakes.len() >= MISTAKES_MAX {
                mistakes.truncate(MISTAKES_MAX);
                return Err(mistakes);
            }
        }
    }
    mistakes.extend(repeated(&read.manifests));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    read.manifests.sort_by_key(|manifest| manifest.resource.kind());
    Ok(read)
}

/// What was read.
pub struct Read {
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// What was left out, and why.
    pub notes: Vec<Diagnostic>,
}

fn repeated(manifests: &[Manifest]) -> Vec<Diagnostic> {
    let mut seen = std::collections::HashMap::new();
    let mut mistakes = Vec::new();
    for Manifest { resource, document } in manifests {
        let place = format!("{}:{}", document.file(), document.line());
        if let Some(first) = seen.insert(resource.identity(), place) {
            let help = Some(format!("keep one: the other is at {first}"));
            mistakes.push(document.fault("/metadata", format!("{resource} is there twice"), help));
        }
    }
    mistakes
}

fn manifest(source: &Source, document: &Document) -> Result<Resource, Vec<Diagnostic>> {
    for key in ["apiVersion", "kind"] {
        if document.text(key).is_none() {
            let help = format!("a manifest begins with `apiVersion: {API_VERSION}` and its `kind`");
            return Err(vec![document.fault("", format!("`{key}` is missing"), Some(help))]);
        }
    }
    if document.text("apiVersion") != Some(API_VERSION) {
        return Err(vec![document.unknown("apiVersion", "version of manifests", &[API_VERSION])]);
    }
    let kind = Kind::ALL.into_iter().find(|kind| document.text("kind") == Some(kind.as_str()));
    let Some(kind) = kind else {
        return Err(vec![document.unknown("kind", "kind", &Kind::ALL.map(Kind::as_str))]);
    };
    of_kind(kind, source, document)
}

fn of_kind(kind: Kind, source: &Source, document: &Document) -> Result<Resource, Vec<Diagnostic>> {
    Ok(match kind {
        Kind::Organization => {
            let (organization, spec) = form::<Slug, kinds::Organization>(document)?;
            Resource::Organization {
                path: OrganizationPath { organization },
                display_name: spec.display_name,
                single_sign_on: spec.single_sign_on,
            }
        }
        Kind::Workspace => {
            let (workspace, spec) = form::<Slug, kinds::Workspace>(document)?;
            let path = WorkspacePath { organization: spec.organization.organization, workspace };
            Resource::Workspace { path, display_name: spec.display_name }
        }
        Kind::Environment => {
            let (environment, spec) = form::<Slug, kinds::Environment>(document)?;
            let WorkspacePath { organization, workspace } = spec.workspace;
            let path = EnvironmentPath { organization, workspace, environment };
            Resource::Environment { path, display_name: spec.display_name }
        }
        Kind::RoleBinding => {
            let (name, spec) = form::<FreeName, kinds::RoleBinding>(document)?;
            let grant = Grant { member: spec.member, role: spec.role, on: spec.on };
            Resource::RoleBinding { name, grant }
        }
        Kind::SecretReference => {
            let (name, spec) = form::<Slug, kinds::SecretReference>(document)?;
            let put = PutSecretReference { reference: spec.reference };
            Resource::SecretReference { workspace: spec.workspace, name, spec: put }
        }
        Kind::Policy => {
            let (name, spec) = form::<Slug, kinds::Policy>(document)?;
            let (workspace, spec) =
                folder::policy(source, document, spec).map_err(|mistake| vec![mistake])?;
            Resource::Policy { workspace, name, spec }
        }
        Kind::PluginSet => {
            let (name, spec) = form::<Slug, kinds::PluginSet>(document)?;
            let (workspace, spec) = spec.split();
            Resource::PluginSet { workspace, name, spec }
        }
        Kind::GatewayConfig => {
            let (name, spec) = form::<FreeName, kinds::GatewayConfig>(document)?;
            let (environment, spec) = spec.split();
            Resource::GatewayConfig { environment, name, spec }
        }
        Kind::RevocationList => {
            let (name, spec) = form::<FreeName, kinds::RevocationList>(document)?;
            let list = RevocationListSpec { artifacts: spec.artifacts };
            Resource::RevocationList { organization: spec.organization, name, spec: list }
        }
    })
}

fn form<N, S>(document: &Document) -> Result<(N, S), Vec<Diagnostic>>
where
    N: JsonSchema + DeserializeOwned,
    S: JsonSchema + DeserializeOwned,
{
    let form: Form<N, S> = document.read().map_err(|mistakes| mistakes.into_iter().collect::<Vec<_>>())?;
    Ok((form.metadata.name, form.spec))
}

#[cfg(test)]
mod tests;
