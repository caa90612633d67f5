//! Cedar, Rego and Casbin in one chain, in front of a real MCP server: each can stop a call, and what they require unites.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawHttp, Response, Setup, scenes, until};
use serde_json::{Value, json};

use crate::expect::{Refused, refused};

const DENIED: Refused = refused(403, 40301, "denied");

const ENGINES: &str = "  - id: policy.opa
    config: { bundle: ./rego, obligations: [redact:phone], limits: { evaluation_ms_max: 5000 } }
  - id: policy.casbin
    config: { bundle: ./casbin, limits: { evaluation_ms_max: 5000 } }";

const CEDAR: &str = r#"
@id("tools") @redact("email")
permit (principal, action in Action::"tools/call", resource);

@id("nobody-deletes")
forbid (principal, action == Action::"files.delete_repo", resource);

forbid (principal, action == Action::"files.echo", resource)
when { context.arguments has text && context.arguments.text == "cedar" };
"#;

const REGO: &str = r#"package mcpg

default decision := false

decision := {"allow": true, "policies": ["tools"], "obligations": ["redact:phone"]} if {
    input.action.kind == "tool"
    not too_much
}

too_much if {
    input.action.name == "add"
    input.context.arguments.a > 100
}

too_much if {
    input.action.name == "test_custom_header"
    to_number(input.context.arguments.value) > 1
}
"#;

const MODEL: &str = "[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act, obligations

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act
";

/// Everything that the tests call but `big`.
const RULES: &str = "p, user:alice@acme.com, files.lookup_customer, tools/call, hash:name
p, user:alice@acme.com, files.add, tools/call
p, user:alice@acme.com, files.delete_repo, tools/call
p, user:alice@acme.com, files.echo, tools/call
p, user:alice@acme.com, files.test_*, tools/call
p, user:bob@acme.com, files.echo, tools/call
";

fn chained(upstream: &str, more: &str) -> Setup {
    scenes::governed_with(upstream, &format!("{ENGINES}\n{more}"))
        .file("policies/governed.cedar", CEDAR)
        .file("rego/policy.rego", REGO)
        .file("casbin/model.conf", MODEL)
        .file("casbin/policy.csv", RULES)
}

fn call(gateway: &Gateway, caller: &str, tool: &str, arguments: Value) -> Response {
    Request::modern_call("/mcp", tool, arguments).bearer(&key(caller)).send(gateway.address())
}

/// The rows of the decisions about a tool, oldest first.
fn decisions(gateway: &Gateway, tool: &str) -> Vec<Value> {
    let mut rows = gateway.ledger().rows();
    rows.retain(|row| row["kind"] == "decision" && row["target"] == tool);
    rows
}

/// The tools that the server was really asked to call.
fn called(fixture: &Fixture) -> Vec<Value> {
    let names = fixture.requests().into_iter().map(|seen| seen["name"].clone());
    names.filter(|name| !name.is_null()).collect()
}

#[test]
fn every_engine_permits_and_all_that_they_require_happens() {
    for arguments in [&[][..], &["--json"]] {
        let fixture = Fixture::start_with(arguments);
        let gateway = chained(&fixture.url(), "").start();
        let response = call(&gateway, "alice", "lookup_customer", json!({ "id": "c1" }));
        assert_eq!(response.status, 200, "{}", response.text());
        let result = response.json()["result"].clone();
        let record = &result["structuredContent"];
        assert_eq!(record["email"], "[redacted]");
        assert_eq!(record["contacts"][0]["email"], "[redacted]");
        assert_eq!(record["phone"], "[redacted]");
        assert_eq!(record["id"], "c1");
        let name = record["name"].as_str().unwrap();
        assert!(name.starts_with("[hash:") && name.len() == "[hash:]".len() + 16, "{name}");
        assert_ne!(record["contacts"][0]["name"], name, "another name has another hash");
        // The text of the answer says the same in the same way.
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, *record);
        for secret in ["@example.com", "7946", "Ada", "Bo Example"] {
            assert!(!response.text().contains(secret), "`{secret}` in {}", response.text());
        }
        let again = call(&gateway, "alice", "lookup_customer", json!({ "id": "c2" })).json();
        assert_eq!(again["result"]["structuredContent"]["name"], name, "and the same one the same");

        let rows = decisions(&gateway, "lookup_customer");
        assert_eq!(rows[0]["obligations"], json!(["redact:email", "hash:name", "redact:phone"]));
        let policies = rows[0]["policies"].as_array().unwrap();
        assert_eq!(policies.len(), 3, "one of each engine: {policies:?}");
        assert!(policies.contains(&json!("policy.csv:1")), "{policies:?}");
    }
}

