//! The gateway in front of the real MCP server: what a client sees is what the server said.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawHttp, RawUpstream, Step, scenes};
use serde_json::{Value, json};

const PATHS: &[&str] = &["/mcp", "/bindings/files/mcp"];

#[test]
fn a_single_binding_is_served_at_both_paths() {
    let (fixture, gateway) = start(&[]);
    for path in PATHS {
        let response = Request::modern_call(path, "echo", json!({ "text": path })).send(gateway.address());
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        assert_eq!(response.json()["result"]["content"][0]["text"], *path);
    }
    drop(fixture);
}

#[test]
fn answers_are_the_servers_own_bytes() {
    let (fixture, gateway) = start(&["--json"]);
    let check = |method: &str, params: Value| {
        let request = Request::modern("/mcp", method, params);
        let (direct, through) = (request.send(fixture.address()), request.send(gateway.address()));
        // A list is filtered for its reader, and says so.
        let public = r#""cacheScope":"public""#;
        let expected = match method.strip_suffix("/list") {
            Some(_) => direct.text().replace(public, r#""cacheScope":"private""#),
            None => direct.text(),
        };
        assert_eq!((through.status, through.text()), (direct.status, expected), "{method}");
        assert_eq!(through.header("content-type"), direct.header("content-type"), "{method}");
    };
    check("server/discover", json!({}));
    check("tools/list", json!({}));
    check("tools/call", json!({ "name": "lookup_customer", "arguments": { "id": "c1" } }));
    check("tools/call", json!({ "name": "test_error_handling", "arguments": {} }));
    check("resources/list", json!({}));
    check("resources/read", json!({ "uri": "test://static-text" }));
    check("resources/read", json!({ "uri": "test://none" }));
    check("resources/templates/list", json!({}));
    check("prompts/list", json!({}));
    check("prompts/get", json!({ "name": "test_simple_prompt" }));
}

#[test]
fn events_arrive_while_the_tool_still_runs() {
    let (_fixture, gateway) = start(&[]);
    let params = json!({
        "name": "slow",
        "arguments": { "ms": 60_000 },
        "_meta": { "progressToken": "p1" },
    });
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(&Request::modern("/mcp", "tools/call", params).bytes(gateway.address()));
    let head = connection.head().expect("the server should answer");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    // The tool sleeps for longer than the test may take: what arrives now was not held back.
    let event = connection.event().expect("an event should come");
    let message: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(message["method"], "notifications/progress", "{message}");
}

#[test]
fn a_large_body_arrives_whole() {
    let (_fixture, gateway) = start(&[]);
    for size in [60_000, 65_536, 65_537, 1 << 20, 3 << 20] {
        let text = "x".repeat(size);
        let response = Request::modern_call("/mcp", "echo", json!({ "text": text })).send(gateway.address());
        assert_eq!(response.status, 200, "{size}");
        assert_eq!(response.json()["result"]["content"][0]["text"].as_str().map(str::len), Some(size));
    }
}

#[test]
fn a_large_answer_arrives_whole() {
    let (_fixture, gateway) = start(&["--json"]);
    let size = 8 << 20;
    let response = Request::modern_call("/mcp", "big", json!({ "bytes": size })).send(gateway.address());
    assert_eq!(response.json()["result"]["content"][0]["text"].as_str().map(str::len), Some(size));
}

#[test]
fn credentials_stop_at_the_gateway() {
    let (_fixture, gateway) = start(&[]);
    let response = Request::modern_call("/mcp", "request_headers", json!({}))
        .header("Cookie", "session=canary")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Custom", "kept")
        .send(gateway.address());
    let text = response.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    let headers: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(headers["x-custom"], "kept", "{headers}");
    assert!(!text.contains("canary") && !text.contains("203.0.113.9"), "{headers}");
}

#[test]
fn an_upstreams_refusals_pass_unchanged() {
    // Clients tell the era of a server from these bodies.
    for (status, body) in [
        (
            "400 Bad Request",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"m","data":{"supported":["x"]}}}"#,
        ),
        ("404 Not Found", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#),
        ("400 Bad Request", "Bad Request: no valid session"),
        ("404 Not Found", ""),
        ("500 Internal Server Error", "{}"),
        ("418 I'm a teapot", "short and stout"),
    ] {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nX-Own: kept\r\n\r\n{body}");
        let upstream = RawUpstream::start(move |_| vec![Step::Send(answer.clone().into_bytes())]);
        let gateway = scenes::open(&upstream.url()).start();
        let response = Request::modern_call("/mcp", "echo", json!({})).send(gateway.address());
        assert_eq!((response.status.to_string(), response.text()), (status[..3].to_owned(), body.to_owned()));
        assert_eq!(response.header("x-own"), Some("kept"), "{status}");
    }
}

fn start(arguments: &[&str]) -> (Fixture, Gateway) {
    let fixture = Fixture::start_with(arguments);
    let gateway = scenes::open(&fixture.url()).start();
    (fixture, gateway)
}
