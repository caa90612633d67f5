//! Revisions by the command line, with gateways that take them or do not.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use mcpg_tests::mcp::Request;
use mcpg_tests::{ControlPlane, Ctl, Fixture, Gateway, Setup, mcpg_ctl, until};
use serde_json::{Value, json};

use super::{PROD, TREE};

const WORKSPACE: &str = "/orgs/acme-corp/workspaces/platform-team";
const PERMIT: &str = "permit (principal, action, resource);";
const NO_ECHO: &str = "permit (principal, action, resource) unless { action == Action::\"demo.echo\" };";
const GATEWAY: &str = "server: { listen: \"{listen}\", admin: \"{admin}\" }\n\
                       control_plane:\n\
                       \x20 url: CONTROL_PLANE\n\
                       \x20 enroll_token: $secret://env/ENROLL_TOKEN\n\
                       \x20 name: NAME\n\
                       \x20 labels: { ring: NAME }\n\
                       \x20 heartbeat_ms: 1000\n\
                       \x20 networks: 127.0.0.0/8\n";

fn configure(cp: &ControlPlane, upstream: &str, policy: &str) {
    let plugins = json!({ "plugins": [
        { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": { "bundle": "./policies/main" } } ] });
    cp.put(&format!("{WORKSPACE}/plugin-sets/main"), &plugins);
    cp.put(
        &format!("{WORKSPACE}/policies/main"),
        &json!({ "engine": "cedar", "files": { "all.cedar": policy } }),
    );
    let bindings = json!([{ "id": "demo", "type": "mcp", "url": upstream }]);
    let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": bindings });
    cp.put(&format!("{WORKSPACE}/environments/prod/config"), &config);
}

fn gateway(cp: &ControlPlane, ctl: &Ctl, name: &str) -> Gateway {
    let token = ctl.ok(&["gateway", "enroll-token", PROD]);
    let config = GATEWAY.replace("CONTROL_PLANE", &cp.url()).replace("NAME", name);
    Setup::new(&config).env("ENROLL_TOKEN", token.trim_end()).start()
}

fn echo(gateway: &Gateway) -> u16 {
    Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).send(gateway.address()).status
}

fn a_fleet_is_operated(cp: ControlPlane) {
    let fixture = Fixture::start();
    let ctl = Ctl::of(&cp);
    assert_eq!(ctl.sh(TREE).code, 0);
    assert!(ctl.refused(&["revision", "publish", PROD], 1).contains("no gateway configuration yet"));
    configure(&cp, &fixture.url(), PERMIT);
    let preview = ctl.json(&["revision", "preview", PROD]);
    assert_eq!(preview["changed"], true);
    assert!(ctl.ok(&["revision", "preview", PROD]).contains("permit (principal, action, resource);"));

    let nobody = ctl.run(&["revision", "publish", PROD, "--note", "the first", "--wait"]);
    assert_eq!(nobody.code, 0);
    assert!(
        nobody.err.contains(
            "revision 1 of `acme-corp/platform-team/prod` published\nit is for no gateway so far\n"
        ),
        "{nobody:?}"
    );
    let again = ctl.run(&["revision", "publish", PROD, "-q"]);
    assert_eq!((again.out.as_str(), again.err.contains("is in force already")), ("1\n", true), "{again:?}");

    let (canary, other) = (gateway(&cp, &ctl, "canary"), gateway(&cp, &ctl, "other"));
    for gateway in [&canary, &other] {
        until("it should serve", || (echo(gateway) == 200).then_some(()));
    }
    // To one gateway, then to all, each time waiting for what they say.
    configure(&cp, &fixture.url(), NO_ECHO);
    let staged = ctl.json(&["revision", "publish", PROD, "--label", "ring=canary", "--wait"]);
    assert_eq!(staged["progress"], json!({ "wanted": 1, "applied": 1, "rejected": 0 }));
    assert_eq!((echo(&canary), echo(&other)), (403, 200));
    let all = ctl.run(&["revision", "rollout", PROD, "2", "--percent", "100", "--wait"]);
    assert!(
        all.code == 0 && all.err.ends_with("revision 2 is applied by 2 of 2, rejected by 0\n"),
        "{all:?}"
    );
    assert_eq!(echo(&other), 403);

    // What gateways refuse is said with the reasons, and told to the shell; the old one stays in force.
    configure(&cp, "http://10.0.0.1/mcp", PERMIT);
    let refused = ctl.run(&["revision", "publish", PROD, "--wait"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("gateway `canary` has refused it: ")
            && refused.err.contains("gateway `other` has refused it: ")
    );
    assert!(refused.err.ends_with("revision 3 is applied by 0 of 2, rejected by 2\n"), "{refused:?}");
    let back = ctl.json(&["revision", "rollback", PROD, "1", "--note", "as it was", "--wait"]);
    assert_eq!(
        (&back["number"], &back["rollback_of"], &back["note"]),
        (&json!(4), &json!(1), &json!("as it was"))
    );
    assert_eq!((echo(&canary), echo(&other)), (200, 200));

    assert_eq!(ctl.ok(&["revision", "list", PROD, "-q"]), "4\n3\n2\n1\n");
    assert!(ctl.ok(&["revision", "get", PROD, "2"]).contains("unless {"));
    let listed = ctl.json(&["gateway", "list", PROD]);
    let names: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!((names, &listed["items"][0]["applied"]), (vec![&json!("canary"), &json!("other")], &json!(4)));
    let status = ctl.ok(&["status", "acme-corp"]);
    assert!(status.contains("  ready\n") && status.contains("/prod  revision 4 ("), "{status}");
    let row: Vec<&str> =
        status.lines().find(|line| line.contains("canary")).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["canary", "online", "4", "4"], "{status}");

    let id = ctl.json(&["gateway", "get", PROD, "other"])["id"].as_str().unwrap().to_owned();
    assert_eq!(ctl.json(&["gateway", "get", PROD, &id])["name"], "other");
    ctl.ok(&["gateway", "retire", PROD, "other"]);
    ctl.refused(&["gateway", "retire", PROD, "other"], 3);
    assert_eq!(ctl.ok(&["gateway", "list", PROD, "-q"]), "canary\n");
}

#[test]
fn a_fleet_is_operated_by_one_on_sqlite() {
    a_fleet_is_operated(ControlPlane::on_sqlite());
}

#[test]
fn a_fleet_is_operated_by_one_on_postgresql() {
    a_fleet_is_operated(ControlPlane::on_postgres());
}

#[test]
fn waiting_ends_when_a_gateway_says_nothing() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    assert_eq!(ctl.sh(TREE).code, 0);
    configure(&cp, &fixture.url(), PERMIT);
    ctl.ok(&["revision", "publish", PROD]);
    let mut silent = gateway(&cp, &ctl, "silent");
    until("it should serve", || (echo(&silent) == 200).then_some(()));
    silent.process().signal(mcpg_tests::Signal::Kill);
    configure(&cp, &fixture.url(), NO_ECHO);
    let late = ctl.refused(&["revision", "publish", PROD, "--wait", "--timeout", "1s"], 1);
    assert!(late.contains("no word of revision 2 yet from `silent`"), "{late}");
}

#[test]
fn the_chain_is_followed() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    assert_eq!(ctl.sh(TREE).code, 0);
    let mut command = ctl.command(&mcpg_ctl());
    command.args(["audit", "tail", "acme-corp", "-n", "1", "--follow", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut row = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = row();
    assert_eq!((&first["target"], &first["environment"]), (&json!("environment.create"), &json!("dev")));
    for name in ["a-secret", "b-secret"] {
        ctl.ok(&["secret-ref", "set", super::WORKSPACE, name, "$secret://env/X"]);
        let next = row();
        assert_eq!(next["target"], "secret_reference.put");
        assert!(next["sequence"].as_u64() > first["sequence"].as_u64());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
