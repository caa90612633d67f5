//! The gateway as a process: what is opened, in which order, and how it ends.
//!
//! Order of the start: configuration, log, sockets, revision, audit log, services. Whatever fails says so and
//! nothing has begun to serve. Order of the end: no longer ready, listeners closed, requests finished, audit log closed.

mod first;
mod following;
mod services;
mod signals;
pub(crate) mod signing_key;
mod upgrade;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use mcpg_config::{AuditMode as ConfiguredMode, Config, ListenAddress, LogFormat as ConfiguredFormat};
use mcpg_filters::policy::CacheCounters;
use mcpg_filters::shared::Shared;
use mcpg_sdk::Scope;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use tokio::sync::mpsc;

use self::first::{First, Start};
use self::following::{Following, Refused};
use crate::approvals::LocalService;
use crate::audit::{AuditMode, AuditSettings, Ledgers};
use crate::control_plane::{Attached, Standing};
use crate::drain::Drain;
use crate::gateway::Gateway;
use crate::guard::Connections;
use crate::metrics::{Metrics, Sample, SampleKind};
use crate::pinning::ScopePins;
use crate::reload::{Fixed, Loaded, Reloader, note_generation, read_with};
use crate::revision::{Builder, Generation, RevisionStore};
use crate::sockets::{Listen, Sockets};
use crate::telemetry::{self, LogFormat};
use crate::tls::Expiry;

/// Idle connections kept to upstreams, per worker thread.
const UPSTREAM_POOL_SIZE: usize = 128;
/// How long bindings' processes may take to end, all together, whatever each may take by itself.
const PROCESSES_END_TIME_MAX: Duration = Duration::from_secs(10);
/// Certificates in the metrics: the first to expire.
const CERTIFICATES_SHOWN_MAX: usize = 100;
/// Processes that may write to one audit directory: the running one, and its successor during an upgrade.
const AUDIT_LANES_MAX: u32 = 2;

/// Runs the gateway until it is told to stop; for one scope alone, if it is named.
///
/// # Errors
/// When it cannot start, or its audit log cannot be closed in good order.
pub fn run(path: &Path, scope: Option<&Scope>) -> anyhow::Result<()> {
    let path = std::path::absolute(path).context("cannot find the working directory")?;
    // What a control plane pushes has no say in the process.
    let Loaded { config, .. } =
        read_with(&path, scope, &[]).map_err(|problems| anyhow!(problems.join("\n")))?;
    if config.control_plane.is_some() && scope.is_some() {
        return Err(anyhow!(
            "`--scope` is for a file that says everything: with `control_plane`, enrol for the environment that is meant"
        ));
    }
    init_log(&config)?;
    forbid_core_dumps();
    let metrics = Metrics::new().context("metrics")?;
    let connections = Connections::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ledgers = Ledgers::new(audit_settings(&config)?, config.audit.organizations_open_max);
    let pins = ScopePins::in_files();
    let builder = Builder::new(Arc::clone(&metrics))
        .with_pins(Arc::clone(&pins))
        .with_ledgers(Arc::clone(&ledgers))
        .keeping_state();
    let start = Start { path: &path, scope, builder: &builder };
    let First { generation, mut attached } = runtime.block_on(start.first(&config))?;
    // Nobody is let in who would have to wait for a control plane.
    let sockets = Arc::new(Sockets::open(&wanted(&config)?)?);
    // The gateway's own; every other organization's is opened with its first row.
    let audit = ledgers.of(config.tenancy.scope.organization());
    audit.open().context("cannot open the audit log")?;
    let gateway = Gateway::new(
        Arc::new(RevisionStore::new(generation)),
        audit,
        Arc::clone(&metrics),
        config.sessions.local_max,
    );
    if let Some(attached) = &attached {
        // Nobody else sets it.
        let _ = gateway.control_plane.set(Arc::clone(&attached.standing));
    }
    note_generation(&gateway, &gateway.revisions.load());
    observe(&gateway, &ledgers, &connections, builder.filters()).context("metrics")?;
    let processes = Arc::clone(builder.processes());
    let forwarder = attached.as_mut().and_then(|attached| attached.forwarder.take());
    if let Some(forwarder) = &forwarder {
        let (progress, ledgers) = (forwarder.progress(), Arc::clone(&ledgers));
        metrics.observe(move || progress.samples(&ledgers, SystemTime::now())).context("metrics")?;
    }
    let forwarding = forwarder.map(|forwarder| (forwarder, Arc::clone(&ledgers)));
    let source = Source { path: &path, scope, attached, forwarding };
    let served = serve(source, &config, &sockets, &gateway, builder, connections);
    let left = processes.stop(PROCESSES_END_TIME_MAX);
    if left > 0 {
        tracing::warn!(processes = left, "processes killed that did not end in time");
    }
    pins.save();
    ledgers.close().context("the audit log was not closed in good order")?;
    tracing::info!("stopped");
    served
}

