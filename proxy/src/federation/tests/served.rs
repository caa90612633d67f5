//! What clients of both eras are told of upstreams of both eras, over real connections.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use mcpg_config::Config;
use mcpg_filters::identity::KeptCredentials;
use mcpg_protocol::{Accept, Revision as Protocol};

use super::*;
use crate::audit::Ledger;
use crate::gateway::Gateway;
use crate::revision::{Builder, RevisionStore, effective_digest};
use crate::serve::{Admitted, Client, ClientError};
use crate::sessions::SessionToken;
use crate::upstream::testing::{Act, Seen, Upstream, answer, at_once, empty};
use crate::upstream::{ClientProfile, Message};

/// A gateway without its listeners.
struct Bench {
    _folder: tempfile::TempDir,
    gateway: Arc<Gateway>,
}

/// Keeps the one answer that it gets.
#[derive(Default)]
struct Heard(Option<(u16, Value)>);

#[async_trait]
impl Client for Heard {
    async fn json(
        &mut self,
        status: u16,
        _: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(), ClientError> {
        self.0 = Some((status, serde_json::from_slice(&body).unwrap()));
        Ok(())
    }

    async fn empty(&mut self, _: u16, _: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        Err(ClientError::Gone)
    }

    async fn open_stream(&mut self, _: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        Err(ClientError::Gone)
    }

    async fn event(&mut self, _: &Message) -> Result<(), ClientError> {
        Err(ClientError::Gone)
    }

    async fn finish(&mut self) -> Result<(), ClientError> {
        Err(ClientError::Gone)
    }

    fn is_streaming(&self) -> bool {
        false
    }

    async fn gone(&mut self) {
        std::future::pending().await
    }
}

impl Bench {
    async fn new(bindings: &[(&str, &Upstream)], federation: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("policies")).unwrap();
        let policies = "@id(\"all\") permit (principal, action, resource);\n";
        std::fs::write(folder.path().join("policies/p.cedar"), policies).unwrap();
        let bindings: String = bindings
            .iter()
            .map(|(id, upstream)| {
                format!("  - {{ id: {id}, type: mcp, url: 'http://{}/mcp' }}\n", upstream.address)
            })
            .collect();
        let text = format!(
            "server: {{ hosts: [gw.example], admin: off }}\nplugins:\n  - id: identity.anonymous\n  - id: policy.cedar\n    config: {{ bundle: policies }}\nfederation: {{ {federation} }}\nbindings:\n{bindings}audit: {{ dir: audit }}\n"
        );
        let config = Config::from_yaml(text.as_bytes(), "gateway.yaml", folder.path());
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let metrics = Metrics::new().unwrap();
        let builder = Builder::new(Arc::clone(&metrics));
        let digest = effective_digest(&config);
        let first = builder.generation(&config, digest, 1, None, SystemTime::now()).await.unwrap();
        let gateway = Gateway::new(Arc::new(RevisionStore::new(first)), Ledger::none(), metrics, 16);
        Self { _folder: folder, gateway }
    }

    fn admitted(&self, protocol: Protocol, body: &Value) -> Admitted {
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
            body: Bytes::from(body.to_string()),
            protocol,
            accept: Accept { json: true, event_stream: true },
            session: None,
            last_event_id: None,
            redactor: revision.scope.redactor.clone(),
            request_id: [7; 16],
            traceparent: None,
            now: SystemTime::now(),
            revision,
        }
    }

    /// A request of the modern era by a client that can do what `capabilities` say.
    fn modern(&self, method: &str, params: Value, capabilities: &Value) -> Admitted {
        let mut params = params;
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
        let body = json!({"jsonrpc": "2.0", "id": "m", "method": method, "params": params});
        self.admitted(Protocol::V2026_07_28, &body)
    }

    /// A request of the legacy era.
    fn legacy(&self, method: &str, params: &Value) -> Admitted {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.admitted(Protocol::V2025_11_25, &body)
    }

    async fn list(&self, admitted: &Admitted) -> (u16, Value) {
        let mut heard = Heard::default();
        serve_list(admitted, &mut heard).await.unwrap();
        heard.0.unwrap()
    }

    /// The answer to a list request of the modern era.
    async fn tools(&self) -> Value {
        let (status, answer) = self.list(&self.modern("tools/list", json!({}), &json!({}))).await;
        assert_eq!((status, &answer["id"]), (200, &json!("m")));
        answer["result"].clone()
    }

    /// Notes that all lists are changed, and lets the time go by in which they are not fetched again.
    async fn change(&self) {
        let revision = self.gateway.revisions.only();
        revision.scope.routes.iter().for_each(|route| route.catalogues.changed(ListKind::Tools));
    }
}

