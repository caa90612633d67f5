//! Memory of idle connections: opens many keep-alive connections, makes one call on each, and reads the proxy's resident
//! memory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mcpg_benches::ladder::{Cores, RUNGS, Rung, Started, Upstream};
use mcpg_benches::load::Until;
use mcpg_benches::process::Program;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Calls under way at a time while connections are opened.
const AT_ONCE: usize = 50;
/// Calls before the first reading.
const WARM_UP: u64 = 5000;
/// The size of both bodies.
const BYTES: usize = 1024;
/// Until freed memory has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Descriptors beside the connections themselves.
const SPARE: u64 = 1000;

/// Resident memory of idle keep-alive connections.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Connections.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Which rungs of the ladder.
    #[arg(long, value_delimiter = ',', default_value = "bare,written,nginx,envoy")]
    only: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let connections = allowed(options.connections)?;
    println!("{:<12}{:>14}{:>14}{:>16}", "idle", "connections", "MiB in all", "KiB/connection");
    for rung in RUNGS.iter().filter(|rung| options.only.iter().any(|name| name == rung.name)) {
        match measure(rung, options, connections)? {
            Some((before, after)) => {
                let each = after.saturating_sub(before) as f64 / connections as f64;
                println!("{:<12}{connections:>14}{:>14.1}{each:>16.2}", rung.name, after as f64 / 1024.0);
            }
            None => eprintln!("mcpg-bench: skipped {}: it is not installed", rung.name),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Resident KiB after the first calls, and with every connection idle.
fn measure(rung: &Rung, options: &Options, connections: usize) -> anyhow::Result<Option<(u64, u64)>> {
    let cores = Cores::choose()?;
    let upstream = Upstream::start(BYTES, cores)?;
    let Some(started) = Started::new(*rung, &options.ladder, upstream.address, cores)? else {
        return Ok(None);
    };
    let resident = || started.program().map_or(Ok(0), Program::resident_kib);
    started.session(BYTES, AT_ONCE)?.run(Until::Requests(WARM_UP))?;
    let before = resident()?;
    let mut open = Vec::new();
    for opened in (0..connections).step_by(AT_ONCE) {
        let count = AT_ONCE.min(connections - opened);
        let mut session = started.session(BYTES, count)?;
        session.run(Until::Requests(count as u64))?;
        open.push(session);
    }
    std::thread::sleep(SETTLE);
    Ok(Some((before, resident()?)))
}

/// Raises the limit of descriptors as far as it goes; programs started from here inherit it.
pub(crate) fn allowed(wanted: usize) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum })?;
    let allowed = usize::try_from(hard.saturating_sub(SPARE)).unwrap_or(usize::MAX);
    if allowed < wanted {
        eprintln!("mcpg-bench: the limit of descriptors ({hard}) allows {allowed} connections only");
    }
    Ok(allowed.min(wanted))
}
