//! A binding's process: an MCP server that the gateway starts and speaks to over standard input and output.

use std::path::PathBuf;
use std::time::Duration;

use crate::Text;

pub(crate) mod read;

/// An MCP server that the gateway starts.
#[derive(Debug, Clone, PartialEq)]
pub struct StdioTransport {
    /// The program: a path, or a name without `/` to be searched for in `PATH`. Never empty.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, by name; nothing else is in it but `inherit_env`, and `PATH`, `HOME` and `LANG`.
    pub env: Vec<(String, Text)>,
    /// Variables that it gets from the gateway's own environment. None is in `env` too.
    pub inherit_env: Vec<String>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Who shares a process.
    pub sharing: Sharing,
    /// How soon a process that ended is started again.
    pub restart: Restart,
    /// What it may use.
    pub limits: ProcessLimits,
    /// How long it may take to end once its input is closed.
    pub shutdown: Duration,
    /// Between two messages of an answer.
    pub read_timeout: Duration,
    /// One write of a message.
    pub write_timeout: Duration,
}

/// Who shares a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// All callers use one process.
    Shared,
    /// Each session has a process of its own.
    PerSession {
        /// Processes at a time. At least 1.
        processes_max: usize,
        /// How long one is kept that nobody uses.
        idle_timeout: Duration,
    },
}

/// How soon a process that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The first wait; it doubles each time.
    pub backoff: Duration,
    /// The longest wait. Not below `backoff`.
    pub backoff_max: Duration,
}

/// What a process may use; none for what the gateway itself may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of address space (`RLIMIT_AS`).
    pub memory_bytes_max: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    pub open_files_max: Option<u64>,
    /// Seconds of processor time (`RLIMIT_CPU`).
    pub cpu_seconds_max: Option<u64>,
    /// Bytes of a file that it writes (`RLIMIT_FSIZE`).
    pub file_bytes_max: Option<u64>,
}
