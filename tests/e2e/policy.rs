//! What a caller may do: everything that a policy permits and none forbids, and nothing else.

use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, Session};
use mcpg_tests::{Fixture, RawUpstream, scenes};
use serde_json::json;

use crate::expect::{Refused, refused};

const DENIED: Refused = refused(403, 40301, "denied");

#[test]
fn what_is_not_permitted_is_denied_before_dispatch() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    let check = |case: &str, caller: &str, request: Request| {
        DENIED.check_id(case, &request.bearer(&key(caller)).send(gateway.address()), json!(1));
        assert_eq!(upstream.bytes_in(), 0, "{case}");
    };
    let call = |tool: &str| Request::modern_call("/mcp", tool, json!({ "name": "mcpg" }));
    check("a forbidden tool", "alice", call("delete_repo"));
    check("a tool that nobody permits to Bob", "bob", call("echo"));
    check("a forbidden tool, Bob", "bob", call("delete_repo"));
    check(
        "a resource",
        "alice",
        Request::modern("/mcp", "resources/read", json!({ "uri": "test://static-text" })),
    );
    check(
        "a prompt",
        "alice",
        Request::modern("/mcp", "prompts/get", json!({ "name": "test_simple_prompt" })),
    );
    check("a task", "alice", Request::modern("/mcp", "tasks/get", json!({ "taskId": "t" })));
    check(
        "at the binding's own path",
        "alice",
        Request::modern_call("/bindings/files/mcp", "delete_repo", json!({})),
    );
    let response = call("delete_repo").bearer(&key("alice")).send(gateway.address());
    for inside in ["nobody-deletes", "cedar", "alice"] {
        assert!(!response.text().contains(inside), "`{inside}` in {}", response.text());
    }
    let denied = gateway.metrics().sum("mcpg_requests_total", &[("outcome", "denied")]);
    assert_eq!(denied, 8.0);
    let unknown = Request::modern("/mcp", "x/y", json!({})).bearer(&key("alice")).send(gateway.address());
    refused(404, -32601, "method_not_found").check_id("an unknown method", &unknown, json!(1));
    assert_eq!(upstream.bytes_in(), 0);
}

#[test]
fn names_are_compared_as_they_are() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    // Another spelling is another tool: permitted to Alice, and passed on as she wrote it.
    for name in ["Delete_repo", "delete_repo ", "delete%5Frepo", "files.delete_repo", "delete_repo/"] {
        let response = Request::modern_call("/mcp", name, json!({}))
            .set("Mcp-Name", Some(&coded(name)))
            .bearer(&key("alice"))
            .send(gateway.address());
        assert_eq!(response.status, 200, "`{name}`: {}", response.text());
        assert_eq!(
            upstream.requests().last().map(|seen| seen.json()["params"]["name"].clone()),
            Some(json!(name))
        );
    }
    let escaped =
        mcpg_tests::mcp::modern_body("tools/call", json!({ "name": "delete_repo", "arguments": {} }));
    let escaped = escaped.to_string().replace("\"delete_repo\"", r#""delete\u005frepo""#);
    let request = Request::modern_call("/mcp", "delete_repo", json!({})).body(escaped);
    DENIED.check("an escaped name", &request.bearer(&key("alice")).send(gateway.address()));
}

#[test]
fn both_eras_are_decided_alike() {
    let fixture = Fixture::start();
    let gateway = scenes::governed(&fixture.url()).start();
    let session = Session::open(gateway.address(), "/mcp", Some(&key("alice")));
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200);
    DENIED.check("a forbidden tool", &session.call("delete_repo", json!({ "name": "x" })));
    let session = Session::open(gateway.address(), "/mcp", Some(&key("bob")));
    DENIED.check("Bob", &session.call("echo", json!({ "text": "x" })));
}

#[test]
fn arguments_are_those_that_the_upstream_sees() {
    let policy = r#"
        permit (principal, action in Action::"tools/call", resource)
        when { context.arguments has amount && context.arguments.amount == 10 };
    "#;
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).file("policies/governed.cedar", policy).start();
    let send = |arguments: &str| {
        let body = mcpg_tests::mcp::modern_body("tools/call", json!({ "name": "pay", "arguments": {} }));
        let body = body.to_string().replace("\"arguments\":{}", &format!("\"arguments\":{arguments}"));
        let request = Request::modern_call("/mcp", "pay", json!({})).body(body);
        request.bearer(&key("alice")).send(gateway.address())
    };
    for arguments in [r#"{"amount":10}"#, r#"{ "amount" : 10 }"#, r#"{"am\u006funt":10,"to":"x"}"#] {
        assert_eq!(send(arguments).status, 200, "{arguments}");
        let seen = upstream.requests().pop().unwrap();
        assert!(String::from_utf8(seen.body).unwrap().contains(arguments), "{arguments}");
    }
    let permitted = upstream.requests().len();
    for arguments in
        [r#"{"amount":11}"#, r#"{"amount":"10"}"#, r#"{"amount":10.5}"#, r#"{"Amount":10}"#, "{}"]
    {
        assert_eq!(send(arguments).status, 403, "{arguments}");
    }
    assert_eq!(upstream.requests().len(), permitted);
}

#[test]
fn a_decision_is_cached_only_for_what_it_read() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    let call = |caller: &str, tool: &str| {
        Request::modern_call("/mcp", tool, json!({})).bearer(&key(caller)).send(gateway.address()).status
    };
    for _ in 0..3 {
        assert_eq!(call("alice", "echo"), 200);
        assert_eq!(call("bob", "echo"), 403);
        assert_eq!(call("alice", "delete_repo"), 403);
    }
}

fn coded(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { name.into() } else { "=?base64?ZGVsZXRlX3JlcG8g?=".into() }
}
