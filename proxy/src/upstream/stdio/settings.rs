//! A server that is a process, as it is to be run. Everything has been looked up by now.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::keeper::Limits;

/// A server that is a process.
#[derive(Clone)]
pub struct StdioSettings {
    /// The binding's id, for the log.
    pub binding: String,
    /// The scope that its callers are of.
    pub scope: mcpg_sdk::Scope,
    /// The absolute path of the program, then its arguments.
    pub command: Vec<OsString>,
    /// All of its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Who shares a process.
    pub sharing: Sharing,
    /// The revision that it speaks; none to find out.
    pub protocol: Option<mcpg_protocol::Revision>,
    /// The first and the longest wait before a process that ended is started again.
    pub backoff: (Duration, Duration),
    /// What it may use.
    pub limits: Limits,
    /// How long it may take to end once its input is closed.
    pub shutdown: Duration,
    /// Between two messages of an answer.
    pub read_timeout: Duration,
    /// For it to take one message.
    pub write_timeout: Duration,
    /// One message of it.
    pub line_bytes_max: usize,
}

/// Who shares a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// All callers use one process.
    Shared,
    /// Each session has a process of its own; so has each caller of a server without sessions.
    PerSession {
        /// Processes at a time.
        processes_max: usize,
        /// How long one is kept that nobody uses.
        idle: Duration,
    },
}

impl StdioSettings {
    /// Limits of a message of the process.
    pub(super) fn message(&self) -> mcpg_protocol::Limits {
        mcpg_protocol::Limits {
            body_bytes_max: self.line_bytes_max,
            depth_max: mcpg_protocol::Limits::DEPTH_CEILING,
            ..mcpg_protocol::Limits::default()
        }
    }
}
