//! The audit rows of gateways at their control plane: every row once, in order, at its place, whatever is killed meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use mcpg_tests::mcp::Request;
use mcpg_tests::{ControlPlane, Fixture, Gateway, Setup, Signal, until};
use serde_json::{Value, json};

const WORKSPACE: &str = "/orgs/acme-corp/workspaces/platform-team";
/// Heads are signed every second.
const SIGNING: &[&str] = &["--sign-audit-seconds", "1"];
const PERMIT: &str = "permit (principal, action, resource) unless { action == Action::\"demo.fail\" };";

const GATEWAY: &str = "server: { listen: \"{listen}\", admin: \"{admin}\" }\n\
                       audit: { dir: ./audit }\n\
                       control_plane:\n\
                       \x20 url: CONTROL_PLANE\n\
                       \x20 enroll_token: [TOKENS]\n\
                       \x20 name: NAME\n\
                       \x20 networks: 127.0.0.0/8\n";

/// An organization with environments that serve the same binding.
fn configure(cp: &ControlPlane, upstream: &str, environments: &[&str]) {
    cp.post("/orgs", &json!({ "slug": "acme-corp", "display_name": "Acme, Inc." }));
    cp.post("/orgs/acme-corp/workspaces", &json!({ "slug": "platform-team" }));
    let plugins = json!({ "plugins": [
        { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": { "bundle": "./policies/main" } } ] });
    cp.put(&format!("{WORKSPACE}/plugin-sets/main"), &plugins);
    let spec = json!({ "engine": "cedar", "files": { "all.cedar": PERMIT } });
    cp.put(&format!("{WORKSPACE}/policies/main"), &spec);
    for environment in environments {
        cp.post(&format!("{WORKSPACE}/environments"), &json!({ "slug": environment }));
        let bindings = json!([{ "id": "demo", "type": "mcp", "url": upstream }]);
        let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": bindings });
        let path = format!("{WORKSPACE}/environments/{environment}");
        cp.put(&format!("{path}/config"), &config);
        cp.post(&format!("{path}/revisions"), &json!({}));
    }
}

fn gateway(cp: &ControlPlane, name: &str, environments: &[&str], further: &str) -> Setup {
    let names: Vec<String> = (0..environments.len()).map(|n| format!("$secret://env/TOKEN_{n}")).collect();
    let config = GATEWAY.replace("CONTROL_PLANE", &cp.url()).replace("NAME", name);
    let config = config.replace("TOKENS", &names.join(", ")) + further;
    environments.iter().enumerate().fold(Setup::new(&config), |setup, (n, environment)| {
        let token = cp.post(&format!("{WORKSPACE}/environments/{environment}/enrollment-tokens"), &json!({}));
        setup.env(&format!("TOKEN_{n}"), token["token"].as_str().unwrap())
    })
}

fn call(gateway: &Gateway, path: &str, tool: &str) -> u16 {
    Request::modern_call(path, tool, json!({ "text": "hi" })).send(gateway.address()).status
}

/// Every row of the organization, in order.
fn rows(cp: &ControlPlane) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cp.get(&format!("/orgs/acme-corp/audit?limit=200{cursor}"));
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// How many rows there are of a kind, by gateway.
fn by_gateway(rows: &[Value], kind: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == kind) {
        *found.entry(row["gateway"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

/// Waits until so many decisions are at the control plane, and returns all rows.
fn once_there(cp: &ControlPlane, decisions: usize, outcomes: usize) -> Vec<Value> {
    until(&format!("{decisions} decisions and {outcomes} outcomes should arrive"), || {
        let rows = rows(cp);
        let count = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
        assert!(count("decision") <= decisions && count("outcome") <= outcomes, "none arrives twice");
        (count("decision") == decisions && count("outcome") == outcomes).then_some(rows)
    })
}

/// The sums of all that was called until the present hour's end.
fn used(cp: &ControlPlane, path: &str) -> Value {
    cp.get(&format!("{path}/usage?by_tool=true&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"))["items"].clone()
}

fn every_row_arrives_once(mut cp: ControlPlane) {
    let fixture = Fixture::start();
    configure(&cp, &fixture.url(), &["prod"]);
    let gateways = ["gw-1", "gw-2"].map(|name| gateway(&cp, name, &["prod"], "").start());
    for gateway in &gateways {
        until("calls should be answered", || (call(gateway, "/mcp", "echo") == 200).then_some(()));
        assert_eq!(call(gateway, "/mcp", "fail"), 403);
    }
    once_there(&cp, 4, 2);
    // Calls go on while the control plane is killed and back, over and over.
    let [mut first, second] = gateways;
    for _ in 0..3 {
        (0..5).for_each(|_| assert_eq!(call(&first, "/mcp", "echo"), 200));
        cp.kill();
        (0..5).for_each(|_| assert_eq!(call(&second, "/mcp", "echo"), 200));
        cp = cp.restart();
    }
    // A gateway is killed with rows that it has not sent.
    (0..5).for_each(|_| assert_eq!(call(&first, "/mcp", "echo"), 200));
    first.process().signal(Signal::Kill);
    first.process().wait();
    // The outcome of the last call before that may be nowhere: what is recorded is what has to arrive.
    let outcomes =
        |gateway: &Gateway| gateway.ledger().rows().iter().filter(|row| row["kind"] == "outcome").count();
    let before = outcomes(&first);
    let first = first.restart();
    assert_eq!(call(&first, "/mcp", "echo"), 200);
    until("the outcome should be recorded", || (outcomes(&first) == before + 1).then_some(()));
    let rows = once_there(&cp, 40, outcomes(&first) + outcomes(&second));
    let decisions: Vec<usize> = by_gateway(&rows, "decision").into_values().collect();
    let mut sorted = decisions.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [2 + 15, 2 + 15 + 6], "{decisions:?}");
    let numbers: Vec<u64> = rows.iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    // What was counted is what was called.
    let used = used(&cp, &format!("{WORKSPACE}/environments/prod"));
    let count = |tool: &str| used.as_array().unwrap().iter().find(|sum| sum["tool"] == tool).unwrap().clone();
    assert_eq!((&count("demo.echo")["calls"], &count("demo.echo")["denied"]), (&json!(38), &json!(0)));
    assert_eq!((&count("demo.fail")["calls"], &count("demo.fail")["denied"]), (&json!(2), &json!(2)));
    assert!(count("demo.echo")["duration_us"].as_u64() > Some(0), "{used}");
    drop((first, second));
    is_proven(&cp);
}

/// The chain is exported and verified, without the control plane and with it; what is changed in the file is found.
fn is_proven(cp: &ControlPlane) {
    let folder = tempfile::tempdir().unwrap();
    let [file, other, changed] =
        ["acme.audit", "default.audit", "changed.audit"].map(|name| folder.path().join(name));
    let export = |organization: &str, file: &Path| {
        let done = cp.ctl(&["audit", "export", organization, "--file", file.to_str().unwrap()]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(file).unwrap()
    };
    let key = cp.state().join("audit-signing.pub");
    let verify = |file: &Path| {
        let arguments =
            ["audit", "verify", file.to_str().unwrap(), "--key", key.to_str().unwrap(), "-o", "json"];
        let done = cp.ctl(&[&arguments[..], &["--organization", "acme-corp", "--complete"]].concat());
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let verdict: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (done.status.code(), verdict)
    };
    // All of it, once it is signed.
    let bytes = until("the chain should be signed to its end", || {
        let bytes = export("acme-corp", &file);
        let (_, verdict) = verify(&file);
        let signed = verdict["signed_up_to"].as_u64().map(|seq| seq + 1);
        (signed.is_some() && signed == verdict["last_row"].as_u64()).then_some(bytes)
    });
    let (code, verdict) = verify(&file);
    assert_eq!((code, &verdict["verdict"]), (Some(0), &json!("intact")), "{verdict}");
    assert_eq!((&verdict["gateway_logs"], &verdict["lost_by_gateways"]), (&json!(2), &json!(0)));
    let over_the_network = cp.ctl(&["audit", "verify", "acme-corp"]);
    let text = String::from_utf8_lossy(&over_the_network.stdout).into_owned();
    assert!(over_the_network.status.success() && text.starts_with("intact: log of `acme-corp`"), "{text}");
    for at in [9, bytes.len() / 3, bytes.len() / 2, bytes.len() - 5] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        std::fs::write(&changed, bytes).unwrap();
        let (code, verdict) = verify(&changed);
        assert_eq!((code, &verdict["verdict"]), (Some(7), &json!("broken")), "byte {at}: {verdict}");
    }
    let other = export("default", &other);
    std::fs::write(&changed, [bytes, other].concat()).unwrap();
    let (code, verdict) = verify(&changed);
    assert_eq!(code, Some(7));
    assert!(verdict["problem"].as_str().unwrap().contains("foreign"), "{verdict}");
}

#[test]
fn every_row_arrives_once_at_one_on_sqlite() {
    every_row_arrives_once(ControlPlane::on_sqlite_with(SIGNING));
}

#[test]
fn every_row_arrives_once_at_one_on_postgresql() {
    every_row_arrives_once(ControlPlane::on_postgres_with(SIGNING));
}

#[test]
fn rows_go_to_their_environment_and_no_further() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), &["prod", "staging"]);
    // The machine's own scope is of the same organization; the control plane knows no such environment.
    let own = format!(
        "tenancy:\n  scopes:\n    - scope: acme-corp/machine/own\n      plugins: [{{ id: identity.anonymous }}, {{ id: policy.cedar, config: {{ bundle: ./own }} }}]\n\
         \x20     bindings: [{{ id: demo, type: mcp, url: \"{}\" }}]\n",
        fixture.url()
    );
    let setup = gateway(&cp, "gw-1", &["prod", "staging"], &own);
    let gateway = setup.file("own/all.cedar", "permit (principal, action, resource);\n").start();
    let path = |scope: &str| format!("/t/acme-corp/{scope}/mcp");
    for (scope, calls) in [("platform-team/prod", 2), ("platform-team/staging", 3), ("machine/own", 4)] {
        until(&format!("{scope} should be served"), || {
            (call(&gateway, &path(scope), "echo") == 200).then_some(())
        });
        (1..calls).for_each(|_| assert_eq!(call(&gateway, &path(scope), "echo"), 200));
    }
    let rows = once_there(&cp, 5, 5);
    let of = |environment: &str| {
        let here = |row: &&Value| row["kind"] == "decision" && row["environment"] == environment;
        rows.iter().filter(here).count()
    };
    assert_eq!((of("prod"), of("staging")), (2, 3));
    assert!(!rows.iter().any(|row| row["environment"] == "own" || row["workspace"] == "machine"));
    until("what is not sent should be counted", || {
        let holes = cp.get("/orgs/acme-corp/audit?kind=hole");
        (!holes["items"].as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!(used(&cp, &format!("{WORKSPACE}/environments/staging"))[0]["calls"], 3);
}

#[test]
fn a_gateway_keeps_its_rows_if_it_is_told_to() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), &["prod"]);
    let silent = gateway(&cp, "gw-1", &["prod"], "  audit: false\n").start();
    let loud = gateway(&cp, "gw-2", &["prod"], "").start();
    for gateway in [&silent, &loud] {
        until("calls should be answered", || (call(gateway, "/mcp", "echo") == 200).then_some(()));
    }
    let rows = once_there(&cp, 1, 1);
    assert_eq!(by_gateway(&rows, "decision").len(), 1);
}

#[test]
fn what_waits_to_be_sent_is_shown() {
    let fixture = Fixture::start();
    let mut cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), &["prod"]);
    let gateway = gateway(&cp, "gw-1", &["prod"], "").start();
    until("calls should be answered", || (call(&gateway, "/mcp", "echo") == 200).then_some(()));
    once_there(&cp, 1, 1);
    let shown = |name: &str| gateway.metrics().sum(&format!("mcpg_audit_forward{name}"), &[]);
    let is_up_to_date = || shown("_waiting_rows") == 0.0 && shown("_lag_seconds") == 0.0;
    until("nothing should wait", || (shown("ed_total") >= 2.0 && is_up_to_date()).then_some(()));
    let (before, failures) = (shown("ed_total"), shown("_failures_total"));
    cp.kill();
    (0..3).for_each(|_| assert_eq!(call(&gateway, "/mcp", "echo"), 200));
    until("rows should wait", || {
        (shown("_waiting_rows") >= 6.0 && shown("_lag_seconds") >= 1.0).then_some(())
    });
    assert!(shown("_failures_total") > failures);
    let cp = cp.restart();
    once_there(&cp, 4, 4);
    until("nothing should wait", || (shown("ed_total") >= before + 6.0 && is_up_to_date()).then_some(()));
}