#[test]
fn each_engine_alone_stops_a_call() {
    let fixture = Fixture::start_with(&["--note-requests"]);
    let gateway = chained(&fixture.url(), "").start();
    let big = json!({ "a": 101, "b": 1 });
    for (engine, code, caller, tool, arguments) in [
        ("policy.cedar", "forbidden", "alice", "delete_repo", json!({ "name": "mcpg" })),
        ("policy.opa", "not_permitted", "alice", "add", big),
        ("policy.casbin", "not_permitted", "alice", "big", json!({ "bytes": 1 })),
        ("policy.casbin", "not_permitted", "bob", "slow", json!({ "ms": 1 })),
    ] {
        let response = call(&gateway, caller, tool, arguments);
        DENIED.check_id(tool, &response, json!(1));
        for inside in ["cedar", "opa", "casbin", "nobody-deletes"] {
            assert!(!response.text().contains(inside), "`{inside}` in {}", response.text());
        }
        let row = decisions(&gateway, tool).pop().unwrap();
        assert_eq!((&row["engine"], &row["deny_code"]), (&json!(engine), &json!(code)), "{tool}: {row}");
        assert_eq!(row["obligations"], json!([]), "{tool}");
    }
    assert_eq!(called(&fixture), Vec::<Value>::new(), "a denied call is not made");
    assert_eq!(call(&gateway, "alice", "add", json!({ "a": 100, "b": 1 })).status, 200);
    assert_eq!(called(&fixture), ["add"]);
}

#[test]
fn an_engine_that_fails_denies() {
    let attribute = MODEL.replace("r.act == p.act", "r.act == p.act && r.dept == \"ops\"");
    let attribute = attribute.replace("r = sub, obj, act", "r = sub, obj, act, dept");
    let casbin = ENGINES
        .replace("bundle: ./casbin,", "bundle: ./casbin, request: { dept: caller.attributes.department },");
    let fixture = Fixture::start_with(&["--note-requests"]);
    let gateway = chained(&fixture.url(), "").start();
    let row = |gateway: &Gateway, tool: &str| decisions(gateway, tool).pop().unwrap();
    for (engine, code, tool, arguments) in [
        ("policy.cedar", "policy_input", "echo", json!({ "text": 7 })),
        ("policy.opa", "policy_error", "test_custom_header", json!({ "value": "x" })),
    ] {
        DENIED.check(engine, &call(&gateway, "alice", tool, arguments));
        let row = row(&gateway, tool);
        assert_eq!((&row["engine"], &row["deny_code"]), (&json!(engine), &json!(code)), "{row}");
    }
    let setup = scenes::governed_with(&fixture.url(), &casbin).file("policies/governed.cedar", CEDAR);
    let setup = setup.file("rego/policy.rego", REGO).file("casbin/policy.csv", RULES);
    let gateway = setup.file("casbin/model.conf", &attribute).start();
    DENIED.check("an attribute that is not there", &call(&gateway, "alice", "echo", json!({ "text": "x" })));
    let row = row(&gateway, "echo");
    assert_eq!(row["engine"], "policy.casbin", "{row}");
    assert_eq!(called(&fixture), Vec::<Value>::new());
}

