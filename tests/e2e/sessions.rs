//! The revisions before 2026-07-28: sessions, their stream and their end pass through, each as a decision.

use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, Session};
use mcpg_tests::{Fixture, Gateway, RawHttp, scenes};
use serde_json::{Value, json};

#[test]
fn a_session_lives_and_ends() {
    let (_fixture, gateway) = start();
    let session = Session::open(gateway.address(), "/mcp", None);
    let response = session.call("echo", json!({ "text": "hi" }));
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi", "{}", response.text());
    assert!(session.end().status < 300);
    assert_eq!(session.call("echo", json!({ "text": "hi" })).status, 404);
}

#[test]
fn the_session_stream_carries_the_servers_requests() {
    let (_fixture, gateway) = start();
    let session = open_with_elicitation(&gateway);
    let call = json!({
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": { "name": "test_elicitation", "arguments": { "message": "Who?" } },
    });
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(&session.request(&call).bytes(gateway.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    let asked = next_message(&mut connection);
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    let answer = json!({
        "jsonrpc": "2.0",
        "id": asked["id"],
        "result": { "action": "accept", "content": { "username": "ada", "email": "a@b.c" } },
    });
    assert_eq!(session.send(&answer).status, 202);
    let done = next_message(&mut connection);
    assert_eq!(done["id"], 7, "{done}");
    assert!(
        done["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("accept")),
        "{done}"
    );
}

#[test]
fn a_session_has_a_stream_of_its_own() {
    let (_fixture, gateway) = start();
    let session = Session::open(gateway.address(), "/mcp", None);
    let (_stream, head) = session.listen();
    assert_eq!(head.status, 200);
    assert!(head.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
}

#[test]
fn what_belongs_to_no_session_is_refused() {
    let (_fixture, gateway) = start();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let unknown = Request::legacy("/mcp", "no-such-session", &call).send(gateway.address());
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let none = Request::legacy("/mcp", "x", &call).set("Mcp-Session-Id", None).send(gateway.address());
    assert_eq!(none.status, 400, "{}", none.text());
    let stream = Request::new("GET", "/mcp")
        .header("MCP-Protocol-Version", "2025-11-25")
        .header("Accept", "text/event-stream")
        .header("Mcp-Session-Id", "no-such-session")
        .send(gateway.address());
    assert_eq!(stream.status, 404, "{}", stream.text());
}

#[test]
fn every_part_of_a_session_needs_a_caller() {
    let fixture = Fixture::start();
    let gateway = scenes::governed(&fixture.url()).start();
    assert_eq!(Session::initialize(gateway.address(), "/mcp", None).status, 401);
    let session = Session::open(gateway.address(), "/mcp", Some(&key("alice")));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(session.request(&call).set("Authorization", None).send(gateway.address()).status, 401);
    for method in ["GET", "DELETE"] {
        let request = Request::new(method, "/mcp")
            .header("MCP-Protocol-Version", "2025-11-25")
            .header("Accept", "text/event-stream")
            .header("Mcp-Session-Id", session.id());
        assert_eq!(request.send(gateway.address()).status, 401, "{method}");
    }
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200, "the session is as it was");
    let rows = gateway.ledger().rows();
    let methods: Vec<&Value> =
        rows.iter().filter(|row| row["kind"] == "decision").map(|row| &row["method"]).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
}

fn start() -> (Fixture, Gateway) {
    let fixture = Fixture::start();
    let gateway = scenes::open(&fixture.url()).start();
    (fixture, gateway)
}

fn open_with_elicitation(gateway: &Gateway) -> Session {
    Session::open_with(gateway.address(), "/mcp", None, json!({ "elicitation": {} }))
}

/// The next event with a message in it.
fn next_message(connection: &mut RawHttp) -> Value {
    loop {
        let event = connection.event().expect("the stream should go on");
        if !event.data.is_empty() {
            return serde_json::from_str(&event.data).unwrap();
        }
    }
}
