//! Load by hand: so many requests, or for so long, against one address. For `strace`, `callgrind` and a look around.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mcpg_benches::load::{Load, Session, Until};
use mcpg_benches::message;

/// Sends the same call again and again.
#[derive(Args)]
pub(crate) struct Options {
    /// The server.
    address: SocketAddr,
    /// The path.
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// The size of the body.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many requests; without it the time decides.
    #[arg(long)]
    requests: Option<u64>,
    /// How long, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// An API key.
    #[arg(long, env = "MCPG_BENCH_KEY")]
    key: Option<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let request = message::request(&options.path, 0, options.bytes, options.key.as_deref());
    let mut session = Session::open(&Load {
        address: options.address,
        requests: vec![request],
        connections: options.connections,
    })?;
    let time = Until::Elapsed(Duration::from_secs_f64(options.seconds));
    let done = session.run(options.requests.map_or(time, Until::Requests))?;
    println!("{} requests in {:.2?}, {:.0} per second", done.requests, done.elapsed, done.rate());
    Ok(ExitCode::SUCCESS)
}
