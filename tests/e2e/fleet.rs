//! What breaks between a publish and what gateways serve: processes that are killed, databases that hang, crash and fail over, wires that are cut.
//! Whatever it is, every revision that was published comes to every gateway, once, and none that is older comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mcpg_tests::mcp::Request;
use mcpg_tests::{ControlPlane, Fixture, Gateway, Signal, Wire, until};
use serde_json::{Value, json};

use super::control_plane::{
    ENVIRONMENT, NO_ECHO, PERMIT, WORKSPACE, configure, echo, gateway, gateway_at, is, progress, publish,
    set_policy,
};

/// The numbers that a gateway has put in force, in all of its lives.
pub(crate) fn applied(gateway: &Gateway) -> Vec<u64> {
    let log = std::fs::read_to_string(gateway.dir().join("mcpg.log")).unwrap();
    let lines = log.lines().filter(|line| line.contains("revision of the control plane in force"));
    let number = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["number"].as_u64().or_else(|| line["fields"]["number"].as_u64()).unwrap()
    };
    lines.map(number).collect()
}

/// How often something stands in a gateway's log.
pub(crate) fn said(gateway: &Gateway, what: &str) -> usize {
    std::fs::read_to_string(gateway.dir().join("mcpg.log")).unwrap().matches(what).count()
}

const FOLLOWS: &str = "\"following the control plane\"";
pub(crate) const LOST: &str = "\"no revisions from the control plane; the one in force stays\"";

pub(crate) fn heard(cp: &ControlPlane, number: u64, gateways: u64) {
    until(&format!("{gateways} should have said that they run {number}"), || {
        (progress(cp, number)["applied"] == gateways).then_some(())
    });
}

/// Publishes what makes `echo` be answered with a status.
fn publish_for(cp: &ControlPlane, status: u16) -> u64 {
    set_policy(cp, if status == 200 { PERMIT } else { NO_ECHO });
    publish(cp)
}

fn is_killed_between_its_steps(cp: ControlPlane) {
    let fixture = Fixture::start();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let wire = Wire::to(cp.address());
    let mut gateway = gateway_at(&wire.url(), &cp, "gw-1").start();
    is(&gateway, 200);
    heard(&cp, 1, 1);

    // The control plane dies after it has published, before it hears what came of it.
    wire.mute();
    assert_eq!(publish_for(&cp, 403), 2);
    is(&gateway, 403);
    assert_eq!(progress(&cp, 2)["applied"], 0);
    let (mut cp, streams) = (cp, said(&gateway, FOLLOWS));
    cp.kill();
    wire.mend();
    let cp = cp.restart();
    heard(&cp, 2, 1);
    until("it should follow again", || (said(&gateway, FOLLOWS) > streams).then_some(()));

    // The gateway dies after it has swapped, before it could say so.
    wire.mute();
    assert_eq!(publish_for(&cp, 200), 3);
    until("it should be in force", || applied(&gateway).contains(&3).then_some(()));
    gateway.process().signal(Signal::Kill);
    wire.mend();
    let mut gateway = gateway.restart();
    assert_eq!(echo(&gateway), 200);
    heard(&cp, 3, 1);

    // Both die, one after the other, with a revision on its way.
    gateway.process().signal(Signal::Kill);
    assert_eq!(publish_for(&cp, 403), 4);
    let mut cp = cp;
    cp.kill();
    let gateway = gateway.restart();
    assert_eq!(echo(&gateway), 200, "it begins with what it had");
    let cp = cp.restart();
    is(&gateway, 403);
    heard(&cp, 4, 1);
    assert_eq!(applied(&gateway), [1, 2, 3, 4]);
}

#[test]
fn nothing_is_lost_or_done_twice_when_processes_are_killed_on_sqlite() {
    is_killed_between_its_steps(ControlPlane::on_sqlite());
}

#[test]
fn nothing_is_lost_or_done_twice_when_processes_are_killed_on_postgresql() {
    is_killed_between_its_steps(ControlPlane::on_postgres());
}

