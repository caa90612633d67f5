//! The running service: start, listen, drain, stop.
//!
//! The order of a start: the database proves itself, the state folder's secrets are there, the first organization is, and only then is
//! the address bound and the service ready. On SIGTERM it stops accepting, finishes what is under way, and closes the store.

mod connection;
mod first;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use mcpg_filters::net::{AllowAddresses, ClientTls, ClientTlsSettings, HttpClient};
use mcpg_license::LicenseKeys;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use first::FirstStart;
pub use tls::TlsFiles;

use self::tls::Tls;
use crate::agents::seen::Seen;
use crate::api::metrics::Metrics;
use crate::api::pipeline::Pipeline;
use crate::api::router;
use crate::api::service::{SIGN_INS_MAX, Service, Settings};
use crate::api::tenant_name::Hosts;
use crate::audit::AuditSigner;
use crate::audit::janitor::Janitor;
use crate::publish::RevisionSigner;
use crate::sign_in::key_file;
use crate::sign_in::token::TokenKind;
use crate::store::{Clock as _, Options, Store, SystemClock};

const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);

/// How the service is set up.
#[derive(Debug)]
pub struct Setup {
    /// The database.
    pub db: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder of the service's secrets.
    pub state: PathBuf,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
    /// Whether HTTP without TLS is served on addresses that are not of this machine.
    pub insecure_http: bool,
    /// The keys whose licences are believed.
    pub license_keys: Option<PathBuf>,
    /// The domain below which organizations have subdomains.
    pub domain: Option<String>,
    /// The URL that gateways reach the service by; none for the address that it listens on.
    pub url: Option<String>,
    /// Further names of the service.
    pub hosts: Vec<String>,
    /// Internal addresses where identity providers may be.
    pub allow_addresses: Vec<String>,
    /// How long requests may take when the service stops.
    pub drain: Duration,
    /// How often heads of audit chains are signed.
    pub sign_audit_every: Duration,
    /// The most connections to PostgreSQL.
    pub db_connections_max: u32,
}

/// Runs the service until SIGTERM or SIGINT. `announce` is told of a first start.
///
/// # Errors
/// Why it cannot start, or did not stop in good order.
pub async fn run(setup: Setup, announce: impl FnOnce(&FirstStart)) -> anyhow::Result<()> {
    if setup.tls.is_none() && !setup.insecure_http && !setup.listen.ip().is_loopback() {
        bail!(
            "`{}` is not of this machine: give `--tls-cert` and `--tls-key`, or `--insecure-http` where something in front speaks TLS",
            setup.listen
        );
    }
    let tls = setup.tls.as_ref().map(Tls::load).transpose()?;
    // Without files to look at it means nothing, and ends nothing either.
    let hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let clock = Arc::new(SystemClock);
    let mut options = Options::new(setup.db.clone());
    options.clock = clock.clone();
    options.connections_max = setup.db_connections_max;
    let store = Store::open(&options).await.context("cannot open the database")?;
    let random = [clock.random(), clock.random()].concat().try_into().unwrap_or([0; 32]);
    let service = Arc::new(Service {
        token_key: key_file::token_key(&setup.state, random)?,
        license_keys: license_keys(setup.license_keys.as_ref())?,
        settings: settings(&setup)?,
        signer: RevisionSigner::load(
            &setup.state,
            [clock.random(), clock.random()].concat().try_into().unwrap_or([0; 32]),
        )?,
        audit: AuditSigner::load(
            &setup.state,
            [clock.random(), clock.random()].concat().try_into().unwrap_or([0; 32]),
        )?,
        seen: Seen::default(),
        stopping: watch::Sender::new(false),
        metrics: Metrics::new()?,
        http: HttpClient::default(),
        tls: ClientTls::new(ClientTlsSettings::default()).context("TLS to identity providers")?,
        sign_ins: tokio::sync::Semaphore::new(SIGN_INS_MAX),
        clock,
    });
    let holder = service.token(TokenKind::Platform).id().to_string();
    if let Some(first) = first::start(&service, &store, &setup.state).await? {
        announce(&first);
    }
    let listener = TcpListener::bind(setup.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on `{}`", setup.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let pipeline = Arc::new(Pipeline::new(Arc::clone(&service), store.clone()));
    let attending = tokio::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { pipeline.attend().await }
    });
    let router = router(pipeline);
    let follower = tokio::spawn({
        let store = store.clone();
        async move { store.follow_changes().await }
    });
    let janitor = tokio::spawn({
        let (store, service, holder, every) =
            (store.clone(), Arc::clone(&service), holder.clone(), setup.sign_audit_every);
        async move {
            let (signer, license_keys) = (&service.audit, &service.license_keys);
            Janitor { store, signer, license_keys, holder }.run(every).await;
        }
    });
    let sweeper = tokio::spawn(sweep(store.clone(), holder));
    let stopped = stopped()?;
    let stop = async move {
        stopped.await;
        service.stopping.send_replace(true);
    };
    let acceptors = tls.as_ref().map(Tls::acceptors);
    let renewal = tls.map(|tls| tokio::spawn(tls.renew(hangup)));
    tracing::info!(%address, tls = acceptors.is_some(), backend = ?store.backend(), "the control plane listens");
    // Nobody may be listening, and then nobody is told.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let drained = connection::serve(listener, acceptors, router, stop, setup.drain).await;
    attending.abort();
    follower.abort();
    janitor.abort();
    sweeper.abort();
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    store.close().await;
    if !drained {
        bail!("requests were still under way after {} s and were cut off", setup.drain.as_secs());
    }
    tracing::info!("the control plane has stopped");
    Ok(())
}

/// Removes what has had its time, every few minutes; of several replicas one does it.
async fn sweep(store: Store, holder: String) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        match store.sweep(&holder).await {
            Ok(removed) => tracing::debug!(?removed, "what has had its time was removed"),
            Err(error) => tracing::warn!(%error, "what has had its time was not removed"),
        }
    }
}

fn settings(setup: &Setup) -> anyhow::Result<Settings> {
    let lower = |name: &String| name.to_ascii_lowercase();
    let hosts =
        Hosts { domain: setup.domain.as_ref().map(lower), names: setup.hosts.iter().map(lower).collect() };
    let text = serde_json::to_value(&setup.allow_addresses).context("addresses")?;
    let allow_addresses: AllowAddresses = serde_json::from_value(text).context("`--allow-address`")?;
    let scheme = if setup.tls.is_some() { "https" } else { "http" };
    let audience = setup.url.clone().unwrap_or_else(|| format!("{scheme}://{}", setup.listen));
    Ok(Settings {
        hosts,
        allow_addresses,
        audience: audience.trim_end_matches('/').to_owned(),
        ..Settings::default()
    })
}

fn license_keys(path: Option<&PathBuf>) -> anyhow::Result<LicenseKeys> {
    let Some(path) = path else { return Ok(LicenseKeys::none()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    LicenseKeys::from_pem(&text).with_context(|| format!("`{}`", path.display()))
}

/// Ends when the service is to stop.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    })
}
