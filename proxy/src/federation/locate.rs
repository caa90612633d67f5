//! Whose a name is, on an endpoint where names do not say it.
//!
//! A name with a binding's prefix is that binding's, whatever else there is. A bare one is the binding's that lists it, if only one
//! does. A resource that nobody lists is the binding's whose template it may be of, if there is only one. Tasks always have a prefix
//! where there are several bindings.

use std::sync::Arc;

use mcpg_filters::policy::PolicyChain;
use mcpg_protocol::TargetKind;
use mcpg_protocol::catalogue::ListKind;
use mcpg_sdk::Scope;

use super::merged::Found;
use super::view::Edition;
use super::{Bound, Federation, Requester, bound, template};
use crate::revision::{Endpoint, Naming, Route};

/// Whose a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located<'n> {
    /// This binding's, which calls it so.
    At {
        /// The binding's id.
        binding: Box<str>,
        /// Its own name.
        name: &'n str,
    },
    /// Nobody's, as several bindings have it.
    Ambiguous,
    /// Nobody's.
    Unknown,
    /// Nobody's that is known, but some binding's list cannot be had.
    Unavailable(&'static str),
}

/// Where a name is looked up.
pub(super) struct Search<'a> {
    pub(super) bound: &'a [Bound],
    pub(super) requester: &'a Requester,
    pub(super) policy: &'a PolicyChain,
    pub(super) scope: &'a Scope,
}

impl Federation {
    /// Whose a name is at an endpoint. Asks upstreams for their lists only where names are bare and there are several bindings.
    pub async fn locate<'n>(
        &self,
        endpoint: &Endpoint,
        requester: &Requester,
        policy: &PolicyChain,
        kind: TargetKind,
        name: &'n str,
    ) -> Located<'n> {
        let at = |route: &Arc<Route>, name| Located::At { binding: route.id.as_str().into(), name };
        if let Some(route) = endpoint.only()
            && endpoint.is_transparent()
        {
            return at(route, name);
        }
        if let Some((route, own)) = endpoint.split(kind, name) {
            return at(route, own);
        }
        if endpoint.naming == Naming::Prefixed {
            return Located::Unknown;
        }
        let bound = bound(endpoint, &endpoint.routes);
        let search = Search { bound: &bound, requester, policy, scope: &requester.scope };
        self.search(&search, kind, name).await
    }

    /// Whose a bare name is.
    pub(super) async fn search<'n>(
        &self,
        search: &Search<'_>,
        kind: TargetKind,
        name: &'n str,
    ) -> Located<'n> {
        let list = match kind {
            TargetKind::Tool => ListKind::Tools,
            TargetKind::Prompt => ListKind::Prompts,
            TargetKind::Resource => ListKind::Resources,
            TargetKind::Task => return Located::Unknown,
        };
        let (edition, missing) = self.names(search, list).await;
        match edition.merged.holder(name) {
            Found::Binding(binding) => return Located::At { binding: binding.into(), name },
            Found::Several => return Located::Ambiguous,
            Found::Nobody => {}
        }
        let mut reason = missing;
        if kind == TargetKind::Resource {
            let (templates, missing) = self.names(search, ListKind::Templates).await;
            reason = reason.or(missing);
            let mut may = templates
                .merged
                .parts()
                .iter()
                .filter(|part| part.catalogue.items().any(|item| template::matches(item.name, name)));
            match (may.next(), may.next()) {
                (Some(part), None) => return Located::At { binding: part.binding.clone(), name },
                (Some(_), Some(_)) => return Located::Ambiguous,
                (None, _) => {}
            }
        }
        reason.map_or(Located::Unknown, Located::Unavailable)
    }

    /// The names of all bindings, and why some are missing.
    async fn names(&self, search: &Search<'_>, kind: ListKind) -> (Arc<Edition>, Option<&'static str>) {
        let gathered = self.gather(search.bound, Naming::Bare, kind, search.requester).await;
        let bindings: Vec<&str> = search.bound.iter().map(|bound| bound.catalogues.binding()).collect();
        let missing = gathered.missing.first().map(|(_, reason)| *reason);
        let edition =
            self.edition(kind, Naming::Bare, &bindings, gathered.parts, search.policy, search.scope);
        (edition, missing)
    }
}
