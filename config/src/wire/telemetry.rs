//! `telemetry:` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log and trace context.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// The log on standard error.
    pub(crate) log: Log,
    /// Trace context.
    pub(crate) traces: Traces,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

/// What is counted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Scopes that are counted each by itself, in the order of the file. Those beyond share the labels `other`.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) scopes_max: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { scopes_max: 200 }
    }
}

/// The log on standard error.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// The least severe level that is written.
    pub(crate) level: Level,
    /// One record's form.
    pub(crate) format: Format,
}

/// How severe a record is.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Only failures.
    Error,
    /// And what will become one.
    Warn,
    /// And what an operator wants to know.
    #[default]
    Info,
    /// And how decisions came about.
    Debug,
    /// And every step.
    Trace,
}

/// A record's form.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Trace context.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Traces {
    /// How trace context travels.
    pub(crate) propagation: Propagation,
}

/// How trace context travels.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Propagation {
    /// W3C Trace Context, in HTTP headers and `_meta`.
    #[default]
    W3c,
    /// Not at all.
    Off,
}
