//! What the log says of requests: each stands in a span of its own, in its caller's trace.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::Level;
use tracing::subscriber::DefaultGuard;

use crate::world::{ACME, Call, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The lines of this thread, as `serve --log-json` writes them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
        let subscriber = subscriber.with_max_level(Level::DEBUG).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The control plane's own lines since the last time, with the fields of their request's span.
    fn lines(&self) -> Vec<(Value, Value)> {
        let text = String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = lines.filter(|line| line["target"].as_str().unwrap().starts_with("mcpg_cp"));
        own.map(|line| {
            let request = line["spans"][0].clone();
            (line, request)
        })
        .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answered(lines: &[(Value, Value)]) -> &(Value, Value) {
    lines.iter().find(|(line, _)| line["message"] == "answered").expect("every request is answered")
}

pub(crate) async fn a_request_is_in_its_callers_trace(world: World) {
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let (log, _listening) = Log::listen();
    let call = Call::new("GET", "/v1/orgs/acme-corp/members/zoe@acme.com");
    let joining = call.clone().header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    let answer = joining.send(&world, &admin).await.expect(404);
    let lines = log.lines();
    let (line, request) = answered(&lines);
    assert_eq!((&line["status"], line["duration_us"].is_u64()), (&json!(404), true), "{line}");
    for (name, expected) in [
        ("name", "request"),
        ("trace_id", TRACE),
        ("parent_id", PARENT),
        ("request_id", answer.header("x-request-id")),
        ("operation", "readMember"),
        ("method", "GET"),
        ("route", "/v1/orgs/{org}/members/{member}"),
        ("org", ACME),
    ] {
        assert_eq!(request[name], expected, "{name}: {request}");
    }
    assert!(request["actor"].as_str().unwrap().starts_with("token:"), "{request}");
    assert_ne!(request["span_id"], PARENT);
    assert!(lines.iter().all(|(line, _)| !line.to_string().contains("zoe")), "{lines:?}");
    // Everything that was done for it is in the span, its transactions too.
    let ended = |line: &Value| line["message"] == "a transaction has ended";
    let transactions = lines.iter().filter(|(line, request)| ended(line) && request["trace_id"] == TRACE);
    assert!(transactions.count() >= 2, "{lines:?}");
}

pub(crate) async fn a_trace_that_is_none_is_begun_anew(world: World) {
    let (log, _listening) = Log::listen();
    let valid = format!("00-{TRACE}-{PARENT}-01");
    let mut seen = Vec::new();
    for values in [
        vec![],
        vec![format!("00-{TRACE}-0000000000000000-01")],
        vec![format!("ff-{TRACE}-{PARENT}-01")],
        vec![valid.to_uppercase()],
        vec![valid.clone(), valid.clone()],
        vec!["evil\",\"org\":\"acme-corp".to_owned()],
    ] {
        let call = values
            .iter()
            .fold(Call::new("GET", "/v1/whoami"), |call, value| call.header("traceparent", value));
        call.send(&world, "").await.expect(401);
        let lines = log.lines();
        let request = &answered(&lines).1;
        let trace = request["trace_id"].as_str().unwrap().to_owned();
        assert_eq!((trace.len(), &request["parent_id"]), (32, &Value::Null), "{values:?}");
        // Who it is from is not known, and nothing is said of it.
        assert_eq!((&request["actor"], &request["org"]), (&Value::Null, &Value::Null), "{values:?}");
        assert!(trace != TRACE && !seen.contains(&trace), "{values:?}");
        seen.push(trace);
    }
}

pub(crate) async fn a_publication_is_one_trace(world: World) {
    let base = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod";
    let spec =
        json!({ "spec": { "bindings": [{ "id": "demo", "type": "mcp", "url": "http://127.0.0.1:9/mcp" }] } });
    let put = Call::put(&format!("{base}/config"), &spec).header("if-none-match", "*");
    put.send(&world, &world.platform).await.expect(201);
    let (log, _listening) = Log::listen();
    let publish = Call::post(&format!("{base}/revisions"), &json!({}));
    let publish = publish.header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    let made = publish.send(&world, &world.platform).await.expect(201).json();
    let lines: Vec<Value> = log
        .lines()
        .into_iter()
        .filter(|(_, request)| request["trace_id"] == TRACE)
        .map(|(line, _)| line)
        .collect();
    let published = lines.iter().find(|line| line["message"] == "a revision was published").unwrap();
    assert_eq!(
        (&published["number"], &published["digest"], &published["environment"]),
        (&json!(1), &made["digest"], &json!("acme-corp/platform-team/prod"))
    );
    let steps: Vec<&str> = lines
        .iter()
        .filter(|line| line["message"] == "a step has ended")
        .map(|line| line["spans"].as_array().unwrap().last().unwrap()["name"].as_str().unwrap())
        .collect();
    for step in ["render", "sign"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
    let text = String::from_utf8(world.service.metrics.text()).unwrap();
    assert!(text.contains("mcpg_cp_revisions_published_total 1"), "{text}");
}
