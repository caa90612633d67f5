//! DNS rebinding: a foreign `Host` or `Origin` is refused before anything else is looked at.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, scenes};
use serde_json::json;

use crate::expect::refused;

#[test]
fn a_foreign_host_is_not_served() {
    let (upstream, gateway) = start("");
    let port = gateway.address().port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("[::2]:{port}"),
        "169.254.169.254".to_owned(),
    ] {
        let response = call().header("Host", &host).send(gateway.address());
        refused(421, 42101, "misdirected").check(&host, &response);
    }
    assert_eq!(upstream.bytes_in(), 0);
    for host in [
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(call().header("Host", &host).send(gateway.address()).status, 200, "{host}");
    }
}

#[test]
fn a_foreign_origin_is_not_served() {
    let (upstream, gateway) = start("  origins: [\"https://app.example\"]\n");
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "null",
        "",
        "file://",
        "http://169.254.169.254",
    ] {
        let response = call().header("Origin", origin).send(gateway.address());
        refused(403, 40302, "foreign_origin").check(origin, &response);
    }
    let both = call().header("Origin", "https://app.example").header("Origin", "https://evil.example");
    assert_eq!(both.send(gateway.address()).status, 403, "two origins");
    assert_eq!(upstream.bytes_in(), 0);
    let own = format!("http://{}", gateway.address());
    for origin in ["https://app.example", own.as_str()] {
        assert_eq!(call().header("Origin", origin).send(gateway.address()).status, 200, "{origin}");
    }
    assert_eq!(upstream.requests()[0].header("origin"), None, "the upstream's own check is not confused");
    assert_eq!(upstream.requests()[0].header("host"), Some(upstream.address().to_string().as_str()));
}

#[test]
fn an_unknown_path_is_404() {
    let (upstream, gateway) = start("");
    for path in [
        "/",
        "/mcp/",
        "/MCP",
        "/mcp/x",
        "/mcp%2f",
        "/bindings",
        "/bindings/none/mcp",
        "/bindings/files",
        "//mcp",
        "/./mcp",
        "/bindings/../mcp",
    ] {
        let response = Request::modern_call(path, "echo", json!({})).send(gateway.address());
        refused(404, 40401, "unknown_binding").check(path, &response);
    }
    assert_eq!(upstream.bytes_in(), 0);
}

fn start(server: &str) -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::open_with(&upstream.url(), server, "").start();
    (upstream, gateway)
}

fn call() -> Request {
    Request::modern_call("/mcp", "echo", json!({}))
}