fn result(seen: &Seen, result: &Value) -> String {
    let message: Value = serde_json::from_slice(&seen.body).unwrap();
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
}

fn error(seen: &Seen, code: i64) -> String {
    let message: Value = serde_json::from_slice(&seen.body).unwrap();
    json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": "no"}}).to_string()
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Speaks 2026-07-28. Has tools and nothing else.
async fn modern() -> Upstream {
    Upstream::serve(|seen| match seen.rpc_method().as_str() {
        "server/discover" => Act::Send(answer(200, &[JSON], &result(seen, &json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 1000, "cacheScope": "public",
            "capabilities": {"tools": {"listChanged": true}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
            "instructions": "Be modern.", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "m", "version": "1"}},
        })))),
        "tools/list" => Act::Send(answer(200, &[JSON], &result(seen, &json!({
            "resultType": "complete", "tools": [{"name": "new", "inputSchema": {"type": "object"}}],
            "ttlMs": 60_000, "cacheScope": "public",
        })))),
        _ => Act::Send(answer(404, &[JSON], &error(seen, -32601))),
    })
    .await
}

/// Speaks 2025-11-25, in sessions `s0`, `s1`, and so on. Those before `lost` do not exist any more.
async fn legacy(lost: &Arc<AtomicUsize>) -> Upstream {
    let (sessions, lost) = (AtomicUsize::new(0), Arc::clone(lost));
    Upstream::serve(move |seen| {
        let session = seen.header("mcp-session-id").strip_prefix('s').and_then(|id| id.parse::<usize>().ok());
        match (seen.method.as_str(), seen.rpc_method().as_str()) {
            (_, "initialize") => {
                let id = format!("s{}", sessions.fetch_add(1, Ordering::Relaxed));
                let said = json!({
                    "protocolVersion": "2025-11-25", "serverInfo": {"name": "l", "version": "1"}, "instructions": "Be legacy.",
                    "capabilities": {"tools": {}, "prompts": {}, "tasks": {"list": {}, "cancel": {}}}
                });
                Act::Send(answer(200, &[JSON, ("mcp-session-id", &id)], &result(seen, &said)))
            }
            _ if session.is_none_or(|session| session < lost.load(Ordering::Relaxed)) => Act::Send(empty(404)),
            ("DELETE", _) => Act::Send(empty(200)),
            (_, "notifications/initialized") => Act::Send(empty(202)),
            (_, "tools/list") => Act::Send(answer(200, &[JSON], &result(seen, &json!({"tools": [{"name": "old"}]})))),
            (_, "prompts/list") => Act::Send(answer(200, &[JSON], &result(seen, &json!({"prompts": [{"name": "p"}]})))),
            _ => Act::Send(answer(200, &[JSON], &error(seen, -32601))),
        }
    })
    .await
}

fn asked<'s>(seen: &'s [Seen], method: &str) -> Vec<&'s Seen> {
    seen.iter().filter(|seen| seen.rpc_method() == method).collect()
}

#[tokio::test]
async fn a_modern_client_lists_upstreams_of_both_eras() {
    let (new, old) = (modern().await, legacy(&Arc::default()).await);
    let bench = Bench::new(&[("new", &new), ("old", &old)], "").await;
    let tools = bench.tools().await;
    assert_eq!(
        tools["tools"],
        json!([{"name": "new.new", "inputSchema": {"type": "object"}}, {"name": "old.old"}])
    );
    assert_eq!((&tools["cacheScope"], &tools["resultType"]), (&json!("private"), &json!("complete")));
    assert!(tools["ttlMs"].as_u64().is_some_and(|ttl| (1..=60_000).contains(&ttl)), "{tools}");
    assert_eq!(tools["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcpg");
    assert_eq!(tools["_meta"].get("mcpg/unavailable"), None);
    let (seen, method) = (new.seen(), "tools/list");
    let [asked_new] = asked(&seen, method)[..] else { panic!("not asked once") };
    assert_eq!(asked_new.header("mcp-protocol-version"), "2026-07-28");
    assert_eq!(asked_new.header("mcp-method"), method);
    let body: Value = serde_json::from_slice(&asked_new.body).unwrap();
    let meta = &body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "mcpg");
    let seen = old.seen();
    assert_eq!(asked(&seen, method)[0].header("mcp-protocol-version"), "2025-11-25");
}

