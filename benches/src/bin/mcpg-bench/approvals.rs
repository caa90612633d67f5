//! Calls that wait for a person: what each costs the gateway in memory, that none costs a thread, and how many begin to wait in a
//! second.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use mcpg_benches::ladder::{Cores, Place};
use mcpg_benches::message;
use mcpg_benches::process::{Program, sibling};

use crate::idle::allowed;

/// Calls before the first reading: what the gateway needs for any number of them is there by then.
const WARM_UP: usize = 100;
/// Until freed memory has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The size of the arguments.
const BYTES: usize = 256;

/// Memory and threads of calls that wait for an approval.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Calls that wait.
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let calls = allowed(options.calls)?;
    let cores = Cores::choose()?;
    // Nobody is called: all of them wait.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let place = Place::new(&options.ladder, nobody)?;
    let mut command = Command::new(sibling("mcpg")?);
    command.args(["run", "--config"]).arg(place.configure("rungs/approvals.yaml")?);
    command.stdout(place.log()?).stderr(place.log()?);
    let mut gateway = Program::start("mcpg", &mut command, cores.proxy)?;
    gateway.wait_for(place.listen).with_context(|| place.explain("mcpg"))?;
    let mut waiting = Vec::with_capacity(calls);
    for _ in 0..WARM_UP.min(calls) {
        waiting.push(wait(place.listen).with_context(|| place.explain("mcpg"))?);
    }
    std::thread::sleep(SETTLE);
    let (before, threads) = (gateway.resident_kib()?, gateway.threads()?);
    let begun = Instant::now();
    while waiting.len() < calls {
        waiting.push(wait(place.listen).with_context(|| place.explain("mcpg"))?);
    }
    let took = begun.elapsed();
    std::thread::sleep(SETTLE);
    let (after, meanwhile) = (gateway.resident_kib()?, gateway.threads()?);
    let counted = calls.saturating_sub(WARM_UP).max(1);
    let each = after.saturating_sub(before) as f64 / counted as f64;
    println!(
        "{:<12}{:>10}{:>14}{:>14}{:>16}{:>12}{:>14}",
        "approvals", "waiting", "MiB in all", "KiB/call", "threads before", "meanwhile", "asked per s"
    );
    println!(
        "{:<12}{calls:>10}{:>14.1}{each:>14.2}{threads:>16}{meanwhile:>12}{:>14.0}",
        "wait",
        after as f64 / 1024.0,
        counted as f64 / took.as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes a call, and reads until it waits: the head of its stream.
fn wait(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&message::request("/mcp", 0, BYTES, None))?;
    let mut seen = Vec::new();
    let mut piece = [0; 2048];
    while !seen.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut piece).context("nothing is said")?;
        ensure!(count > 0, "the call ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    ensure!(seen.starts_with(b"HTTP/1.1 200"), "the call does not wait: {}", String::from_utf8_lossy(&seen));
    Ok(stream)
}
