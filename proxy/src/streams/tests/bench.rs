//! A gateway without its listeners: upstreams on port 0, a client that notes what it gets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_config::Config;
use mcpg_filters::identity::KeptCredentials;
use mcpg_protocol::{Accept, Revision as Protocol};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::audit::Ledger;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::revision::{Builder, Generation, RevisionStore, effective_digest};
use crate::serve::{Admitted, Client, ClientError};
use crate::sessions::{SessionToken, UpstreamRef, caller_digest};
use crate::upstream::testing::{Act, Seen, Upstream, at_once, chunk, empty, endless_head, json as answer};
use crate::upstream::{ClientProfile, Message};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One upstream of either era, with what it says on its streams in the hands of the test.
pub(super) struct Server {
    pub(super) upstream: Upstream,
    streams: Arc<Mutex<mpsc::UnboundedReceiver<mpsc::UnboundedSender<Vec<u8>>>>>,
}

/// The upstream's end of a stream that was opened.
pub(super) struct Speaker(mpsc::UnboundedSender<Vec<u8>>);

impl Server {
    /// An upstream that speaks 2026-07-28 and tells what it is asked for.
    pub(super) async fn modern() -> Self {
        Self::serve(|seen, streams| match seen.rpc_method().as_str() {
            "server/discover" => Act::Send(answer(200, &seen.result(&json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "m", "version": "1"}, "ttlMs": 1000, "cacheScope": "public"
            })))),
            "subscriptions/listen" => {
                let params = &seen.json()["params"]["notifications"];
                let mut honoured = params.clone();
                honoured.as_object_mut().unwrap().remove("promptsListChanged");
                follow(streams, Some(notification("notifications/subscriptions/acknowledged", &json!({
                    "_meta": {"io.modelcontextprotocol/subscriptionId": seen.json()["id"]}, "notifications": honoured
                }))))
            }
            _ => Act::Send(empty(404)),
        })
        .await
    }

    /// An upstream that speaks 2025-11-25.
    pub(super) async fn legacy() -> Self {
        Self::serve(|seen, streams| match (seen.method.as_str(), seen.rpc_method().as_str()) {
            ("GET", _) => follow(streams, None),
            ("DELETE", _) => Act::Send(empty(200)),
            (_, "initialize") => {
                let body = seen.result(&json!({
                    "protocolVersion": "2025-11-25", "serverInfo": {"name": "l", "version": "1"},
                    "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}}
                }));
                let headers = [("content-type", "application/json"), ("mcp-session-id", "own-session")];
                Act::Send(crate::upstream::testing::answer(200, &headers, &body))
            }
            (_, "notifications/initialized") => Act::Send(empty(202)),
            (_, "resources/subscribe") => Act::Send(answer(200, &seen.result(&json!({})))),
            _ => Act::Send(empty(400)),
        })
        .await
    }

    async fn serve(
        act: impl Fn(&Seen, &mpsc::UnboundedSender<mpsc::UnboundedSender<Vec<u8>>>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let (opened, streams) = mpsc::unbounded_channel();
        let upstream = Upstream::serve(move |seen| act(seen, &opened)).await;
        Self { upstream, streams: Arc::new(Mutex::new(streams)) }
    }

    /// The next stream that is opened.
    pub(super) async fn stream(&self) -> Speaker {
        let wait = async {
            loop {
                if let Ok(stream) = self.streams.lock().try_recv() {
                    break stream;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        Speaker(timeout(PATIENCE, wait).await.expect("a stream is opened"))
    }

    /// How many streams were opened and not looked at.
    pub(super) fn unseen_streams(&self) -> usize {
        self.streams.lock().len()
    }

    /// The requests of a method.
    pub(super) fn asked(&self, method: &str) -> Vec<Seen> {
        self.upstream.seen().into_iter().filter(|seen| seen.rpc_method() == method).collect()
    }
}

impl Speaker {
    pub(super) fn say(&self, message: &str) {
        self.0.send(chunk(&format!("data: {message}\n\n"))).unwrap();
    }

    pub(super) fn say_with_id(&self, id: &str, message: &str) {
        self.0.send(chunk(&format!("id: {id}\ndata: {message}\n\n"))).unwrap();
    }

    /// Completes when nobody listens any more.
    pub(super) async fn closed(&self) {
        timeout(PATIENCE, self.0.closed()).await.expect("the stream is closed");
    }
}

fn follow(streams: &mpsc::UnboundedSender<mpsc::UnboundedSender<Vec<u8>>>, first: Option<String>) -> Act {
    let (speaker, heard) = mpsc::unbounded_channel();
    speaker.send(endless_head()).unwrap();
    if let Some(first) = first {
        speaker.send(chunk(&format!("data: {first}\n\n"))).unwrap();
    }
    let _ = streams.send(speaker);
    Act::Follow(heard)
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn result(&self, result: &Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.json()["id"], "result": result}).to_string()
    }

    /// `params` of the message.
    pub(super) fn params(&self) -> Value {
        self.json()["params"].clone()
    }
}

pub(super) fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// A gateway over such upstreams.
pub(super) struct Bench {
    folder: tempfile::TempDir,
    bindings: String,
    builder: Builder,
    pub(super) gateway: Arc<Gateway>,
}

impl Bench {
    pub(super) async fn new(servers: &[(&str, &Server)], policies: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bindings = servers.iter().map(|(id, server)| {
            let address = server.upstream.address;
            format!("  - {{ id: {id}, type: mcp, url: 'http://{address}/mcp' }}\n")
        });
        let bindings = bindings.collect();
        let metrics = Metrics::new().unwrap();
        let builder = Builder::new(Arc::clone(&metrics));
        let first = build(&builder, folder.path(), &bindings, policies, 1, None).await;
        let gateway = Gateway::new(Arc::new(RevisionStore::new(first)), Ledger::none(), metrics, 16);
        Self { folder, bindings, builder, gateway }
    }

    /// Puts other policies in force.
    pub(super) async fn reload(&self, policies: &str) {
        let before = self.gateway.revisions.load();
        let next = before.number + 1;
        let folder = self.folder.path();
        let revision = build(&self.builder, folder, &self.bindings, policies, next, Some(&before)).await;
        self.gateway.revisions.swap(revision);
    }

    /// A request of the modern era, as the pipeline would have admitted it.
    pub(super) fn modern(&self, body: &Value) -> Admitted {
        let admitted = self.admitted(Protocol::V2026_07_28, None);
        Admitted { body: Bytes::from(body.to_string()), ..admitted }
    }

    /// A request to listen.
    pub(super) fn listen(&self, filter: &Value) -> Admitted {
        self.modern(&json!({
            "jsonrpc": "2.0", "id": "mine", "method": "subscriptions/listen",
            "params": {"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}, "notifications": filter}
        }))
    }

    /// A request of a session with these sessions behind it.
    pub(super) fn session(&self, upstreams: &[(&str, &str)]) -> Admitted {
        let protocol = Protocol::V2025_11_25;
        let of = |(binding, id): &(&str, &str)| UpstreamRef {
            binding: (*binding).into(),
            id: (*id).into(),
            protocol,
        };
        let admitted = self.admitted(protocol, None);
        let token = SessionToken {
            nonce: [9; 16],
            caller: caller_digest(&admitted.revision.scope.scope, &admitted.caller),
            endpoint: "/mcp".into(),
            expires: u64::MAX / 4,
            client: ClientProfile { protocol, capabilities: "{}".into(), info: "{}".into() },
            upstreams: upstreams.iter().map(of).collect(),
        };
        Admitted { session: Some(Arc::new(token)), ..admitted }
    }

    fn admitted(&self, protocol: Protocol, session: Option<Arc<SessionToken>>) -> Admitted {
        let revision = self.gateway.revisions.only();
        let endpoint = Arc::clone(revision.scope.routes.find("/mcp").unwrap());
        let credentials = KeptCredentials::default();
        let identity = &revision.scope.identity;
        let identified = at_once(identity.identify(&credentials.borrow(), SystemTime::now())).unwrap();
        Admitted {
            shared: Arc::clone(&self.gateway.shared),
            routes: endpoint.routes.clone(),
            endpoint,
            caller: Arc::clone(identified.caller()),
            credentials: Arc::new(credentials),
            source: IpAddr::from([192, 0, 2, 1]),
            bearer: None,
            param_headers: Vec::new(),
            body: Bytes::new(),
            protocol,
            accept: Accept { json: true, event_stream: true },
            session,
            last_event_id: None,
            redactor: revision.scope.redactor.clone(),
            request_id: [7; 16],
            traceparent: None,
            now: SystemTime::now(),
            revision,
        }
    }
}

async fn build(
    builder: &Builder,
    folder: &std::path::Path,
    bindings: &String,
    policies: &str,
    number: u64,
    previous: Option<&Generation>,
) -> Generation {
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/p.cedar"), policies).unwrap();
    let text = format!(
        "server: {{ hosts: [gw.example], admin: off }}\nplugins:\n  - id: identity.anonymous\n  - id: policy.cedar\n    config: {{ bundle: policies }}\nfederation: {{ naming: prefixed }}\nbindings:\n{bindings}audit: {{ dir: audit }}\n"
    );
    let config = Config::from_yaml(text.as_bytes(), "gateway.yaml", folder);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    builder.generation(&config, effective_digest(&config), number, previous, SystemTime::now()).await.unwrap()
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Got {
    Json(u16, Value),
    Empty(u16),
    Opened,
    Event(Value, Option<String>),
    Retry,
    Finished,
}

/// A client with a request under way.
pub(super) struct Caller {
    got: mpsc::UnboundedReceiver<Got>,
    leave: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ClientError>>,
}

impl Caller {
    /// Lets a handler serve a request.
    pub(super) fn of<F>(serve: impl FnOnce(Pretended) -> F) -> Self
    where
        F: Future<Output = Result<(), ClientError>> + Send + 'static,
    {
        let (sender, got) = mpsc::unbounded_channel();
        let (leave, gone) = oneshot::channel();
        let task = tokio::spawn(serve(Pretended { sender, gone: Some(gone), streaming: false }));
        Self { got, leave: Some(leave), task }
    }

    pub(super) async fn next(&mut self) -> Got {
        timeout(PATIENCE, self.got.recv())
            .await
            .expect("the client gets something")
            .expect("the handler runs")
    }

    /// The next message and its event's id.
    pub(super) async fn event(&mut self) -> (Value, Option<String>) {
        match self.next().await {
            Got::Event(message, id) => (message, id),
            other => panic!("no event: {other:?}"),
        }
    }

    /// The next message of a method, past others.
    pub(super) async fn told(&mut self, method: &str) -> Value {
        loop {
            let (message, _) = self.event().await;
            if message["method"] == method {
                return message;
            }
        }
    }

    /// Leaves, and waits until the handler has noticed.
    pub(super) async fn leave(mut self) {
        drop(self.leave.take());
        let _ = timeout(PATIENCE, self.task).await.expect("the handler ends");
    }
}

/// A client as a handler sees it.
pub(super) struct Pretended {
    sender: mpsc::UnboundedSender<Got>,
    gone: Option<oneshot::Receiver<()>>,
    streaming: bool,
}

#[async_trait]
impl Client for Pretended {
    async fn json(
        &mut self,
        status: u16,
        _: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(), ClientError> {
        let _ = self.sender.send(Got::Json(status, serde_json::from_slice(&body).unwrap()));
        Ok(())
    }

    async fn empty(&mut self, status: u16, _: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        let _ = self.sender.send(Got::Empty(status));
        Ok(())
    }

    async fn open_stream(&mut self, _: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        self.streaming = true;
        let _ = self.sender.send(Got::Opened);
        Ok(())
    }

    async fn event(&mut self, message: &Message) -> Result<(), ClientError> {
        let id = message.event_id.as_deref().map(str::to_owned);
        let got = match serde_json::from_slice(&message.json) {
            Ok(json) => Got::Event(json, id),
            Err(_) => Got::Retry,
        };
        self.sender.send(got).map_err(|_| ClientError::Gone)
    }

    async fn finish(&mut self) -> Result<(), ClientError> {
        let _ = self.sender.send(Got::Finished);
        Ok(())
    }

    fn is_streaming(&self) -> bool {
        self.streaming
    }

    async fn gone(&mut self) {
        if let Some(gone) = &mut self.gone {
            let _ = gone.await;
            self.gone = None;
        }
    }
}

/// Policies that permit everything.
pub(super) const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

/// Headers by name, for looking at requests.
pub(super) fn header(seen: &[Seen], name: &str) -> Vec<String> {
    seen.iter().map(|seen| seen.header(name).to_owned()).collect()
}
