//! Many tenants in one gateway: what a call costs with so many of them, what each costs in memory, and how long it takes to start and
//! to change one of them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use mcpg_benches::ladder::{Cores, Place, Upstream, median};
use mcpg_benches::load::{Load, Session, Until};
use mcpg_benches::message;
use mcpg_benches::process::{Program, free_address, sibling};

const BYTES: usize = 1024;
const CONNECTIONS: usize = 16;
/// Organizations have a ledger each; the tenants are spread over so many.
const ORGANIZATIONS: usize = 16;
/// Until freed memory has been given back.
const SETTLE: Duration = Duration::from_secs(3);
const READY_TIME_MAX: Duration = Duration::from_secs(600);

/// Many tenants in one gateway.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// How many tenants; each number is a gateway of its own, and they take turns.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    tenants: Vec<usize>,
    /// Rounds of calls.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let cores = Cores::choose()?;
    let upstream = Upstream::start(BYTES, cores)?;
    let mut measured = Vec::new();
    for count in &options.tenants {
        measured.push(Measured::start((*count).max(1), options, &upstream, cores)?);
    }
    for _ in 0..options.rounds.max(1) {
        for gateway in &mut measured {
            gateway.round()?;
        }
    }
    println!(
        "{:<10}{:>12}{:>14}{:>12}{:>14}{:>14}{:>12}",
        "tenants", "CPU-us/call", "start ms", "MiB in all", "KiB/tenant", "change ms", "CPU ms"
    );
    let smallest = measured.first().map_or((0, 1), |gateway| (gateway.resident_kib, gateway.count));
    for gateway in &mut measured {
        let more = gateway.count.saturating_sub(smallest.1);
        let each = gateway.resident_kib.saturating_sub(smallest.0) as f64 / more.max(1) as f64;
        let (changed, cpu) = gateway.change()?;
        println!(
            "{:<10}{:>12.1}{:>14.0}{:>12.1}{each:>14.1}{changed:>14.0}{cpu:>12.0}",
            gateway.count,
            median(&gateway.cpu_us).unwrap_or_default(),
            gateway.start_ms,
            gateway.resident_kib as f64 / 1024.0,
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A gateway with so many tenants, and what is known of it.
struct Measured {
    count: usize,
    place: Place,
    admin: SocketAddr,
    program: Program,
    session: Session,
    start_ms: f64,
    /// With a connection to every tenant's upstream made, so that nothing is left to be made later.
    resident_kib: u64,
    cpu_us: Vec<f64>,
}

impl Measured {
    fn start(count: usize, options: &Options, upstream: &Upstream, cores: Cores) -> anyhow::Result<Self> {
        let place = Place::new(&options.ladder, upstream.address)?;
        let admin = free_address()?;
        let policies = fs::canonicalize(options.ladder.join("policies/permit-all"))?;
        fs::write(place.dir().join("one.yaml"), tenant_file(&place, &policies, 0))?;
        let config = place.dir().join("gateway.yaml");
        fs::write(&config, gateway_file(count, &place, admin, &policies))?;
        let mut command = Command::new(sibling("mcpg")?);
        command.args(["run", "--config"]).arg(&config).stdout(place.log()?).stderr(place.log()?);
        let begun = Instant::now();
        let mut program = Program::start("mcpg", &mut command, cores.proxy)?;
        let ready = || revision(admin).is_ok();
        while !ready() {
            ensure!(begun.elapsed() < READY_TIME_MAX, "{}", place.explain("mcpg"));
            std::thread::sleep(Duration::from_millis(20));
        }
        program.wait_for(place.listen).with_context(|| place.explain("mcpg"))?;
        let start_ms = begun.elapsed().as_secs_f64() * 1e3;
        let requests: Vec<Vec<u8>> = (0..count).map(call).collect();
        let load = Load { address: place.listen, requests, connections: CONNECTIONS };
        let mut session = Session::open(&load)?;
        // Connections begin at different places and take turns: so many reach every tenant.
        let all = u64::try_from(count)?.max(300) * 2;
        session.run(Until::Requests(all)).with_context(|| place.explain("mcpg"))?;
        std::thread::sleep(SETTLE);
        let resident_kib = program.resident_kib()?;
        Ok(Self { count, place, admin, program, session, start_ms, resident_kib, cpu_us: Vec::new() })
    }

    fn round(&mut self) -> anyhow::Result<()> {
        let before = self.program.cpu()?;
        let done = self.session.run(Until::Elapsed(Duration::from_millis(300)))?;
        let used = self.program.cpu()?.saturating_sub(before);
        self.cpu_us.push(used.as_secs_f64() * 1e6 / done.requests as f64);
        Ok(())
    }

    /// Changes the file of one tenant, and waits until the change is in force: milliseconds, and of CPU.
    fn change(&self) -> anyhow::Result<(f64, f64)> {
        let path = self.place.dir().join("one.yaml");
        let text = fs::read_to_string(&path)?;
        let number = revision(self.admin)?;
        let (cpu, begun) = (self.program.cpu()?, Instant::now());
        fs::write(&path, text.replace("id: demo", "id: changed"))?;
        while revision(self.admin)? == number {
            ensure!(begun.elapsed() < READY_TIME_MAX, "{}", self.place.explain("mcpg"));
            std::thread::sleep(Duration::from_millis(5));
        }
        let used = self.program.cpu()?.saturating_sub(cpu);
        Ok((begun.elapsed().as_secs_f64() * 1e3, used.as_secs_f64() * 1e3))
    }
}

fn name(tenant: usize) -> String {
    format!("org-{}/team/t{tenant}", tenant % ORGANIZATIONS)
}

/// A call of one tenant's tool, by its host.
fn call(tenant: usize) -> Vec<u8> {
    let request = message::request("/bindings/demo/mcp", 0, BYTES, None);
    let host = format!("Host: t{tenant}.example");
    String::from_utf8_lossy(&request).replacen("Host: localhost", &host, 1).into_bytes()
}

fn tenant_file(place: &Place, policies: &std::path::Path, tenant: usize) -> String {
    format!(
        "tenancy: {{ scope: {} }}\nserver: {{ listen: \"{}\" }}\n{}",
        name(tenant),
        place.listen,
        sections(place, policies, "")
    )
}

/// What every tenant has: an identity chain, a policy engine with its bundle, a binding.
fn sections(place: &Place, policies: &std::path::Path, indent: &str) -> String {
    format!(
        "{indent}plugins:\n{indent}  - id: identity.anonymous\n{indent}  - {{ id: policy.cedar, config: {{ bundle: \"{}\" }} }}\n\
         {indent}bindings:\n{indent}  - {{ id: demo, type: mcp, url: \"http://{}/mcp\" }}\n",
        policies.display(),
        place.upstream
    )
}

fn gateway_file(count: usize, place: &Place, admin: SocketAddr, policies: &std::path::Path) -> String {
    let mut text = format!(
        "server: {{ listen: \"{}\", admin: \"{admin}\", threads: 1 }}\n\
         audit: {{ dir: \"{}/audit\", mode: async }}\ntenancy:\n  scopes:\n",
        place.listen,
        place.dir().display()
    );
    text.push_str("    - { file: ./one.yaml, hosts: [t0.example] }\n");
    for tenant in 1..count {
        let _ = write!(
            text,
            "    - scope: {}\n      hosts: [t{tenant}.example]\n{}",
            name(tenant),
            sections(place, policies, "      ")
        );
    }
    text
}

/// The number of the revision in force.
fn revision(admin: SocketAddr) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /revision HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let standing: serde_json::Value = serde_json::from_str(body)?;
    standing.get("number").and_then(serde_json::Value::as_u64).context("no revision in force")
}
