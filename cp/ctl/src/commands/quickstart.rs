//! `quickstart`: one command, and a control plane runs with a gateway that follows it.
//!
//! Everything is in one folder, and running it again in that folder goes on with what is there. What it starts ends with it: each
//! program is stopped in good order, and killed by the kernel where this one is killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mcpg_cp_api::{
    CreateEnrollmentToken, EnvironmentPath, Gateway, NewEnrollmentToken, Revision, VersionsQuery,
};
use tokio::signal::unix::{SignalKind, signal};

use super::apply::{Plan, publish};
use super::whole;
use crate::client::{ApiPath, Client, Condition, Server, Settings};
use crate::config::{Config, Context, ContextName, token_file};
use crate::failure::{Exit, Failure};
use crate::manifest::{self, Source};
use crate::output::say;
use crate::session::Session;

pub use attend::Attend;

use calls::Call;
use children::Child;
use folder::{Folder, Ports};
use programs::Programs;

mod attend;
mod calls;
mod children;
mod example;
mod folder;
mod programs;

/// Where everything of the quickstart is in the control plane.
const ENVIRONMENT: &str = "default/default/default";
/// What the gateway and the context are called.
const NAME: &str = "quickstart";
/// How long something may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts a control plane and a gateway that follows it, shows what they do, and stays until Ctrl-C.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Quickstart {
    /// The folder for everything. One that is there is gone on with.
    #[arg(long, default_value = "mcpg-quickstart")]
    dir: PathBuf,
    /// The MCP server behind the gateway (Streamable HTTP). Default: the demonstration server of a build of the repository.
    #[arg(long, value_name = "URL")]
    upstream: Option<url::Url>,
    /// Where the control plane listens. Default: port 9400 of this machine, or one that is free.
    #[arg(long, value_name = "ADDRESS")]
    cp_listen: Option<SocketAddr>,
    /// Where the gateway listens. Default: port 8787 of this machine, or one that is free.
    #[arg(long, value_name = "ADDRESS")]
    gateway_listen: Option<SocketAddr>,
    /// The control plane's database, as `mcpg-cp serve --db` takes it. Default: a SQLite file in the folder.
    #[arg(long, env = "MCPG_CP_DB", hide_env_values = true, value_name = "URL")]
    db: Option<String>,
    /// Do everything, and end in place of staying.
    #[arg(long)]
    check: bool,
    /// Keep no context in the settings file.
    #[arg(long)]
    no_context: bool,
}

