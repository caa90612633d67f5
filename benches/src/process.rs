//! Programs under measurement: pinned to a core, watched through `/proc`, and ended with the measurement.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
}

impl Program {
    /// Starts a command on one core.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, core: usize) -> anyhow::Result<Self> {
        let own = sched_getaffinity(None)?;
        // A child inherits the affinity of the thread that starts it.
        pin(core)?;
        let child = command.stdin(Stdio::null()).spawn();
        sched_setaffinity(None, &own)?;
        let program = command.get_program().display().to_string();
        let child = child.with_context(|| format!("cannot start `{program}`"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// When it ends first, or takes too long.
    pub fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIME_MAX;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("`{}` ended before it was ready: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("`{}` does not listen on {address}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it cannot be asked, or takes too long.
    pub fn end(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + READY_TIME_MAX;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("`{}` does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far by its threads, to the nanosecond: `/proc/PID/stat` counts in ticks of 10 ms, too coarse for short
    /// rounds. Threads that have ended are not in it; what is measured here has none.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let gone = || format!("`{}` is gone", self.name);
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid())).with_context(gone)? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat")).with_context(gone)?;
            let on_cpu = schedstat.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
            nanos += on_cpu.context("the kernel keeps no `schedstat`")?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let figure = line.split_whitespace().next().context("no VmRSS")?;
        Ok(figure.parse()?)
    }

    /// How many threads it has.
    ///
    /// # Errors
    /// When it has ended.
    pub fn threads(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.pid()))?.count())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing to do if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cores that this process may use.
///
/// # Errors
/// When the system does not say.
pub fn cores() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Pins the calling thread, and what it starts from here on, to one core.
///
/// # Errors
/// When the core is not ours.
pub fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot use core {core}"))
}

/// An address that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// The path of a program, if it is installed.
pub fn find(program: impl AsRef<OsStr>) -> Option<std::path::PathBuf> {
    let program = program.as_ref();
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// A program built beside this one.
///
/// # Errors
/// When it is not there.
pub fn sibling(name: &str) -> anyhow::Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().context("no folder")?.join(name);
    if path.is_file() { Ok(path) } else { bail!("`{}` is not built: run `make bench`", path.display()) }
}
