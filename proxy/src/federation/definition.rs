//! One tool as its upstream defines it.

use std::sync::Arc;

use mcpg_protocol::catalogue::ListKind;

use super::shelf::Supply;
use super::{Federation, Requester, Source, upstream};
use crate::revision::Route;

impl Federation {
    /// The definition of a binding's tool, exactly as the upstream lists it; none if it lists no such tool, or its list cannot be
    /// had.
    pub(crate) async fn tool(
        &self,
        route: &Arc<Route>,
        requester: &Requester,
        name: &str,
    ) -> Option<Box<str>> {
        let source: Arc<dyn Source> = Arc::new(upstream::RouteSource::new(route));
        let settings = &self.settings.catalogue;
        let (supply, _) = route.catalogues.list(&source, requester, ListKind::Tools, settings).await;
        let Supply::Held { value, .. } = supply else { return None };
        Some(value.item(value.find(name)?)?.text.into())
    }
}
