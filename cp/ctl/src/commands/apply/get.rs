//! `get`: what is in the control plane, as the manifest that would make it.

use clap::Args;
use mcpg_cp_api::{
    EnvironmentPath, GatewayConfigSpec, OrganizationPath, PluginSetSpec, PolicyEngine, PolicySpec,
    PutSecretReference, RevocationListSpec, RoleBinding, SecretUri, Slug, WorkspacePath,
};
use serde_json::Value;

use super::super::whole;
use super::live::Live;
use crate::client::ApiPath;
use crate::failure::{Exit, Failure};
use crate::manifest::{FreeName, Kind, Resource, to_yaml};
use crate::output::Format;
use crate::session::Session;
use crate::text::escaped;

/// Prints what is there as a manifest, to be kept in a file and applied again.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Get {
    /// `organization`, `workspace`, `environment`, `rolebinding`, `secretreference`, `policy`, `pluginset`, `gatewayconfig` or
    /// `revocationlist`.
    #[arg(value_parser = kind)]
    kind: Kind,
    /// Which: `ORG`, `ORG/WORKSPACE`, `ORG/WORKSPACE/ENV`, or `ORG/WORKSPACE/NAME`. `rolebinding ORG` prints all of them.
    name: String,
}

fn kind(text: &str) -> Result<Kind, String> {
    let lower = text.to_lowercase();
    let found = Kind::ALL.into_iter().find(|kind| {
        [kind.word(), kind.plural(), kind.noun()].contains(&lower.as_str())
            || kind.as_str().to_lowercase() == lower
    });
    found.ok_or_else(|| {
        let known = Kind::ALL.map(|kind| format!("`{}`", kind.word())).join(", ");
        format!("`{text}` is no kind: known are {known}")
    })
}

impl Get {
    pub(crate) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let mut found = Vec::new();
        if self.kind == Kind::RoleBinding {
            let organization: OrganizationPath = parsed(&self.name)?;
            let path = ApiPath::from(&organization).join("role-bindings");
            for binding in client.list::<RoleBinding>(&path, &whole()).await? {
                let name = parsed(binding.id.as_str())?;
                found.push(Resource::RoleBinding { name, grant: binding.grant });
            }
        } else {
            let live = Live::find(client, &self.resource()?).await?;
            let live = live.ok_or_else(|| {
                Failure::NotFound(format!(
                    "there is no {} `{}`, or none for you",
                    self.kind.word(),
                    self.name
                ))
            })?;
            found.push(live.resource);
        }
        let manifests: Vec<Value> = found.iter().map(Resource::to_manifest).collect();
        let texts: Vec<String> = match session.output.format {
            Format::Json => {
                manifests.iter().map(|manifest| format!("{}\n", escaped(&format!("{manifest:#}")))).collect()
            }
            Format::Table | Format::Yaml => manifests.iter().map(to_yaml).collect(),
        };
        texts.join("---\n").lines().try_for_each(|line| session.output.line(line))?;
        Ok(Exit::Done)
    }

    /// A resource of that name, which says nothing yet.
    fn resource(&self) -> Result<Resource, Failure> {
        let name = || -> Result<(WorkspacePath, Slug), Failure> {
            let path: EnvironmentPath = self
                .name
                .parse()
                .map_err(|_| Failure::Usage(format!("`{}` is not `org/workspace/name`", self.name)))?;
            let EnvironmentPath { organization, workspace, environment } = path;
            Ok((WorkspacePath { organization, workspace }, environment))
        };
        Ok(match self.kind {
            Kind::Organization => {
                Resource::Organization { path: parsed(&self.name)?, display_name: None, single_sign_on: None }
            }
            Kind::Workspace => Resource::Workspace { path: parsed(&self.name)?, display_name: None },
            Kind::Environment => Resource::Environment { path: parsed(&self.name)?, display_name: None },
            Kind::SecretReference => {
                let (workspace, name) = name()?;
                let reference: SecretUri = parsed("$secret://env/UNKNOWN")?;
                Resource::SecretReference { workspace, name, spec: PutSecretReference { reference } }
            }
            Kind::Policy => {
                let (workspace, name) = name()?;
                let spec = PolicySpec { engine: PolicyEngine::Cedar, files: Default::default() };
                Resource::Policy { workspace, name, spec }
            }
            Kind::PluginSet => {
                let (workspace, name) = name()?;
                let spec = PluginSetSpec {
                    plugins: Vec::new(),
                    require_signed: true,
                    trusted_keys: Vec::new(),
                    capability_grants: Default::default(),
                };
                Resource::PluginSet { workspace, name, spec }
            }
            Kind::GatewayConfig => {
                let environment: EnvironmentPath = parsed(&self.name)?;
                let name: FreeName = parsed(environment.environment.as_str())?;
                Resource::GatewayConfig { environment, name, spec: GatewayConfigSpec::default() }
            }
            Kind::RevocationList | Kind::RoleBinding => {
                let organization: OrganizationPath = parsed(&self.name)?;
                let name: FreeName = parsed(organization.organization.as_str())?;
                Resource::RevocationList { organization, name, spec: RevocationListSpec::default() }
            }
        })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| Failure::Usage(error.to_string()))
}
