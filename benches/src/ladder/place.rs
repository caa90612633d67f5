//! Where a rung keeps its files, and the addresses in its configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::process::free_address;

/// A folder of its own, the address to listen on and that of the upstream.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
    ladder: PathBuf,
    /// Where the rung listens.
    pub listen: SocketAddr,
    /// The upstream behind it.
    pub upstream: SocketAddr,
}

impl Place {
    /// Makes the folder, below `target/` so that audit rows go to a disk and not to memory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(ladder: &Path, upstream: SocketAddr) -> anyhow::Result<Self> {
        let base = std::env::current_exe()?;
        let dir =
            tempfile::Builder::new().prefix("ladder-").tempdir_in(base.parent().context("no folder")?)?;
        let ladder = fs::canonicalize(ladder).with_context(|| format!("no `{}`", ladder.display()))?;
        Ok(Self { dir, ladder, listen: free_address()?, upstream })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Fills in a configuration of `benches/ladder` and puts it into the folder.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn configure(&self, name: &str) -> anyhow::Result<PathBuf> {
        let from = self.ladder.join(name);
        let text = fs::read_to_string(&from).with_context(|| format!("cannot read `{}`", from.display()))?;
        let values = [
            ("${LISTEN}", self.listen.to_string()),
            ("${LISTEN_PORT}", self.listen.port().to_string()),
            ("${UPSTREAM}", self.upstream.to_string()),
            ("${UPSTREAM_PORT}", self.upstream.port().to_string()),
            ("${DIR}", self.dir().display().to_string()),
            ("${LADDER}", self.ladder.display().to_string()),
        ];
        let text = values.iter().fold(text, |text, (name, value)| text.replace(name, value));
        let to = self.dir().join(from.file_name().context("no file name")?);
        fs::write(&to, text)?;
        Ok(to)
    }

    /// A file to log into.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn log(&self) -> anyhow::Result<Stdio> {
        Ok(fs::File::options().create(true).append(true).open(self.log_path())?.into())
    }

    /// What a program has logged, for an error message.
    pub fn explain(&self, name: &str) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        format!(
            "{name} failed; its log ends with:\n{}",
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("log")
    }
}
