//! Open subscription streams: what each costs the gateway in memory, how many streams they are upstream, and how long until each of
//! them is told of a change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use mcpg_benches::ladder::{Cores, Place};
use mcpg_benches::message;
use mcpg_benches::process::{Program, sibling};

use crate::idle::allowed;

/// Streams before the first reading: what the gateway needs for any number of them is there by then.
const WARM_UP: usize = 100;
/// Until freed memory has been given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"}}}"#;

/// Memory of open subscription streams.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Streams.
    #[arg(long, default_value_t = 5000)]
    streams: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let streams = allowed(options.streams)?;
    let cores = Cores::choose()?;
    let upstream = Upstream::start()?;
    let place = Place::new(&options.ladder, upstream.address)?;
    let mut command = Command::new(sibling("mcpg")?);
    command.args(["run", "--config"]).arg(place.configure("rungs/streams.yaml")?);
    command.stdout(place.log()?).stderr(place.log()?);
    let mut gateway = Program::start("mcpg", &mut command, cores.proxy)?;
    gateway.wait_for(place.listen).with_context(|| place.explain("mcpg"))?;
    let mut open = Vec::with_capacity(streams);
    for _ in 0..WARM_UP.min(streams) {
        open.push(Stream::open(place.listen).with_context(|| place.explain("mcpg"))?);
    }
    std::thread::sleep(SETTLE);
    let before = gateway.resident_kib()?;
    while open.len() < streams {
        open.push(Stream::open(place.listen).with_context(|| place.explain("mcpg"))?);
    }
    std::thread::sleep(SETTLE);
    let after = gateway.resident_kib()?;
    let counted = streams.saturating_sub(WARM_UP).max(1);
    let each = after.saturating_sub(before) as f64 / counted as f64;
    println!(
        "{:<12}{:>10}{:>14}{:>14}{:>12}{:>12}",
        "streams", "open", "MiB in all", "KiB/stream", "upstream", "told in ms"
    );
    let upstream_streams = upstream.streams();
    let told = tell(&upstream, &mut open)?;
    println!(
        "{:<12}{streams:>10}{:>14.1}{each:>14.2}{upstream_streams:>12}{:>12.0}",
        "listen",
        after as f64 / 1024.0,
        told.as_secs_f64() * 1000.0
    );
    Ok(ExitCode::SUCCESS)
}

/// Until every stream has been told of a change.
fn tell(upstream: &Upstream, open: &mut [Stream]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    upstream.say(CHANGED);
    for stream in open {
        stream.read_past("list_changed")?;
    }
    Ok(begun.elapsed())
}

/// A client with its subscription.
struct Stream(TcpStream);

impl Stream {
    /// Opens one and reads its acknowledgement.
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = Self(TcpStream::connect(address)?);
        stream.0.set_read_timeout(Some(PATIENCE))?;
        stream.0.write_all(&message::listen("/mcp"))?;
        stream.read_past("acknowledged")?;
        Ok(stream)
    }

    fn read_past(&mut self, word: &str) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        let mut piece = [0; 2048];
        loop {
            let count = self.0.read(&mut piece).context("nothing is said")?;
            ensure!(count > 0, "the stream ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(piece.get(..count).unwrap_or_default());
            if String::from_utf8_lossy(&seen).contains(word) {
                return Ok(());
            }
        }
    }
}

/// A server of 2026-07-28 with tools that change when it is told so. A thread for each connection: there are few.
struct Upstream {
    address: SocketAddr,
    listeners: Arc<Mutex<Vec<mpsc::Sender<&'static str>>>>,
}

impl Upstream {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let listeners = Arc::<Mutex<Vec<mpsc::Sender<&'static str>>>>::default();
        let added = Arc::clone(&listeners);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let added = Arc::clone(&added);
                std::thread::spawn(move || serve(stream, &added));
            }
        });
        Ok(Self { address, listeners })
    }

    /// How many listen.
    fn streams(&self) -> usize {
        self.listeners.lock().map_or(0, |listeners| listeners.len())
    }

    fn say(&self, message: &'static str) {
        if let Ok(listeners) = self.listeners.lock() {
            for listener in listeners.iter() {
                let _ = listener.send(message);
            }
        }
    }
}

fn serve(mut stream: TcpStream, listeners: &Mutex<Vec<mpsc::Sender<&'static str>>>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = request(&mut stream, &mut buffer)? {
        if request.contains("subscriptions/listen\"") {
            let (sender, said) = mpsc::channel();
            if let Ok(mut listeners) = listeners.lock() {
                listeners.push(sender);
            }
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"},"notifications":{"toolsListChanged":true}}}"#;
            for message in std::iter::once(acknowledged).chain(said) {
                let event = format!("data: {message}\n\n");
                stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
            }
            return Ok(());
        }
        let result = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"bench","version":"1"},"ttlMs":60000,"cacheScope":"public"}"#;
        let id = request
            .split_once("\"id\":")
            .map_or("null", |(_, rest)| rest.split([',', '}']).next().unwrap_or("null"));
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}

/// The body of the next request.
fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().and_then(|length| length.parse().ok()).unwrap_or(0)
            });
            if let Some(body) = rest.get(..length) {
                let body = body.to_owned();
                buffer.drain(..head.len() + 4 + length);
                return Ok(Some(body));
            }
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}
