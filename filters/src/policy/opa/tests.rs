//! Behaviour of the engine as a chain asks it.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::policy::{ApprovalRead, Names};
use mcpg_sdk::{AuthMethod, Base, Call, Caller, Decision, Scope, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::bundle::FetchedBundles;
use super::super::testing::now;
use super::super::{CacheLimits, PolicyChain, Verdict};
use super::*;

mod differential;
mod hostile;
mod loading;
mod properties;
mod remote;

#[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
fn settings(more: Value) -> OpaSettings {
    let mut all = json!({"bundle": "policies", "limits": {"evaluation_ms_max": 60_000}});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join("policies").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load_with(files: &[(&str, &str)], more: Value) -> Result<OpaEngine, String> {
    let folder = folder(files);
    let fetched = FetchedBundles::default();
    OpaEngine::load(&settings(more), &OpaContext { base: &Base::trusted(folder.path()), fetched: &fetched })
        .map_err(|error| error.to_string())
}

fn load(text: &str) -> Result<OpaEngine, String> {
    load_with(&[("a.rego", text)], json!({}))
}

fn chain_of(engine: OpaEngine) -> PolicyChain {
    PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default())
}

/// A chain of one engine with rules of the package `mcpg`.
fn chain(rules: &str) -> PolicyChain {
    chain_of(load(&format!("package mcpg\n{rules}")).unwrap())
}

fn caller() -> Caller {
    Caller {
        subject: "user:alice@acme.com".to_owned(),
        audience: Some("gateway".to_owned()),
        attributes: [
            ("groups".to_owned(), json!(["dev", "ops"])),
            ("roles".to_owned(), json!(["admin"])),
            ("clearance".to_owned(), json!(3)),
        ]
        .into(),
        auth_method: AuthMethod::Oidc,
    }
}

fn call<'a>(scope: &'a Scope, tool: &'a str, arguments: Option<&'a str>) -> Call<'a> {
    Call {
        scope,
        binding: "crm",
        method: "tools/call",
        target: Target::Tool(tool),
        arguments,
        source: "10.1.2.3".parse().unwrap(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        approval_token: None,
    }
}

fn decide(chain: &PolicyChain, tool: &str, arguments: Option<&str>) -> Arc<Verdict> {
    now(chain.decide(&caller(), &call(&Scope::default(), tool, arguments))).verdict
}

fn show(verdict: &Verdict) -> String {
    match &verdict.decision {
        Decision::Permit => "permit".to_owned(),
        Decision::PermitWithObligations(obligations) => {
            let obligations: Vec<String> = obligations.iter().map(ToString::to_string).collect();
            format!("permit with {}", obligations.join(","))
        }
        Decision::Deny(reason) => reason.code.clone(),
    }
}

fn check(rules: &str, arguments: Option<&str>, expected: &str) {
    let verdict = decide(&chain(rules), "export", arguments);
    assert_eq!(show(&verdict), expected, "{rules}\n{verdict:?}");
}