fn has_an_answer_lost(cp: ControlPlane) {
    let fixture = Fixture::start();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    set_policy(&cp, NO_ECHO);
    let gateway = gateway(&cp, "gw-1").start();
    let path = format!("{ENVIRONMENT}/revisions");
    // A rollback makes another revision whenever it is asked for.
    let back = format!("{ENVIRONMENT}/revisions/1/rollback");
    for (number, path) in [(2, &path), (3, &back)] {
        let key = format!("deploy-{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        let wire = Wire::to(cp.address());
        // What is answered takes longer than the caller waits.
        wire.slow(Duration::from_secs(60));
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(|| cp.ask_at(wire.address(), "POST", path, &headers, &json!({})));
            is(&gateway, if number == 2 { 403 } else { 200 });
            wire.cut();
            asked.join().unwrap()
        });
        assert!(asked.is_none(), "the answer was lost");
        let again = cp.ask("POST", path, &headers, &json!({}));
        assert_eq!((again.status, &again.json()["number"]), (201, &json!(number)), "{}", again.text());
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(cp.get(&format!("{ENVIRONMENT}/revisions"))["items"].as_array().unwrap().len(), number);
    }
    heard(&cp, 3, 1);
    assert_eq!(applied(&gateway), [1, 2, 3]);
}

#[test]
fn a_publish_without_an_answer_can_be_repeated_on_sqlite() {
    has_an_answer_lost(ControlPlane::on_sqlite());
}

#[test]
fn a_publish_without_an_answer_can_be_repeated_on_postgresql() {
    has_an_answer_lost(ControlPlane::on_postgres());
}

#[test]
fn wires_break_and_every_revision_comes_once() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let wire = Wire::to(cp.address());
    let gateway = gateway_at(&wire.url(), &cp, "gw-1").start();
    is(&gateway, 200);
    // Cut in the middle of a revision.
    wire.cut_next_frame();
    publish_for(&cp, 403);
    is(&gateway, 403);
    heard(&cp, 2, 1);
    // Away for a while, with two revisions meanwhile: the newest comes, and the other is superseded.
    wire.lead(None);
    wire.cut();
    publish_for(&cp, 200);
    publish_for(&cp, 403);
    publish_for(&cp, 200);
    wire.lead(Some(cp.address()));
    is(&gateway, 200);
    heard(&cp, 5, 1);
    // In pieces.
    wire.slow(Duration::from_millis(2));
    wire.cut();
    publish_for(&cp, 403);
    is(&gateway, 403);
    heard(&cp, 6, 1);
    wire.mend();
    // The stream goes nowhere and nobody is told: it is silent for longer than a living one can be.
    publish_for(&cp, 200);
    is(&gateway, 200);
    heard(&cp, 7, 1);
    let outages = said(&gateway, LOST);
    wire.lose();
    publish_for(&cp, 403);
    until("the stream should be taken for dead", || (said(&gateway, LOST) > outages).then_some(()));
    is(&gateway, 403);
    heard(&cp, 8, 1);
    assert_eq!(applied(&gateway), [1, 2, 5, 6, 7, 8]);
}

#[test]
fn a_database_hangs_crashes_and_fails_over() {
    let fixture = Fixture::start();
    let mut cp = ControlPlane::on_postgres();
    configure(&cp, &fixture.url(), PERMIT);
    publish(&cp);
    let gateways = [gateway(&cp, "gw-1").start(), gateway(&cp, "gw-2").start()];
    gateways.iter().for_each(|gateway| is(gateway, 200));
    let path = format!("{ENVIRONMENT}/revisions");
    let key = |key: &'static str| [("Idempotency-Key", key)];

    // It hangs while a revision is published: the publisher is told so, and asks again.
    set_policy(&cp, NO_ECHO);
    cp.postgres().unwrap().freeze(true);
    let asked = cp.ask("POST", &path, &key("hangs"), &json!({}));
    assert_eq!(asked.status, 503, "{}", asked.text());
    gateways.iter().for_each(|gateway| assert_eq!(echo(gateway), 200, "gateways go on"));
    cp.postgres().unwrap().freeze(false);
    let number = until("the publisher should get an answer", || {
        let asked = cp.ask("POST", &path, &key("hangs"), &json!({}));
        (asked.status == 201).then(|| asked.json()["number"].clone())
    });
    assert_eq!(number, 2);
    gateways.iter().for_each(|gateway| is(gateway, 403));
    heard(&cp, 2, 2);

    // It crashes with streams open, and recovers.
    let server = cp.postgres().unwrap();
    server.kill();
    server.start_again();
    let published = |cp: &ControlPlane, name: &'static str| {
        until("the publisher should get an answer", || {
            let asked = cp.ask("POST", &path, &key(name), &json!({}));
            (asked.status == 201).then(|| asked.json()["number"].clone())
        })
    };
    until("the policy should be put", || {
        let spec = json!({ "spec": { "engine": "cedar", "files": { "all.cedar": PERMIT } } });
        let put = cp.ask("PUT", &format!("{WORKSPACE}/policies/main"), &[("If-Match", "*")], &spec);
        (put.status == 200).then_some(())
    });
    assert_eq!(published(&cp, "crashed"), 3);
    gateways.iter().for_each(|gateway| is(gateway, 200));
    heard(&cp, 3, 2);

    // Another server takes its place, with all that was committed.
    let standby = cp.postgres().unwrap().standby();
    set_policy(&cp, NO_ECHO);
    assert_eq!(published(&cp, "before"), 4);
    cp.fail_over(standby);
    gateways.iter().for_each(|gateway| is(gateway, 403));
    assert_eq!(published(&cp, "before"), 4, "the key is known there too");
    heard(&cp, 4, 2);
    assert_eq!(publish_for(&cp, 200), 5);
    gateways.iter().for_each(|gateway| is(gateway, 200));
    heard(&cp, 5, 2);
    gateways.iter().for_each(|gateway| assert_eq!(applied(gateway), [1, 2, 3, 4, 5]));
}

