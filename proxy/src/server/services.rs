//! The services of the process: the gateway, the admin listener, the background.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use mcpg_config::{Config, KeySource, ListenerTls};
use mcpg_filters::secret::SecretResolver;
use parking_lot::Mutex;
use pingora_core::apps::{HttpServerOptions, ServerApp};
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use pingora_core::services::background::{BackgroundService, GenBackgroundService, background_service};
use pingora_core::services::listening::Service as Listening;
use pingora_core::tls::pkey::PKey;
use pingora_core::tls::ssl::SslVersion;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::Admin;
use crate::drain::Drain;
use crate::gateway::{Gateway, Proxy};
use crate::guard::{Connections, Guard};
use crate::reload::Reloader;
use crate::revision::{Revision, Route};

/// Client sockets are read into buffers of the request at hand, so the connection holds none. An answer's head and a
/// short body leave in one write.
const READ_BUFFER: usize = 0;
const WRITE_BUFFER: usize = 1460;
/// How often names of upstreams are looked up again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// How often pooled connections that the upstream has closed are dropped.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(10);

/// The gateway's listeners, guarded.
pub(super) fn gateway(
    conf: &Arc<ServerConf>,
    config: &Config,
    addresses: &[SocketAddr],
    gateway: &Arc<Gateway>,
    connections: Arc<Connections>,
    drain: &Drain,
    fds: &ListenFds,
) -> anyhow::Result<impl Service + use<>> {
    let mut proxy = pingora_proxy::http_proxy(conf, Proxy(Arc::clone(gateway)));
    let limits = &config.server.limits;
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(limits.idle_timeout);
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(limits.h2_streams_max);
    h2.max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    proxy.h2_options = Some(h2);
    let mut service =
        Listening::new("gateway".to_owned(), Guard::new(proxy, Arc::clone(gateway), connections));
    let secrets = SecretResolver::new(config.base_dir());
    for (address, listener) in addresses.iter().zip(&config.server.listeners) {
        let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
        let mut endpoint = ListenerConfig::tcp(address.to_string()).l4_buffer(buffers);
        if let Some(tls) = &listener.tls {
            endpoint = endpoint.tls(tls_settings(tls, &secrets)?);
        }
        service.add_listener(endpoint);
    }
    Ok(OwnSockets { service, fds: Arc::clone(fds), drain: drain.clone() })
}

/// The admin listener.
pub(super) fn admin(
    address: SocketAddr,
    gateway: &Arc<Gateway>,
    drain: &Drain,
    fds: &ListenFds,
) -> impl Service + use<> {
    let mut service = Listening::new("admin".to_owned(), Admin::new(Arc::clone(gateway), drain.clone()));
    service.threads = Some(1);
    service.add_tcp(&address.to_string());
    // It answers to the end: readiness must be seen while the gateway drains.
    OwnSockets { service, fds: Arc::clone(fds), drain: Drain::new(Connections::new()) }
}

/// Reloads and look-ups, off the request path.
pub(super) fn background(
    reloader: Reloader,
    requests: mpsc::Receiver<()>,
    gateway: Arc<Gateway>,
) -> GenBackgroundService<Background> {
    let mut service = background_service(
        "background",
        Background { reloader, requests: Mutex::new(Some(requests)), gateway },
    );
    service.threads = Some(1);
    service
}

/// A service on sockets that this process has opened itself, told to stop by the drain rather than by Pingora.
struct OwnSockets<A> {
    service: Listening<A>,
    fds: ListenFds,
    drain: Drain,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for OwnSockets<A> {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, per_fd: usize) {
        let fds = Some(Arc::clone(&self.fds));
        Service::start_service(&mut self.service, fds, self.drain.watch(), per_fd).await;
    }

    fn name(&self) -> &str {
        Service::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        Service::threads(&self.service)
    }
}

/// What runs beside the requests.
pub(super) struct Background {
    reloader: Reloader,
    requests: Mutex<Option<mpsc::Receiver<()>>>,
    gateway: Arc<Gateway>,
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(requests) = self.requests.lock().take() else { return };
        self.gateway.revisions.peek(Revision::start);
        tokio::select! {
            () = self.reloader.run(requests) => {}
            () = self.keep_resolving() => {}
            () = self.keep_sweeping() => {}
            () = self.keep_watching_pins() => {}
            _ = shutdown.wait_for(|stopping| *stopping) => {}
        }
    }
}

impl Background {
    async fn keep_watching_pins(&self) {
        // Every revision has the same.
        let pins = self.gateway.revisions.peek(|revision| Arc::clone(revision.scope.gates.pins()));
        pins.watch().await;
    }

    async fn keep_sweeping(&self) {
        let mut tick = interval(SWEEP_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Vec::new();
        loop {
            tick.tick().await;
            self.gateway.shared.sessions.sweep(SystemTime::now());
            let current = self.gateway.revisions.load();
            let routes: Vec<Arc<Route>> = current.scope.routes.iter().map(Arc::clone).collect();
            for gone in known.iter().filter(|old| !routes.iter().any(|route| Arc::ptr_eq(route, old))) {
                gone.retire();
            }
            routes.iter().for_each(Route::sweep);
            known = routes;
        }
    }

    async fn keep_resolving(&self) {
        let mut tick = interval(RESOLVE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let revision = self.gateway.revisions.load();
            for route in revision.scope.routes.iter() {
                for http in route.endpoints() {
                    if http.place.is_name() {
                        http.look_up(&route.id, RESOLVE_TIME_MAX).await;
                    }
                }
            }
        }
    }
}

/// Mozilla's intermediate settings: TLS 1.2 and up, modern suites; HTTP/2 and HTTP/1.1 by ALPN.
fn tls_settings(tls: &ListenerTls, secrets: &SecretResolver) -> anyhow::Result<TlsSettings> {
    let certificate = tls.certificate.display().to_string();
    let mut settings = match &tls.private_key {
        KeySource::File(path) => TlsSettings::intermediate(&certificate, &path.display().to_string())
            .with_context(|| format!("cannot use the certificate `{certificate}` and its key"))?,
        KeySource::Secret(reference) => {
            let secret = secrets.resolve(reference)?;
            let key = PKey::private_key_from_pem(secret.expose())
                .map_err(|_| anyhow::anyhow!("`{reference}` holds no PEM private key"))?;
            let mut settings = TlsSettings::with_callbacks(Box::new(NoCallbacks))?;
            settings
                .set_certificate_chain_file(&certificate)
                .with_context(|| format!("cannot use the certificate `{certificate}`"))?;
            settings.set_private_key(&key).context("the certificate and its key do not fit")?;
            settings
        }
    };
    settings.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    settings.enable_h2();
    Ok(settings)
}

struct NoCallbacks;

impl pingora_core::listeners::TlsAccept for NoCallbacks {}
