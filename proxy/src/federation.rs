//! One endpoint over several servers: their lists as one, whose a name is, and what the endpoint says of itself.
//!
//! What upstreams say is kept with their bindings ([`Catalogues`]) and outlives a reload that does not change them. What callers see of
//! it depends on the policies and is kept here, with the revision.
//!
//! Invariants:
//! - Nothing is shown that policy denies the caller, except where only an actual call can tell ([`PolicyChain::shown`]).
//! - An upstream that is slow, dead or wrong costs its own part of a list and nothing else, and the list says so.
//! - What one caller's credentials brought is shown to that caller only.
//!
//! [`PolicyChain::shown`]: mcpg_filters::policy::PolicyChain::shown

mod binding;
mod catalogue;
mod cursor;
mod definition;
mod error;
mod fetch;
mod introduce;
mod join;
mod judge;
mod lists;
mod locate;
mod merged;
mod named;
mod shelf;
mod source;
mod template;
mod upstream;
mod view;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_config::Federation as Settings;
use mcpg_filters::policy::PolicyChain;
use mcpg_protocol::catalogue::ListKind;
use mcpg_sdk::Scope;
use parking_lot::Mutex;

pub use binding::{Catalogues, Introduction};
pub use catalogue::{Catalogue, Item};
pub use error::FetchError;
pub use introduce::{Introduced, serve_discover};
pub use lists::serve_list;
pub(crate) use lists::unavailable;
pub use locate::Located;
pub use named::NamedTools;
pub use source::{Listing, Requester, Source};
pub(crate) use view::Onlooker;

use crate::lru::Lru;
use crate::metrics::Metrics;
use crate::pinning::Pins;
use crate::revision::{Endpoint, Naming, Route};
use merged::{Merged, Part};
use shelf::Supply;
use view::{Edition, Views};

/// Merged lists that are remembered: a few versions of each that there is.
const EDITIONS_MAX: usize = 128;

/// The lists of a scope's endpoints, in one revision.
pub struct Federation {
    settings: Settings,
    pins: Arc<Pins>,
    metrics: Arc<Metrics>,
    editions: Mutex<Lru<[u8; 32], Arc<Edition>>>,
    views: Views,
    named: NamedTools,
}

/// A binding as lists of several are made of it.
#[derive(Clone)]
pub(crate) struct Bound {
    /// What is kept of it.
    pub(crate) catalogues: Arc<Catalogues>,
    /// Where that comes from.
    pub(crate) source: Arc<dyn Source>,
    /// Whether the caller may list what it has.
    pub(crate) is_listed: bool,
}

/// The lists of several bindings, as far as they can be had.
struct Gathered {
    parts: Vec<Part>,
    /// Bindings whose list cannot be had, with the reason.
    missing: Vec<(Box<str>, &'static str)>,
    /// How long the first of the lists stays fresh.
    left: Duration,
    /// Whether some list is the requester's own.
    is_private: bool,
}

impl Federation {
    /// Nothing yet, under these settings.
    pub fn new(settings: Settings, pins: Arc<Pins>, metrics: Arc<Metrics>) -> Self {
        let editions = Mutex::new(Lru::new(EDITIONS_MAX));
        Self { settings, pins, metrics, editions, views: Views::new(), named: NamedTools::default() }
    }

    /// The same, with the tools that the policies name.
    #[must_use]
    pub fn with_named(self, named: NamedTools) -> Self {
        Self { named, ..self }
    }

    /// What is odd about the tools that policies name, as far as lists were seen.
    pub fn warnings(&self) -> Vec<String> {
        self.named.warnings()
    }

