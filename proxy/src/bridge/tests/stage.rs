//! What the tests of bridged calls share: a gateway around one binding, clients that note what they get, and upstreams.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_filters::identity::KeptCredentials;
use mcpg_protocol::{Accept, Revision as Protocol};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, watch};

use crate::bridge::Bridge;
use crate::metrics::Metrics;
use crate::revision::{Endpoint, Naming, Revision, Route};
use crate::serve::{Admitted, Client, ClientError, Shared};
use crate::sessions::{LocalSessions, SessionToken, UpstreamRef, caller_digest};
use crate::upstream::testing::{self, Act, Seen, Upstream};
use crate::upstream::{ClientProfile, Message};

/// A gateway with one binding, `files`.
pub(super) struct Stage {
    pub(super) shared: Arc<Shared>,
    pub(super) revision: Arc<Revision>,
    pub(super) route: Arc<Route>,
    pub(super) endpoint: Arc<Endpoint>,
}

impl Stage {
    pub(super) async fn new(upstream: &Upstream) -> Self {
        Self::with(upstream, "calls: {deadline_ms: 60000}").await
    }

    /// With further keys of the binding in YAML.
    pub(super) async fn with(upstream: &Upstream, more: &str) -> Self {
        let revisions = testing::in_force(upstream.address, more).await;
        let revision = revisions.only();
        let route = Arc::clone(revision.scope.routes.iter().next().unwrap());
        let endpoint = Arc::clone(revision.scope.routes.find("/bindings/files/mcp").unwrap());
        let shared = Arc::new(Shared {
            metrics: Metrics::new().unwrap(),
            sessions: LocalSessions::new(16),
            revisions,
            leaving: watch::Sender::new(false),
            bridge: Bridge::new(8),
            approvals: Arc::default(),
        });
        Self { shared, revision, route, endpoint }
    }

    /// The same, but its names have the binding's prefix.
    pub(super) fn prefixed(mut self) -> Self {
        self.endpoint = Arc::new(Endpoint {
            path: "/mcp".to_owned(),
            routes: vec![Arc::clone(&self.route)],
            naming: Naming::Prefixed,
            metrics: self.endpoint.metrics.clone(),
        });
        self
    }

    /// A request of `alice`, admitted.
    pub(super) fn admitted(&self, protocol: Protocol, body: &Value) -> Admitted {
        let body = Bytes::from(body.to_string());
        Admitted {
            shared: Arc::clone(&self.shared),
            revision: Arc::clone(&self.revision),
            endpoint: Arc::clone(&self.endpoint),
            routes: vec![Arc::clone(&self.route)],
            caller: testing::caller("user:alice"),
            credentials: Arc::new(KeptCredentials::default()),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            bearer: None,
            param_headers: Vec::new(),
            body,
            protocol,
            accept: Accept::default(),
            session: None,
            last_event_id: None,
            redactor: self.revision.scope.redactor.clone(),
            request_id: [7; 16],
            traceparent: None,
            now: SystemTime::now(),
        }
    }

    /// The same in a session of a client with these capabilities.
    pub(super) fn in_session(&self, protocol: Protocol, capabilities: &Value, body: &Value) -> Admitted {
        let mut admitted = self.admitted(protocol, body);
        admitted.session = Some(Arc::new(SessionToken {
            nonce: [9; 16],
            caller: caller_digest(&self.revision.scope.scope, &admitted.caller),
            endpoint: self.endpoint.path.as_str().into(),
            expires: u64::MAX,
            client: ClientProfile {
                protocol,
                capabilities: capabilities.to_string().into(),
                info: r#"{"name":"old","version":"1"}"#.into(),
            },
            upstreams: vec![UpstreamRef {
                binding: "files".into(),
                id: "s1".into(),
                protocol: Protocol::V2025_11_25,
            }],
        }));
        admitted
    }
}

