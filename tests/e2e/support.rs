//! The support library against servers that are known to be right, so that a red test means the gateway.

use mcpg_tests::mcp::{Request, Session};
use mcpg_tests::{Fixture, RawHttp, RawUpstream, Step, until};
use serde_json::json;

#[test]
fn the_scripted_upstream_remembers_what_it_saw() {
    let upstream = RawUpstream::result(json!({ "ok": true }));
    let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
    let response = request.send(upstream.address());
    assert_eq!(response.json(), json!({ "jsonrpc": "2.0", "id": 1, "result": { "ok": true } }));
    let seen = upstream.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /mcp HTTP/1.1");
    assert_eq!(seen[0].header("mcp-name"), Some("echo"));
    assert_eq!(seen[0].json()["params"]["arguments"], json!({ "text": "x" }));
    assert_eq!(upstream.bytes_in(), request.bytes(upstream.address()).len() as u64);
}

#[test]
fn a_reset_in_the_body_is_an_incomplete_response() {
    let upstream = RawUpstream::start(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec()), Step::Reset]
    });
    let response = Request::post("/mcp", "{}").send(upstream.address());
    assert_eq!((response.status, response.complete), (200, false));
}

#[test]
fn endless_bodies_end_with_the_reader() {
    let upstream = RawUpstream::start(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::SendForever(vec![b'x'; 4096])]
    });
    let mut connection = RawHttp::connect(upstream.address());
    connection.send(&Request::post("/mcp", "{}").bytes(upstream.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    assert!(!connection.read_more().is_empty());
    drop(connection);
    until("the upstream should notice", || (upstream.open_connections() == 0).then_some(()));
}

#[test]
fn pipelined_requests_have_a_response_each() {
    let upstream = RawUpstream::json("{}");
    let request = Request::post("/mcp", "{}").bytes(upstream.address());
    let mut connection = RawHttp::connect(upstream.address());
    connection.send(&[request.clone(), request].concat());
    assert_eq!([200, 200].map(|_| connection.response().map(|response| response.status)), [Some(200); 2]);
}

#[test]
fn the_fixture_speaks_both_eras() {
    let fixture = Fixture::start();
    let response = Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).send(fixture.address());
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi", "{}", response.text());
    let session = Session::open(fixture.address(), "/mcp", None);
    let response = session.call("echo", json!({ "text": "hi" }));
    assert_eq!(response.json()["result"]["content"][0]["text"], "hi", "{}", response.text());
    let (mut stream, head) = session.listen();
    assert_eq!(head.status, 200);
    assert!(session.end().status < 300);
    assert_eq!(session.call("echo", json!({ "text": "hi" })).status, 404);
    assert!(stream.event().is_none_or(|event| event.data.is_empty()), "the stream ends with its session");
}
