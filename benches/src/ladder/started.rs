//! What runs during a measurement: the upstream and a rung in front of it, each on its core.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::{Place, Rung};
use crate::load::{Load, Session};
use crate::process::{Program, cores, free_address};

/// Which core is whose: the proxy has one for itself as far as we decide it; load and upstream share the other.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// The proxy's.
    pub proxy: usize,
    /// The load's and the upstream's.
    pub load: usize,
}

/// The upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    _program: Program,
}

/// A rung that is up.
#[derive(Debug)]
pub struct Started {
    /// Which.
    pub rung: Rung,
    program: Option<Program>,
    address: SocketAddr,
    key: Option<String>,
    tools: usize,
    place: Place,
}

impl Cores {
    /// The first and the last of the cores that this process may use.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn choose() -> anyhow::Result<Self> {
        let cores = cores()?;
        let (proxy, load) = cores.first().zip(cores.last()).context("no core")?;
        Ok(Self { proxy: *proxy, load: *load })
    }
}

impl Upstream {
    /// Starts it, with answers of `bytes`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(bytes: usize, cores: Cores) -> anyhow::Result<Self> {
        Self::with_tools(bytes, 1, cores)
    }

    /// The same, listing so many tools.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_tools(bytes: usize, tools: usize, cores: Cores) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["upstream", "--listen", &address.to_string(), "--bytes", &bytes.to_string()]);
        command.args(["--tools", &tools.to_string()]);
        let mut program = Program::start("upstream", &mut command, cores.load)?;
        program.wait_for(address)?;
        Ok(Self { address, _program: program })
    }
}

impl Started {
    /// Starts a rung. None if it is not installed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn new(
        rung: Rung,
        ladder: &Path,
        upstream: SocketAddr,
        cores: Cores,
    ) -> anyhow::Result<Option<Self>> {
        let place = Place::new(ladder, upstream)?;
        let Some(ready) = rung.prepare(&place)? else { return Ok(None) };
        let (program, address) = match ready.command {
            Some(mut command) => {
                let mut program = Program::start(rung.name, &mut command, cores.proxy)?;
                program.wait_for(place.listen).with_context(|| place.explain(rung.name))?;
                (Some(program), place.listen)
            }
            None => (None, upstream),
        };
        Ok(Some(Self { rung, program, address, key: ready.key, tools: rung.tools, place }))
    }

    /// The program, unless the rung is the upstream itself.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// Opens connections to it.
    ///
    /// # Errors
    /// When it does not accept one.
    pub fn session(&self, bytes: usize, connections: usize) -> anyhow::Result<Session> {
        let requests = (0..self.tools)
            .map(|tool| crate::message::request("/mcp", tool, bytes, self.key.as_deref()))
            .collect();
        Session::open(&Load { address: self.address, requests, connections }).with_context(|| self.explain())
    }

    /// What it has logged, for an error message.
    pub fn explain(&self) -> String {
        self.place.explain(self.rung.name)
    }
}
