//! Upstreams for tests: a listener on port 0 that answers each request by a function.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcpg_sdk::{AuthMethod, Caller};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::OnBehalf;
use crate::metrics::Metrics;
use crate::revision::{Builder, Revision, RevisionStore, Route};

/// A scripted upstream. It ends when it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// What it was asked, in the order of arrival.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What an upstream does with a request.
pub(crate) enum Act {
    /// Sends these bytes and waits for the next request.
    Send(Vec<u8>),
    /// Sends these pieces one by one and waits for the next request.
    Pieces(Vec<Vec<u8>>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends these pieces, each once the one before is on its way, and keeps the connection open without another word.
    Stream(Vec<Vec<u8>>),
    /// Sends whatever comes, until the client leaves.
    Follow(tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>),
    /// Never answers.
    Hang,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    /// Begins to serve.
    pub(crate) async fn serve(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, act) = (Arc::clone(&seen), Arc::new(act));
        let accepting = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                tasks.spawn(converse(stream, connection, Arc::clone(&log), Arc::clone(&act)));
            }
        });
        Self { address, seen, accepting }
    }

    /// A route to it, with further keys of the binding in YAML.
    pub(crate) async fn route(&self, more: &str) -> Arc<Route> {
        route(self.address, more).await
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// What was asked so far, by JSON-RPC method, or HTTP method where there was no message.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen().iter().map(Seen::rpc_method).collect()
    }
}

impl Seen {
    /// The JSON-RPC method.
    pub(crate) fn rpc_method(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["method"].as_str().unwrap_or(&self.method).to_owned()
    }

    /// The raw id.
    pub(crate) fn id(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["id"].to_string()
    }

    /// A header as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    answer(status, &[("content-type", "application/json")], body)
}

/// An event stream that ends.
pub(crate) fn events(body: &str) -> Vec<u8> {
    answer(200, &[("content-type", "text/event-stream")], body)
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Vec<u8> {
    answer(status, &[], "")
}

/// An answer with these headers.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The head of an event stream that does not end.
pub(crate) fn endless_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// A chunk of such a stream.
pub(crate) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// A caller.
pub(crate) fn caller(subject: &str) -> Arc<Caller> {
    Arc::new(Caller {
        subject: subject.to_owned(),
        audience: None,
        attributes: std::collections::HashMap::new(),
        auth_method: AuthMethod::ApiKey,
    })
}

/// On behalf of a caller, and of nothing else.
pub(crate) fn on_behalf(caller: &Arc<Caller>) -> OnBehalf<'_> {
    OnBehalf { caller, bearer: None, traceparent: None }
}

/// A revision with one binding, `files`.
pub(crate) async fn revision(address: SocketAddr, more: &str, previous: Option<&Revision>) -> Revision {
    let builder = Builder::new(Metrics::new().unwrap());
    builder
        .build(&config(&text(address, more)), [0; 32], 1, previous, std::time::SystemTime::now())
        .await
        .unwrap()
}

/// A gateway's revisions, of which the first has one binding, `files`.
pub(crate) async fn in_force(address: SocketAddr, more: &str) -> Arc<RevisionStore> {
    let builder = Builder::new(Metrics::new().unwrap());
    let now = std::time::SystemTime::now();
    let generation = builder.generation(&config(&text(address, more)), [0; 32], 1, None, now).await.unwrap();
    Arc::new(RevisionStore::new(generation))
}

fn text(address: SocketAddr, more: &str) -> String {
    format!(
        "server: {{listen: \"127.0.0.1:0\"}}\nbindings:\n  - {{id: files, type: mcp, url: \"http://{address}/mcp\", {more}}}\n"
    )
}

fn config(text: &str) -> mcpg_config::Config {
    let config =
        mcpg_config::Config::from_yaml(text.as_bytes(), "mcpg.yaml", std::path::Path::new("/nowhere"));
    config.unwrap_or_else(|error| panic!("{error}"))
}

/// A route to an address, with further keys of the binding in YAML.
pub(crate) async fn route(address: SocketAddr, more: &str) -> Arc<Route> {
    let revision = revision(address, more, None).await;
    Arc::clone(revision.scope.routes.iter().next().unwrap())
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    log: Arc<Mutex<Vec<Seen>>>,
    act: Arc<impl Fn(&Seen) -> Act>,
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer, connection).await {
        log.lock().push(seen.clone());
        match act(&seen) {
            Act::Send(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Act::SendAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                return;
            }
            Act::Pieces(pieces) => send(&mut stream, pieces).await,
            Act::Stream(pieces) => {
                send(&mut stream, pieces).await;
                wait_for_end(&mut stream).await;
                return;
            }
            Act::Follow(mut pieces) => {
                let mut byte = [0];
                loop {
                    tokio::select! {
                        piece = pieces.recv() => match piece {
                            Some(piece) => stream.write_all(&piece).await.unwrap_or_default(),
                            None => return,
                        },
                        _ = stream.read(&mut byte) => return,
                    }
                }
            }
            Act::Hang => {
                wait_for_end(&mut stream).await;
                return;
            }
        }
    }
}

async fn send(stream: &mut TcpStream, pieces: Vec<Vec<u8>>) {
    for piece in pieces {
        stream.write_all(&piece).await.unwrap_or_default();
        tokio::task::yield_now().await;
    }
}

async fn wait_for_end(stream: &mut TcpStream) {
    let mut byte = [0];
    while matches!(stream.read(&mut byte).await, Ok(1)) {}
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    loop {
        if let Some((seen, length)) = parse(buffer, connection) {
            buffer.drain(..length);
            return Some(seen);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(buffer: &[u8], connection: usize) -> Option<(Seen, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let method = lines.next()?.split(' ').next()?.to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    let body = buffer.get(end..end + length)?;
    Some((Seen { connection, method, headers, body: Bytes::copy_from_slice(body) }, end + length))
}

/// What a future that has nobody to wait for comes to.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
