//! `tenancy:`: whom this gateway serves, and how a request says for whom it is.

use mcpg_sdk::Scope;

use crate::{HostPattern, ListenerTls};

pub(crate) mod names;
pub(crate) mod read;
pub(crate) mod scopes;

/// Whom a configuration serves, and how a request says that it is for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// The scope of the plugins, bindings and other sections beside this.
    pub scope: Scope,
    /// The label below the suffix that leads to the scope's organization, in lower case.
    pub subdomain: String,
    /// Hosts that are the scope's alone. Those of the top level's scope are in `Server::hosts`.
    pub hosts: Vec<HostPattern>,
    /// What its hosts show and ask for on listeners with TLS; none for what the listener does.
    pub tls: Option<ListenerTls>,
    /// Whether the scope is the top level's, rather than one of `tenancy.scopes`.
    pub is_top_level: bool,
    /// The organization of the top level's scope, whose log is in `Audit::dir` itself.
    pub top_organization: String,
    /// The domain below which one label names an organization, in lower case; none if subdomains name nothing.
    pub suffix: Option<String>,
    /// The header that names a scope, in lower case; believed from trusted proxies only.
    pub header: Option<String>,
}
