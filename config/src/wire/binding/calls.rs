//! `bindings[].calls` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many calls an upstream gets, how long they last, and when none are sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Calls {
    /// Calls that run at a time.
    #[schemars(range(min = 1, max = 65_535))]
    pub(crate) concurrency_max: usize,
    /// Calls that wait for one of those to end.
    #[schemars(range(min = 0, max = 65_535))]
    pub(crate) queue_max: usize,
    /// How long they wait, in milliseconds.
    #[schemars(range(min = 0, max = 300_000))]
    pub(crate) queue_timeout_ms: u64,
    /// How long a call may take in all, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) deadline_ms: u64,
    /// How often a request that is safe to repeat is sent again.
    #[schemars(range(min = 0, max = 5))]
    pub(crate) retries_max: u32,
    /// When an upstream that fails is left alone for a while, or `off`.
    pub(crate) breaker: Option<BreakerForm>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            concurrency_max: 256,
            queue_max: 256,
            queue_timeout_ms: 1_000,
            deadline_ms: 300_000,
            retries_max: 1,
            breaker: None,
        }
    }
}

/// The circuit breaker's settings, or whether there is one.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum BreakerForm {
    /// `false`: none.
    Is(bool),
    /// `off`: none.
    Word(OnOff),
    /// Its settings.
    Set(Breaker),
}

/// Whether there is one.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnOff {
    /// With the default settings.
    On,
    /// None.
    Off,
}

/// When an upstream that fails is left alone for a while.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Breaker {
    /// Failures within the window that open it.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) failures: u32,
    /// The window, in milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(crate) window_ms: u64,
    /// How long it stays open before one call may try, in milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(crate) open_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, window_ms: 10_000, open_ms: 5_000 }
    }
}
