//! The programs that the quickstart starts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::output::say;

/// How long a program may take to stop: longer than it drains.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Lines of a log that are shown.
const LINES: usize = 20;
/// Bytes of a log that are looked at for them.
const LOG_BYTES_MAX: u64 = 64 * 1024;

/// A program that runs. It is killed where it is dropped.
pub(super) struct Child {
    name: &'static str,
    process: tokio::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a program with its output in a file. Ctrl-C in a terminal is not for it: it is stopped in its turn.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::Failed(format!("cannot start the {name}, `{}`: {error}", program.display()))
        };
        let output = File::create(log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut command = tokio::process::Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["attend", "--parent"]).arg(std::process::id().to_string()).arg("--").arg(program);
        command.args(arguments).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).kill_on_drop(true);
        let process = command.spawn().map_err(failed)?;
        Ok(Self { name, process, log: log.to_owned() })
    }

    /// Whether it has ended: then what it said last is told.
    pub(super) fn ended(&mut self) -> Option<Failure> {
        let how = match self.process.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        say(&self.last_lines());
        Some(Failure::Failed(format!("the {} has ended by itself: {how}", self.name)))
    }

    /// The last lines of its log, under its name.
    pub(super) fn last_lines(&self) -> String {
        let text = tail(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.iter().skip(lines.len().saturating_sub(LINES));
        let shown: Vec<String> = shown.map(|line| format!("  {line}")).collect();
        format!("the {} has said last ({}):\n{}", self.name, self.log.display(), shown.join("\n"))
    }

    /// Stops it in good order; kills it where it takes too long.
    pub(super) async fn stop(mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process(id, Signal::TERM);
        }
        if tokio::time::timeout(STOP_WITHIN, self.process.wait()).await.is_err() {
            say(&format!(
                "the {} has not stopped within {} s and is killed",
                self.name,
                STOP_WITHIN.as_secs()
            ));
            let _ = self.process.kill().await;
        }
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
