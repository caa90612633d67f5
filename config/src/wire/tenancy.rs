//! `tenancy:` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::{binding, federation, pinning, plugins, server, sessions};

/// Whom this gateway serves, and how a request says for whom it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tenancy {
    /// The scope of the sections beside this one: `org/workspace/env`, each 2 to 40 of `a-z`, `0-9` and `-`. Default:
    /// `default/default/default`.
    pub(crate) scope: Option<String>,
    /// The label below the suffix that leads to that scope's organization. Default: the organization's slug.
    pub(crate) subdomain: Option<String>,
    /// Organizations by subdomain.
    pub(crate) subdomain_routing: SubdomainRouting,
    /// A header with `org/workspace/env`, believed from `server.trusted_proxies` and ignored from everyone else.
    pub(crate) header: Option<String>,
    /// Further scopes. Each has what a gateway of its own has at the top level.
    #[schemars(with = "Vec<FurtherScope>", length(max = 100_000))]
    #[serde(rename = "scopes")]
    pub(crate) _scopes: Vec<serde_json::Value>,
}

/// Organizations by subdomain.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SubdomainRouting {
    /// Whether a request's subdomain names its organization.
    pub(crate) enabled: bool,
    /// The domain below which the subdomains are, such as `mcpg.dev`.
    pub(crate) suffix: Option<String>,
}

impl FurtherScope {
    /// An entry that says nothing but the scope.
    pub(crate) fn of_scope(scope: String) -> Self {
        Self {
            scope: Some(scope),
            file: None,
            subdomain: None,
            hosts: Vec::new(),
            tls: None,
            _plugins: None,
            _bindings: None,
            _federation: federation::Federation::default(),
            _sessions: sessions::Sessions::default(),
            _pinning: pinning::Pinning::default(),
        }
    }
}

/// A further scope: its sections here, or in a file of their own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FurtherScope {
    /// `org/workspace/env`. Beside `file` it may be left to that file.
    pub(crate) scope: Option<String>,
    /// The file that a gateway of this scope alone would run. Its `server`, `audit`, `telemetry` and `state` do not hold here.
    pub(crate) file: Option<String>,
    /// The label below the suffix that leads to the scope's organization. Default: the organization's slug.
    pub(crate) subdomain: Option<String>,
    /// Hosts that are this scope's alone, with or without a port. They need not stand in `server.hosts`.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub(crate) hosts: Vec<String>,
    /// What the scope's hosts show and ask for on listeners with TLS, instead of the listener's.
    pub(crate) tls: Option<server::Tls>,
    /// The filters of the scope's pipeline.
    #[serde(default, rename = "plugins")]
    pub(crate) _plugins: Option<plugins::PluginsForm>,
    /// The scope's upstreams. At least one.
    #[serde(default, rename = "bindings")]
    #[schemars(length(min = 1, max = 1_000))]
    pub(crate) _bindings: Option<Vec<binding::Binding>>,
    /// How its bindings are served as one.
    #[serde(default, rename = "federation")]
    pub(crate) _federation: federation::Federation,
    /// Its sessions.
    #[serde(default, rename = "sessions")]
    pub(crate) _sessions: sessions::Sessions,
    /// What happens when an upstream's tool is not as it was.
    #[serde(default, rename = "pinning")]
    pub(crate) _pinning: pinning::Pinning,
}
