//! Everything that measures, as one program: it starts itself for the parts that run beside each other.
//!
//! One program, because linking is most of what building costs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line talks on its standard streams, and load comes from clients"
)]

mod approvals;
mod bare;
mod federated;
mod gate;
mod handshakes;
mod idle;
mod ladder;
mod load;
mod streams;
mod tenants;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

// The gateway's own allocator: what is compared differs in what it does, not in how it allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the gateway. See docs/PERFORMANCE.md.
#[derive(Parser)]
enum Command {
    /// The same load on the upstream alone, bare Pingora, the gateway stage by stage, and peers, in turns.
    Ladder(ladder::Options),
    /// Resident memory of idle keep-alive connections.
    Idle(idle::Options),
    /// Memory of open subscription streams.
    Streams(streams::Options),
    /// Memory and threads of calls that wait for an approval.
    Approvals(approvals::Options),
    /// Several servers behind one endpoint: their merged list, and a call by its prefix.
    Federated(federated::Options),
    /// Many tenants in one gateway: a call, their memory, a change.
    Tenants(tenants::Options),
    /// TLS handshakes beside bare Pingora.
    Handshakes(handshakes::Options),
    /// Instruction counts against their budgets.
    Gate(gate::Options),
    /// Load on one address, by hand.
    Load(load::Options),
    /// Pingora without filters.
    Bare(bare::Options),
    /// A server with one fixed answer.
    Upstream(upstream::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Ladder(options) => ladder::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Streams(options) => streams::run(&options),
        Command::Approvals(options) => approvals::run(&options),
        Command::Federated(options) => federated::run(&options),
        Command::Tenants(options) => tenants::run(&options),
        Command::Handshakes(options) => handshakes::run(&options),
        Command::Gate(options) => gate::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Bare(options) => bare::run(&options),
        Command::Upstream(options) => upstream::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("mcpg-bench: {error:#}");
        ExitCode::FAILURE
    })
}