#[test]
fn decides_as_the_rules_say() {
    check("decision := true", None, "permit");
    check("decision := false", None, "not_permitted");
    check("decision if input.action.name == \"export\"", None, "permit");
    check("decision if input.action.name == \"import\"", None, "not_permitted");
    check("default decision := false\ndecision if \"dev\" in input.caller.groups", None, "permit");
    check("decision if input.caller.attributes.clearance >= 3", None, "permit");
    check("decision if input.context.arguments.limit <= 10", Some(r#"{"limit":10}"#), "permit");
    check("decision if input.context.arguments.limit <= 10", Some(r#"{"limit":11}"#), "not_permitted");
    check("decision if input.context.arguments.limit <= 10", None, "not_permitted");
    check("decision if net.cidr_contains(\"10.0.0.0/8\", input.context.source_ip)", None, "permit");
    check("decision if time.parse_rfc3339_ns(input.context.time) > 0", None, "permit");
    check("decision if input.tenant.organization == \"default\"", None, "permit");
    check("decision if { some group in input.caller.groups; group == \"ops\" }", None, "permit");
    check(
        "decision := {\"allow\": true, \"obligations\": {\"redact:email\"}}",
        None,
        "permit with redact:email",
    );
    check("decision := {\"allow\": false, \"policies\": [\"p\"], \"reason\": \"no\"}", None, "forbidden");
}

#[test]
fn what_is_no_decision_denies() {
    check("decision := \"yes\"", None, "policy_error");
    check("decision := {\"allow\": \"yes\"}", None, "policy_error");
    check("decision := [true]", None, "policy_error");
    check("decision contains x if { x := input.caller.subject }", None, "policy_error");
    // A conflict.
    check("decision := 1 if input.action.kind\ndecision := 2 if input.action.kind", None, "policy_error");
    // What fails is not undefined, which `not` would make true.
    check("decision if not to_number(input.caller.subject)", None, "policy_error");
    check("decision if input.context.arguments.a == 1", Some(r#"{"a":1,"a":2}"#), "policy_input");
}

#[test]
fn the_protocol_is_permitted_where_it_is_built_in() {
    let ping = |chain: &PolicyChain, method: &str| {
        let scope = Scope::default();
        let call = Call { method, target: Target::Binding, ..call(&scope, "", None) };
        show(&now(chain.decide(&caller(), &call)).verdict)
    };
    let rules = [("a.rego", "package mcpg\ndefault decision := false")];
    let builtin = chain_of(load_with(&rules, json!({})).unwrap());
    assert_eq!(ping(&builtin, "initialize"), "permit");
    assert_eq!(ping(&builtin, "notifications/made-up"), "permit");
    assert_eq!(ping(&builtin, "tasks/get"), "not_permitted");
    assert_eq!(ping(&builtin, "x/own"), "not_permitted");
    let explicit = chain_of(load_with(&rules, json!({"protocol": "explicit"})).unwrap());
    assert_eq!(ping(&explicit, "initialize"), "not_permitted");
}

#[test]
fn v0_is_read_where_it_is_asked_for() {
    let rules = [("a.rego", "package mcpg\ndecision { input.action.name == \"export\" }")];
    assert!(load_with(&rules, json!({})).is_err());
    let chain = chain_of(load_with(&rules, json!({"rego_version": "v0"})).unwrap());
    assert_eq!(show(&decide(&chain, "export", None)), "permit");
    assert_eq!(show(&decide(&chain, "import", None)), "not_permitted");
}

#[test]
fn policies_read_exactly_what_they_name() {
    let check = |rules: &str, expected: ReadSet| {
        let engine = load(&format!("package mcpg\n{rules}")).unwrap();
        let scope = Scope::default();
        assert_eq!(**engine.reads().of(&call(&scope, "t", None)), expected, "{rules}");
    };
    let none = ReadSet::default;
    check("decision if input.action.kind == \"tool\"", none());
    check("decision if input.caller.subject == \"a\"", ReadSet { subject: true, ..none() });
    check("decision if input[\"caller\"].groups[0] == \"a\"", ReadSet { groups: true, ..none() });
    let limit = ReadSet { arguments: Names::only(["limit"]), ..none() };
    check("decision if input.context.arguments.limit.x[_] == 1", limit.clone());
    check("import input.context.arguments as a\ndecision if a.limit == 1", limit.clone());
    check(
        "decision if { a := input.context.arguments; a.limit == 1 }",
        ReadSet { arguments: Names::All, ..none() },
    );
    check(
        "f(x) := x.limit\ndecision if f(input.context.arguments) == 1",
        ReadSet { arguments: Names::All, ..none() },
    );
    check(
        "decision if { some k; input.context.arguments[k] == 1 }",
        ReadSet { arguments: Names::All, ..none() },
    );
    check("decision if count([x | x := input.context.arguments.limit]) == 1", limit.clone());
    check("decision if every x in input.context.arguments.limit { x == 1 }", limit.clone());
    check("decision if data.mcpg.other\nother if input.context.arguments.limit", limit);
    check("decision if input.context.approval_token", ReadSet { approval: ApprovalRead::Value, ..none() });
    check("decision if { some part; input[part] }", ReadSet::everything());
    check("decision if json.marshal(input) == \"\"", ReadSet::everything());
    check("decision if { x := \"caller\"; object.get(input, [x], 1) }", ReadSet::everything());
    check("decision if true with input as {}", ReadSet::everything());
}

#[test]
fn what_is_not_read_is_not_there_to_be_read() {
    // The walk saw only `caller.subject`, and nothing else can be reached.
    let engine = load("package mcpg\ndecision if input.caller.subject == \"user:alice@acme.com\"").unwrap();
    let chain = chain_of(engine);
    assert_eq!(show(&decide(&chain, "export", Some("not json"))), "permit");
    let again = now(chain.decide(&caller(), &call(&Scope::default(), "import", Some("other"))));
    assert!(again.cached, "neither the tool nor its arguments are read");
}

#[test]
fn obligations_are_declared_or_unknown_or_none() {
    let rules = "package mcpg\ndecision := {\"allow\": true, \"obligations\": [\"redact:email\"]}";
    assert_eq!(load(rules).unwrap().obligations(), None);
    assert_eq!(load("package mcpg\ndecision := true").unwrap().obligations(), Some(Vec::new()));
    let declared = |text: &str| load_with(&[("a.rego", rules)], json!({"obligations": [text]})).unwrap();
    assert_eq!(declared("redact:email").obligations().unwrap().len(), 1);
    assert_eq!(show(&decide(&chain_of(declared("redact:email")), "t", None)), "permit with redact:email");
    assert_eq!(show(&decide(&chain_of(declared("redact:phone")), "t", None)), "policy_error");
}
