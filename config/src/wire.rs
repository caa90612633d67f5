//! The file as it is written: what serde reads and the JSON Schema describes. Private; nothing of it leaves the crate.
//!
//! The structure check walks the document along the schema of these types before serde sees it, so a range or a
//! key stated here is enforced, documented and completed by editors from the one statement. An empty key counts as absent.

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) mod audit;
pub(crate) mod binding;
pub(crate) mod control_plane;
pub(crate) mod federation;
pub(crate) mod pinning;
pub(crate) mod plugins;
pub(crate) mod server;
pub(crate) mod sessions;
pub(crate) mod telemetry;
pub(crate) mod tenancy;

/// The configuration of an MCPG gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "MCPG gateway configuration")]
#[expect(dead_code, reason = "read section by section; as a whole it is the schema's root")]
pub(crate) struct File {
    /// Where the gateway listens, whom it answers, and its limits.
    #[serde(default)]
    server: server::Server,
    /// Whom this gateway serves, and how a request says for whom it is.
    #[serde(default)]
    tenancy: tenancy::Tenancy,
    /// The filters of the pipeline: a map, or just its `load` list.
    #[serde(default)]
    plugins: Option<plugins::PluginsForm>,
    /// The upstreams. At least one, unless all scopes are in `tenancy.scopes`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1_000))]
    bindings: Option<Vec<binding::Binding>>,
    /// How several bindings are served as one at `/mcp`.
    #[serde(default)]
    federation: federation::Federation,
    /// Sessions of clients that speak a revision before 2026-07-28.
    #[serde(default)]
    sessions: sessions::Sessions,
    /// What happens when an upstream's tool is not as it was.
    #[serde(default)]
    pinning: pinning::Pinning,
    /// What the gateway keeps on disk besides the ledger.
    #[serde(default)]
    state: sessions::State,
    /// The ledger of decisions. On, with these defaults, whether or not it is configured.
    #[serde(default)]
    audit: audit::Audit,
    /// The log and trace context.
    #[serde(default)]
    telemetry: telemetry::Telemetry,
    /// The control plane that says what this gateway serves. Absent: this file says it alone.
    #[serde(default)]
    control_plane: Option<control_plane::ControlPlane>,
}

/// One text or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(#[schemars(length(min = 1, max = 16))] Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}
