//! The support library against servers that are known to be right, so that a red test means the gateway.

use mcpg_tests::client::{Client, Stream};
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

#[test]
fn a_fixture_of_either_era_tells_news_and_notices_who_left() {
    for era in ["modern", "legacy"] {
        let fixture = Fixture::start_with(&["--only", era]);
        let client = match era {
            "modern" => Client::modern(fixture.address(), "/mcp"),
            _ => Client::legacy(fixture.address(), "/mcp"),
        };
        let mut stream = match &client {
            Client::Modern { .. } => {
                let wanted =
                    json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource"] });
                let mut stream = client.begin("subscriptions/listen", json!({ "notifications": wanted }));
                assert_eq!(stream.head().status, 200);
                assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
                stream
            }
            Client::Legacy(session) => {
                let (connection, head) = session.listen();
                assert_eq!(head.status, 200);
                client.ask("resources/subscribe", json!({ "uri": "test://watched-resource" }));
                Stream::over(connection)
            }
        };
        client.call("define_tool", json!({ "name": "tool_new", "description": "x" }));
        stream.until(Some("notifications/tools/list_changed"));
        client.call("touch_resource", json!({ "uri": "test://watched-resource" }));
        stream.until(Some("notifications/resources/updated"));

        let params =
            json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
        let mut slow = client.begin("tools/call", params);
        slow.head();
        slow.until(Some("notifications/progress"));
        match &client {
            Client::Modern { .. } => drop(slow),
            Client::Legacy(session) => {
                let params = json!({ "requestId": session.last_id() });
                session.send(
                    &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }),
                );
            }
        }
        until("the server should notice", || fixture.process().log().contains("cancelled").then_some(()));
    }
}
