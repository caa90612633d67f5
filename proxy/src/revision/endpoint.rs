//! A path with the bindings behind it, and how things are named there.

use std::borrow::Cow;
use std::sync::Arc;

use mcpg_protocol::TargetKind;

use super::Route;
use crate::metrics::BindingMetrics;

/// A path with the bindings behind it.
pub struct Endpoint {
    /// The path, as clients ask for it.
    pub path: String,
    /// The bindings, in the order of the configuration. Never empty.
    pub routes: Vec<Arc<Route>>,
    /// How their things are named here.
    pub naming: Naming,
    /// Counters of requests for several bindings at once.
    pub metrics: BindingMetrics,
}

/// How the things of several bindings are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// As the upstream names them. Where two bindings name something alike, both are named as with [`Naming::Prefixed`].
    Bare,
    /// Tools, prompts and tasks `<binding>.<name>`, resources `<binding>+<uri>`.
    Prefixed,
}

impl Endpoint {
    /// The binding, where there is only one.
    pub fn only(&self) -> Option<&Arc<Route>> {
        match self.routes.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The binding of this id.
    pub fn route(&self, id: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.id == id)
    }

    /// Whether names here are the upstream's own, whatever the binding.
    pub fn is_transparent(&self) -> bool {
        self.naming == Naming::Bare && self.routes.len() == 1
    }

    /// The binding and its own name of a tool, prompt or task that is named with a prefix here.
    pub fn split_name<'n>(&self, name: &'n str) -> Option<(&Arc<Route>, &'n str)> {
        let (binding, own) = name.split_once('.')?;
        Some((self.route(binding)?, own))
    }

    /// The binding and its own URI of a resource or template that is named with a prefix here.
    pub fn split_uri<'n>(&self, uri: &'n str) -> Option<(&Arc<Route>, &'n str)> {
        let (binding, own) = uri.split_once('+')?;
        Some((self.route(binding)?, own))
    }

    /// The binding and its own name of something that is named with a prefix here.
    pub fn split<'n>(&self, kind: TargetKind, name: &'n str) -> Option<(&Arc<Route>, &'n str)> {
        match kind {
            TargetKind::Tool | TargetKind::Prompt | TargetKind::Task => self.split_name(name),
            TargetKind::Resource => self.split_uri(name),
        }
    }

    /// The name here of a binding's tool, prompt or task.
    pub fn name<'n>(&self, route: &Route, own: &'n str) -> Cow<'n, str> {
        match self.naming {
            Naming::Bare => Cow::Borrowed(own),
            Naming::Prefixed => Cow::Owned(format!("{}.{own}", route.id)),
        }
    }

    /// The URI here of a binding's resource or template.
    pub fn uri<'n>(&self, route: &Route, own: &'n str) -> Cow<'n, str> {
        match self.naming {
            Naming::Bare => Cow::Borrowed(own),
            Naming::Prefixed => Cow::Owned(format!("{}+{own}", route.id)),
        }
    }
}
