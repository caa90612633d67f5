//! How a gateway comes to its environments when it starts: by what it keeps on disk, or by enrolling.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use mcpg_config::{Config, Pushed};
use mcpg_cp_api::{EnrollGateway, Labels, Slug};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Scope;
use tokio::time::sleep;

use super::Agent;
use super::client::Client;
use super::folder::{Enrollment, Folder};
use super::key::AgentKey;
use super::pushed::PushedScopes;
use super::token::EnrollmentToken;
use super::verify::ControlPlaneKey;
use crate::new_file;

/// The pause before a control plane that cannot be reached is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// A gateway with its control plane.
pub struct Attached {
    /// One for each environment.
    pub agents: Vec<Agent>,
    /// What they have pushed.
    pub pushed: Arc<PushedScopes>,
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
        Some(Pushed { scope, file: folder.last_file()? })
    });
    pushed.collect()
}

/// Enrols in every environment that a token is there for, and unpacks the last good revision of each. None if the configuration has no control plane.
///
/// A control plane that cannot be reached is waited for, unless there is something on disk to serve meanwhile.
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
    let joining = Joining { control_plane, root: &root, key: &key, client: &client };
    joining.enroll(&secrets).await?;
    let pushed = Arc::new(PushedScopes::default());
    let mut agents = Vec::new();
    for (folder, enrollment) in Folder::enrollments(&root) {
        let environment = enrollment.enrolled.environment.clone();
        let control_plane_key = ControlPlaneKey::of(&enrollment.enrolled, None)
            .ok_or_else(|| anyhow!("the control plane's key in `{}` is none", root.display()))?;
        let scope = environment.to_string().parse::<Scope>()?;
        let mut agent = Agent::new(client.clone(), folder, enrollment.enrolled, control_plane_key, scope);
        agent.beat_every(control_plane.heartbeat);
        match agent.unpack_last() {
            Ok(Some(file)) => drop(pushed.replace(file)),
            Ok(None) => {}
            Err(error) => tracing::error!(%environment, %error, "the last revision on disk cannot be used"),
        }
        agents.push(agent);
    }
    Ok(Some(Attached { agents, pushed }))
}

/// What enrolling takes.
struct Joining<'a> {
    control_plane: &'a mcpg_config::ControlPlane,
    root: &'a Path,
    key: &'a AgentKey,
    client: &'a Client,
}

impl Joining<'_> {
    /// Enrols with every token that was not used yet.
    async fn enroll(&self, secrets: &SecretResolver) -> anyhow::Result<()> {
        let known = Folder::enrollments(self.root);
        let is_known = |digest: &str| known.iter().any(|(_, enrollment)| enrollment.token == digest);
        for reference in &self.control_plane.enroll_tokens {
            let token = match secrets.resolve(reference) {
                Ok(token) => token,
                // It may be gone once it was used.
                Err(error) if !known.is_empty() => {
                    tracing::info!(%error, "no enrollment token: the environments on disk are served");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let token = std::str::from_utf8(token.expose()).context("the enrollment token is no text")?;
            let digest = blake3::hash(token.as_bytes()).to_hex().to_string();
            if is_known(&digest) {
                continue;
            }
            match self.enroll_with(token, &digest, known.is_empty()).await {
                Ok(()) => {}
                Err(error) if !known.is_empty() => {
                    tracing::error!(error = format!("{error:#}"), token = %reference, "not enrolled");
                }
                Err(error) => return Err(error.context(format!("cannot enrol with `{reference}`"))),
            }
        }
        if known.is_empty() && self.control_plane.enroll_tokens.is_empty() {
            bail!(
                "`control_plane`: the gateway has not enrolled: set `enroll_token`, to one that `mcpg-ctl gateway enroll-token ORG/WORKSPACE/ENV` makes"
            );
        }
        Ok(())
    }

    async fn enroll_with(&self, token: &str, digest: &str, waits: bool) -> anyhow::Result<()> {
        let EnrollmentToken { token, fingerprint } = EnrollmentToken::parse(token).ok_or_else(|| {
            anyhow!("it is no enrollment token: expected `mcpg_cpe_….FINGERPRINT`, as a whole")
        })?;
        let public_key = self.key.public();
        let request = EnrollGateway {
            proof: self.key.sign(&mcpg_cp_api::enrollment_statement(token, &public_key)),
            token: token.to_owned(),
            public_key,
            name: name(self.control_plane.name.as_deref())?,
            labels: labels(self.control_plane)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let enrolled = loop {
            match self.client.enroll(&request).await {
                Ok(enrolled) => break enrolled,
                Err(error) if waits && !error.is_final() => {
                    tracing::warn!(%error, "the control plane is waited for");
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if ControlPlaneKey::of(&enrolled, Some(fingerprint)).is_none() {
            bail!(
                "the control plane's key is not the one that the token was made by: who answers at this address is somebody else"
            );
        }
        let environment = enrolled.environment.clone();
        let folder = Folder::of(self.root, &environment);
        folder.enrolled(&Enrollment { token: digest.to_owned(), enrolled })?;
        tracing::info!(%environment, "enrolled");
        Ok(())
    }
}

fn name(configured: Option<&str>) -> anyhow::Result<Slug> {
    if let Some(name) = configured {
        return Ok(name.parse()?);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let name: String = host.chars().map(|letter| if fits(letter) { letter } else { '-' }).take(40).collect();
    name.parse()
        .with_context(|| format!("the host name `{host}` is no name for a gateway: set `control_plane.name`"))
}

fn labels(control_plane: &mcpg_config::ControlPlane) -> anyhow::Result<Labels> {
    let labels = control_plane.labels.iter().map(|(key, value)| Ok((key.parse()?, value.parse()?)));
    labels.collect()
}
