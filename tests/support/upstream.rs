//! An upstream that does exactly what a test says, and remembers every byte that reached it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::{DEADLINE, until};

/// No script sends more than this, however endless it is.
const ENDLESS_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// What the upstream does once it has read a request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes again and again until the gateway hangs up.
    SendForever(Vec<u8>),
    /// Sends nothing more, and waits until the gateway hangs up.
    Stall,
    /// Waits until the test calls [`RawUpstream::release`].
    AwaitRelease,
    /// Closes the connection in good order.
    Close,
    /// Aborts the connection with a TCP reset.
    Reset,
}

/// A request as it reached the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The request line, without its end.
    pub line: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from chunks.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the upstream should see JSON")
    }
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Seen>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
    released: AtomicBool,
    stopped: AtomicBool,
    /// Whether the gateway's questions about what the upstream speaks are answered without the script.
    aided: bool,
    /// A session that the gateway began to find out is not confirmed yet.
    probed: AtomicBool,
}

/// A scripted upstream on a free port.
pub struct RawUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl RawUpstream {
    /// Answers each request with the steps that `script` gives for it. What the gateway asks on its own account, to find out what
    /// the upstream speaks, is answered without it and not remembered: it speaks both eras.
    pub fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::begin(script, true)
    }

    /// Answers each request with the steps that `script` gives for it, whoever asks.
    pub fn unaided(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::begin(script, false)
    }

    fn begin(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static, aided: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
        let address = listener.local_addr().expect("the socket is bound");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            released: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            aided,
            probed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Answers every request with the same JSON body.
    pub fn json(body: &str) -> Self {
        let answer = json_response(body);
        Self::start(move |_| vec![Step::Send(answer.clone())])
    }

    /// Answers every JSON-RPC request with `result` under the request's own id, and notifications with 202.
    pub fn result(result: Value) -> Self {
        Self::start(move |seen| {
            let id = seen.json().get("id").cloned();
            let Some(id) = id else { return vec![Step::Send(ACCEPTED.to_vec())] };
            let body = serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": result });
            vec![Step::Send(json_response(&body.to_string()))]
        })
    }

    /// Where the upstream listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// The requests that have arrived whole.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.requests.lock().expect("no holder panics").clone()
    }

    /// Bytes that have arrived, requests or not.
    pub fn bytes_in(&self) -> u64 {
        self.shared.bytes_in.load(Ordering::SeqCst)
    }

    /// Bytes that were sent.
    pub fn bytes_out(&self) -> u64 {
        self.shared.bytes_out.load(Ordering::SeqCst)
    }

    /// Connections that were ever accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Lets every script go on that waits for it.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.release();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// A complete `200` with a JSON body.
pub(crate) fn json_response(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        // Idle for longer than any test, so that a pooled connection is the gateway's to close.
        stream.set_read_timeout(Some(2 * DEADLINE)).expect("the deadline is not zero");
        let mut unread = Vec::new();
        'connection: while let Some(seen) = self.request(&mut stream, &mut unread) {
            if let Some(answer) = self.aided.then(|| self.aid(&seen)).flatten() {
                if stream.write_all(&answer).is_err() {
                    break;
                }
                continue;
            }
            let steps = (self.script)(&seen);
            self.requests.lock().expect("no holder panics").push(seen);
            for step in steps {
                if !self.play(step, &mut stream) {
                    break 'connection;
                }
            }
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// The answer to a question of the gateway's own.
    fn aid(&self, seen: &Seen) -> Option<Vec<u8>> {
        let message: Value = serde_json::from_slice(&seen.body).ok()?;
        let method = message["method"].as_str()?;
        if method == "notifications/initialized" {
            return self.probed.swap(false, Ordering::SeqCst).then(|| ACCEPTED.to_vec());
        }
        let params = &message["params"];
        let asks = [&params["clientInfo"], &params["_meta"]["io.modelcontextprotocol/clientInfo"]];
        if !asks.iter().any(|client| client["name"] == "mcpg") {
            return None;
        }
        let about = serde_json::json!({ "name": "scripted", "version": "1" });
        let result = match method {
            "server/discover" => serde_json::json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                "serverInfo": about, "ttlMs": 60_000, "cacheScope": "public",
            }),
            "initialize" => {
                self.probed.store(true, Ordering::SeqCst);
                let version = &params["protocolVersion"];
                serde_json::json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": about })
            }
            _ => return None,
        };
        let body = serde_json::json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        Some(json_response(&body.to_string()))
    }

    /// Plays one step; false when the connection is at its end.
    fn play(&self, step: Step, stream: &mut TcpStream) -> bool {
        match step {
            Step::Send(bytes) => self.send(&bytes, stream),
            Step::SendForever(bytes) => {
                while self.bytes_out.load(Ordering::SeqCst) < ENDLESS_BYTES_MAX && self.send(&bytes, stream) {
                }
                false
            }
            Step::Stall => {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
                false
            }
            Step::AwaitRelease => {
                until("the test should release the upstream", || {
                    self.released.load(Ordering::SeqCst).then_some(())
                });
                true
            }
            Step::Close => false,
            Step::Reset => {
                // Lingering for no time at all is how a reset is asked for.
                let none = Some(std::time::Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&*stream, none).expect("TCP lingers");
                false
            }
        }
    }

    fn send(&self, bytes: &[u8], stream: &mut TcpStream) -> bool {
        let sent = stream.write_all(bytes).is_ok();
        if sent {
            self.bytes_out.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        sent
    }

    fn request(&self, stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Seen> {
        let head = self.take_through(b"\r\n\r\n", stream, unread)?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next()?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut seen = Seen { line, headers, body: Vec::new() };
        if seen.header("transfer-encoding").is_some() {
            loop {
                let size = self.take_through(b"\r\n", stream, unread)?;
                let size = usize::from_str_radix(String::from_utf8_lossy(&size).trim(), 16).ok()?;
                let chunk = self.take(size + 2, stream, unread)?;
                seen.body.extend(&chunk[..size]);
                if size == 0 {
                    return Some(seen);
                }
            }
        }
        let length = seen.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
        seen.body = self.take(length, stream, unread)?;
        Some(seen)
    }

    fn take_through(&self, end: &[u8], stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = unread.windows(end.len()).position(|window| window == end) {
                return Some(unread.drain(..at + end.len()).collect());
            }
            self.fill(stream, unread)?;
        }
    }

    fn take(&self, count: usize, stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
        while unread.len() < count {
            self.fill(stream, unread)?;
        }
        Some(unread.drain(..count).collect())
    }

    fn fill(&self, stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        self.bytes_in.fetch_add(count as u64, Ordering::SeqCst);
        unread.extend(&buffer[..count]);
        Some(())
    }
}
