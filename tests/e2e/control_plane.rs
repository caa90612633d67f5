//! Gateways that a control plane tells what to serve: enrolled, pushed to, rolled back, and left alone.

use mcpg_tests::mcp::Request;
use mcpg_tests::{ControlPlane, Fixture, Gateway, Setup, Signal, until};
use serde_json::{Value, json};

pub(crate) const WORKSPACE: &str = "/orgs/acme-corp/workspaces/platform-team";
pub(crate) const ENVIRONMENT: &str = "/orgs/acme-corp/workspaces/platform-team/environments/prod";
pub(crate) const PERMIT: &str = "permit (principal, action, resource);";
pub(crate) const NO_ECHO: &str =
    "permit (principal, action, resource) unless { action == Action::\"demo.echo\" };";

const GATEWAY: &str = "server: { listen: \"{listen}\", admin: \"{admin}\" }\n\
                       control_plane:\n\
                       \x20 url: CONTROL_PLANE\n\
                       \x20 enroll_token: $secret://env/ENROLL_TOKEN\n\
                       \x20 name: NAME\n\
                       \x20 labels: { ring: NAME }\n\
                       \x20 heartbeat_ms: 1000\n\
                       \x20 networks: 127.0.0.0/8\n";

/// An environment with a binding, a plugin set and a policy.
pub(crate) fn configure(cp: &ControlPlane, upstream: &str, policy: &str) {
    if cp.ask("GET", "/orgs/acme-corp", &[], &Value::Null).status == 404 {
        cp.post("/orgs", &json!({ "slug": "acme-corp", "display_name": "Acme, Inc." }));
        cp.post("/orgs/acme-corp/workspaces", &json!({ "slug": "platform-team" }));
        cp.post(&format!("{WORKSPACE}/environments"), &json!({ "slug": "prod" }));
    }
    let plugins = json!({ "plugins": [
        { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": { "bundle": "./policies/main" } } ] });
    cp.put(&format!("{WORKSPACE}/plugin-sets/main"), &plugins);
    set_policy(cp, policy);
    let bindings = json!([{ "id": "demo", "type": "mcp", "url": upstream }]);
    let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": bindings });
    cp.put(&format!("{ENVIRONMENT}/config"), &config);
}

pub(crate) fn set_policy(cp: &ControlPlane, policy: &str) {
    let spec = json!({ "engine": "cedar", "files": { "all.cedar": policy } });
    cp.put(&format!("{WORKSPACE}/policies/main"), &spec);
}

pub(crate) fn publish(cp: &ControlPlane) -> u64 {
    cp.post(&format!("{ENVIRONMENT}/revisions"), &json!({}))["number"].as_u64().unwrap()
}

pub(crate) fn gateway(cp: &ControlPlane, name: &str) -> Setup {
    gateway_at(&cp.url(), cp, name)
}

/// A gateway that reaches its control plane somewhere else.
pub(crate) fn gateway_at(url: &str, cp: &ControlPlane, name: &str) -> Setup {
    let token = cp.post(&format!("{ENVIRONMENT}/enrollment-tokens"), &json!({}));
    let config = GATEWAY.replace("CONTROL_PLANE", url).replace("NAME", name);
    Setup::new(&config).env("ENROLL_TOKEN", token["token"].as_str().unwrap())
}

pub(crate) fn echo(gateway: &Gateway) -> u16 {
    Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).send(gateway.address()).status
}

pub(crate) fn is(gateway: &Gateway, status: u16) {
    until(&format!("a call should be answered with {status}"), || (echo(gateway) == status).then_some(()));
}

/// What the control plane knows of a gateway.
pub(crate) fn known(cp: &ControlPlane, name: &str) -> Value {
    let gateways = cp.get(&format!("{ENVIRONMENT}/gateways"));
    gateways["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

pub(crate) fn progress(cp: &ControlPlane, number: u64) -> Value {
    cp.get(&format!("{ENVIRONMENT}/revisions/{number}"))["revision"]["progress"].clone()
}

fn a_fleet_is_told_what_to_serve(cp: ControlPlane) {
    let fixture = Fixture::start();
    configure(&cp, &fixture.url(), PERMIT);
    assert_eq!(publish(&cp), 1);
    let gateways = [gateway(&cp, "gw-1").start(), gateway(&cp, "gw-2").start()];
    gateways.iter().for_each(|gateway| is(gateway, 200));

    // The same again is no new revision; another policy is one, on both.
    assert_eq!(publish(&cp), 1);
    set_policy(&cp, NO_ECHO);
    assert_eq!(publish(&cp), 2);
    gateways.iter().for_each(|gateway| is(gateway, 403));
    until("both should have said so", || {
        (progress(&cp, 2) == json!({ "wanted": 2, "applied": 2, "rejected": 0 })).then_some(())
    });
    assert_eq!(known(&cp, "gw-1")["status"], "online");

    // What no gateway would take is not published, and says why.
    set_policy(&cp, "permit (principal");
    let refused = cp.ask("POST", &format!("{ENVIRONMENT}/revisions"), &[], &json!({}));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("all.cedar:1:"), "{}", refused.text());

    // What these gateways do not take is refused by each, and the one before stays in force.
    set_policy(&cp, PERMIT);
    let elsewhere = json!({ "plugin_set": "main", "policies": ["main"], "bindings": [{ "id": "demo", "type": "mcp", "url": "http://10.0.0.1/mcp" }] });
    cp.put(&format!("{ENVIRONMENT}/config"), &elsewhere);
    assert_eq!(publish(&cp), 3);
    until("both should have refused", || (progress(&cp, 3)["rejected"] == 2).then_some(()));
    gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 403));
    // Also where a heartbeat from before came after its word on a revision.
    assert_eq!(known(&cp, "gw-2")["applied"], 2);

    // An older document is in force again under a new number.
    let back = cp.post(&format!("{ENVIRONMENT}/revisions/1/rollback"), &json!({ "note": "as it was" }));
    assert_eq!((&back["number"], &back["rollback_of"]), (&json!(4), &json!(1)));
    gateways.iter().for_each(|gateway| is(gateway, 200));
}

#[test]
fn a_fleet_is_told_what_to_serve_by_one_on_sqlite() {
    a_fleet_is_told_what_to_serve(ControlPlane::on_sqlite());
}

#[test]
fn a_fleet_is_told_what_to_serve_by_one_on_postgresql() {
    a_fleet_is_told_what_to_serve(ControlPlane::on_postgres());
}

#[test]
fn a_gateway_goes_on_without_its_control_plane() {
    let fixture = Fixture::start();
    let mut cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let mut gateway = gateway(&cp, "gw-1").start();
    is(&gateway, 200);
    set_policy(&cp, NO_ECHO);
    publish(&cp);
    is(&gateway, 403);
    cp.kill();
    assert_eq!(echo(&gateway), 403);
    // The last good revision survives a restart, the token being used up.
    gateway.process().signal(Signal::Terminate);
    let gateway = gateway.restart();
    assert_eq!(echo(&gateway), 403);
    // Back again, it is followed again, and nothing is applied twice.
    let cp = cp.restart();
    set_policy(&cp, PERMIT);
    assert_eq!(publish(&cp), 3);
    is(&gateway, 200);
    until("it should have said so", || (progress(&cp, 3)["applied"] == 1).then_some(()));
}

#[test]
fn a_revision_comes_to_some_gateways_first() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let (canary, other) = (gateway(&cp, "canary").start(), gateway(&cp, "other").start());
    is(&other, 200);
    set_policy(&cp, NO_ECHO);
    let staged = json!({ "rollout": { "labels": { "ring": "canary" } } });
    let staged = cp.post(&format!("{ENVIRONMENT}/revisions"), &staged);
    assert_eq!(staged["progress"]["wanted"], 1);
    is(&canary, 403);
    until("it should have said so", || (progress(&cp, 2)["applied"] == 1).then_some(()));
    assert_eq!(echo(&other), 200);
    assert_eq!(known(&cp, "other")["applied"], 1);
    let all = cp.ask("PUT", &format!("{ENVIRONMENT}/revisions/2/rollout"), &[], &json!({ "percent": 100 }));
    assert_eq!(all.status, 200, "{}", all.text());
    is(&other, 403);
}

#[test]
fn only_who_holds_a_token_of_this_control_plane_enrols() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let token = cp.post(&format!("{ENVIRONMENT}/enrollment-tokens"), &json!({}));
    let token = token["token"].as_str().unwrap();
    let (secret, fingerprint) = token.split_once('.').unwrap();
    let with = |token: &str| {
        let config = GATEWAY.replace("CONTROL_PLANE", &cp.url()).replace("NAME", "gw-1");
        Setup::new(&config).env("ENROLL_TOKEN", token)
    };
    let other: String = fingerprint.chars().rev().collect();
    for (token, said) in [
        ("hunter2".to_owned(), "it is no enrollment token"),
        (secret.to_owned(), "it is no enrollment token"),
        (format!("{}0.{fingerprint}", &secret[..secret.len() - 1]), "401"),
    ] {
        let log = with(&token).start_refused();
        assert!(log.contains(said), "{log}");
        assert!(!log.contains(&token), "{log}");
    }
    // The token holds, but who answers is not who made it.
    let log = with(&format!("{secret}.{other}")).start_refused();
    assert!(log.contains("somebody else"), "{log}");
    // It was used up by that.
    let log = with(token).start_refused();
    assert!(log.contains("401"), "{log}");
}

#[test]
fn a_retired_gateway_is_let_go_of() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let gateway = gateway(&cp, "gw-1").start();
    is(&gateway, 200);
    let id = known(&cp, "gw-1")["id"].as_str().unwrap().to_owned();
    assert_eq!(cp.ask("DELETE", &format!("{ENVIRONMENT}/gateways/{id}"), &[], &Value::Null).status, 204);
    set_policy(&cp, NO_ECHO);
    publish(&cp);
    let log = gateway.dir().join("mcpg.log");
    until("it should be refused", || std::fs::read_to_string(&log).unwrap().contains("401").then_some(()));
    assert_eq!(echo(&gateway), 200, "it serves what it had");
}
