//! Everything has a limit, and one client at its limit is no other client's concern.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawHttp, RawUpstream, scenes, until};
use serde_json::json;

use crate::expect::refused;

#[test]
fn a_body_over_the_limit_is_413() {
    let (upstream, gateway) = start("{ body_bytes_max: 10000 }");
    let long = "x".repeat(10_000);
    let response = Request::modern_call("/mcp", "echo", json!({ "text": long })).send(gateway.address());
    refused(413, 41301, "payload_too_large").check("by its length", &response);
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json\r\n",
        gateway.address()
    );
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(4)).as_bytes());
    let response = connection.response().expect("the gateway should not wait for the end");
    refused(413, 41301, "payload_too_large").check("by what arrives", &response);
    let mut connection = RawHttp::connect(gateway.address());
    connection
        .send(format!("{head}Content-Length: 9999999999999\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(connection.response().map(|response| response.status), Some(413), "not asked for");
    assert_eq!(upstream.bytes_in(), 0);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let (_upstream, gateway) = start("{ header_timeout_ms: 300 }");
    let mut slow = RawHttp::connect(gateway.address());
    slow.send(b"POST /mcp HTTP/1.1\r\nHost: ");
    // The connection ends without a whole request, whether with a word (408) or without.
    let answer = slow.response();
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
    assert_eq!(call(&gateway), 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let (upstream, gateway) = start("{ body_timeout_ms: 300 }");
    let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" })).bytes(gateway.address());
    let mut slow = RawHttp::connect(gateway.address());
    slow.send(&request[..request.len() - 1]);
    let response = slow.response().expect("the gateway should say so");
    refused(408, 40801, "request_timeout").check("slow body", &response);
    assert!(slow.is_closed_silently());
    assert_eq!(upstream.bytes_in(), 0);
}

#[test]
fn an_idle_connection_is_closed() {
    let (_upstream, gateway) = start("{ idle_timeout_ms: 300 }");
    let mut idle = RawHttp::connect(gateway.address());
    idle.send(&Request::modern_call("/mcp", "echo", json!({})).bytes(gateway.address()));
    assert_eq!(idle.response().map(|response| response.status), Some(200));
    assert!(idle.is_closed_silently());
}

#[test]
fn connections_are_counted() {
    let (_upstream, gateway) = start("{ connections_max: 4, connections_per_ip_max: 3 }");
    let held: Vec<RawHttp> = (0..3).map(|_| served(&gateway)).collect();
    let mut one_more = RawHttp::connect(gateway.address());
    one_more.send(&Request::modern_call("/mcp", "echo", json!({})).bytes(gateway.address()));
    let answer = one_more.response();
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 503), "{answer:?}");
    drop(held);
    until("a place should become free", || {
        let mut connection = RawHttp::connect(gateway.address());
        connection.send(&Request::modern_call("/mcp", "echo", json!({})).bytes(gateway.address()));
        connection.response().filter(|response| response.status == 200)
    });
}

#[test]
fn a_connection_serves_so_many_requests() {
    let (_upstream, gateway) = start("{ requests_per_connection_max: 2 }");
    let mut connection = RawHttp::connect(gateway.address());
    for _ in 0..2 {
        connection.send(&Request::modern_call("/mcp", "echo", json!({})).bytes(gateway.address()));
        assert_eq!(connection.response().map(|response| response.status), Some(200));
    }
    assert!(connection.is_closed_silently());
}

fn start(limits: &str) -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::open_with(&upstream.url(), &format!("  limits: {limits}\n"), "").start();
    (upstream, gateway)
}

fn call(gateway: &Gateway) -> u16 {
    Request::modern_call("/mcp", "echo", json!({})).send(gateway.address()).status
}

fn served(gateway: &Gateway) -> RawHttp {
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(&Request::modern_call("/mcp", "echo", json!({})).bytes(gateway.address()));
    assert_eq!(connection.response().map(|response| response.status), Some(200));
    connection
}
