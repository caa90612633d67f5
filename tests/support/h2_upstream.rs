//! An upstream that speaks HTTP/2 with prior knowledge, does exactly what a test says, and remembers what reached it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::Seen;

/// What the upstream does once it has read a request.
#[derive(Debug, Clone)]
pub enum H2Step {
    /// Sends a head.
    Head(u16, Vec<(&'static str, String)>),
    /// Sends a piece of the body.
    Data(Vec<u8>),
    /// Ends the answer.
    End,
    /// Resets the stream for a reason (RFC 9113 section 7).
    Reset(u32),
    /// Leaves: GOAWAY without an error, and the end of the connection, with nothing answered.
    Leave,
    /// Waits until the gateway resets the stream.
    Stall,
    /// Waits until the test calls [`H2Upstream::release`].
    AwaitRelease,
}

impl H2Step {
    /// A whole JSON answer.
    pub fn json(status: u16, body: &Value) -> Vec<Self> {
        let head = Self::Head(status, vec![("content-type", "application/json".into())]);
        vec![head, Self::Data(body.to_string().into_bytes()), Self::End]
    }

    /// A result for a request.
    pub fn result(seen: &Seen, result: Value) -> Vec<Self> {
        Self::json(200, &json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": result }))
    }

    /// The head of an event stream.
    pub fn events() -> Self {
        Self::Head(200, vec![("content-type", "text/event-stream".into())])
    }

    /// An event.
    pub fn event(message: &Value) -> Self {
        Self::Data(format!("data: {message}\n\n").into_bytes())
    }
}

type Script = dyn Fn(&Seen) -> Vec<H2Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Seen>>,
    resets: Mutex<Vec<u32>>,
    connections: Mutex<usize>,
    released: watch::Sender<bool>,
}

/// A scripted HTTP/2 upstream on a free port. It serves until it is dropped.
pub struct H2Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    _running: watch::Sender<()>,
}

impl H2Upstream {
    /// Answers each request with the steps that `script` gives for it.
    pub fn start(script: impl Fn(&Seen) -> Vec<H2Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
        let address = listener.local_addr().expect("the socket is bound");
        listener.set_nonblocking(true).expect("a socket need not block");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            resets: Mutex::default(),
            connections: Mutex::default(),
            released: watch::Sender::new(false),
        });
        let (running, stopped) = watch::channel(());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(accept(listener, serving, stopped));
        });
        Self { address, shared, _running: running }
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// The requests that have arrived whole.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.requests.lock().expect("no holder panics").clone()
    }

    /// The requests of a method of JSON-RPC.
    pub fn asked(&self, method: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.json()["method"] == method).collect()
    }

    /// The reasons for which the gateway has reset streams that stalled.
    pub fn resets(&self) -> Vec<u32> {
        self.shared.resets.lock().expect("no holder panics").clone()
    }

    /// Connections that were ever accepted.
    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().expect("no holder panics")
    }

    /// Lets every script go on that waits for it.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket is sound");
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                *shared.connections.lock().expect("no holder panics") += 1;
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        }
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    let (leave, mut leaves) = mpsc::channel::<()>(1);
    loop {
        tokio::select! {
            Some(()) = leaves.recv() => connection.abrupt_shutdown(Reason::NO_ERROR),
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                tokio::spawn(answer(request, respond, Arc::clone(&shared), leave.clone()));
            }
        }
    }
}

/// Plays the script of one request. A gateway that is gone is no error.
async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
    shared: Arc<Shared>,
    leave: mpsc::Sender<()>,
) -> Option<()> {
    let seen = read(request).await?;
    let mut steps = VecDeque::from((shared.script)(&seen));
    shared.requests.lock().expect("no holder panics").push(seen);
    let mut body: Option<SendStream<bytes::Bytes>> = None;
    while let Some(step) = steps.pop_front() {
        match (step, &mut body) {
            (H2Step::Head(status, headers), _) => {
                let head = headers.iter().fold(Response::builder().status(status), |head, (name, value)| {
                    head.header(*name, value)
                });
                let ends = matches!(steps.front(), Some(H2Step::End));
                body = Some(respond.send_response(head.body(()).expect("a head"), ends).ok()?);
            }
            (H2Step::Data(data), Some(body)) => body.send_data(data.into(), false).ok()?,
            (H2Step::End, Some(body)) => drop(body.send_data(bytes::Bytes::new(), true)),
            (H2Step::Reset(reason), Some(body)) => body.send_reset(reason.into()),
            (H2Step::Reset(reason), None) => respond.send_reset(reason.into()),
            (H2Step::Leave, _) => leave.send(()).await.ok()?,
            (H2Step::Stall, body) => {
                let reset = match body {
                    Some(body) => poll_fn(|context| body.poll_reset(context)).await,
                    None => poll_fn(|context| respond.poll_reset(context)).await,
                };
                shared.resets.lock().expect("no holder panics").push(reset.ok()?.into());
                return None;
            }
            (H2Step::AwaitRelease, _) => drop(shared.released.subscribe().wait_for(|it| *it).await.ok()?),
            (H2Step::Data(_) | H2Step::End, None) => panic!("a body without a head"),
        }
    }
    Some(())
}

async fn read(request: Request<h2::RecvStream>) -> Option<Seen> {
    let (head, mut body) = request.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut seen = Seen {
        line: format!("{} {}", head.method, head.uri.path()),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: Vec::new(),
    };
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        seen.body.extend(piece);
    }
    Some(seen)
}
