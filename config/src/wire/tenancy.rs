//! `tenancy:` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// The scope that this gateway serves.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tenancy {
    /// `org/workspace/env`, each 2 to 40 of `a-z`, `0-9` and `-`. Default: `default/default/default`.
    pub(crate) scope: Option<String>,
    /// Scopes by subdomain. Not served by this build: only `enabled: false` is accepted.
    pub(crate) subdomain_routing: SubdomainRouting,
}

/// Scopes by subdomain.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SubdomainRouting {
    /// Whether a request's subdomain names its organization.
    pub(crate) enabled: bool,
    /// The domain below which the subdomains are, such as `mcpg.dev`.
    pub(crate) suffix: Option<String>,
}