/// Where configurations come from.
struct Source<'a> {
    path: &'a Path,
    scope: Option<&'a Scope>,
    attached: Option<Attached>,
    forwarding: services::Forwarding,
}

fn serve(
    source: Source<'_>,
    config: &Config,
    sockets: &Arc<Sockets>,
    gateway: &Arc<Gateway>,
    builder: Builder,
    connections: Arc<Connections>,
) -> anyhow::Result<()> {
    let drain = Drain::new(Arc::clone(&connections));
    let conf = ServerConf {
        threads: worker_threads(config),
        upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE,
        // Draining is ours: when Pingora is told, there is nothing left to wait for.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let conf = Arc::clone(&server.configuration);
    server.bootstrap();
    let addresses = sockets.addresses();
    let (admin, listeners) = split_admin(config, &addresses);
    let fds = sockets.for_pingora()?;
    server.add_service(services::gateway(config, listeners, gateway, connections, &drain, &fds));
    if let Some(admin) = admin {
        server.add_service(services::admin(admin, gateway, &drain, &fds));
    }
    let (reload_requests, requests) = mpsc::channel(1);
    let Source { path, scope, attached, forwarding } = source;
    let pushed = attached.as_ref().map(|attached| Arc::clone(&attached.pushed)).unwrap_or_default();
    let refused = Arc::<Refused>::default();
    let (path, scope, fixed) = (path.to_owned(), scope.cloned(), Fixed::of(config));
    let reloader = Reloader::new(path, scope, pushed, Arc::clone(gateway), builder, fixed);
    // A folder that cannot be written, or whose path is too long for a socket: everything else still works.
    let approvals = LocalService::open(&config.state.shared_dir, &gateway.shared.approvals, &gateway.revisions)
        .inspect_err(|error| tracing::warn!(%error, "`mcpg approvals` cannot reach this gateway: no socket in `state.dir`"))
        .ok();
    server.add_service(services::background(
        reloader,
        requests,
        (Following::new(attached, Arc::clone(&refused)), forwarding),
        Arc::clone(gateway),
        approvals,
    ));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = ?listeners,
        admin = ?admin,
        threads = conf.threads,
        "serving"
    );
    let signals = signals::Signals {
        drain,
        drain_time: config.server.shutdown.drain,
        reload_requests,
        upgrade: upgrade::Upgrade::new(Arc::clone(sockets)),
        gateway: Arc::clone(gateway),
        refused: Arc::clone(&refused),
    };
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    refused.take().map_or(Ok(()), Err)
}

fn init_log(config: &Config) -> anyhow::Result<()> {
    let format = match config.telemetry.log.format {
        ConfiguredFormat::Json => LogFormat::Json,
        ConfiguredFormat::Text => LogFormat::Text,
    };
    telemetry::init(config.telemetry.log.level.as_str(), format)
}

/// The sockets to open: every listener, then the admin listener.
fn wanted(config: &Config) -> anyhow::Result<Vec<Listen>> {
    let addresses = config.server.listeners.iter().map(|listener| &listener.address);
    let wanted: Vec<Listen> = addresses
        .chain(&config.server.admin)
        .map(|address| match address {
            ListenAddress::Socket(address) => Listen::Address(*address),
            ListenAddress::Fd(name) => Listen::Inherited(name.clone()),
        })
        .collect();
    if wanted.is_empty() { Err(anyhow!("there is nothing to listen on")) } else { Ok(wanted) }
}

fn split_admin<'a>(config: &Config, addresses: &'a [SocketAddr]) -> (Option<SocketAddr>, &'a [SocketAddr]) {
    match (&config.server.admin, addresses.split_last()) {
        (Some(_), Some((admin, listeners))) => (Some(*admin), listeners),
        _ => (None, addresses),
    }
}

fn worker_threads(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.server.threads.map_or_else(cores, std::num::NonZero::get)
}

fn audit_settings(config: &Config) -> anyhow::Result<AuditSettings> {
    let audit = &config.audit;
    let key = signing_key::load(audit, config.base())?;
    let organization = config.tenancy.top_organization.clone();
    let mut settings = AuditSettings::new(audit.dir.clone(), organization, instance(), key);
    settings.mode = match audit.mode {
        ConfiguredMode::Written => AuditMode::Written,
        ConfiguredMode::Sync => AuditMode::Sync,
        ConfiguredMode::Async => AuditMode::Async,
    };
    settings.fsync_interval = audit.fsync_interval;
    settings.segment_bytes_max = audit.segment_bytes_max;
    settings.checkpoint_rows = audit.checkpoint_rows;
    settings.checkpoint_interval = audit.checkpoint_interval;
    settings.queue_rows_max = audit.queue_rows_max;
    settings.lanes_max = AUDIT_LANES_MAX;
    Ok(settings)
}

