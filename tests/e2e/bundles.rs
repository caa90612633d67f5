//! Where policies come from, and what becomes of a change: folders in folders, archives, several engines, tools that are not there.

use std::process::Command;

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawUpstream, scenes, until};
use serde_json::json;

const FORBID_ECHO: &str = "forbid (principal, action == Action::\"files.echo\", resource);";

const CASBIN: &str = "  - id: policy.casbin
    config: { bundle: ./casbin.tar.gz }";

const MODEL: &str = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act, obligations\n\
    [policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act\n";

#[test]
fn a_change_deep_in_a_folder_is_in_force() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway =
        scenes::governed(&upstream.url()).file("policies/a/b/more.cedar", "// nothing yet\n").start();
    assert_eq!(call(&gateway, "echo").0, 200);
    gateway.replace("policies/a/b/more.cedar", FORBID_ECHO);
    until("the new policy should hold", || (call(&gateway, "echo").0 == 403).then_some(()));
}

#[test]
fn every_engine_must_permit_and_obligations_unite() {
    let upstream = RawUpstream::result(json!({ "content": [], "email": "a@acme.com", "phone": "555" }));
    let setup = scenes::governed_with(&upstream.url(), CASBIN);
    pack(setup.dir(), "p, user:alice@acme.com, files.echo, tools/call, remove:phone\n");
    let gateway = setup.start();
    let (status, text) = call(&gateway, "echo");
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"email\":\"[redacted]\"") && !text.contains("phone"), "{text}");
    // Cedar permits Alice every tool but one; Casbin this one.
    assert_eq!(call(&gateway, "add").0, 403);
    assert_eq!(call(&gateway, "delete_repo").0, 403);
    // An archive that is replaced is a change like any other.
    pack(gateway.dir(), "p, user:alice@acme.com, files.*, tools/call\n");
    until("the new archive should be in force", || (call(&gateway, "add").0 == 200).then_some(()));
    assert_eq!(call(&gateway, "delete_repo").0, 403, "Cedar forbids it still");
    std::fs::write(gateway.dir().join("casbin.tar.gz"), b"no archive").unwrap();
    until("the broken archive should be refused", || {
        gateway.admin_get("/revision").text().contains("is no intact tar archive").then_some(())
    });
    assert_eq!(call(&gateway, "add").0, 200);
    let loads = |engine: &str, result: &str| {
        gateway.metrics().sum("mcpg_policy_loads_total", &[("engine", engine), ("result", result)])
    };
    assert!(loads("policy.casbin", "ok") >= 2.0 && loads("policy.casbin", "failed") >= 1.0);
    assert!(loads("policy.cedar", "ok") >= 2.0 && loads("policy.cedar", "failed") == 0.0);
}

#[test]
fn a_policy_about_a_tool_that_is_not_there_is_shown() {
    let (one, two) = (Fixture::start(), Fixture::start());
    let url = |fixture: &Fixture| format!("    url: {}\n", fixture.url());
    let policy = "permit (principal, action, resource);\n\
        forbid (principal, action == Action::\"files.ecko\", resource);\n";
    let bindings = [("files", url(&one)), ("more", url(&two))];
    let bindings = bindings.each_ref().map(|(id, lines)| (*id, lines.as_str()));
    let gateway = scenes::governed_federation(&bindings, "", policy).start();
    let shown = || gateway.admin_get("/revision").text();
    assert!(!shown().contains("ecko"), "nobody has asked the upstream yet");
    let list = Request::modern("/mcp", "tools/list", json!({})).bearer(&key("alice")).send(gateway.address());
    assert_eq!(list.status, 200);
    until("the warning should be shown", || shown().contains("the policies name `files.ecko`").then_some(()));
}

fn call(gateway: &Gateway, tool: &str) -> (u16, String) {
    let response =
        Request::modern_call("/mcp", tool, json!({})).bearer(&key("alice")).send(gateway.address());
    (response.status, response.text())
}

/// Packs a model and a policy where the configuration looks for them, in one step.
fn pack(dir: &std::path::Path, policy: &str) {
    let staging = tempfile::tempdir().unwrap();
    std::fs::write(staging.path().join("model.conf"), MODEL).unwrap();
    std::fs::write(staging.path().join("policy.csv"), policy).unwrap();
    let packed = dir.join("casbin.new");
    let status =
        Command::new("tar").arg("-czf").arg(&packed).arg("-C").arg(staging.path()).arg(".").status().unwrap();
    assert!(status.success());
    std::fs::rename(packed, dir.join("casbin.tar.gz")).unwrap();
}