#[tokio::test]
async fn a_legacy_client_gets_no_member_of_another_era() {
    let (new, old) = (modern().await, legacy(&Arc::default()).await);
    let bench = Bench::new(&[("new", &new), ("old", &old)], "").await;
    let (status, answer) = bench.list(&bench.legacy("tools/list", &json!({}))).await;
    assert_eq!(status, 200);
    let expected = json!([{"name": "new.new", "inputSchema": {"type": "object"}}, {"name": "old.old"}]);
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": expected}}));
}

#[tokio::test]
async fn an_upstream_without_a_list_has_nothing_in_it() {
    let (new, old) = (modern().await, legacy(&Arc::default()).await);
    let bench = Bench::new(&[("new", &new), ("old", &old)], "").await;
    let (_, answer) = bench.list(&bench.modern("prompts/list", json!({}), &json!({}))).await;
    assert_eq!(answer["result"]["prompts"], json!([{"name": "old.p"}]));
    assert_eq!(answer["result"]["_meta"].get("mcpg/unavailable"), None);
    let (_, answer) = bench.list(&bench.modern("resources/templates/list", json!({}), &json!({}))).await;
    assert_eq!(answer["result"]["resourceTemplates"], json!([]));
}

#[tokio::test]
async fn a_session_is_kept_for_the_next_list_and_replaced_when_it_is_lost() {
    let lost = Arc::default();
    let old = legacy(&lost).await;
    let bench = Bench::new(&[("old", &old), ("twin", &old)], "").await;
    bench.tools().await;
    let sessions = |old: &Upstream| {
        let seen = old.seen();
        let mut used: Vec<String> =
            asked(&seen, "tools/list").iter().map(|seen| seen.header("mcp-session-id").to_owned()).collect();
        used.sort();
        used.dedup();
        used
    };
    let first = sessions(&old);
    bench.change().await;
    bench.tools().await;
    assert_eq!(sessions(&old), first, "the sessions that there are serve again");
    lost.store(100, Ordering::Relaxed);
    bench.change().await;
    lost.store(4, Ordering::Relaxed);
    let tools = bench.tools().await;
    assert_eq!(tools["tools"], json!([{"name": "old.old"}, {"name": "twin.old"}]));
    assert!(sessions(&old).len() > first.len());
}

#[tokio::test]
async fn upstreams_are_told_of_a_class_of_clients_and_not_of_a_client() {
    let new = modern().await;
    let bench = Bench::new(&[("new", &new)], "naming: prefixed").await;
    let told = |capabilities: Value| {
        let (bench, new) = (&bench, &new);
        async move {
            bench.list(&bench.modern("tools/list", json!({}), &capabilities)).await;
            let seen = new.seen();
            let asked = asked(&seen, "tools/list");
            let body: Value = serde_json::from_slice(&asked.last().unwrap().body).unwrap();
            (asked.len(), body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone())
        }
    };
    assert_eq!(told(json!({"experimental": {"x": {}}})).await, (1, json!({})));
    assert_eq!(told(json!({"experimental": {"y": {}}})).await, (1, json!({})));
    assert_eq!(told(json!({"sampling": {"z": {}}})).await, (2, json!({"sampling": {}})));
    assert_eq!(told(json!({"sampling": {}})).await.0, 2);
}

#[tokio::test]
async fn a_cursor_that_leads_nowhere_is_a_fault_of_the_client() {
    let new = modern().await;
    let bench = Bench::new(&[("new", &new)], "naming: prefixed").await;
    for cursor in [json!("x"), json!(7), json!(null)] {
        let (status, answer) =
            bench.list(&bench.modern("tools/list", json!({"cursor": cursor}), &json!({}))).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)));
        let (status, answer) = bench.list(&bench.legacy("tools/list", &json!({"cursor": cursor}))).await;
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32602)));
    }
}