#[test]
fn a_shadow_is_recorded_and_not_applied() {
    let shadow = "  - { id: policy.opa, name: next, shadow: true, config: { bundle: ./next, obligations: [remove:id] } }";
    let next = r#"package mcpg
        decision := {"allow": true, "obligations": ["remove:id"]} if input.action.name == "lookup_customer"
    "#;
    let fixture = Fixture::start();
    let gateway = chained(&fixture.url(), shadow).file("next/policy.rego", next).start();
    let response = call(&gateway, "alice", "lookup_customer", json!({ "id": "c1" }));
    assert_eq!(response.json()["result"]["structuredContent"]["id"], "c1", "its obligations are nobody's");
    assert_eq!(call(&gateway, "alice", "echo", json!({ "text": "x" })).status, 200, "its denial is nobody's");
    assert_eq!(call(&gateway, "alice", "delete_repo", json!({ "name": "x" })).status, 403);
    let shown = |tool: &str| decisions(&gateway, tool)[0]["shadow"].clone();
    assert_eq!(shown("lookup_customer"), json!(["next=permit_with_obligations"]));
    assert_eq!(shown("echo"), json!(["next=deny:not_permitted"]));
    assert_eq!(shown("delete_repo"), json!(["next=deny:not_permitted"]));
    let counted = |decision: &str, differs: &str| {
        let labels = [("engine", "next"), ("decision", decision), ("differs", differs)];
        gateway.metrics().sum("mcpg_policy_shadow_total", &labels)
    };
    assert_eq!((counted("deny", "yes"), counted("deny", "no"), counted("permit", "no")), (1.0, 1.0, 1.0));
}

#[test]
fn a_call_is_decided_by_one_revision() {
    // Two sets of policies, each in its own folders; which one is in force says the configuration, in one step.
    let other_cedar = CEDAR.replace("@redact(\"email\")", "@redact(\"email\") @redact_mode(\"remove\")");
    let other_rego = REGO.replace("redact:phone", "remove:phone");
    let other_rules = RULES.replace("hash:name", "remove:name");
    let engines = ENGINES.replace("[redact:phone]", "[redact:phone, remove:phone]");
    let fixture = Fixture::start();
    let setup = scenes::governed_with(&fixture.url(), &engines)
        .file("policies/governed.cedar", CEDAR)
        .file("rego/policy.rego", REGO)
        .file("casbin/model.conf", MODEL)
        .file("casbin/policy.csv", RULES)
        .file("other/policies/governed.cedar", &other_cedar)
        .file("other/rego/policy.rego", &other_rego)
        .file("other/casbin/model.conf", MODEL)
        .file("other/casbin/policy.csv", &other_rules);
    let gateway = setup.start();
    let one = std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap();
    let other = one.replace("bundle: ./", "bundle: ./other/");
    let is_over = AtomicBool::new(false);
    let masked = thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| traffic(&gateway, &is_over))).collect();
        for round in 0..6 {
            let number = gateway.metrics().sum("mcpg_revision_number", &[]);
            gateway.replace("mcpg.yaml", if round % 2 == 0 { &other } else { &one });
            until("the change should be in force", || {
                (gateway.metrics().sum("mcpg_revision_number", &[]) > number).then_some(())
            });
        }
        is_over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    });
    assert!(masked.0 > 0 && masked.1 > 0, "both sets were in force under traffic: {masked:?}");
    // What is on record is one of the two sets too, for each call.
    let rows = decisions(&gateway, "lookup_customer");
    assert_eq!(rows.len(), masked.0 + masked.1, "a row for each call");
    for row in rows {
        let mut all = row["obligations"].as_array().unwrap().iter().map(|one| one.as_str().unwrap());
        let removes = all.clone().filter(|one| one.starts_with("remove:")).count();
        assert!(all.len() == 3 && (removes == 0 || removes == 3), "{row}");
        assert!(all.any(|one| one.ends_with(":phone")), "{row}");
    }
}