    /// The lists of one kind of these bindings. Where names are bare, those that the caller may not list count for their names, as
    /// far as they are known.
    async fn gather(
        &self,
        bound: &[Bound],
        naming: Naming,
        kind: ListKind,
        requester: &Requester,
    ) -> Gathered {
        let settings = &self.settings.catalogue;
        let supplies = bound.iter().filter(|bound| bound.is_listed).map(|bound| {
            Box::pin(bound.catalogues.list(&bound.source, requester, kind, settings)) as join::Boxed<'_, _>
        });
        let mut supplies = join::join_all(supplies.collect()).await.into_iter();
        let mut gathered = Gathered {
            parts: Vec::with_capacity(bound.len()),
            missing: Vec::new(),
            left: binding::TTL_MAX,
            is_private: false,
        };
        for bound in bound {
            if bound.is_listed {
                let Some((supply, is_theirs)) = supplies.next() else { break };
                if let (Supply::Held { value, .. }, false) = (&supply, is_theirs) {
                    self.named.compare(bound.catalogues.binding(), value);
                }
                gathered.is_private |= is_theirs;
                gathered.add(bound, supply, kind, &self.metrics);
            } else if naming == Naming::Bare
                && let Some(list) = bound.catalogues.peek(requester.class, kind, settings)
            {
                gathered.parts.push(part(bound, list, false));
            }
        }
        let now = SystemTime::now();
        for (part, bound) in gathered.parts.iter_mut().filter(|part| part.is_listed).filter_map(|part| {
            let bound = bound.iter().find(|bound| *bound.catalogues.binding() == *part.binding)?;
            Some((part, bound))
        }) {
            part.withheld = bound.catalogues.withheld(&self.pins, &part.catalogue, now).await;
        }
        gathered
    }

    /// The merged list of these parts.
    fn edition(
        &self,
        kind: ListKind,
        naming: Naming,
        bindings: &[&str],
        parts: Vec<Part>,
        policy: &PolicyChain,
        scope: &Scope,
    ) -> Arc<Edition> {
        let digest = merged::digest(kind, naming, &parts);
        if let Some(edition) = self.editions.lock().touch(&digest) {
            return Arc::clone(edition);
        }
        let merged = Merged::new(kind, naming, bindings, parts);
        if merged.overlong > 0 || merged.collisions > 0 {
            tracing::info!(
                list = kind.method(),
                overlong = merged.overlong,
                collisions = merged.collisions,
                "some names of a merged list are left out or shown with their prefix"
            );
        }
        let edition = Arc::new(Edition::new(merged, policy, scope));
        self.editions.lock().insert(digest, Arc::clone(&edition), |_| true);
        edition
    }
}

impl Gathered {
    fn add(&mut self, bound: &Bound, supply: Supply<Catalogue>, kind: ListKind, metrics: &Metrics) {
        let binding = bound.catalogues.binding();
        match supply {
            Supply::Held { value, left, is_stale } => {
                metrics.catalogue_served(binding, kind.method(), if is_stale { "stale" } else { "fresh" });
                self.left = self.left.min(left);
                self.parts.push(part(bound, value, true));
            }
            Supply::Missing { error, last } => {
                metrics.catalogue_served(binding, kind.method(), "left_out");
                self.missing.push((binding.into(), error.reason()));
                // What is not shown any more still has its names.
                self.parts.extend(last.map(|last| part(bound, last, false)));
            }
        }
    }
}

fn part(bound: &Bound, catalogue: Arc<Catalogue>, is_listed: bool) -> Part {
    Part { binding: bound.catalogues.binding().into(), catalogue, withheld: Arc::default(), is_listed }
}

/// The bindings of an endpoint, of which `listed` may be listed.
pub(crate) fn bound(endpoint: &Endpoint, listed: &[Arc<Route>]) -> Vec<Bound> {
    let bound = |route: &Arc<Route>| Bound {
        catalogues: Arc::clone(&route.catalogues),
        source: Arc::new(upstream::RouteSource::new(route)),
        is_listed: listed.iter().any(|listed| listed.id == route.id),
    };
    endpoint.routes.iter().map(bound).collect()
}

#[cfg(test)]
mod tests;
