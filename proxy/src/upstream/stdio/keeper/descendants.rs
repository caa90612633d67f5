//! The server and all that it started: who they are, and how they end.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, wait};

/// The server and all that it started.
///
/// INVARIANT: a child of the keeper stays known under its id until [`Descendants::reap`] has taken it, so no signal hits a
/// stranger.
pub(super) struct Descendants {
    server: Pid,
    exit: Option<WaitStatus>,
    killing: bool,
}

impl Descendants {
    /// Those of `server`, which leads a process group of its own.
    pub(super) fn of(server: Pid) -> Self {
        Self { server, exit: None, killing: false }
    }

    /// How the server ended, if it has.
    pub(super) fn server_exit(&self) -> Option<WaitStatus> {
        self.exit
    }

    /// Whether they are being killed.
    pub(super) fn is_killing(&self) -> bool {
        self.killing
    }

    /// Takes the children that have ended. Answers whether none is left: orphans of the server are children too.
    pub(super) fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.server => self.exit = Some(status),
                Ok(Some(_)) => {}
                // Whoever a killed process leaves behind has become a child.
                Ok(None) if self.killing => {
                    self.signal(Signal::KILL);
                    return false;
                }
                Ok(None) | Err(Errno::INTR) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Sends a signal to the server's group and to every orphan.
    pub(super) fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            let _ = kill_process_group(self.server, signal);
        }
        for orphan in children().into_iter().filter(|child| *child != self.server) {
            let _ = kill_process(orphan, signal);
        }
    }

    /// Kills them, and whoever turns up until none is left.
    pub(super) fn kill(&mut self) {
        self.killing = true;
        self.signal(Signal::KILL);
    }
}

/// The keeper's children: every process that names it as its parent. The kernel's own list
/// (`/proc/self/task/…/children`) is not built in everywhere.
fn children() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let keeper = getpid();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(keeper)).filter_map(Pid::from_raw).collect()
}

/// The fourth field of `/proc/<pid>/stat`. The second is the program's name in parentheses, with any character in it.
fn parent(pid: i32) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.split_at_checked(stat.iter().rposition(|byte| *byte == b')')? + 1)?;
    let parent = str::from_utf8(fields).ok()?.split_ascii_whitespace().nth(1)?;
    Pid::from_raw(parent.parse().ok()?)
}
