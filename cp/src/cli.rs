//! The command line. Exit codes: 0 fine, 1 failed, 2 wrong usage.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use mcpg_cp::api;
use mcpg_cp::serve::{self, Setup, TlsFiles};
use mcpg_cp::store;
use tracing_subscriber::EnvFilter;

/// The control plane of MCPG: tenants, roles, plugin sets, and revisions pushed to a fleet of gateways.
#[derive(Debug, Parser)]
#[command(name = "mcpg-cp", version, about, disable_help_subcommand = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the control plane until SIGTERM.
    Serve(Box<Serve>),
    /// Bring a database to the schema of this release, as its owner.
    Migrate {
        /// The database: `sqlite://FILE`, or `postgres://…` of the tables' owner.
        #[arg(long, env = "MCPG_CP_DB", hide_env_values = true)]
        db: String,
        /// The role that `serve` connects as, which is granted what it needs. PostgreSQL only.
        #[arg(long)]
        app_role: Option<String>,
    },
    /// Print the OpenAPI document of the API.
    Openapi,
}

#[derive(Debug, Args)]
struct Serve {
    /// The database: `sqlite://FILE`, or `postgres://…` of a role that row-level security holds.
    #[arg(long, env = "MCPG_CP_DB", hide_env_values = true, default_value = "sqlite://mcpg-cp.db")]
    db: String,
    /// Where to listen.
    #[arg(long, env = "MCPG_CP_LISTEN", default_value = "127.0.0.1:9400")]
    listen: SocketAddr,
    /// The folder of the service's secrets. Replicas share what is in it.
    #[arg(long, env = "MCPG_CP_STATE", default_value = "mcpg-cp-state")]
    state: PathBuf,
    /// The certificate chain for TLS, PEM.
    #[arg(long, env = "MCPG_CP_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key for TLS, PEM.
    #[arg(long, env = "MCPG_CP_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve HTTP without TLS on an address that is not of this machine: something in front speaks TLS.
    #[arg(long, env = "MCPG_CP_INSECURE_HTTP")]
    insecure_http: bool,
    /// The public keys whose licences are believed: PEM blocks.
    #[arg(long, env = "MCPG_CP_LICENCE_KEYS")]
    licence_keys: Option<PathBuf>,
    /// The domain below which organizations have subdomains, such as `mcpg.dev`.
    #[arg(long, env = "MCPG_CP_DOMAIN")]
    domain: Option<String>,
    /// The URL that gateways reach the service by, such as `https://cp.acme.com`. Default: the address that it listens on.
    #[arg(long, env = "MCPG_CP_URL")]
    url: Option<String>,
    /// A further name of the service, where `--domain` is given.
    #[arg(long = "host")]
    hosts: Vec<String>,
    /// An internal address or network where organizations' identity providers may be. Public ones always may.
    #[arg(long = "allow-address")]
    allow_addresses: Vec<String>,
    /// How long requests that are under way may take when the service stops, in seconds.
    #[arg(long, default_value_t = 20)]
    drain_seconds: u64,
    /// How often the heads of audit chains that have grown are signed, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    sign_audit_seconds: u64,
    /// The most connections to PostgreSQL.
    #[arg(long, default_value_t = 16)]
    db_connections_max: u32,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, default_value = "info")]
    log_level: String,
    /// One JSON object per line of the log.
    #[arg(long)]
    log_json: bool,
}

impl Command {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Serve(serve) => serve.run(),
            Action::Migrate { db, app_role } => migrate(&db, app_role.as_deref()),
            Action::Openapi => {
                let text = api::openapi::text(api::endpoints());
                std::io::stdout().write_all(text.as_bytes()).context("cannot write the standard output")
            }
        }
    }
}

impl Serve {
    fn run(self) -> anyhow::Result<()> {
        log(&self.log_level, self.log_json)?;
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        let setup = Setup {
            db: self.db,
            listen: self.listen,
            state: self.state,
            tls,
            insecure_http: self.insecure_http,
            license_keys: self.licence_keys,
            domain: self.domain,
            url: self.url,
            hosts: self.hosts,
            allow_addresses: self.allow_addresses,
            drain: Duration::from_secs(self.drain_seconds),
            sign_audit_every: Duration::from_secs(self.sign_audit_seconds),
            db_connections_max: self.db_connections_max,
        };
        let announce = |first: &serve::FirstStart| {
            eprintln!(
                "mcpg-cp: made default/default/default and a bootstrap token, also in {}:",
                first.path.display()
            );
            eprintln!("{}", first.token.reveal());
        };
        runtime()?.block_on(serve::run(setup, announce))
    }
}

fn migrate(db: &str, app_role: Option<&str>) -> anyhow::Result<()> {
    let migrated = runtime()?.block_on(store::migrate(db, app_role))?;
    println!("schema {} (was {})", migrated.to, migrated.from);
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Logs: structured, constant messages, to standard error. `MCPG_LOG` (directives of `tracing-subscriber`) overrides the level.
fn log(level: &str, json: bool) -> anyhow::Result<()> {
    let directives =
        std::env::var("MCPG_LOG").unwrap_or_else(|_| format!("{level},h2=warn,hyper=warn,sqlx=warn"));
    let filter = EnvFilter::try_new(&directives).context("`MCPG_LOG` or `--log-level` is malformed")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        .log_internal_errors(false);
    let installed = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
    installed.map_err(|error| anyhow::anyhow!("cannot install the log writer: {error}"))
}
