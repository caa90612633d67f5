//! What `mcpg approvals` and a running gateway say to each other: one line of JSON each way, over a socket below the state folder.
//!
//! The gateway knows who speaks from the kernel, never from what is said.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The longest line.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long either waits for the other.
pub const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Ask {
    /// What waits.
    List,
    /// An answer to what waits.
    Answer {
        /// The id.
        id: String,
        /// Yes or no.
        approve: bool,
        /// Why.
        reason: Option<String>,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said")]
pub enum Said {
    /// What waits.
    List {
        /// Oldest first.
        calls: Vec<Waiting>,
    },
    /// The answer counts.
    Done {
        /// How it ended.
        outcome: String,
    },
    /// Nothing waits under this id here.
    Unknown,
    /// It does not count.
    Refused {
        /// Why.
        reason: String,
    },
}

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of `Question`")]
pub struct Waiting {
    pub id: String,
    pub gate: String,
    pub scope: String,
    pub caller: String,
    pub binding: String,
    pub method: String,
    pub target: String,
    pub arguments: Option<String>,
    /// As UNIX times in seconds.
    pub asked: u64,
    pub deadline: u64,
}

/// Where the sockets of the gateways are that run on a state folder: during an upgrade there are two.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("approvals")
}

/// The socket of one gateway.
pub fn socket(state_dir: &Path, process: u32) -> PathBuf {
    folder(state_dir).join(format!("{process}.sock"))
}

/// Every socket that there is.
pub fn sockets(state_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(state_dir)).into_iter().flatten().flatten();
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sock");
    let mut sockets: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_socket).collect();
    sockets.sort();
    sockets
}

/// Whether the process that a socket belongs to still runs, or another one by its number.
pub fn is_served(socket: &Path) -> bool {
    let process = socket.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u32>().ok());
    process.is_some_and(|process| Path::new(&format!("/proc/{process}")).exists())
}
