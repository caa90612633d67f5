//! A binding's keys for an MCP server that the gateway starts, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// A program, or a program and its arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Command {
    /// The program alone; its arguments may be in `args`.
    Program(String),
    /// The program and its arguments.
    Line(#[schemars(length(min = 1, max = 256))] Vec<String>),
}

/// Who shares a process.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sharing {
    /// All callers use one process.
    Shared,
    /// Each session has a process of its own.
    PerSession,
}

/// How soon a process that ended is started again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restart {
    /// The first wait, in milliseconds; it doubles each time.
    #[schemars(range(min = 1, max = 600_000))]
    pub(crate) backoff_ms: u64,
    /// The longest wait, in milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(crate) backoff_max_ms: u64,
}

impl Default for Restart {
    fn default() -> Self {
        Self { backoff_ms: 500, backoff_max_ms: 30_000 }
    }
}

/// What a process may use. An absent one is not limited beyond what the gateway itself is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProcessLimits")]
pub(crate) struct Limits {
    /// Bytes of address space (`RLIMIT_AS`).
    #[schemars(range(min = 1_048_576))]
    pub(crate) memory_bytes_max: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(crate) open_files_max: Option<u64>,
    /// Seconds of processor time over the life of a process (`RLIMIT_CPU`).
    #[schemars(range(min = 1))]
    pub(crate) cpu_seconds_max: Option<u64>,
    /// Bytes of a file that it writes (`RLIMIT_FSIZE`).
    #[schemars(range(min = 0))]
    pub(crate) file_bytes_max: Option<u64>,
}

/// The environment: names and values.
pub(crate) type Environment = BTreeMap<String, String>;