#[test]
fn a_revision_published_at_one_replica_comes_to_gateways_at_another() {
    let fixture = Fixture::start();
    let one = ControlPlane::on_postgres();
    let mut two = one.replica();
    configure(&one, &fixture.url(), PERMIT);
    publish(&one);
    let gateways = [gateway(&one, "gw-1").start(), gateway(&two, "gw-2").start()];
    gateways.iter().for_each(|gateway| is(gateway, 200));
    for (replica, status, number) in [(&one, 403, 2), (&two, 200, 3), (&one, 403, 4)] {
        assert_eq!(publish_for(replica, status), number);
        gateways.iter().for_each(|gateway| is(gateway, status));
        heard(&two, number, 2);
    }
    // One replica dies; the other goes on, and what it publishes comes to those of the first when that is back.
    two.kill();
    assert_eq!(publish_for(&one, 200), 5);
    is(&gateways[0], 200);
    assert_eq!(echo(&gateways[1]), 403);
    let _two = two.restart();
    is(&gateways[1], 200);
    heard(&one, 5, 2);
    gateways.iter().for_each(|gateway| assert_eq!(applied(gateway), [1, 2, 3, 4, 5]));
}

#[test]
fn a_gateway_waits_for_its_first_revision_with_open_doors() {
    let fixture = Fixture::start();
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixture.url(), PERMIT);
    let wire = Wire::to(cp.address());
    let setup = gateway_at(&wire.url(), &cp, "gw-1");
    wire.lead(None);
    let mut gateway = setup.start_waiting();
    let waits_for = |gateway: &Gateway, expected: &str| {
        until(&format!("it should wait for: {expected}"), || {
            let ready = gateway.admin_get("/readyz");
            let reason = ready.json()["waits_for"].as_str().unwrap_or_default().to_owned();
            (ready.status == 503 && reason.contains(expected)).then_some(())
        });
    };
    // Nobody is there to enrol with.
    waits_for(&gateway, "enrolment: ");
    assert_eq!(gateway.admin_get("/livez").status, 200);
    assert_eq!(gateway.metrics().sum("mcpg_scopes", &[]), 0.0);
    let refused = Request::modern_call("/mcp", "echo", json!({ "text": "hi" })).send(gateway.address());
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"]["data"]["reason"], "not_configured", "{}", refused.text());
    // Somebody is, and nothing is published.
    wire.lead(Some(cp.address()));
    waits_for(&gateway, "the first revision of `acme-corp/platform-team/prod`: none is published");
    until("it should follow", || {
        (gateway.metrics().sum("mcpg_control_plane_followed", &[]) == 1.0).then_some(())
    });
    // What is published first does not hold here.
    let elsewhere = json!({ "plugin_set": "main", "policies": ["main"], "bindings": [{ "id": "demo", "type": "mcp", "url": "http://10.0.0.1/mcp" }] });
    cp.put(&format!("{ENVIRONMENT}/config"), &elsewhere);
    publish(&cp);
    waits_for(&gateway, "revision 1 was refused: ");
    configure(&cp, &fixture.url(), PERMIT);
    assert_eq!(publish(&cp), 2);
    is(&gateway, 200);
    until("it should be ready", || gateway.is_ready().then_some(()));
    heard(&cp, 2, 1);
    let metrics = gateway.metrics();
    for (name, value) in
        [("revision", 2.0), ("applied_total", 1.0), ("refused_total", 1.0), ("environments", 1.0)]
    {
        assert_eq!(metrics.sum(&format!("mcpg_control_plane_{name}"), &[]), value, "{name}");
    }
    // Without a control plane it is ready from the beginning.
    gateway.process().signal(Signal::Kill);
    wire.lead(None);
    wire.cut();
    let mut gateway = gateway.restart();
    assert_eq!(echo(&gateway), 200);
    gateway.process().signal(Signal::Terminate);
    assert!(gateway.process().wait().success());

    // One whose token turns out to be none, once somebody is there to say so, ends with that.
    let setup = gateway_at(&wire.url(), &cp, "gw-2");
    let mut gateway = setup.env("ENROLL_TOKEN", &unknown_token(&cp)).start_waiting();
    waits_for(&gateway, "enrolment: ");
    wire.lead(Some(cp.address()));
    assert!(!gateway.process().wait().success());
    assert!(gateway.process().log().contains("the control plane answers 401"), "{}", gateway.process().log());
}

