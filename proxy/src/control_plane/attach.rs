//! How a gateway comes to its environments when it starts: by what it keeps on disk, or by enrolling.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use mcpg_config::{Config, Pushed};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Scope;

use super::client::Client;
use super::folder::Folder;
use super::joining::Joining;
use super::key::AgentKey;
use super::pushed::PushedScopes;
use super::standing::Standing;
use super::terms;
use super::verify::ControlPlaneKey;
use super::{Agent, Forwarder};
use crate::new_file;

/// A gateway with its control plane.
pub struct Attached {
    /// One for each environment that it has enrolled in.
    pub agents: Vec<Agent>,
    /// What they have pushed.
    pub pushed: Arc<PushedScopes>,
    /// How it stands with the control plane.
    pub standing: Arc<Standing>,
    /// Sends audit rows, if it is to.
    pub forwarder: Option<Forwarder>,
    /// The enrolments that have not come about: the control plane is away.
    pub joining: Option<Joining>,
}

/// Where a gateway keeps what its control plane gave it.
fn root(config: &Config) -> PathBuf {
    config.state.shared_dir.join("control-plane")
}

/// The scopes that a control plane has pushed to the gateway of a configuration, as they are on disk: for commands that read what a running gateway
/// has in force.
pub fn on_disk(config: &Config) -> Vec<Pushed> {
    if config.control_plane.is_none() {
        return Vec::new();
    }
    let environments = Folder::enrollments(&root(config));
    let pushed = environments.into_iter().filter_map(|(folder, enrollment)| {
        let scope = enrollment.enrolled.environment.to_string().parse::<Scope>().ok()?;
        let key = ControlPlaneKey::of(&enrollment.enrolled, None)?;
        let terms = terms::kept(&folder, &key, &enrollment.enrolled.environment)
            .inspect_err(|problem| tracing::error!(%scope, problem, "the terms on disk cannot be used"));
        let revoked = terms.ok()?.map(|held| held.revoked);
        Some(Pushed { scope, file: folder.last_file()?, revoked })
    });
    pushed.collect()
}

/// Enrols in every environment that a token is there for, and unpacks the last good revision of each. None if the configuration has no control plane.
///
/// A control plane that cannot be reached holds nothing up: what has not come about is tried again by [`Joining::run`].
///
/// # Errors
/// When a token is refused and there is nothing else to serve, or the state folder cannot be used.
pub async fn attach(config: &Config) -> anyhow::Result<Option<Attached>> {
    let Some(control_plane) = &config.control_plane else { return Ok(None) };
    let root = root(config);
    new_file::folder(&root).with_context(|| format!("cannot make `{}`", root.display()))?;
    let key = Arc::new(AgentKey::of(&root)?);
    let secrets = SecretResolver::new(config.base());
    let client = Client::new(control_plane, &secrets, Arc::clone(&key)).context("`control_plane`")?;
    let standing = Arc::<Standing>::default();
    let mut joining =
        Joining::new(control_plane, root.clone(), &key, client.clone(), Arc::clone(&standing), &secrets)?;
    joining.first().await?;
    let pushed = Arc::new(PushedScopes::default());
    let mut agents = Vec::new();
    for (folder, enrollment) in Folder::enrollments(&root) {
        let place = (folder, enrollment.enrolled);
        let agent = Agent::new(client.clone(), place, control_plane.heartbeat, Arc::clone(&standing))?;
        match agent.unpack_last() {
            Ok(Some(file)) => drop(pushed.replace(file)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(environment = %agent.environment(), %error, "the last revision on disk cannot be used");
            }
        }
        agents.push(agent);
    }
    let joining = (!joining.is_over()).then_some(joining);
    let forwarder = control_plane.audit.then(|| Forwarder::new(client, root));
    Ok(Some(Attached { agents, pushed, standing, forwarder, joining }))
}
