//! The services of the process: the gateway, the admin listener, the background.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use mcpg_config::Config;
use parking_lot::Mutex;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use pingora_core::services::background::{BackgroundService, GenBackgroundService, background_service};
use pingora_core::services::listening::Service as Listening;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::following::Following;
use crate::admin::Admin;
use crate::approvals::LocalService;
use crate::audit::Ledgers;
use crate::control_plane::Forwarder;
use crate::drain::Drain;
use crate::gateway::Gateway;
use crate::guard::{Connections, Guard, Http2, Listeners};
use crate::reload::Reloader;
use crate::revision::{Generation, Route};

/// Client sockets are read into buffers of the request at hand, so the connection holds none. An answer's head and a
/// short body leave in one write.
const READ_BUFFER: usize = 0;
const WRITE_BUFFER: usize = 1460;
/// How often names of upstreams are looked up again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// How often pooled connections that the upstream has closed are dropped.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is said that a certificate is about to expire.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(12 * 3600);
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(10);
/// Names that are looked up at once.
const RESOLVED_AT_ONCE: usize = 16;

/// The gateway's listeners, guarded.
pub(super) fn gateway(
    config: &Config,
    addresses: &[SocketAddr],
    gateway: &Arc<Gateway>,
    connections: Arc<Connections>,
    drain: &Drain,
    fds: &ListenFds,
) -> impl Service + use<> {
    let limits = &config.server.limits;
    let http2 = Http2 {
        streams_max: limits.h2_streams_max,
        header_bytes_max: u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX),
        idle_timeout: limits.idle_timeout,
    };
    // To Pingora every listener is cleartext: TLS is the guard's.
    let (handler, policy) = (Arc::clone(gateway), Arc::clone(gateway));
    let guard = Guard::new(handler, http2, policy, connections, Listeners::new(addresses));
    let mut service = Listening::new("gateway".to_owned(), guard);
    for address in addresses {
        let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
    }
    OwnSockets { service, fds: Arc::clone(fds), drain: drain.clone() }
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
    (following, forwarding): (Following, Forwarding),
    gateway: Arc<Gateway>,
    approvals: Option<LocalService>,
) -> GenBackgroundService<Background> {
    let mut service = background_service(
        "background",
        Background {
            reloader,
            requests: Mutex::new(Some(requests)),
            following,
            forwarding: Mutex::new(forwarding),
            gateway,
            approvals,
        },
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

/// What sends audit rows, and whose.
pub(super) type Forwarding = Option<(Forwarder, Arc<Ledgers>)>;

/// What runs beside the requests.
pub(super) struct Background {
    reloader: Reloader,
    requests: Mutex<Option<mpsc::Receiver<()>>>,
    following: Following,
    forwarding: Mutex<Forwarding>,
    gateway: Arc<Gateway>,
    approvals: Option<LocalService>,
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(requests) = self.requests.lock().take() else { return };
        self.gateway.revisions.peek(Generation::start);
        let (push, pushes) = mpsc::channel(1);
        tokio::select! {
            () = self.reloader.run(requests, pushes) => {}
            () = self.following.run(push, &self.gateway) => {}
            () = self.keep_forwarding_audit() => {}
            () = self.keep_resolving() => {}
            () = self.keep_sweeping() => {}
            () = self.keep_watching_pins() => {}
            () = self.keep_warning_of_expiry() => {}
            () = self.keep_answering_approvals() => {}
            _ = shutdown.wait_for(|stopping| *stopping) => {}
        }
    }
}

impl Background {
    async fn keep_answering_approvals(&self) {
        match &self.approvals {
            Some(service) => service.run().await,
            None => std::future::pending().await,
        }
    }

    async fn keep_forwarding_audit(&self) {
        let forwarding = self.forwarding.lock().take();
        match forwarding {
            Some((mut forwarder, ledgers)) => forwarder.run(&ledgers).await,
            None => std::future::pending().await,
        }
    }

    async fn keep_watching_pins(&self) {
        self.reloader.pins().watch().await;
    }

    async fn keep_warning_of_expiry(&self) {
        let mut tick = interval(EXPIRY_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The revision has said it at its beginning.
        tick.tick().await;
        loop {
            tick.tick().await;
            let revision = self.gateway.revisions.load();
            for warning in revision.tls.expiries().filter_map(|expiry| expiry.warning(SystemTime::now())) {
                tracing::warn!(warning, "certificate");
            }
        }
    }

    async fn keep_sweeping(&self) {
        let mut tick = interval(SWEEP_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: HashMap<usize, Arc<Route>> = HashMap::new();
        loop {
            tick.tick().await;
            self.gateway.shared.sessions.sweep(SystemTime::now());
            let current = self.gateway.revisions.load();
            let routes = current.scopes.iter().flat_map(|revision| revision.scope.routes.iter());
            let routes: HashMap<_, _> =
                routes.map(|route| (Arc::as_ptr(route).addr(), Arc::clone(route))).collect();
            for (_, gone) in known.iter().filter(|(old, _)| !routes.contains_key(*old)) {
                gone.retire();
            }
            routes.values().for_each(Route::sweep);
            known = routes;
        }
    }

    async fn keep_resolving(&self) {
        let mut tick = interval(RESOLVE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let generation = self.gateway.revisions.load();
            let routes = generation.scopes.iter().flat_map(|revision| revision.scope.routes.iter());
            let routes: Vec<Arc<Route>> = routes.map(Arc::clone).collect();
            drop(generation);
            stream::iter(routes).for_each_concurrent(RESOLVED_AT_ONCE, resolve_route).await;
        }
    }
}

async fn resolve_route(route: Arc<Route>) {
    for http in route.endpoints() {
        if http.place.is_name() {
            http.look_up(&route.id, RESOLVE_TIME_MAX).await;
        }
    }
}
