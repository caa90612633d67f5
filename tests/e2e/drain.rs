//! SIGTERM: what runs is finished, what is new is turned away, and the process ends well and in time.

use std::collections::BTreeSet;

use mcpg_tests::client::Client;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawHttp, RawUpstream, Signal, Step, scenes, until};
use serde_json::{Value, json};

#[test]
fn a_call_under_way_is_finished() {
    let upstream = RawUpstream::start(|seen| {
        let body =
            json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": { "content": [] } }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        vec![Step::AwaitRelease, Step::Send((head + &body).into_bytes())]
    });
    let mut gateway = scenes::open(&upstream.url()).start();
    let mut connection = begin(&gateway);
    until("the upstream should see the call", || (upstream.requests().len() == 1).then_some(()));
    gateway.process().signal(Signal::Terminate);
    until("the gateway should not be ready any more", || (!is_ready(&gateway)).then_some(()));
    upstream.release();
    let response = connection.response().expect("the call should be finished");
    assert_eq!((response.status, response.complete), (200, true));
    let status = gateway.process().wait();
    assert!(status.success(), "{status}");
}

#[test]
fn a_stream_under_way_goes_on() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n";
    let upstream = RawUpstream::start(move |_| {
        let last = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n";
        vec![Step::Send(head.into()), Step::AwaitRelease, Step::Send(last.into()), Step::Close]
    });
    let mut gateway = scenes::open(&upstream.url()).start();
    let mut connection = begin(&gateway);
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    gateway.process().signal(Signal::Terminate);
    until("the gateway should not be ready any more", || (!is_ready(&gateway)).then_some(()));
    upstream.release();
    let event = connection.event().expect("the stream should go on");
    let message: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(message["id"], 1);
    assert!(gateway.process().wait().success());
}

#[test]
fn sessions_that_the_gateway_holds_are_ended() {
    let fixture = Fixture::start_with(&["--only", "legacy", "--note-requests"]);
    let mut gateway = scenes::open(&fixture.url()).start();
    Client::modern(gateway.address(), "/mcp").call("echo", json!({ "text": "x" }));
    let sessions = |method: &str| -> Vec<Value> {
        let seen = fixture.requests();
        let of_method = seen.iter().filter(|request| request["method"] == method);
        of_method.map(|request| request["session"].clone()).filter(Value::is_string).collect()
    };
    let used: BTreeSet<String> = sessions("POST").iter().map(Value::to_string).collect();
    gateway.process().signal(Signal::Terminate);
    assert!(gateway.process().wait().success());
    let ended: BTreeSet<String> = sessions("DELETE").iter().map(Value::to_string).collect();
    assert!(!used.is_empty() && ended == used, "used {used:?}, ended {ended:?}");
}

#[test]
fn an_upstream_that_ends_no_session_does_not_hold_the_process() {
    let upstream = RawUpstream::start(|seen| {
        if seen.line.starts_with("DELETE") {
            return vec![Step::Stall];
        }
        let Some(id) = seen.json().get("id").cloned() else {
            return vec![Step::Send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec())];
        };
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "content": [],
            "serverInfo": { "name": "s", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        vec![Step::Send((head + &body).into_bytes())]
    });
    let mut gateway = scenes::open_with(&upstream.url(), "", "    protocol: 2025-11-25\n").start();
    Client::modern(gateway.address(), "/mcp").call("any", json!({}));
    gateway.process().signal(Signal::Terminate);
    assert!(gateway.process().wait().success());
    assert!(upstream.requests().iter().any(|seen| seen.line.starts_with("DELETE")));
}

#[test]
fn a_call_that_never_ends_does_not_hold_the_process() {
    let upstream = RawUpstream::start(|_| vec![Step::Stall]);
    let mut gateway = scenes::open_with(&upstream.url(), "  shutdown: { drain_ms: 500 }\n", "").start();
    let _connection = begin(&gateway);
    until("the upstream should see the call", || (upstream.requests().len() == 1).then_some(()));
    gateway.process().signal(Signal::Terminate);
    gateway.process().wait();
    let output = gateway.ledger().verify();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let mut gateway = scenes::open("http://127.0.0.1:1/mcp").start();
    let _idle = RawHttp::connect(gateway.address());
    gateway.process().signal(Signal::Terminate);
    let status = gateway.process().wait();
    assert!(status.success(), "{status}");
    let rows = gateway.ledger().rows();
    assert!(rows.iter().any(|row| row["event"] == "stopped"), "{rows:?}");
}

fn begin(gateway: &Gateway) -> RawHttp {
    let mut connection = RawHttp::connect(gateway.address());
    let request = Request::modern_call("/mcp", "echo", json!({}));
    connection.send(&request.bytes(gateway.address()));
    connection
}

fn is_ready(gateway: &Gateway) -> bool {
    gateway.is_ready()
}
