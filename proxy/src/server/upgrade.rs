//! Upgrade without a gap: the running process starts its successor with the same sockets; once that serves, it tells
//! the old one to drain.
//!
//! The successor is the program at the path that this process was started from, with the same arguments. While both run,
//! both accept; connections that wait in a socket's queue are served by whoever comes first, so none is lost.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use sd_notify::NotifyState;

use super::program;
use crate::sockets::Sockets;

/// Names the process to relieve.
const PREDECESSOR: &str = "MCPG_PREDECESSOR_PID";

/// Starts a successor, or relieves a predecessor.
pub(super) struct Upgrade {
    sockets: Arc<Sockets>,
    program: std::io::Result<PathBuf>,
    successor: Mutex<Option<Child>>,
}

impl Upgrade {
    /// Remembers where the program is.
    pub(super) fn new(sockets: Arc<Sockets>) -> Self {
        Self { sockets, program: program(), successor: Mutex::new(None) }
    }

    /// Starts the program again with this process's sockets. This process goes on until it is told to stop.
    pub(super) fn start_successor(&self) {
        if self.has_successor() {
            tracing::warn!("an upgrade is under way already");
            return;
        }
        match self.spawn() {
            Ok(child) => {
                tracing::info!(pid = child.id(), "successor started");
                *self.successor.lock() = Some(child);
            }
            Err(error) => tracing::error!(%error, "successor not started, this process goes on"),
        }
    }

    /// Whether a successor runs that this process started.
    pub(super) fn has_successor(&self) -> bool {
        self.successor.lock().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let program =
            self.program.as_ref().map_err(|error| anyhow::anyhow!("unknown program path: {error}"))?;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).env(PREDECESSOR, getpid().as_raw_nonzero().to_string());
        let passed = self.sockets.pass_on(&mut command)?;
        let child = command.spawn()?;
        drop(passed);
        Ok(child)
    }

    /// Tells the process that started this one to drain, now that this one serves.
    pub(super) fn relieve_predecessor(&self) {
        let Some(predecessor) = std::env::var(PREDECESSOR).ok().and_then(|pid| pid.parse::<i32>().ok())
        else {
            return;
        };
        // Only a parent can have started this process: a stale variable never hits a stranger.
        let Some(parent) = getppid().filter(|parent| parent.as_raw_nonzero().get() == predecessor) else {
            return;
        };
        if let Err(error) = sd_notify::notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready])
        {
            tracing::warn!(%error, "the service manager was not told of the new main process");
        }
        relieve(parent);
    }
}

fn relieve(parent: Pid) {
    match kill_process(parent, Signal::TERM) {
        Ok(()) => tracing::info!(pid = parent.as_raw_nonzero().get(), "predecessor relieved"),
        Err(error) => tracing::error!(%error, "predecessor not told to stop"),
    }
}
