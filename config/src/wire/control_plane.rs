//! `control_plane:` as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::OneOrMany;
use crate::wire::binding::Tls;

/// The control plane that says what this gateway serves. Absent: this file says it alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlPlane {
    /// Its address: `https://HOST[:PORT]`; `http://` on this machine only.
    pub(crate) url: String,
    /// How its certificate is judged. Only with `https://`.
    pub(crate) tls: Option<Tls>,
    /// Blocks of addresses (CIDR), one or a list, that the URL's name may have although they are not public. Default: none. An IP
    /// address or `localhost` in the URL needs none.
    pub(crate) allow_addresses: Option<OneOrMany>,
    /// `$secret://` references to enrollment tokens, one for each environment that the gateway is to serve. Each is used once; after that
    /// it may be gone.
    pub(crate) enroll_token: Option<OneOrMany>,
    /// What the gateway is called there: 2 to 40 of `a-z`, `0-9` and `-`. Default: the machine's host name.
    pub(crate) name: Option<String>,
    /// What revisions can be staged by: up to 20, such as `region: eu`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20))]
    pub(crate) labels: BTreeMap<String, String>,
    /// How often the gateway says how it is, in milliseconds.
    #[serde(default = "heartbeat_ms")]
    #[schemars(range(min = 1_000, max = 600_000))]
    pub(crate) heartbeat_ms: u64,
    /// Whether the audit rows of its environments go to the control plane: decisions, outcomes and what happened to the log, as they are in it.
    #[serde(default = "yes")]
    pub(crate) audit: bool,
    /// The secrets of this machine that revisions may name.
    #[serde(default)]
    pub(crate) secrets: Secrets,
    /// Blocks of addresses (CIDR), one or a list, that revisions may have the gateway dial although they are not public. Default: none.
    pub(crate) networks: Option<OneOrMany>,
}

fn yes() -> bool {
    true
}

fn heartbeat_ms() -> u64 {
    10_000
}

/// The secrets of this machine that revisions may name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ControlPlaneSecrets")]
pub(crate) struct Secrets {
    /// What the names of environment variables begin with that may be named as `$secret://env/NAME`. Default: none may.
    pub(crate) env_prefix: Option<String>,
    /// The folder of the files that may be named as `$secret://file/PATH`, by paths relative to it. Default: none may.
    pub(crate) dir: Option<String>,
}