/// A token of the control plane's own form, that it does not know any more.
fn unknown_token(cp: &ControlPlane) -> String {
    let made = cp.post(&format!("{ENVIRONMENT}/enrollment-tokens"), &json!({}));
    let path = format!("{ENVIRONMENT}/enrollment-tokens/{}", made["resource"]["id"].as_str().unwrap());
    assert_eq!(cp.ask("DELETE", &path, &[], &Value::Null).status, 204);
    made["token"].as_str().unwrap().to_owned()
}

/// One upstream, and the one tool that may be called there.
fn only(cp: &ControlPlane, upstream: &Fixture, tool: &str) {
    set_policy(cp, &format!("permit (principal, action == Action::\"demo.{tool}\", resource);"));
    let bindings = json!([{ "id": "demo", "type": "mcp", "url": upstream.url() }]);
    let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": bindings });
    cp.put(&format!("{ENVIRONMENT}/config"), &config);
}

#[test]
fn no_call_fails_while_revisions_come_and_go() {
    const TOOLS: [&str; 2] = ["echo", "test_simple_text"];
    let fixtures = [(); 2].map(|()| Fixture::start_with(&["--note-requests"]));
    let cp = ControlPlane::on_sqlite();
    configure(&cp, &fixtures[0].url(), PERMIT);
    only(&cp, &fixtures[0], TOOLS[0]);
    publish(&cp);
    let gateways = [gateway(&cp, "gw-1").start(), gateway(&cp, "gw-2").start()];
    gateways.iter().for_each(|gateway| is(gateway, 200));
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let others: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (address, tool) = (gateways[caller % 2].address(), TOOLS[caller / 2 % 2]);
                let (stop, calls) = (&stop, &calls);
                scope.spawn(move || {
                    let mut others = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        let call = Request::modern_call("/mcp", tool, json!({ "text": "hi" }));
                        let status = call.send(address).status;
                        calls.fetch_add(1, Ordering::SeqCst);
                        if status != 200 && status != 403 {
                            others.push(status);
                        }
                    }
                    others
                })
            })
            .collect();
        for round in 0..6 {
            let served = (round + 1) % 2;
            if round < 4 {
                only(&cp, &fixtures[served], TOOLS[served]);
                publish(&cp);
            } else {
                cp.post(&format!("{ENVIRONMENT}/revisions/{}/rollback", round - 1), &json!({}));
            }
            heard(&cp, round as u64 + 2, 2);
            // Every caller comes around with it.
            let seen = calls.load(Ordering::SeqCst);
            until("calls should go on", || (calls.load(Ordering::SeqCst) > seen + 40).then_some(()));
        }
        stop.store(true, Ordering::SeqCst);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(others, [0_u16; 0], "of {} calls", calls.into_inner());
    // No upstream was asked for what only another revision permits.
    for (fixture, other) in fixtures.iter().zip([TOOLS[1], TOOLS[0]]) {
        let requests = fixture.requests();
        let asked = requests.iter().filter(|request| request.to_string().contains(other)).count();
        assert_eq!(asked, 0, "of {} requests", requests.len());
        assert!(!requests.is_empty());
    }
    gateways.iter().for_each(|gateway| assert_eq!(applied(gateway), [1, 2, 3, 4, 5, 6, 7]));
}
