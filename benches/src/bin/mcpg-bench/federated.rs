//! Several servers behind one endpoint: what their merged list costs, cold and from the cache, and what a call costs by its prefix
//! compared with the same call of one binding.
//!
//! CPU time compares round by round, as on the ladder; instructions decide: the gateway runs under callgrind for so many calls and
//! for twice as many, and the difference is what these calls cost, without the start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use mcpg_benches::ladder::{Cores, Place, Upstream, median};
use mcpg_benches::load::{Load, Session, Until, content_length};
use mcpg_benches::message;
use mcpg_benches::process::{Program, find, sibling};

/// As many as `rungs/federated.yaml` has.
const BINDINGS: usize = 10;
const BYTES: usize = 1024;
const CONNECTIONS: usize = 16;
/// Calls before anything is counted.
const WARM_UP: u64 = 300;
/// Walks of the cached list.
const WALKS: usize = 20;

/// Merged lists and calls by prefix.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Tools of each binding.
    #[arg(long, default_value_t = 1000)]
    tools: usize,
    /// How often the gateway is started for a cold list.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Rounds of calls.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// Calls to count the instructions of; none without valgrind.
    #[arg(long, default_value_t = 2000)]
    counted: u64,
}

/// One way to a tool: a name for the table, the path, the tool's name there.
struct Way {
    what: &'static str,
    path: &'static str,
    tool: &'static str,
}

