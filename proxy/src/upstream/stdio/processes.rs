//! Where all processes of the gateway run: one runtime beside those that serve requests, so that a process outlives the request
//! that started it, and all end in good order when the gateway does.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

/// This program, as it runs: whatever lies at its path by now.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Threads that move what processes say. They mostly wait.
const THREADS: usize = 2;
/// How long processes may take to end when nobody waits for it.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// Where processes run.
pub struct Processes {
    launcher: PathBuf,
    runtime: OnceLock<Runtime>,
    stopping: watch::Sender<bool>,
    running: watch::Sender<usize>,
}

/// One running process, as [`Processes`] counts it.
pub(super) struct Running(watch::Sender<usize>);

impl Default for Processes {
    fn default() -> Self {
        Self::new(PathBuf::from(THIS_PROGRAM))
    }
}

impl Processes {
    /// Processes that the program at `launcher`, which is the gateway's own, starts and keeps.
    pub fn new(launcher: PathBuf) -> Self {
        Self {
            launcher,
            runtime: OnceLock::new(),
            stopping: watch::Sender::new(false),
            running: watch::Sender::new(0),
        }
    }

    /// Ends all processes, and returns once they have ended or `limit` has passed. Blocks: not for the request path. The answer
    /// is the number of those that are left.
    pub fn stop(&self, limit: Duration) -> usize {
        self.stopping.send_replace(true);
        let Some(runtime) = self.runtime.get() else { return 0 };
        let mut running = self.running.subscribe();
        let _ = runtime.block_on(async { timeout(limit, running.wait_for(|count| *count == 0)).await });
        *self.running.borrow()
    }

    /// The program that starts and keeps processes.
    pub(super) fn launcher(&self) -> &std::path::Path {
        &self.launcher
    }

    /// The runtime, which begins with the first process.
    pub(super) fn handle(&self) -> std::io::Result<&Handle> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.handle());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("mcpg-processes")
            .enable_all()
            .build()?;
        // Another may have been quicker: a runtime must not be dropped where one runs.
        if let Err(second) = self.runtime.set(runtime) {
            second.shutdown_background();
        }
        self.runtime.get().map(Runtime::handle).ok_or_else(|| std::io::Error::other("no runtime"))
    }

    /// Turns to `true` when all are to end.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Counts one more.
    pub(super) fn enter(&self) -> Running {
        self.running.send_modify(|count| *count += 1);
        Running(self.running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Drop for Processes {
    /// Ends all, and does not wait for it.
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        let Some(runtime) = self.runtime.take() else { return };
        let mut running = self.running.subscribe();
        let end = move || {
            let _ = runtime
                .block_on(async { timeout(END_TIME_MAX, running.wait_for(|count| *count == 0)).await });
            runtime.shutdown_background();
        };
        if let Err(error) = std::thread::Builder::new().name("mcpg-processes-end".into()).spawn(end) {
            tracing::error!(%error, "processes are left to end by themselves");
        }
    }
}
