//! `federation:`: how several bindings are served as one at `/mcp`.

use std::time::Duration;

pub(crate) mod read;

/// How several bindings are served as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Federation {
    /// What tools, prompts and resources are called.
    pub naming: Naming,
    /// Items on a page of a merged list. At least 1.
    pub page_size: usize,
    /// What is kept of the upstreams' lists.
    pub catalogue: Catalogue,
    /// How long `initialize` and `server/discover` wait for an upstream before they leave it out.
    pub initialize_timeout: Duration,
}

/// What tools, prompts and resources are called at `/mcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Bare with one binding, prefixed with several.
    Auto,
    /// `BINDING.NAME`, always.
    Prefixed,
    /// As the upstream calls them, except where two upstreams use one name.
    Bare,
}

/// What is kept of the upstreams' lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalogue {
    /// How long a list is fresh if its upstream does not say.
    pub ttl: Duration,
    /// How long a list that is no longer fresh is served while its upstream fails.
    pub stale: Duration,
    /// How long all pages of one list may take.
    pub fetch_timeout: Duration,
    /// Items of one upstream's list.
    pub items_max: usize,
    /// Bytes of one upstream's list, all pages together.
    pub bytes_max: usize,
}