/// This gateway's name in the audit log: the host's.
fn instance() -> String {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().filter(|name| !name.is_empty()).unwrap_or("gateway").to_owned()
}

/// Secrets are in memory: no core dump may carry them out.
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps are not forbidden");
    }
}

/// What components count themselves.
fn observe(
    gateway: &Arc<Gateway>,
    ledgers: &Arc<Ledgers>,
    connections: &Arc<Connections>,
    filters: &Arc<Shared>,
) -> Result<(), prometheus::Error> {
    let (ledgers, revisions) = (Arc::clone(ledgers), Arc::clone(&gateway.revisions));
    let (connections, filters) = (Arc::clone(connections), Arc::clone(filters));
    gateway.metrics.observe(move || {
        let (counters, open) = ledgers.totals();
        let (cache, scopes, revoked) = revisions.peek(|generation| {
            let revoked = generation.scopes.iter().map(|revision| revision.revoked).sum::<usize>();
            (caches(generation), generation.scopes.len(), revoked)
        });
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let accepting = u64::from(ledgers.health() == crate::audit::AuditHealth::Accepting);
        [
            (SampleKind::ConnectionsOpen, connections.open() as u64),
            (SampleKind::ConnectionsRefused, connections.refused() as u64),
            (SampleKind::RequestsActive, connections.active() as u64),
            (SampleKind::CacheHits, cache.hits),
            (SampleKind::CacheMisses, cache.misses),
            (SampleKind::CacheEvictions, cache.evictions),
            (SampleKind::CacheSkipped, cache.skipped),
            (SampleKind::CacheEntries, cache.entries),
            (SampleKind::AuditRows, count(&counters.rows)),
            (SampleKind::AuditBytes, count(&counters.bytes)),
            (SampleKind::AuditSyncs, count(&counters.fsyncs)),
            (SampleKind::AuditFailures, count(&counters.failures)),
            (SampleKind::AuditRefused, count(&counters.refused)),
            (SampleKind::AuditDropped, count(&counters.dropped)),
            (SampleKind::AuditLost, count(&counters.lost)),
            (SampleKind::AuditQueue, count(&counters.queue_rows)),
            (SampleKind::AuditHealthy, accepting),
            (SampleKind::AuditOpen, open as u64),
            (SampleKind::Scopes, scopes as u64),
            (SampleKind::PolicyRevoked, revoked as u64),
        ]
        .into_iter()
        .chain(shared(&filters))
        .map(|(kind, value)| Sample::new(kind, value))
        .collect()
    })?;
    if let Some(standing) = gateway.control_plane.get().cloned() {
        gateway.metrics.observe(move || Standing::samples(&standing))?;
    }
    let revisions = Arc::clone(&gateway.revisions);
    gateway.metrics.observe_certificates(move || {
        let now = SystemTime::now();
        let left = |expiry: &Expiry| (expiry.path.display().to_string(), expiry.seconds_left(now));
        revisions.peek(|revision| revision.tls.expiries().take(CERTIFICATES_SHOWN_MAX).map(left).collect())
    })
}

/// What the filters of all scopes share.
fn shared(filters: &Shared) -> [(SampleKind, u64); 14] {
    let (policy, passwords) = (filters.policy.usage(), filters.hashing.usage());
    let bundles = filters.bundles.fetches();
    [
        (SampleKind::KeyFetches, filters.key_fetches.all()),
        (SampleKind::KeyFetchFailures, filters.key_fetches.failed()),
        (SampleKind::Introspections, filters.introspections.all()),
        (SampleKind::IntrospectionFailures, filters.introspections.failed()),
        (SampleKind::BundleFetches, bundles.all()),
        (SampleKind::BundleFetchFailures, bundles.failed()),
        (SampleKind::PolicyThreads, policy.threads_max as u64),
        (SampleKind::PolicyThreadsBusy, policy.busy as u64),
        (SampleKind::PolicyQueue, policy.waiting as u64),
        (SampleKind::PolicyRefused, policy.refused),
        (SampleKind::PasswordThreads, passwords.threads_max as u64),
        (SampleKind::PasswordThreadsBusy, passwords.busy as u64),
        (SampleKind::PasswordQueue, passwords.waiting as u64),
        (SampleKind::PasswordRefused, passwords.refused),
    ]
}

/// The decision caches of all scopes together.
fn caches(generation: &Generation) -> CacheCounters {
    let mut all = CacheCounters::default();
    for revision in generation.scopes.iter() {
        let one = revision.scope.policy.cache_counters();
        all.hits += one.hits;
        all.misses += one.misses;
        all.evictions += one.evictions;
        all.skipped += one.skipped;
        all.entries += one.entries;
    }
    all
}

/// The path of this program, for its successor: that of the file that was started, whatever is there by then.
fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}
