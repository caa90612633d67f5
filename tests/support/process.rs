//! A child process with its output in a file, killed when it is dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, kill_process};

use crate::until;

/// A signal to send to a [`Process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: reload.
    Hangup,
    /// SIGKILL: die.
    Kill,
    /// SIGQUIT: hand over and leave.
    Quit,
    /// SIGTERM: drain and stop.
    Terminate,
    /// SIGUSR2: upgrade.
    User2,
}

impl Signal {
    fn number(self) -> rustix::process::Signal {
        match self {
            Self::Hangup => rustix::process::Signal::HUP,
            Self::Kill => rustix::process::Signal::KILL,
            Self::Quit => rustix::process::Signal::QUIT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::User2 => rustix::process::Signal::USR2,
        }
    }
}

/// Sends a signal to a process that a process under test has started. It may have ended already.
pub fn signal(id: u32, signal: Signal) {
    let _ = kill_process(pid(id), signal.number());
}

/// Whether a process is there, and not merely waiting to be reaped.
pub fn process_exists(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state stands behind the program's name, which is in parentheses.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output and errors in the file `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("cannot open the log");
        let errors = output.try_clone().expect("cannot share the log");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, child, log: log.to_owned() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the process has written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal.number())
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Lets no file of the process grow beyond so many bytes from now on (RLIMIT_FSIZE; `u64::MAX` lifts it). Where
    /// SIGXFSZ is ignored, a write beyond fails as on a full disk.
    pub fn limit_file_size(&self, bytes: u64) {
        let limit = rustix::process::Rlimit {
            current: Some(bytes).filter(|bytes| *bytes != u64::MAX),
            maximum: None,
        };
        rustix::process::prlimit(Some(self.pid()), rustix::process::Resource::Fsize, limit)
            .unwrap_or_else(|error| panic!("cannot limit {}: {error}", self.name));
    }

    /// How the process ended; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("cannot ask for the exit status")
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} should end", self.name);
        until(&what, || self.exited())
    }

    fn pid(&self) -> Pid {
        pid(self.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {} wrote:\n{}----", self.name, self.log());
        }
    }
}

/// A process that a process under test has started and left behind: killed when it is dropped.
#[derive(Debug)]
pub struct Orphan(Pid);

impl Orphan {
    /// Takes responsibility for a process.
    pub fn adopt(id: u32) -> Self {
        Self(pid(id))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process(self.0, rustix::process::Signal::KILL);
    }
}

fn pid(id: u32) -> Pid {
    let id = i32::try_from(id).expect("process ids are small");
    Pid::from_raw(id).expect("process ids are positive")
}
