//! `sessions:` and `state:` as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::OneOrMany;

/// Sessions of clients that speak a revision before 2026-07-28.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    /// The keys that session tokens are sealed with: `$secret://` references to 32 bytes as 64 hexadecimal digits or base64. The
    /// first seals, all open. Default: one that is made at the first start, in `state.dir`.
    pub(crate) keys: Option<OneOrMany>,
    /// How long a session lasts, in milliseconds.
    #[schemars(range(min = 1_000, max = 31_536_000_000_u64))]
    pub(crate) ttl_ms: u64,
    /// Sessions of which this gateway keeps what is not in the token (log level, subscriptions, running requests).
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) local_max: usize,
    /// How long a call waits for what its upstream asked of the client, in milliseconds.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub(crate) input_timeout_ms: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { keys: None, ttl_ms: 86_400_000, local_max: 100_000, input_timeout_ms: 300_000 }
    }
}

/// What the gateway keeps on disk besides the ledger.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct State {
    /// The folder, below that of this file if relative.
    pub(crate) dir: String,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: "./state".to_owned() }
    }
}
