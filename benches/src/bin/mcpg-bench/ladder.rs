//! Measures the ladder and prints a table for each body size. See `benches/ladder/README.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::Args;
use mcpg_benches::ladder::{Plan, RUNGS, Rung, climb, table};

/// The same load on every rung, in turns.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Rungs to measure, by name; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Leave the peers out.
    #[arg(long)]
    no_peers: bool,
    /// Rounds: many and short, so that both sides of a ratio see the same moods of the machine.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// Seconds for each rung in each round.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
    /// Sizes of bodies, both ways.
    #[arg(long, value_delimiter = ',', default_values_t = [1024, 16 * 1024])]
    bytes: Vec<usize>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    ensure!(options.rounds > 0, "at least one round");
    let rungs = rungs(options)?;
    for bytes in &options.bytes {
        let plan = Plan {
            ladder: options.ladder.clone(),
            rungs: rungs.clone(),
            rounds: options.rounds,
            time: Duration::from_secs_f64(options.seconds),
            bytes: *bytes,
            connections: options.connections,
        };
        let rows = climb(&plan, &mut |line| eprintln!("ladder: {line}"))?;
        println!("{}", table(*bytes, &rows));
    }
    Ok(ExitCode::SUCCESS)
}

fn rungs(options: &Options) -> anyhow::Result<Vec<Rung>> {
    for name in &options.only {
        if !RUNGS.iter().any(|rung| rung.name == name) {
            let known: Vec<&str> = RUNGS.iter().map(|rung| rung.name).collect();
            return Err(anyhow!("no rung is called `{name}`; there are {}", known.join(", ")));
        }
    }
    let wanted = |rung: &&Rung| options.only.is_empty() || options.only.iter().any(|name| name == rung.name);
    Ok(RUNGS.iter().filter(wanted).filter(|rung| !(options.no_peers && rung.is_peer())).copied().collect())
}
