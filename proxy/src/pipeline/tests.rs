use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::audit::{AuditSettings, Ledgers, show::show_dir};
use crate::metrics::Metrics;
use crate::revision::{Builder, RevisionStore, effective_digest};
use ed25519_dalek::SigningKey;
use http::Request;
use mcpg_config::Config;
use serde_json::Value;
use std::path::Path;

const CONFIG: &str = r"
server: { hosts: [gw.example], admin: off }
plugins:
  - id: identity.anonymous
  - id: policy.cedar
    config: { bundle: policies }
  - id: reliability.rate-limit
    config: { per_caller: { requests: 3, per: 1h, burst: 3 } }
bindings:
  - { id: files, type: mcp, url: 'http://127.0.0.1:9/mcp' }
audit: { dir: audit }
";

const POLICIES: &str = r#"
@id("read") permit (principal, action == Action::"files.read", resource);
@id("mail") @redact("email") permit (principal, action == Action::"files.mail", resource);
@id("listen") permit (principal, action == Action::"subscriptions/listen", resource);
"#;

/// A gateway without a network.
struct Bench {
    folder: tempfile::TempDir,
    ledgers: Arc<Ledgers>,
    gateway: Arc<Gateway>,
}

struct Fake {
    head: Parts,
    body: Result<Bytes, BodyError>,
    reads: usize,
}

impl Exchange for Fake {
    fn head(&self) -> &Parts {
        &self.head
    }

    fn source(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    async fn body(&mut self, _revision: &Revision) -> Result<Bytes, BodyError> {
        self.reads += 1;
        self.body.clone()
    }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/p.cedar"), POLICIES).unwrap();
        let config = Config::from_yaml(CONFIG.as_bytes(), "gateway.yaml", folder.path()).unwrap();
        let metrics = Metrics::new().unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let settings = AuditSettings::new(config.audit.dir.clone(), "default".into(), "test".into(), key);
        let ledgers = Ledgers::new(settings, 4);
        let builder = Builder::new(Arc::clone(&metrics)).with_ledgers(Arc::clone(&ledgers));
        let built = builder.generation(&config, effective_digest(&config), 1, None, SystemTime::now()).await;
        let revisions = Arc::new(RevisionStore::new(built.unwrap()));
        let gateway = Gateway::new(revisions, ledgers.of("default"), metrics, 16);
        Self { folder, ledgers, gateway }
    }

    async fn admit(&self, exchange: &mut Fake) -> Result<Authorized, Refusal> {
        let arrival = Arrival { wall: SystemTime::now(), monotonic_ns: 1 };
        let generation = self.gateway.revisions.load();
        match admit(&generation, &self.gateway, exchange, [7; 16], arrival).await {
            Ok(Admission::Authorized(authorized)) => Ok(authorized),
            Ok(Admission::Awaiting(_)) => panic!("it waits for a person"),
            Err(refused) => Err(refused.refusal),
        }
    }

    fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        show_dir(Path::new(&self.folder.path().join("audit")), |row| rows.push(row.clone())).unwrap();
        rows.retain(|row| row["kind"] == "decision");
        rows
    }
}

fn post(tool: &str) -> Fake {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{{"name":"{tool}","arguments":{{"x":1}}}}}}"#
    );
    request(Request::post("/mcp").header("host", "gw.example"), &body)
}

fn request(builder: http::request::Builder, body: &str) -> Fake {
    let head = builder
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    Fake { head, body: Ok(Bytes::copy_from_slice(body.as_bytes())), reads: 0 }
}

