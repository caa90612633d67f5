//! Enrolling: a token becomes a place in an environment.
//!
//! The request can be repeated as it is: a control plane that has answered it, and whose answer was lost, answers the same key again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use mcpg_cp_api::{EnrollGateway, Labels, Slug};
use mcpg_filters::secret::SecretResolver;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Agent;
use super::client::{Client, ClientError};
use super::folder::{Enrollment, Folder};
use super::key::AgentKey;
use super::standing::Standing;
use super::token::EnrollmentToken;
use super::verify::ControlPlaneKey;

/// How long a start waits for a control plane, for each token. It is asked again later.
const FIRST_TIME_MAX: Duration = Duration::from_secs(5);
/// The pause before a control plane that cannot be reached is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// Enrolments that have not come about yet.
pub struct Joining {
    root: PathBuf,
    client: Client,
    heartbeat: Duration,
    standing: Arc<Standing>,
    /// Whether there is an environment on disk.
    has_others: bool,
    tokens: Vec<Token>,
}

/// A token that was not used yet, with all that is said with it.
struct Token {
    /// Where it is from.
    reference: String,
    /// BLAKE3 of it.
    digest: String,
    fingerprint: String,
    request: EnrollGateway,
}

/// Why a token has not led anywhere.
enum Unjoined {
    /// It never will.
    Never(anyhow::Error),
    /// The control plane could not be asked.
    NotYet(String),
}

impl Joining {
    /// With every token of a configuration that was not used yet.
    ///
    /// # Errors
    /// When there is neither an enrolment on disk nor a token that could become one.
    pub(super) fn new(
        control_plane: &mcpg_config::ControlPlane,
        root: PathBuf,
        key: &AgentKey,
        client: Client,
        standing: Arc<Standing>,
        secrets: &SecretResolver,
    ) -> anyhow::Result<Self> {
        let known = Folder::enrollments(&root);
        let has_others = !known.is_empty();
        let heartbeat = control_plane.heartbeat;
        let mut joining = Self { root, client, heartbeat, standing, has_others, tokens: Vec::new() };
        for reference in &control_plane.enroll_tokens {
            let text = match secrets.resolve(reference) {
                Ok(token) => token,
                // It may be gone once it was used.
                Err(error) if has_others => {
                    tracing::info!(%error, "no enrollment token: the environments on disk are served");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let text = std::str::from_utf8(text.expose()).context("the enrollment token is no text")?;
            let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
            if known.iter().any(|(_, enrollment)| enrollment.token == digest) {
                continue;
            }
            let token = Token::new(reference.to_string(), text, digest, control_plane, key);
            let token = token.with_context(|| format!("cannot enrol with `{reference}`"));
            match token {
                Ok(token) => joining.tokens.push(token),
                Err(error) if has_others => tracing::error!(error = format!("{error:#}"), "not enrolled"),
                Err(error) => return Err(error),
            }
        }
        if !has_others && joining.tokens.is_empty() {
            bail!(
                "`control_plane`: the gateway has not enrolled: set `enroll_token`, to one that `mcpg-ctl gateway enroll-token ORG/WORKSPACE/ENV` makes"
            );
        }
        Ok(joining)
    }

    /// Whether every token has had its end.
    pub(super) fn is_over(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tries every token once, before anything is served.
    ///
    /// # Errors
    /// When one is refused and there is nothing else to serve.
    pub(super) async fn first(&mut self) -> anyhow::Result<()> {
        for token in std::mem::take(&mut self.tokens) {
            let asked = timeout(FIRST_TIME_MAX, self.enroll(&token)).await;
            match asked.unwrap_or_else(|_| Err(Unjoined::NotYet("it does not answer".to_owned()))) {
                Ok(_) => self.has_others = true,
                Err(Unjoined::Never(error)) if self.has_others => {
                    tracing::error!(error = format!("{error:#}"), token = token.reference, "not enrolled");
                }
                Err(Unjoined::Never(error)) => {
                    return Err(error.context(format!("cannot enrol with `{}`", token.reference)));
                }
                Err(Unjoined::NotYet(problem)) => {
                    tracing::warn!(problem, token = token.reference, "the control plane is waited for");
                    self.standing.joining(Some(problem));
                    self.tokens.push(token);
                }
            }
        }
        Ok(())
    }

    /// Tries until every token has had its end, and hands over those who follow where one has led.
    ///
    /// # Errors
    /// When all are refused, and no environment is there.
    pub async fn run(mut self, found: mpsc::Sender<Agent>) -> anyhow::Result<()> {
        let mut refused = None;
        while !self.tokens.is_empty() {
            sleep(RETRY.mul_f64(0.5 + fastrand::f64())).await;
            for token in std::mem::take(&mut self.tokens) {
                match self.enroll(&token).await {
                    Ok(enrollment) => {
                        self.has_others = true;
                        let folder = Folder::of(&self.root, &enrollment.enrolled.environment);
                        let place = (folder, enrollment.enrolled);
                        let standing = Arc::clone(&self.standing);
                        let agent = Agent::new(self.client.clone(), place, self.heartbeat, standing)?;
                        // Who is not there any more is stopping.
                        let _ = found.send(agent).await;
                    }
                    Err(Unjoined::NotYet(problem)) => {
                        self.standing.joining(Some(problem));
                        self.tokens.push(token);
                    }
                    Err(Unjoined::Never(error)) => {
                        let error = error.context(format!("cannot enrol with `{}`", token.reference));
                        tracing::error!(error = format!("{error:#}"), "not enrolled");
                        self.standing.joining(Some(format!("{error:#}")));
                        refused = Some(error);
                    }
                }
            }
        }
        match refused {
            Some(error) if !self.has_others => Err(error),
            Some(_) => Ok(()),
            None => {
                self.standing.joining(None);
                Ok(())
            }
        }
    }

    async fn enroll(&self, token: &Token) -> Result<Enrollment, Unjoined> {
        let enrolled = match self.client.enroll(&token.request).await {
            Ok(enrolled) => enrolled,
            Err(error) if ClientError::is_final(&error) => return Err(Unjoined::Never(error.into())),
            Err(error) => return Err(Unjoined::NotYet(error.to_string())),
        };
        if ControlPlaneKey::of(&enrolled, Some(&token.fingerprint)).is_none() {
            return Err(Unjoined::Never(anyhow!(
                "the control plane's key is not the one that the token was made by: who answers at this address is somebody else"
            )));
        }
        let folder = Folder::of(&self.root, &enrolled.environment);
        let enrollment = Enrollment { token: token.digest.clone(), enrolled };
        folder.enrolled(&enrollment).map_err(|error| Unjoined::Never(error.into()))?;
        tracing::info!(environment = %enrollment.enrolled.environment, "enrolled");
        Ok(enrollment)
    }
}

impl Token {
    fn new(
        reference: String,
        text: &str,
        digest: String,
        control_plane: &mcpg_config::ControlPlane,
        key: &AgentKey,
    ) -> anyhow::Result<Self> {
        let EnrollmentToken { token, fingerprint } = EnrollmentToken::parse(text).ok_or_else(|| {
            anyhow!("it is no enrollment token: expected `mcpg_cpe_….FINGERPRINT`, as a whole")
        })?;
        let public_key = key.public();
        let request = EnrollGateway {
            proof: key.sign(&mcpg_cp_api::enrollment_statement(token, &public_key)),
            token: token.to_owned(),
            public_key,
            name: name(control_plane.name.as_deref())?,
            labels: labels(control_plane)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(Self { reference, digest, fingerprint: fingerprint.to_owned(), request })
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
