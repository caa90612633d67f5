//! `mcpg-loadtest`: scenarios, each with its own figures.

use clap::{Parser, Subcommand};
use mcpg_loadtest::{audit, fleet, strangers};

#[derive(Debug, Parser)]
#[command(name = "mcpg-loadtest", version, about)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Many gateways on one control plane: how long from a publish to every gateway's word on it.
    Fleet(fleet::Settings),
    /// Whether the time of an answer tells what belongs to others from what does not exist.
    Strangers(strangers::Settings),
    /// Many audit rows in one control plane: how fast they are taken over, found, handed out and verified.
    Audit(audit::Settings),
}

fn main() -> anyhow::Result<()> {
    let Arguments { scenario } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match scenario {
        Scenario::Fleet(settings) => runtime.block_on(fleet::run(settings)),
        Scenario::Strangers(settings) => runtime.block_on(strangers::run(settings)),
        Scenario::Audit(settings) => runtime.block_on(audit::run(settings)),
    }
}
