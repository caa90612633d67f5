//! The real MCP server behind the gateway under test.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Process, binaries, until};

/// A running `mcpg-fixture`.
#[derive(Debug)]
pub struct Fixture {
    address: SocketAddr,
    // Dropped before the folder that holds its log.
    process: Process,
    _folder: TempDir,
}

impl Fixture {
    /// Starts the server on a free port and waits until it accepts connections.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts the server with more arguments, such as `--json`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// Starts the server on an address of one's own choice.
    pub fn start_at(listen: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("cannot make a folder");
        let mut command = Command::new(binaries::fixture());
        command.args(["--listen", listen]).args(arguments);
        let mut process = Process::start("mcpg-fixture", &mut command, &folder.path().join("fixture.log"));
        let address = until("the fixture should announce its address", || {
            if let Some(status) = process.exited() {
                panic!("the fixture ended with {status}: {}", process.log());
            }
            announced(&process.log())
        });
        Self { address, process, _folder: folder }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// What was asked, oldest first, if the server was started with `--note-requests`.
    pub fn requests(&self) -> Vec<Value> {
        let log = self.process.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The process, to signal it or to read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Only a line that is written to its end counts.
fn announced(log: &str) -> Option<SocketAddr> {
    let (line, _) = log.split_once("listening on http")?.1.split_once('\n')?;
    line.split_once("://")?.1.split('/').next()?.parse().ok()
}
