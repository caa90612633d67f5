//! Which path leads to which binding, and how its upstream is reached.
//!
//! `/bindings/{id}/mcp` is a binding alone, its names without a prefix. With exactly one binding `/mcp`
//! is that binding too. With several, `/mcp` belongs to their federation.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};

use crate::dispatch::Target;
use crate::metrics::BindingMetrics;
use crate::peer::{PeerTemplate, PeerTimeouts};

/// The endpoints of a scope.
#[derive(Default)]
pub struct Routes {
    by_path: HashMap<String, Arc<Route>>,
    routes: Vec<Arc<Route>>,
}

/// A binding and its upstream, with the addresses that are in force.
pub struct Route {
    parts: RouteParts,
    targets: ArcSwap<Vec<Arc<Target>>>,
    turn: AtomicUsize,
}

impl Routes {
    /// Serves each route at its own path, and a lone one at `/mcp` too.
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        let mut by_path: HashMap<String, Arc<Route>> =
            routes.iter().map(|route| (format!("/bindings/{}/mcp", route.id), Arc::clone(route))).collect();
        if let [only] = routes.as_slice() {
            by_path.insert("/mcp".to_owned(), Arc::clone(only));
        }
        Self { by_path, routes }
    }

    /// The route at a path. Paths are compared as received: nothing is decoded or normalised.
    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.by_path.get(path)
    }

    /// Every route, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}

/// What a route is made of, besides its addresses.
pub struct RouteParts {
    /// The binding's id.
    pub id: String,
    /// How its peer is made.
    pub peer: PeerTemplate,
    /// The upstream's host and port, as names to resolve again; none for a literal address.
    pub resolve: Option<(String, u16)>,
    /// `Host` for the upstream.
    pub authority: HeaderValue,
    /// Path and query of the upstream's endpoint.
    pub path_and_query: http::uri::PathAndQuery,
    /// Headers added to every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Counters.
    pub metrics: BindingMetrics,
    /// How long its upstream may take.
    pub timeouts: PeerTimeouts,
    /// Idle connections kept per address.
    pub idle_max: usize,
}

impl Deref for Route {
    type Target = RouteParts;

    fn deref(&self) -> &RouteParts {
        &self.parts
    }
}

impl Route {
    /// A route whose upstream has these addresses.
    pub fn new(parts: RouteParts, addresses: &[SocketAddr]) -> Self {
        let route = Self { parts, targets: ArcSwap::default(), turn: AtomicUsize::new(0) };
        route.set_addresses(addresses);
        route
    }

    /// The next address in turn; none while the name does not resolve.
    pub fn next_target(&self) -> Option<Arc<Target>> {
        let targets = self.targets.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(targets.len())?;
        targets.get(turn).cloned()
    }

    /// Puts freshly resolved addresses in force. Those known already keep their connections.
    pub fn set_addresses(&self, addresses: &[SocketAddr]) {
        let known = self.targets.load();
        if known.iter().map(|target| target.address()).eq(addresses.iter().copied()) {
            return;
        }
        let target = |address: &SocketAddr| {
            known.iter().find(|target| target.address() == *address).cloned().unwrap_or_else(|| {
                let peer = *self.peer.at(*address);
                Arc::new(Target::new(*address, peer, self.idle_max, self.timeouts.idle))
            })
        };
        self.targets.store(Arc::new(addresses.iter().map(target).collect()));
    }

    /// Drops pooled connections that nobody needs.
    pub fn sweep(&self) {
        self.targets.load().iter().for_each(|target| target.sweep());
    }
}