const ALONE: Way = Way { what: "one binding", path: "/bindings/demo-3/mcp", tool: "lookup_customer" };
const PREFIXED: Way = Way { what: "by prefix", path: "/mcp", tool: "demo-3.lookup_customer" };

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let cores = Cores::choose()?;
    let upstream = Upstream::with_tools(BYTES, options.tools, cores)?;
    lists(options, &upstream, cores)?;
    calls(options, &upstream, cores)?;
    if options.counted > 0 && find("valgrind").is_some() {
        let alone = instructions(&ALONE, options, &upstream, cores)?;
        let prefixed = instructions(&PREFIXED, options, &upstream, cores)?;
        println!("{:<28}{:>14}{:>14}{:>10}", "instructions of a call", ALONE.what, PREFIXED.what, "ratio");
        println!("{:<28}{alone:>14}{prefixed:>14}{:>10.3}", "", prefixed as f64 / alone as f64);
    } else {
        eprintln!("mcpg-bench: no instruction was counted");
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole list, page by page: of a gateway that has just started, and again.
fn lists(options: &Options, upstream: &Upstream, cores: Cores) -> anyhow::Result<()> {
    let (mut cold, mut cached) = (Walks::default(), Walks::default());
    let mut last = None;
    for _ in 0..options.starts.max(1) {
        let gateway = Gateway::start(options, upstream, cores, false)?;
        cold.add(&gateway)?;
        for _ in 0..WALKS {
            last = Some(cached.add(&gateway)?);
        }
    }
    let (tools, pages, bytes) = last.context("no list was read")?;
    ensure!(tools == BINDINGS * options.tools, "{tools} tools were listed");
    println!("{tools} tools of {BINDINGS} bindings in {pages} pages, {:.1} MiB", bytes as f64 / 1_048_576.0);
    println!("{:<28}{:>14}{:>14}", "the whole list", "ms", "CPU ms");
    for (what, walks) in [("cold", &cold), ("cached", &cached)] {
        let [elapsed, cpu] = [&walks.elapsed, &walks.cpu].map(|values| median(values).unwrap_or_default());
        println!("{what:<28}{elapsed:>14.1}{cpu:>14.1}");
    }
    Ok(())
}

/// Milliseconds of each walk.
#[derive(Default)]
struct Walks {
    elapsed: Vec<f64>,
    cpu: Vec<f64>,
}

impl Walks {
    /// Walks the list once. How many tools, pages and bytes it has.
    fn add(&mut self, gateway: &Gateway) -> anyhow::Result<(usize, usize, usize)> {
        let mut stream = TcpStream::connect(gateway.place.listen)?;
        stream.set_nodelay(true)?;
        let (before, begun) = (gateway.program.cpu()?, Instant::now());
        let (mut tools, mut pages, mut bytes) = (0, 0, 0);
        let mut cursor: Option<String> = None;
        loop {
            stream.write_all(&message::list(PREFIXED.path, cursor.as_deref()))?;
            let body = whole(&mut stream).with_context(|| gateway.place.explain("mcpg"))?;
            (tools, pages, bytes) =
                (tools + body.matches("\"inputSchema\":").count(), pages + 1, bytes + body.len());
            cursor = body
                .rsplit_once("\"nextCursor\":\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map(|(cursor, _)| cursor.to_owned());
            if cursor.is_none() {
                break;
            }
        }
        self.elapsed.push(begun.elapsed().as_secs_f64() * 1e3);
        self.cpu.push((gateway.program.cpu()?.saturating_sub(before)).as_secs_f64() * 1e3);
        Ok((tools, pages, bytes))
    }
}

/// The body of an answer, which must be 200.
fn whole(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut answer = Vec::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        ensure!(count > 0, "the connection was closed");
        answer.extend_from_slice(piece.get(..count).unwrap_or_default());
        let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") else { continue };
        let (head, body) = answer.split_at(end + 4);
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let length = content_length(head).context("no `Content-Length`")?;
        if body.len() >= length {
            return Ok(String::from_utf8(body.to_vec())?);
        }
    }
}

/// CPU time of a call by both ways, in turns.
fn calls(options: &Options, upstream: &Upstream, cores: Cores) -> anyhow::Result<()> {
    let gateway = Gateway::start(options, upstream, cores, false)?;
    let mut sessions = [gateway.session(&ALONE)?, gateway.session(&PREFIXED)?];
    let mut cpu = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds.max(1) {
        for (session, cpu) in sessions.iter_mut().zip(&mut cpu) {
            session.run(Until::Requests(WARM_UP))?;
            let before = gateway.program.cpu()?;
            let done = session.run(Until::Elapsed(Duration::from_millis(300)))?;
            let used = gateway.program.cpu()?.saturating_sub(before);
            cpu.push(used.as_secs_f64() * 1e6 / done.requests as f64);
        }
    }
    let [alone, prefixed] = &cpu;
    let ratios: Vec<f64> = prefixed.iter().zip(alone).map(|(prefixed, alone)| prefixed / alone).collect();
    let of = |values: &[f64]| median(values).unwrap_or_default();
    println!("{:<28}{:>14}{:>14}{:>10}", "CPU-us of a call", ALONE.what, PREFIXED.what, "ratio");
    println!("{:<28}{:>14.1}{:>14.1}{:>10.3}", "", of(alone), of(prefixed), of(&ratios));
    Ok(())
}

/// Instructions of one call.
fn instructions(way: &Way, options: &Options, upstream: &Upstream, cores: Cores) -> anyhow::Result<u64> {
    let collect = |calls: u64| -> anyhow::Result<u64> {
        let gateway = Gateway::start(options, upstream, cores, true)?;
        let mut session = gateway.session(way)?;
        session.run(Until::Requests(WARM_UP))?;
        session.run(Until::Requests(calls))?;
        drop(session);
        gateway.collected()
    };
    let (once, twice) = (collect(options.counted)?, collect(2 * options.counted)?);
    Ok(twice.saturating_sub(once) / options.counted)
}

/// A gateway with its bindings.
struct Gateway {
    program: Program,
    place: Place,
}

impl Gateway {
    fn start(options: &Options, upstream: &Upstream, cores: Cores, counted: bool) -> anyhow::Result<Self> {
        let place = Place::new(&options.ladder, upstream.address)?;
        let mcpg = sibling("mcpg")?;
        let mut command = if counted { Command::new("valgrind") } else { Command::new(&mcpg) };
        if counted {
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&mcpg);
        }
        command.args(["run", "--config"]).arg(place.configure("rungs/federated.yaml")?);
        command.stdout(place.log()?).stderr(place.log()?);
        let mut program = Program::start("mcpg", &mut command, cores.proxy)?;
        program.wait_for(place.listen).with_context(|| place.explain("mcpg"))?;
        Ok(Self { program, place })
    }

    fn session(&self, way: &Way) -> anyhow::Result<Session> {
        let requests = vec![message::call(way.path, way.tool, BYTES, None)];
        Session::open(&Load { address: self.address(), requests, connections: CONNECTIONS })
    }

    fn address(&self) -> SocketAddr {
        self.place.listen
    }

    /// Ends it, and reads what callgrind counted.
    fn collected(self) -> anyhow::Result<u64> {
        self.program.end()?;
        let log = fs::read_to_string(self.place.dir().join("log"))?;
        let line =
            log.lines().find_map(|line| line.split_once("Collected :")).context("nothing was counted")?;
        Ok(line.1.trim().parse()?)
    }
}