impl Quickstart {
    pub(crate) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        // Both are waited for from the beginning: a signal while it starts stops what has been started.
        let failed = |error: std::io::Error| Failure::Failed(format!("cannot wait for signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut running = Running { children: Vec::new() };
        let outcome = tokio::select! {
            outcome = self.go(session, &mut running) => outcome,
            _ = terminate.recv() => Ok(Exit::Done),
            _ = interrupt.recv() => Ok(Exit::Done),
        };
        running.stop().await;
        outcome
    }

    async fn go(self, session: &Session, running: &mut Running) -> Result<Exit, Failure> {
        // Nothing is made where a program is missing.
        let has_upstream = self.upstream.is_some() || Folder::has_upstream(&self.dir)?;
        let programs = Programs::find(!has_upstream)?;
        let folder = Folder::open(&self.dir)?;
        let ports = folder.ports(self.cp_listen, self.gateway_listen, self.upstream.as_ref())?;
        let tell = |text: &str| text.lines().try_for_each(|line| session.output.line(line));
        let upstream = self.upstream(&programs, &folder, &ports, running).await?;
        tell(&format!("Starting the control plane on http://{}", ports.control_plane))?;
        self.control_plane(&programs, &folder, &ports, running).await?;
        let client = client(&folder, &ports).await?;
        example::key(&programs, &folder).await?;
        let (number, is_ours) = published(&client, &folder, &upstream, &tell).await?;
        tell(&format!("Starting a gateway on http://{}", ports.gateway))?;
        enrol(&client, &folder, &ports, &upstream).await?;
        gateway(&programs, &folder, &ports, running).await?;
        running.until("the gateway should run the revision", applied(&client, number)).await?;
        tell(&format!("The gateway runs revision {number} of `{ENVIRONMENT}`"))?;
        self.show(&folder, &ports, is_ours, running, &tell).await?;
        // What runs is not stopped because the settings cannot be written.
        let kept = if self.no_context { Ok(false) } else { keep_context(&folder, &ports).map(|()| true) };
        let has_context = kept.unwrap_or_else(|failure| {
            say(&format!("no context is kept: {failure}"));
            false
        });
        tell(&example::how_to_go_on(&folder, &ports, has_context))?;
        if self.check {
            return Ok(Exit::Done);
        }
        Err(running.ended().await)
    }

    /// The MCP server: the operator's, or the demonstration server, which is started.
    async fn upstream(
        &self,
        programs: &Programs,
        folder: &Folder,
        ports: &Ports,
        running: &mut Running,
    ) -> Result<String, Failure> {
        let (Some(demo), Some(program)) = (ports.demo, &programs.demo) else {
            return Ok(ports.upstream.clone());
        };
        let arguments = ["--listen".to_owned(), demo.to_string()];
        running.start("demonstration server", program, &arguments, folder, "demo.log")?;
        running.until("the demonstration server should answer", calls::answers(demo)).await?;
        Ok(ports.upstream.clone())
    }

    async fn control_plane(
        &self,
        programs: &Programs,
        folder: &Folder,
        ports: &Ports,
        running: &mut Running,
    ) -> Result<(), Failure> {
        let file = folder.path("control-plane/cp.db");
        let db = self.db.clone().unwrap_or_else(|| format!("sqlite://{}", file.display()));
        let arguments = [
            "serve".to_owned(),
            format!("--listen={}", ports.control_plane),
            format!("--db={db}"),
            format!("--state={}", folder.path("control-plane/state").display()),
        ];
        running.start("control plane", &programs.control_plane, &arguments, folder, "control-plane.log")?;
        let ready = calls::ready(ports.control_plane);
        running.until("the control plane should be ready", ready).await
    }

    /// One call that is permitted and one that is refused: by the example's policy, `is_ours`, if nobody has changed it.
    async fn show(
        &self,
        folder: &Folder,
        ports: &Ports,
        is_ours: bool,
        running: &mut Running,
        tell: &impl Fn(&str) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let key = std::fs::read_to_string(folder.path("gateway/secrets/alice.key"));
        let key = key.map_err(|error| Failure::Failed(format!("cannot read Alice's key: {error}")))?;
        for (call, expected) in Call::of_example(ports.demo.is_some()) {
            tell(&format!("\n{call}"))?;
            let answer = call.send(ports.gateway, key.trim_end());
            let answer = running.until("the gateway should answer", async { Ok(Some(answer.await)) }).await?;
            let (status, body) =
                answer.map_err(|error| Failure::Failed(format!("the call failed: {error}")))?;
            tell(&format!("{}\nHTTP {status}", shortened(body.trim_end())))?;
            if is_ours && status != expected {
                return Err(Failure::Failed(format!("HTTP {expected} was expected, not {status}")));
            }
        }
        Ok(())
    }
}

/// A long answer is shown by its beginning.
fn shortened(body: &str) -> String {
    const SHOWN: usize = 600;
    let mut shown: String = body.chars().take(SHOWN).collect();
    if body.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// What has been started, in order.
struct Running {
    children: Vec<Child>,
}

impl Running {
    fn start(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[String],
        folder: &Folder,
        log: &str,
    ) -> Result<(), Failure> {
        self.children.push(Child::start(name, program, arguments, &folder.path("logs").join(log))?);
        Ok(())
    }

    /// Waits for something as long as everything that was started runs.
    async fn until<T>(
        &mut self,
        what: &str,
        done: impl Future<Output = Result<Option<T>, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = tokio::time::timeout(READY_WITHIN, done) => match outcome {
                Ok(Ok(Some(value))) => Ok(value),
                Ok(Err(failure)) => Err(self.with_log(failure)),
                Ok(Ok(None)) | Err(_) => {
                    let failure = format!("{what}, and has not within {} s", READY_WITHIN.as_secs());
                    Err(self.with_log(Failure::Failed(failure)))
                }
            },
            failure = Self::first_end(&mut self.children) => Err(failure),
        }
    }

    /// Waits until something ends that should not.
    async fn ended(&mut self) -> Failure {
        Self::first_end(&mut self.children).await
    }

    async fn first_end(children: &mut [Child]) -> Failure {
        loop {
            if let Some(failure) = children.iter_mut().find_map(Child::ended) {
                return failure;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn with_log(&self, failure: Failure) -> Failure {
        if let Some(child) = self.children.last() {
            say(&child.last_lines());
        }
        failure
    }

    /// Stops what was started last first.
    async fn stop(&mut self) {
        while let Some(child) = self.children.pop() {
            child.stop().await;
        }
    }
}

async fn client(folder: &Folder, ports: &Ports) -> Result<Client, Failure> {
    let mut settings = Settings::new(server(ports)?);
    let path = folder.bootstrap_token();
    if !path.exists() {
        return Err(Failure::Failed(format!(
            "`{}` is not there: the database was first used by another folder; give one that is new",
            path.display()
        )));
    }
    settings.token = Some(token_file(&path)?);
    Ok(Client::connect(settings).await?)
}

fn server(ports: &Ports) -> Result<Server, Failure> {
    let url = format!("http://{}", ports.control_plane);
    url.parse().map_err(|error: crate::client::ServerError| Failure::Usage(format!("`--cp-listen`: {error}")))
}

fn environment() -> Result<EnvironmentPath, Failure> {
    ENVIRONMENT.parse().map_err(|error| Failure::Failed(format!("{error}")))
}

/// The newest revision, and whether it was made by this run: the example is applied and published where there is none.
async fn published(
    client: &Client,
    folder: &Folder,
    upstream: &str,
    tell: &impl Fn(&str) -> std::io::Result<()>,
) -> Result<(u64, bool), Failure> {
    let environment = environment()?;
    let path = ApiPath::from(&environment).join("revisions");
    let newest: mcpg_cp_api::Page<Revision> =
        client.get_with(&path, &VersionsQuery { limit: Some(1), cursor: None }).await?;
    if let Some(revision) = newest.items.first() {
        tell(&format!("`{ENVIRONMENT}` is at revision {} already", revision.number))?;
        return Ok((revision.number, false));
    }
    let manifests = example::manifests(folder, upstream)?;
    tell(&format!("Applying {}", manifests.display()))?;
    let sources = Source::all(&[manifests], false).map_err(|error| Failure::Failed(error.to_string()))?;
    let read = manifest::read(&sources, None).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| say(&mistake.to_string()));
        Failure::Failed("the example cannot be read".to_owned())
    })?;
    let plan = Plan::make(client, read.manifests).await?;
    for step in plan.steps() {
        step.carry_out(client).await?;
        tell(&format!("{} {}", step.resource(), step.outcome()))?;
    }
    let published = publish(client, &environment).await?;
    tell(&published.to_string())?;
    Ok((published.number, true))
}

/// The gateway's own file, and a token for it to enrol with where it has not.
async fn enrol(client: &Client, folder: &Folder, ports: &Ports, upstream: &str) -> Result<(), Failure> {
    let path = ApiPath::from(&environment()?);
    let gateways = client.list::<Gateway>(&path.clone().join("gateways"), &whole()).await?;
    let known = gateways.into_iter().find(|gateway| gateway.name.as_str() == NAME);
    if known.is_some() && folder.has_enrolled() {
        return example::gateway_file(folder, ports, upstream).await;
    }
    // One of the name whose key is gone would never come back.
    if let Some(gateway) = known {
        let path = path.clone().join("gateways").join(gateway.id.as_str());
        client.delete(&path, &Condition::Nothing).await?;
    }
    let new = CreateEnrollmentToken::default();
    let made = client.post::<NewEnrollmentToken>(&path.join("enrollment-tokens"), &new).await?;
    folder.write_secret("gateway/enroll.token", &made.value.token)?;
    example::gateway_file(folder, ports, upstream).await
}

async fn gateway(
    programs: &Programs,
    folder: &Folder,
    ports: &Ports,
    running: &mut Running,
) -> Result<(), Failure> {
    let config = folder.path("gateway/gateway.yaml").display().to_string();
    let arguments = ["run".to_owned(), "--config".to_owned(), config];
    running.start("gateway", &programs.gateway, &arguments, folder, "gateway.log")?;
    running.until("the gateway should be ready", calls::ready(ports.admin)).await
}

/// Waits until the gateway has taken the revision.
async fn applied(client: &Client, number: u64) -> Result<Option<()>, Failure> {
    let path = ApiPath::from(&environment()?).join("gateways");
    loop {
        let gateways = client.list::<Gateway>(&path, &whole()).await?;
        if let Some(gateway) = gateways.into_iter().find(|gateway| gateway.name.as_str() == NAME) {
            if gateway.applied == Some(number) {
                return Ok(Some(()));
            }
            if let Some(rejected) = gateway.rejected.filter(|rejected| rejected.number == number) {
                let reason = rejected.reason;
                return Err(Failure::Failed(format!("the gateway rejects revision {number}: {reason}")));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Keeps the control plane as a context, which is used where no other one is.
fn keep_context(folder: &Folder, ports: &Ports) -> Result<(), Failure> {
    let path = Config::path()?;
    let mut config = Config::read(&path)?;
    let name: ContextName = NAME.parse().map_err(|error| Failure::Failed(format!("{error}")))?;
    let context = Context {
        server: server(ports)?,
        ca_file: None,
        insecure_http: false,
        token_file: Some(folder.bootstrap_token()),
        token: None,
    };
    if config.contexts.get(&name) == Some(&context) {
        return Ok(());
    }
    config.current.get_or_insert_with(|| name.clone());
    config.contexts.insert(name, context);
    Ok(config.write(&path)?)
}
