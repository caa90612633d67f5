//! Over a rate: 429 with `Retry-After`, before anything is dispatched.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, Response, scenes};
use serde_json::json;

use crate::expect::refused;

#[test]
fn a_caller_over_its_rate_waits_alone() {
    let plugins = "  - { id: reliability.rate-limit, config: { per_caller: { requests: 3, per: 1h } } }";
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let policy = "permit (principal, action, resource);";
    let gateway =
        scenes::governed_with(&upstream.url(), plugins).file("policies/governed.cedar", policy).start();
    for _ in 0..3 {
        assert_eq!(call(&gateway, "alice", "echo").status, 200);
    }
    let response = call(&gateway, "alice", "echo");
    refused(429, 42901, "rate_limited").check_id("over the rate", &response, json!(1));
    let seconds: u64 = response.header("retry-after").and_then(|value| value.parse().ok()).unwrap();
    assert!((1..=1200).contains(&seconds), "three an hour: {seconds}");
    assert_eq!(upstream.requests().len(), 3, "a call over the rate is not dispatched");
    assert_eq!(call(&gateway, "bob", "echo").status, 200, "another caller has a rate of their own");
    assert_eq!(gateway.metrics().sum("mcpg_refusals_total", &[("reason", "rate_limited")]), 1.0);
}

#[test]
fn a_tool_has_a_rate_of_its_own() {
    let plugins = "  - { id: reliability.rate-limit, config: { per_tool: { tools: { files.slow: { requests: 1, per: 1h } } } } }";
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed_with(&upstream.url(), plugins).start();
    assert_eq!(call(&gateway, "alice", "slow").status, 200);
    assert_eq!(call(&gateway, "alice", "slow").status, 429);
    for _ in 0..20 {
        assert_eq!(call(&gateway, "alice", "echo").status, 200);
    }
}

fn call(gateway: &Gateway, caller: &str, tool: &str) -> Response {
    Request::modern_call("/mcp", tool, json!({})).bearer(&key(caller)).send(gateway.address())
}
