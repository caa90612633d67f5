//! How much an upstream gets at a time, for how long, and when it is left alone; each visible in the metrics.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawUpstream, Response, Step, scenes, until};
use serde_json::{Value, json};

use crate::expect::{Refused, refused};
use mcpg_tests::client::Client;

const UNAVAILABLE: Refused = refused(502, 50201, "upstream_unavailable");

#[test]
fn no_more_calls_run_at_a_time_than_configured() {
    let upstream = waiting();
    let gateway = gateway(&upstream, "concurrency_max: 2, queue_max: 1, queue_timeout_ms: 20000");
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..2).map(|_| scope.spawn(|| call(&gateway))).collect();
        until("two calls should arrive", || (upstream.requests().len() == 2).then_some(()));
        let queued = scope.spawn(|| call(&gateway));
        until("one should wait", || (metric(&gateway, "mcpg_upstream_queued") == 1.0).then_some(()));
        assert_eq!(metric(&gateway, "mcpg_upstream_calls"), 2.0);
        let response = call(&gateway);
        assert!([429, 503].contains(&response.status), "{}: {}", response.status, response.text());
        assert_eq!(upstream.requests().len(), 2, "the upstream has not heard of the others");
        upstream.release();
        for call in running.into_iter().chain([queued]) {
            assert_eq!(call.join().expect("the call should end").status, 200);
        }
    });
    assert!(metric(&gateway, "mcpg_upstream_rejected_total") >= 1.0);
    until("none should run any more", || (metric(&gateway, "mcpg_upstream_calls") == 0.0).then_some(()));
}

#[test]
fn a_call_waits_for_its_turn_no_longer_than_configured() {
    let upstream = waiting();
    let gateway = gateway(&upstream, "concurrency_max: 1, queue_max: 8, queue_timeout_ms: 300");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| call(&gateway));
        until("a call should arrive", || (upstream.requests().len() == 1).then_some(()));
        let response = call(&gateway);
        assert!([429, 503].contains(&response.status), "{}: {}", response.status, response.text());
        upstream.release();
        assert_eq!(running.join().expect("the call should end").status, 200);
    });
}

#[test]
fn a_client_that_leaves_makes_room() {
    let upstream = RawUpstream::unaided(|_| vec![Step::Stall]);
    let gateway = gateway(&upstream, "concurrency_max: 1, queue_max: 0");
    let client = Client::modern(gateway.address(), "/mcp");
    for round in 1..=3 {
        let stream = client.begin("tools/call", json!({ "name": "any", "arguments": {} }));
        until("the call should arrive", || (upstream.requests().len() == round).then_some(()));
        drop(stream);
        until("its place should be free", || (metric(&gateway, "mcpg_upstream_calls") == 0.0).then_some(()));
    }
}

#[test]
fn a_call_ends_at_its_deadline_whatever_it_sends() {
    let fixture = Fixture::start();
    let lines = format!("    url: {}\n    calls: {{ deadline_ms: 700 }}\n", fixture.url());
    let gateway = scenes::open_federation(&[("up", &lines)], "").start();
    let client = Client::modern(gateway.address(), "/mcp");
    let params = json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
    let response = client.send("tools/call", params);
    let text = response.text();
    assert!(!text.contains("slept") && !response.complete, "{} {text}", response.status);
    until("the server should be told", || fixture.process().log().contains("cancelled").then_some(()));
}

#[test]
fn an_upstream_that_fails_is_left_alone_for_a_while() {
    let port = mcpg_tests::free_port();
    let lines = format!(
        "    url: http://127.0.0.1:{port}/mcp\n    protocol: 2026-07-28\n    calls: {{ breaker: {{ failures: 3, window_ms: 60000, open_ms: 1000 }} }}\n"
    );
    let gateway = scenes::open_federation(&[("up", &lines)], "").start();
    for _ in 0..3 {
        UNAVAILABLE.check("down", &call(&gateway));
    }
    assert_eq!(metric(&gateway, "mcpg_upstream_breaker_open"), 1.0);
    assert_eq!(metric(&gateway, "mcpg_upstream_breaker_opened_total"), 1.0);
    let fixture = Fixture::start_at(&format!("127.0.0.1:{port}"), &["--note-requests"]);
    until("the upstream should be tried again", || (call(&gateway).status == 200).then_some(()));
    assert_eq!(metric(&gateway, "mcpg_upstream_breaker_open"), 0.0);
    assert!(!fixture.requests().is_empty());
}

#[test]
fn an_answer_is_no_failure_even_if_it_is_an_error() {
    let upstream = RawUpstream::unaided(|seen| {
        let error = json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "error": { "code": -32602, "message": "no" } });
        let body = error.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        vec![Step::Send((head + &body).into_bytes())]
    });
    let gateway = gateway(&upstream, "breaker: { failures: 2 }");
    for _ in 0..6 {
        assert_eq!(call(&gateway).json()["error"]["code"], -32602);
    }
    assert_eq!(metric(&gateway, "mcpg_upstream_breaker_open"), 0.0);
}

#[test]
fn only_what_is_safe_is_sent_again() {
    // Every first request on a connection is read and not answered.
    let upstream = RawUpstream::unaided(|_| vec![Step::Close]);
    let gateway = gateway(&upstream, "retries_max: 2, breaker: off");
    assert_eq!(call(&gateway).status, 502);
    assert_eq!(upstream.requests().len(), 1, "a call may have had an effect");
    let request = Request::modern("/mcp", "resources/read", json!({ "uri": "test://x" }));
    assert_eq!(request.send(gateway.address()).status, 502);
    let reads = upstream.requests().iter().filter(|seen| seen.json()["method"] == "resources/read").count();
    assert_eq!(reads, 3, "once, and `retries_max` times again");
}

/// Answers each call once the test says so.
fn waiting() -> RawUpstream {
    RawUpstream::unaided(|seen| {
        let result: Value = json!({ "resultType": "complete", "content": [] });
        let body = json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": result }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        vec![Step::AwaitRelease, Step::Send((head + &body).into_bytes())]
    })
}

fn gateway(upstream: &RawUpstream, calls: &str) -> Gateway {
    let lines = format!("    url: {}\n    protocol: 2026-07-28\n    calls: {{ {calls} }}\n", upstream.url());
    scenes::open_federation(&[("up", &lines)], "").start()
}

fn call(gateway: &Gateway) -> Response {
    Request::modern_call("/mcp", "echo", json!({ "text": "x" })).send(gateway.address())
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    gateway.metrics().sum(name, &[("binding", "up")])
}
