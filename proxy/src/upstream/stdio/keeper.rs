//! The keeper: a small process of this very program between the gateway and each server that it starts.
//!
//! The gateway could start the server itself, but then whatever the server starts (`npx` starts a shell, which starts Node) would
//! outlive a gateway that is killed, and what leaves the process group would outlive even an orderly end. The keeper adopts
//! every descendant and ends them all when the server has ended, when it is told to, and when the gateway is gone.
//!
//! Two steps, both without unsafe code: [`Keep`] is the keeper; [`Become`] limits itself and turns into the server.
//!
//! INVARIANTS: the server inherits its three standard streams and no other descriptor; nothing of it is left when the keeper has
//! ended. Sources: `prctl(2)` (PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS), `pidfd_open(2)`. Decided in
//! docs/adr/0006.

mod descendants;
mod limits;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitStatus, getpid, getppid, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal, setsid,
};
use rustix::thread::set_no_new_privs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use descendants::Descendants;
pub use limits::Limits;

/// This program, as it runs: whatever lies at its path by now.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// For a server of which it is not known how it ended.
const UNKNOWN: u8 = 255;
/// What is added to a signal's number where a program ended by it.
const BY_SIGNAL: i32 = 128;

/// What the keeper is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Keep {
    /// The gateway's process: the keeper's parent.
    #[arg(long)]
    gateway: i32,
    /// How long everything may take to end after SIGTERM, in milliseconds.
    #[arg(long)]
    grace_ms: u64,
    #[command(flatten)]
    limits: Limits,
    /// The server: its program, then its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// What the process is told that turns into the server.
#[derive(Debug, Clone, clap::Args)]
pub struct Become {
    /// The keeper's process: the parent.
    #[arg(long)]
    keeper: i32,
    #[command(flatten)]
    limits: Limits,
    /// The server: its program, then its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Why a server was not started or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// A step of the preparation failed.
    #[error("cannot {what}")]
    Step {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Not started by whom it should have been, or that one is gone.
    #[error("the parent is not process {0}: this command is the gateway's own")]
    NotTheParent(i32),
    /// The program cannot be executed.
    #[error("cannot execute `{}`", .program.display())]
    Execute {
        /// Which.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Names what failed.
fn step<T>(what: &'static str, outcome: Result<T, impl Into<io::Error>>) -> Result<T, KeeperError> {
    outcome.map_err(|source| KeeperError::Step { what, source: source.into() })
}

impl Keep {
    /// The command line that makes this program a keeper.
    pub(super) fn command(
        launcher: &std::path::Path,
        grace: Duration,
        limits: &Limits,
        server: &[OsString],
    ) -> Command {
        let mut command = Command::new(launcher);
        command.arg0("mcpg").arg("keep");
        command.arg("--gateway").arg(getpid().as_raw_nonzero().to_string());
        command.arg("--grace-ms").arg(grace.as_millis().to_string());
        command.args(limits.arguments()).arg("--").args(server);
        command
    }

    /// Starts the server, and returns its exit code once it and all that it started have ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(self) -> Result<u8, KeeperError> {
        step("close inherited files", close_inherited())?;
        step("begin a session", setsid())?;
        step("adopt orphans", set_child_subreaper(Some(getpid())))?;
        step("give up new privileges", set_no_new_privs(true))?;
        let gateway = parent(self.gateway)?;
        let descriptor = step("watch the gateway", pidfd_open(gateway, PidfdFlags::empty()))?;
        // The descriptor is of the parent only if that was there before and after.
        parent(self.gateway)?;
        let gateway = step("watch the gateway", watch(descriptor))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = step("watch processes", runtime)?;
        runtime.block_on(self.keep(gateway))
    }

    async fn keep(self, mut gateway: oneshot::Receiver<()>) -> Result<u8, KeeperError> {
        let mut children = step("receive signals", signal(SignalKind::child()))?;
        let mut terminate = step("receive signals", signal(SignalKind::terminate()))?;
        let mut descendants = self.start()?;
        let grace = Duration::from_millis(self.grace_ms);
        let mut deadline: Option<Instant> = None;
        let mut gateway_is_gone = false;
        while !descendants.reap() {
            if descendants.server_exit().is_some() && deadline.is_none() {
                descendants.signal(Signal::TERM);
                deadline = Some(Instant::now() + grace);
            }
            let over = deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                _ = children.recv() => {}
                _ = terminate.recv() => {
                    descendants.signal(Signal::TERM);
                    deadline.get_or_insert_with(|| Instant::now() + grace);
                }
                _ = &mut gateway, if !gateway_is_gone => {
                    gateway_is_gone = true;
                    deadline = Some(Instant::now());
                }
                () = sleep_until(over), if deadline.is_some() && !descendants.is_killing() => {
                    descendants.kill();
                }
            }
        }
        Ok(exit_code(descendants.server_exit()))
    }

    /// Starts the server in a process group of its own, and lets go of its streams.
    fn start(&self) -> Result<Descendants, KeeperError> {
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("mcpg").arg("become");
        command.arg("--keeper").arg(getpid().as_raw_nonzero().to_string());
        command.args(self.limits.arguments()).arg("--").args(&self.command);
        let server = step("start a process", command.process_group(0).spawn())?;
        let nothing = std::fs::File::options().read(true).write(true).open("/dev/null");
        let nothing = step("open `/dev/null`", nothing)?;
        step("let go of the input", rustix::stdio::dup2_stdin(&nothing))?;
        step("let go of the output", rustix::stdio::dup2_stdout(&nothing))?;
        Ok(Descendants::of(Pid::from_child(&server)))
    }
}

impl Become {
    /// Turns into the server. Returns only if that fails.
    pub fn run(self) -> KeeperError {
        match self.prepare() {
            Ok(mut command) => {
                KeeperError::Execute { program: command.get_program().into(), source: command.exec() }
            }
            Err(error) => error,
        }
    }

    fn prepare(&self) -> Result<Command, KeeperError> {
        step("follow the keeper", set_parent_process_death_signal(Some(Signal::KILL)))?;
        // A keeper that ended before that line has sent nothing.
        parent(self.keeper)?;
        prefer_as_victim();
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(words);
        step("set limits", self.limits.apply())?;
        Ok(command)
    }
}

/// The parent, if it is the process that it should be.
fn parent(expected: i32) -> Result<Pid, KeeperError> {
    let parent = getppid().filter(|parent| parent.as_raw_nonzero().get() == expected);
    parent.ok_or(KeeperError::NotTheParent(expected))
}

/// Tells when a process is gone: its descriptor becomes readable then.
fn watch(process: OwnedFd) -> io::Result<oneshot::Receiver<()>> {
    let (gone, told) = oneshot::channel();
    let wait = move || {
        let mut descriptors = [PollFd::new(&process, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut descriptors, None) {}
        // Whoever does not listen any more is at its own end.
        let _ = gone.send(());
    };
    std::thread::Builder::new().name("gateway-watch".into()).spawn(wait)?;
    Ok(told)
}

/// Closes everything but the standard streams: what the gateway has open without close-on-exec, such as a listening socket that
/// it inherited or is about to hand to its successor.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // INVARIANT: nothing in this process owns a descriptor yet. That of the list itself is closed by now.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// When memory runs out, a server goes before the gateway. Where this cannot be said nothing is lost.
fn prefer_as_victim() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// As a shell says it. What ended without a word of its own was killed.
fn exit_code(status: Option<WaitStatus>) -> u8 {
    let code = status.and_then(|status| {
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| BY_SIGNAL + signal))
    });
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(UNKNOWN)
}
