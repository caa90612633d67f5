//! `federation:` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How several bindings are served as one at `/mcp`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Federation {
    /// What tools, prompts and resources are called at `/mcp`.
    pub(crate) naming: Naming,
    /// Items on a page of a merged list.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) page_size: usize,
    /// What is kept of the upstreams' lists.
    pub(crate) catalogue: Catalogue,
    /// How long `initialize` and `server/discover` wait for an upstream before they leave it out, in milliseconds.
    #[schemars(range(min = 1, max = 300_000))]
    pub(crate) initialize_timeout_ms: u64,
}

impl Default for Federation {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            page_size: 1_000,
            catalogue: Catalogue::default(),
            initialize_timeout_ms: 5_000,
        }
    }
}

/// What tools, prompts and resources are called at `/mcp`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Naming {
    /// Bare with one binding, prefixed with several.
    #[default]
    Auto,
    /// `BINDING.NAME`, always.
    Prefixed,
    /// As the upstream calls them, except where two upstreams use one name: those are prefixed.
    Bare,
}

/// What is kept of the upstreams' lists.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Catalogue {
    /// How long a list is fresh if its upstream gives no `ttlMs`, in milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(crate) ttl_ms: u64,
    /// How long a list that is no longer fresh is served while its upstream fails, in milliseconds.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub(crate) stale_ms: u64,
    /// How long all pages of one upstream's list may take, in milliseconds.
    #[schemars(range(min = 1, max = 300_000))]
    pub(crate) fetch_timeout_ms: u64,
    /// Items of one upstream's list.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) items_max: usize,
    /// Bytes of one upstream's list, all pages together.
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub(crate) bytes_max: usize,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            ttl_ms: 60_000,
            stale_ms: 300_000,
            fetch_timeout_ms: 5_000,
            items_max: 20_000,
            bytes_max: 32 << 20,
        }
    }
}
