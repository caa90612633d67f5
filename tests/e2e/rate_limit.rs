//! Over a rate: 429 with `Retry-After`, before anything is dispatched.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, Response, scenes, until};
use serde_json::{Value, json};

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

/// What policy puts into a class is charged to it, over whatever else holds.
#[test]
fn a_class_is_charged_after_the_decision() {
    let plugins = "  - { id: reliability.rate-limit, config: { classes: { bulk: { requests: 2, per: 1h, burst: 1 } } } }";
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let policy = r#"
        @id("bulk") @rate_class("bulk")
        permit (principal, action in [Action::"files.export", Action::"files.import"], resource);
        permit (principal, action == Action::"files.echo", resource);
    "#;
    let gateway =
        scenes::governed_with(&upstream.url(), plugins).file("policies/governed.cedar", policy).start();
    assert_eq!(call(&gateway, "alice", "nope").status, 403, "a denied call costs nothing");
    assert_eq!(call(&gateway, "alice", "export").status, 200);
    // Another tool, and the same class.
    let response = call(&gateway, "alice", "import");
    refused(429, 42901, "rate_limited").check_id("over the class", &response, json!(1));
    let seconds: u64 = response.header("retry-after").and_then(|value| value.parse().ok()).unwrap();
    assert!((1..=1800).contains(&seconds), "two an hour: {seconds}");
    assert_eq!(upstream.requests().len(), 1, "a call over the class is not dispatched");
    assert_eq!(call(&gateway, "alice", "echo").status, 200, "what is in no class");
    assert_eq!(call(&gateway, "bob", "import").status, 200, "another caller has a bucket of their own");
    assert_eq!(gateway.metrics().sum("mcpg_refusals_total", &[("reason", "rate_limited")]), 1.0);
    let rows = gateway.ledger().rows();
    let charged = |row: &&Value| row["obligations"] == json!(["rate:bulk"]);
    assert_eq!(rows.iter().filter(charged).count(), 3, "the decision stands, whatever came of the charge");
    // A reload hands nobody a fresh burst.
    gateway.replace("policies/more.cedar", "forbid (principal, action == Action::\"files.echo\", resource);");
    until("the change should be in force", || (call(&gateway, "alice", "echo").status == 403).then_some(()));
    assert_eq!(call(&gateway, "alice", "export").status, 429);
}

#[test]
fn a_class_that_no_limit_has_fails_closed() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let policy = "@rate_class(\"bulk\") permit (principal, action in Action::\"tools/call\", resource);";
    let other = "  - { id: reliability.rate-limit, config: { classes: { slow: { requests: 1, per: 1h } } } }";
    // Cedar says beforehand which obligations there are: it does not load.
    let setup = scenes::governed_with(&upstream.url(), other).file("policies/governed.cedar", policy);
    let said = setup.start_refused();
    assert!(said.contains("rate class `bulk`") && said.contains("there: `slow`"), "{said}");
    // Rego that declares nothing cannot: the call is refused.
    let rego = "  - { id: policy.opa, config: { bundle: ./rego } }";
    let decides = r#"package mcpg
        decision := {"allow": true, "obligations": [sprintf("rate:%s", [input.context.arguments.class])]}
    "#;
    let gateway = scenes::governed_with(&upstream.url(), &format!("{other}\n{rego}"))
        .file("rego/policy.rego", decides)
        .start();
    let send = |class: &str| {
        let request = Request::modern_call("/mcp", "echo", json!({ "class": class }));
        request.bearer(&key("alice")).send(gateway.address())
    };
    refused(500, 50001, "obligation_not_applicable").check("an unknown class", &send("bulk"));
    assert_eq!(upstream.requests().len(), 0, "it is not dispatched");
    assert_eq!(send("slow").status, 200);
    assert_eq!(send("slow").status, 429);
}

fn call(gateway: &Gateway, caller: &str, tool: &str) -> Response {
    Request::modern_call("/mcp", tool, json!({})).bearer(&key(caller)).send(gateway.address())
}