#[tokio::test]
async fn a_permitted_call_goes_out_as_it_came_in_and_is_on_record_first() {
    let bench = Bench::new().await;
    let mut exchange = post("read");
    let authorized = bench.admit(&mut exchange).await.unwrap();
    assert_eq!(Ok(authorized.body()), exchange.body.as_ref());
    assert_eq!((authorized.id(), authorized.route().unwrap().id.as_str()), (Some("\"a\""), "files"));
    assert!(authorized.redactor().is_empty() && !authorized.is_idempotent());
    let rows = bench.rows();
    assert_eq!((rows[0]["decision"].as_str(), rows[0]["target"].as_str()), (Some("permit"), Some("read")));
    assert_eq!(rows[0]["arguments_digest"], blake3::hash(br#"{"x":1}"#).to_hex().as_str());
}

#[tokio::test]
async fn an_obligation_reaches_the_response() {
    let bench = Bench::new().await;
    let authorized = bench.admit(&mut post("mail")).await.unwrap();
    let redacted = authorized.redactor().redact(br#"{"result":{"email":"a@b.c"}}"#).unwrap().into_owned();
    assert_eq!(redacted, br#"{"result":{"email":"[redacted]"}}"#);
    assert_eq!(bench.rows()[0]["obligations"][0], "redact:email");
}

#[tokio::test]
async fn what_may_bring_the_results_of_other_calls_is_under_their_obligations() {
    let bench = Bench::new().await;
    let meta = concat!(
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{}}"#
    );
    let params = format!(r#"{{{meta},"notifications":{{"taskIds":["t"]}}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{params}}}"#);
    let head = Request::post("/mcp")
        .header("host", "gw.example")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen");
    let authorized = bench.admit(&mut request(head, &body)).await.unwrap();
    let redacted = authorized.redactor().redact(br#"{"params":{"email":"a@b.c"}}"#).unwrap().into_owned();
    assert_eq!(redacted, br#"{"params":{"email":"[redacted]"}}"#);
}

#[tokio::test]
async fn what_nothing_permits_is_denied_and_on_record() {
    let bench = Bench::new().await;
    let refusal = bench.admit(&mut post("delete_everything")).await.err().unwrap();
    assert_eq!((refusal.status(), refusal.reason), (403, "denied"));
    let rows = bench.rows();
    assert_eq!(
        (rows[0]["decision"].as_str(), rows[0]["deny_code"].as_str()),
        (Some("deny"), Some("not_permitted"))
    );
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_not_made() {
    let bench = Bench::new().await;
    bench.ledgers.close().unwrap();
    let refusal = bench.admit(&mut post("read")).await.err().unwrap();
    assert_eq!((refusal.status(), refusal.reason), (503, "audit_unavailable"));
}

#[tokio::test]
async fn the_fourth_call_is_over_the_limit() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        assert!(bench.admit(&mut post("read")).await.is_ok());
    }
    let refusal = bench.admit(&mut post("read")).await.err().unwrap();
    assert_eq!((refusal.status(), refusal.reason), (429, "rate_limited"));
    assert!(refusal.retry_after.is_some_and(|seconds| seconds > 0));
    assert_eq!(bench.rows().len(), 3, "what is refused before policy was no decision");
}

#[tokio::test]
async fn what_names_no_endpoint_is_refused_before_its_body_is_read() {
    let bench = Bench::new().await;
    let get = || Request::post("/mcp");
    for (exchange, status) in [
        (get(), 400),
        (get().header("host", "evil.example"), 421),
        (get().header("host", "gw.example").header("host", "gw.example"), 400),
        (get().header("host", "gw.example.evil.example"), 421),
        (get().header("host", "gw.example").header("origin", "https://evil.example"), 403),
        (get().header("host", "gw.example").header("origin", "null"), 403),
        (Request::post("/other").header("host", "gw.example"), 404),
        (Request::post("/bindings/other/mcp").header("host", "gw.example"), 404),
        (Request::post("/mcp/").header("host", "gw.example"), 404),
        (Request::post("/bindings/files/%6dcp").header("host", "gw.example"), 404),
    ] {
        let mut exchange = request(exchange, "{}");
        let refusal = bench.admit(&mut exchange).await.err().unwrap();
        assert_eq!((refusal.status(), exchange.reads), (status, 0), "{:?}", exchange.head);
        assert!(refusal.close);
    }
}

#[tokio::test]
async fn both_paths_of_a_lone_binding_lead_to_it() {
    let bench = Bench::new().await;
    for path in ["/mcp", "/bindings/files/mcp"] {
        let mut exchange = post("read");
        exchange.head.uri = path.parse().unwrap();
        assert!(bench.admit(&mut exchange).await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn a_method_of_no_revision_does_not_exist() {
    let bench = Bench::new().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"files.read"}"#;
    let refusal = bench
        .admit(&mut request(Request::post("/mcp").header("host", "gw.example"), body))
        .await
        .err()
        .unwrap();
    // Among sessions 404 would say that the session is gone.
    assert_eq!((refusal.status(), refusal.error), (200, RpcError::MethodNotFound));
}

#[tokio::test]
async fn a_method_of_another_revision_does_not_exist() {
    let bench = Bench::new().await;
    let meta = concat!(
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{}}"#
    );
    for params in [format!("{{{meta}}}"), format!(r#"{{"uri":"a://b",{meta}}}"#)] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{params}}}"#);
        let head = Request::post("/mcp")
            .header("host", "gw.example")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "resources/subscribe");
        let refusal = bench.admit(&mut request(head, &body)).await.err().unwrap();
        assert_eq!((refusal.status(), refusal.error), (404, RpcError::MethodNotFound), "{body}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_message_are_refused_with_their_id() {
    let bench = Bench::new().await;
    for (body, id) in [
        ("", "null"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "null"),
        (r#"{"jsonrpc":"1.0","id":9,"method":"ping"}"#, "9"),
        (r#"{"jsonrpc":"2.0","id":9,"method":"ping","Method":"tools/call"}"#, "null"),
    ] {
        let mut exchange = request(Request::post("/mcp").header("host", "gw.example"), body);
        let refusal = bench.admit(&mut exchange).await.err().unwrap();
        assert_eq!(refusal.status(), 400, "{body}");
        let text = String::from_utf8(refusal.body).unwrap();
        assert!(text.contains(&format!(r#""id":{id},"#)), "{body}: {text}");
    }
}