/// A modern request.
pub(super) fn modern(id: &str, method: &str, params: Value, capabilities: &Value) -> Value {
    let mut params = params;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities});
    match params.get_mut("_meta").and_then(Value::as_object_mut) {
        Some(own) => own.extend(meta.as_object().unwrap().clone()),
        None => params["_meta"] = meta,
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

type Reaction = Box<dyn FnMut(&Value) + Send>;

/// A client that notes what it gets, and may react to it.
#[derive(Default)]
pub(super) struct Recorder {
    /// What came before the answer.
    pub(super) events: Vec<Value>,
    /// Status and body of a JSON answer.
    pub(super) json: Option<(u16, Value)>,
    /// Status of an answer without a body.
    pub(super) empty: Option<u16>,
    pub(super) finished: bool,
    streaming: bool,
    on_event: Option<Reaction>,
    leaves: Option<watch::Receiver<bool>>,
}

impl Recorder {
    /// Does something whenever an event comes.
    pub(super) fn reacting(mut self, react: impl FnMut(&Value) + Send + 'static) -> Self {
        self.on_event = Some(Box::new(react));
        self
    }

    /// Leaves when told to.
    pub(super) fn leaving(mut self, leaves: watch::Receiver<bool>) -> Self {
        self.leaves = Some(leaves);
        self
    }

    /// The answer, whichever way it came.
    pub(super) fn answer(&self) -> &Value {
        match &self.json {
            Some((_, json)) => json,
            None => self.events.last().unwrap_or(&Value::Null),
        }
    }
}

#[async_trait]
impl Client for Recorder {
    async fn json(
        &mut self,
        status: u16,
        _headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(), ClientError> {
        assert!(self.json.is_none() && !self.streaming, "answered twice");
        self.json = Some((status, serde_json::from_slice(&body).unwrap()));
        Ok(())
    }

    async fn empty(
        &mut self,
        status: u16,
        _headers: &[(HeaderName, HeaderValue)],
    ) -> Result<(), ClientError> {
        self.empty = Some(status);
        Ok(())
    }

    async fn open_stream(&mut self, _headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        assert!(!self.streaming && self.json.is_none(), "answered twice");
        self.streaming = true;
        Ok(())
    }

    async fn event(&mut self, message: &Message) -> Result<(), ClientError> {
        assert!(self.streaming && !self.finished);
        let event: Value = serde_json::from_slice(&message.json).unwrap();
        if let Some(react) = &mut self.on_event {
            react(&event);
        }
        self.events.push(event);
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), ClientError> {
        self.finished = true;
        Ok(())
    }

    fn is_streaming(&self) -> bool {
        self.streaming
    }

    async fn gone(&mut self) {
        match &mut self.leaves {
            Some(leaves) => {
                let _ = leaves.wait_for(|left| *left).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// A legacy upstream whose calls are scripted.
pub(super) struct Legacy {
    pub(super) upstream: Upstream,
    /// What clients sent it besides requests.
    said: Mutex<mpsc::UnboundedReceiver<Value>>,
}

/// What a script is told: the call, and where to say what.
pub(super) struct Cue {
    pub(super) seen: Seen,
    feed: Option<mpsc::UnboundedReceiver<Vec<u8>>>,
    /// Pieces of the answer's stream.
    pub(super) to: mpsc::UnboundedSender<Vec<u8>>,
}

impl Cue {
    /// Answers with a stream that begins with these messages; more may follow.
    pub(super) fn stream(mut self, messages: &[Value]) -> Act {
        self.to.send(testing::endless_head()).unwrap();
        for message in messages {
            self.to.send(event(message)).unwrap();
        }
        Act::Follow(self.feed.take().unwrap())
    }

    /// The raw id of the call.
    pub(super) fn id(&self) -> Value {
        serde_json::from_str(&self.seen.id()).unwrap()
    }
}

/// A message as an event of a stream.
pub(super) fn event(message: &Value) -> Vec<u8> {
    testing::chunk(&format!("data: {message}\n\n"))
}

/// The end of such a stream.
pub(super) fn end() -> Vec<u8> {
    b"0\r\n\r\n".to_vec()
}

impl Legacy {
    pub(super) async fn new(call: impl Fn(Cue) -> Act + Send + Sync + 'static) -> Self {
        Self::with_stream(call, |_| Act::Send(testing::empty(405))).await
    }

    /// With a script for the session's own stream.
    pub(super) async fn with_stream(
        call: impl Fn(Cue) -> Act + Send + Sync + 'static,
        stream: impl Fn(Cue) -> Act + Send + Sync + 'static,
    ) -> Self {
        let (say, said) = mpsc::unbounded_channel();
        let upstream = Upstream::serve(move |seen| {
            let (to, feed) = mpsc::unbounded_channel();
            let cue = Cue { seen: seen.clone(), feed: Some(feed), to };
            match seen.rpc_method().as_str() {
                "initialize" => {
                    let result = json!({"jsonrpc": "2.0", "id": cue.id(), "result": {"protocolVersion": "2025-11-25",
                        "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "old", "version": "1"}}});
                    let headers = [("content-type", "application/json"), ("mcp-session-id", "s1")];
                    Act::Send(testing::answer(200, &headers, &result.to_string()))
                }
                "notifications/initialized" => Act::Send(testing::empty(202)),
                "logging/setLevel" => {
                    Act::Send(testing::json(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, seen.id())))
                }
                "GET" => stream(cue),
                "DELETE" => Act::Send(testing::empty(200)),
                // A response, or a notification.
                "POST" | "notifications/cancelled" | "notifications/roots/list_changed" => {
                    let _ = say.send(serde_json::from_slice(&seen.body).unwrap());
                    Act::Send(testing::empty(202))
                }
                _ => call(cue),
            }
        })
        .await;
        Self { upstream, said: Mutex::new(said) }
    }

    /// The next answer or notification of a client.
    pub(super) async fn said(&self) -> Value {
        let mut said = self.said.lock().await;
        tokio::time::timeout(Duration::from_secs(10), said.recv()).await.unwrap().unwrap()
    }
}

/// A JSON answer.
pub(super) fn answer(message: &Value) -> Act {
    Act::Send(testing::json(200, &message.to_string()))
}
