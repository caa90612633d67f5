//! Which path leads to which binding, and how its upstream is reached.
//!
//! `/bindings/{id}/mcp` is a binding alone, its names without a prefix. `/mcp` is all of them.

use std::collections::HashMap;
use std::sync::Arc;

use mcpg_config::{BindingKind, Grant, Naming as Configured, Sharing};
use mcpg_protocol::Era;
use mcpg_sdk::Scope;
use parking_lot::Mutex;

use super::{Endpoint, Naming};
use crate::federation::Catalogues;
use crate::metrics::{BindingMetrics, Metrics};
use crate::streams::Feeds;
use crate::upstream::stdio::StdioUpstream;
use crate::upstream::{Eras, Gate, HttpUpstream, Leases, ReplyLimits};

/// The endpoints of a scope.
#[derive(Default)]
pub struct Routes {
    by_path: HashMap<String, Arc<Endpoint>>,
    routes: Vec<Arc<Route>>,
}

/// A binding and its upstream.
pub struct Route {
    /// The binding's id.
    pub id: String,
    /// Counters.
    pub metrics: BindingMetrics,
    /// How its upstream is reached.
    pub transport: Transport,
    /// What it was built from.
    pub origin: Origin,
    /// How many calls its upstream gets, and what is under way.
    pub gate: Arc<Gate>,
    /// How large its upstream's answers may be, where the gateway reads them.
    pub replies: ReplyLimits,
    /// What its upstream speaks.
    pub eras: Eras,
    /// What its upstream lists.
    pub catalogues: Arc<Catalogues>,
    /// What is listened to upstream for all who listen here.
    pub feeds: Feeds,
    /// Sessions with its upstream that the gateway holds on its own account.
    pub leases: Leases,
    /// The scope that it belongs to.
    pub scope: Scope,
    /// The list of tools that was last judged on its way through, and by which version of what is approved.
    pub judged: Mutex<Option<(blake3::Hash, u64)>>,
}

/// All that a route is built from. One that would be built from the same again is kept, with its connections and all that it
/// knows of its upstream.
#[derive(Clone, PartialEq)]
pub struct Origin {
    /// The binding as configured.
    pub binding: mcpg_config::Binding,
    /// The limits of answers.
    pub replies: ReplyLimits,
    /// Digest of what the configuration only names: secrets, files.
    pub named: blake3::Hash,
}

/// How an upstream is reached.
#[allow(clippy::large_enum_variant, reason = "there are few, and each is in a place of its own")]
pub enum Transport {
    /// MCP over Streamable HTTP.
    Http(HttpUpstream),
    /// MCP over standard input and output of a process.
    Stdio(StdioUpstream),
}

impl Route {
    /// The upstream's endpoint, if it has one.
    pub fn http(&self) -> Option<&HttpUpstream> {
        match &self.transport {
            Transport::Http(http) => Some(http),
            Transport::Stdio(_) => None,
        }
    }

    /// Whether its upstream gets credentials of the caller's own, so that what it says is one caller's only.
    pub fn is_per_caller(&self) -> bool {
        let BindingKind::Mcp(mcp) = &self.origin.binding.kind;
        let credentials = mcp.transport.http().and_then(|http| http.credentials.as_ref());
        matches!(credentials.map(|credentials| &credentials.grant), Some(Grant::TokenExchange { .. }))
    }

    /// Whether each caller has a process of its own there, which tells what it has to tell to nobody else. As long as it is not
    /// known what the server speaks, it may be so.
    pub fn is_process_per_caller(&self) -> bool {
        let BindingKind::Mcp(mcp) = &self.origin.binding.kind;
        let stdio = match &mcp.transport {
            mcpg_config::Transport::Stdio(stdio) => Some(stdio),
            mcpg_config::Transport::Http(_) => None,
        };
        stdio.is_some_and(|stdio| matches!(stdio.sharing, Sharing::PerSession { .. }))
            && self.known_era_for(Era::Modern) != Some(Era::Legacy)
    }

    /// Every HTTP endpoint that is spoken to on its behalf: the upstream's, and that of the server which issues tokens for it.
    pub fn endpoints(&self) -> impl Iterator<Item = &HttpUpstream> {
        let http = self.http();
        let tokens = http.and_then(|http| http.credentials.as_ref());
        http.into_iter().chain(tokens.map(|credentials| &credentials.endpoint().http))
    }
}

impl Routes {
    /// Serves each route at its own path, and all of them at `/mcp`.
    pub fn new(routes: Vec<Arc<Route>>, naming: Configured, metrics: &Metrics) -> Self {
        let alone = routes.iter().map(|route| Endpoint {
            path: format!("/bindings/{}/mcp", route.id),
            routes: vec![Arc::clone(route)],
            naming: Naming::Bare,
            metrics: route.metrics.clone(),
        });
        let naming = match naming {
            Configured::Auto if routes.len() == 1 => Naming::Bare,
            Configured::Bare => Naming::Bare,
            Configured::Auto | Configured::Prefixed => Naming::Prefixed,
        };
        let together = (!routes.is_empty()).then(|| Endpoint {
            path: "/mcp".to_owned(),
            routes: routes.clone(),
            naming,
            metrics: metrics.binding("*"),
        });
        let by_path = alone.chain(together).map(|it| (it.path.clone(), Arc::new(it))).collect();
        Self { by_path, routes }
    }

    /// The endpoint at a path. Paths are compared as received: nothing is decoded or normalised.
    pub fn find(&self, path: &str) -> Option<&Arc<Endpoint>> {
        self.by_path.get(path)
    }

    /// Every route, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}