/// Calls until the time is over. How many answers were under the first set of policies, and how many under the second.
fn traffic(gateway: &Gateway, is_over: &AtomicBool) -> (usize, usize) {
    let mut seen = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let response = call(gateway, "alice", "lookup_customer", json!({ "id": "c1" }));
        assert_eq!(response.status, 200, "{}", response.text());
        let record = response.json()["result"]["structuredContent"].clone();
        match ["email", "phone", "name"].map(|name| record.get(name).is_some()) {
            [true, true, true] => seen.0 += 1,
            [false, false, false] => seen.1 += 1,
            mixed => panic!("{mixed:?} of two revisions: {record}"),
        }
    }
    seen
}

#[test]
fn hostile_policies_keep_no_other_client_waiting() {
    let rego = format!(
        "{REGO}\nxs := numbers.range(1, 50000)\ntoo_much if {{\n    input.action.name == \"test_simple_text\"\n    \
         some x in xs; some y in xs; some z in xs; x + y + z == 0\n}}\n"
    );
    // A rule costs hundreds of comparisons, and one tool has tens of thousands of them.
    let long = (0..450).map(|at| format!("r.sub == \"{at}\"")).collect::<Vec<_>>().join(" || ");
    let model = MODEL.replace(
        "m = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act",
        &format!("m = r.obj == p.obj && r.act == p.act && (r.sub == p.sub || ({long}))"),
    );
    let rules: String =
        (0..99_000).map(|at| format!("p, {at}, files.test_image_content, tools/call\n")).collect();
    let rules = format!("p, user:bob@acme.com, files.echo, tools/call\n{rules}");
    let fixture = Fixture::start_with(&["--note-requests"]);
    let setup = chained(&fixture.url(), "");
    let config = std::fs::read_to_string(setup.dir().join("mcpg.yaml")).unwrap();
    let config = config.replace("server:\n", "server:\n  threads: 1\n");
    let config = config.replace("evaluation_ms_max: 5000", "evaluation_ms_max: 2000");
    let setup = setup.file("mcpg.yaml", &config).file("rego/policy.rego", &rego);
    let gateway = setup.file("casbin/model.conf", &model).file("casbin/policy.csv", &rules).start();
    let mut texts = 0..;
    // A text of its own each time: Cedar reads it, so none of the decisions is in the cache.
    let mut echo = || {
        let text = texts.next().map(|number: u32| number.to_string());
        call(&gateway, "bob", "echo", json!({ "text": text })).status
    };
    assert_eq!(echo(), 200);
    for (engine, tool) in [("policy.opa", "test_simple_text"), ("policy.casbin", "test_image_content")] {
        // More than there are threads for them.
        let mut hostile: Vec<RawHttp> = (0..4)
            .map(|_| {
                let request = Request::modern_call("/mcp", tool, json!({})).bearer(&key("alice"));
                let mut connection = RawHttp::connect(gateway.address());
                connection.send(&request.bytes(gateway.address()));
                connection
            })
            .collect();
        for _ in 0..3 {
            assert_eq!(echo(), 200);
        }
        let is_open =
            hostile.iter_mut().all(|connection| connection.stays_silent(std::time::Duration::from_millis(1)));
        assert!(is_open, "{engine}: the hostile calls were still being decided meanwhile");
        for connection in &mut hostile {
            DENIED.check(engine, &connection.response().unwrap());
        }
        // Those that wait behind the first may not come as far as the engine that holds it.
        let rows = decisions(&gateway, tool);
        assert!(rows.iter().all(|row| row["deny_code"] == "policy_timeout"), "{rows:?}");
        assert!(rows.iter().any(|row| row["engine"] == engine), "{rows:?}");
        assert_eq!(echo(), 200);
    }
    assert!(called(&fixture).iter().all(|tool| tool == "echo"));
}