#[tokio::test]
async fn a_dead_upstream_is_named_where_it_is_missing() {
    let (new, dead) = (modern().await, Upstream::serve(|_| Act::Hang).await);
    let bench = Bench::new(
        &[("dead", &dead), ("new", &new)],
        "initialize_timeout_ms: 300, catalogue: { fetch_timeout_ms: 300 }",
    )
    .await;
    let tools = bench.tools().await;
    assert_eq!(tools["tools"][0]["name"], "new.new");
    assert_eq!(tools["_meta"]["mcpg/unavailable"], json!(["dead"]));
    let mut heard = Heard::default();
    serve_discover(&bench.modern("server/discover", json!({}), &json!({})), &mut heard).await.unwrap();
    let (_, answer) = heard.0.unwrap();
    assert_eq!(answer["result"]["_meta"]["mcpg/unavailable"], json!(["dead"]));
    assert_eq!(answer["result"]["capabilities"]["tools"], json!({"listChanged": true}));
    let alone =
        Bench::new(&[("dead", &dead)], "naming: prefixed, catalogue: { fetch_timeout_ms: 300 }").await;
    let (status, answer) = alone.list(&alone.modern("tools/list", json!({}), &json!({}))).await;
    assert_eq!((status, &answer["error"]["data"]["reason"]), (504, &json!("upstream_timeout")));
}

#[tokio::test]
async fn an_endpoint_says_what_its_bindings_say() {
    let (new, old) = (modern().await, legacy(&Arc::default()).await);
    let bench = Bench::new(&[("new", &new), ("old", &old)], "").await;
    let mut heard = Heard::default();
    serve_discover(&bench.modern("server/discover", json!({}), &json!({})), &mut heard).await.unwrap();
    let (status, answer) = heard.0.unwrap();
    assert_eq!(status, 200);
    let said = &answer["result"];
    assert_eq!(
        said["capabilities"],
        json!({"tools": {"listChanged": true}, "prompts": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
    );
    let versions = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!(said["supportedVersions"], json!(versions));
    let instructions = said["instructions"].as_str().unwrap();
    assert!(instructions.contains("# new\n\n") && instructions.contains("Be modern."), "{instructions}");
    assert!(instructions.contains("`old.NAME`") && instructions.ends_with("Be legacy."), "{instructions}");
    assert_eq!(said["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcpg");
    assert_eq!(said["resultType"], "complete");
}

#[tokio::test]
async fn a_session_begins_with_those_behind_it() {
    let (new, old) = (modern().await, legacy(&Arc::default()).await);
    let bench = Bench::new(&[("new", &new), ("old", &old)], "").await;
    let admitted = bench.legacy("initialize", &json!({}));
    let client = ClientProfile {
        protocol: Protocol::V2025_11_25,
        capabilities: r#"{"roots":{}}"#.into(),
        info: r#"{"name":"c","version":"1"}"#.into(),
    };
    let token = SessionToken {
        nonce: [1; 16],
        caller: [2; 32],
        endpoint: "/mcp".into(),
        expires: u64::MAX,
        client,
        upstreams: Vec::new(),
    };
    let introduced = admitted.revision.federation.initialize(&admitted, token).await.unwrap();
    let said: Value = serde_json::from_str(&introduced.result).unwrap();
    assert_eq!(said["protocolVersion"], "2025-11-25");
    assert_eq!(said["serverInfo"]["name"], "mcpg");
    assert_eq!(
        said["capabilities"],
        json!({"tools": {"listChanged": true}, "prompts": {}, "tasks": {"cancel": {}}})
    );
    assert_eq!(said.get("ttlMs").or(said.get("resultType")), None);
    let behind: Vec<&str> = introduced.token.upstreams.iter().map(|upstream| &*upstream.binding).collect();
    assert_eq!(behind, ["old"]);
    let seen = old.seen();
    let bodies: Vec<Value> =
        asked(&seen, "initialize").iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    let own = bodies
        .iter()
        .find(|body| body["params"]["clientInfo"]["name"] == "c")
        .expect("the client's own session");
    assert_eq!(own["params"]["capabilities"], json!({"roots": {}}));
}
