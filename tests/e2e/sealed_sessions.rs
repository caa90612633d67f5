//! A session is in its id: any instance with the key serves it, for the caller and the endpoint that it was begun for,
//! for its time, and for nobody else.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Fixture, Gateway, Response, Setup, scenes, until};
use serde_json::{Value, json};

const PERMIT: &str = "permit (principal, action, resource);\n";

#[test]
fn any_instance_with_the_key_serves_a_session() {
    let fixture = noting();
    let [first, second] = [(); 2].map(|()| gateway(&fixture, &["a"]).start());
    let here = alices(&first);
    let there = here.at(second.address());
    for round in 0..4 {
        for session in [&here, &there] {
            let text = format!("round {round}");
            let response = session.call("echo", json!({ "text": text }));
            assert_eq!(response.json()["result"]["content"][0]["text"], text, "{}", response.text());
        }
    }
    assert_eq!(own_session(&here), own_session(&there), "one session upstream");
    let (_stream, head) = there.listen();
    assert_eq!(head.status, 200, "its stream is open at another instance too");
}

#[test]
fn the_upstreams_own_session_stays_inside() {
    let fixture = noting();
    let gateway = gateway(&fixture, &["a"]).start();
    let [first, second] = [(); 2].map(|()| alices(&gateway));
    assert_ne!(first.id(), second.id());
    let [first_own, second_own] = [&first, &second].map(own_session);
    assert_ne!(first_own, second_own);
    for own in [first_own, second_own] {
        for session in [&first, &second] {
            assert!(!session.id().contains(&own), "the upstream's id is in ours");
            let stolen = session.with_id(&own).call("echo", json!({ "text": "x" }));
            assert_eq!(stolen.status, 404, "{}", stolen.text());
        }
    }
    let visible = first.id().bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    assert!(visible, "a session id is visible ASCII: {}", first.id());
}

#[test]
fn a_session_is_its_callers_and_its_endpoints() {
    let fixture = noting();
    let gateway = gateway(&fixture, &["a"]).start();
    let session = alices(&gateway);
    let own = own_session(&session);
    let seen = || fixture.requests().iter().filter(|request| request["session"] == json!(own)).count();
    let before = seen();
    let check = |case: &str, session: &Session| {
        let call = session.call("echo", json!({ "text": "x" }));
        let (_, stream) = session.listen();
        let answers = [call.status, stream.status, session.end().status];
        assert_eq!(answers, [404; 3], "{case}: {}", call.text());
        assert_eq!(seen(), before, "{case}: the upstream was asked");
    };
    check("another caller", &session.with_key(&key("bob")));
    check("another endpoint", &session.at_path("/bindings/files/mcp"));
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200, "the session is as it was");
}

#[test]
fn an_id_that_was_changed_is_no_session() {
    let fixture = noting();
    let gateway = gateway(&fixture, &["a"]).start();
    let session = alices(&gateway);
    let own = own_session(&session);
    let seen = || fixture.requests().iter().filter(|request| request["session"] == json!(own)).count();
    let before = seen();
    let check = |case: &str, id: &str| {
        let response = session.with_id(id).call("echo", json!({ "text": "x" }));
        assert_eq!(response.status, 404, "{case}: {}", response.text());
    };
    let id = session.id();
    for place in (0..id.len()).step_by(11).chain([id.len() - 1]) {
        let mut bytes = id.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last digit of base64url may hold bits that count for nothing: such an id is the same, or refused.
        if place < id.len() - 1 {
            check(&format!("place {place}"), &changed);
        }
    }
    check("cut short", &id[..id.len() - 4]);
    check("longer", &format!("{id}AAAA"));
    check("twice", &format!("{id}{id}"));
    check("nothing of ours", "00000000-0000-4000-8000-000000000000");
    check("very long", &"A".repeat(8_000));
    assert_eq!(seen(), before, "the upstream was asked");
}

#[test]
fn another_key_opens_nothing_and_a_rotated_one_what_it_sealed() {
    let fixture = noting();
    let start = |names: &[&str]| gateway(&fixture, names).start();
    let session = alices(&start(&["old"]));
    let status =
        |gateway: &Gateway| session.at(gateway.address()).call("echo", json!({ "text": "x" })).status;
    assert_eq!(status(&start(&["new", "old"])), 200, "the new key seals, the old one still opens");
    assert_eq!(status(&start(&["new"])), 404, "the old key is gone");
    let rotated = start(&["new", "old"]);
    let fresh = alices(&rotated);
    let new_only = start(&["new"]);
    let response = fresh.at(new_only.address()).call("echo", json!({ "text": "x" }));
    assert_eq!(response.status, 200, "what is sealed now is sealed with the new key: {}", response.text());
}

#[test]
fn a_session_expires() {
    let fixture = noting();
    let gateway = setup(&fixture, &["a"], "  ttl_ms: 1500\n").start();
    let session = alices(&gateway);
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200);
    until("the session should expire", || {
        let response = session.call("echo", json!({ "text": "x" }));
        (response.status == 404).then_some(())
    });
    assert_eq!(alices(&gateway).call("echo", json!({ "text": "x" })).status, 200, "a new one can be begun");
}

#[test]
fn its_end_is_the_end_of_the_upstreams_session() {
    let fixture = noting();
    let [first, second] = [(); 2].map(|()| gateway(&fixture, &["a"]).start());
    let session = alices(&first);
    let own = own_session(&session);
    let ended: Response = session.at(second.address()).end();
    assert!(ended.status < 300, "{}", ended.text());
    let deleted = |request: &Value| request["method"] == "DELETE" && request["session"] == json!(own);
    assert_eq!(fixture.requests().iter().filter(|request| deleted(request)).count(), 1, "{own}");
    for gateway in [&first, &second] {
        let response = session.at(gateway.address()).call("echo", json!({ "text": "x" }));
        assert_eq!(response.status, 404, "{}", response.text());
    }
}

#[test]
fn a_restart_keeps_sessions() {
    // Without keys in the configuration, the gateway makes one and keeps it.
    let fixture = noting();
    let config = format!("    url: {}\n", fixture.url());
    let mut gateway = scenes::governed_federation(&[("files", &config)], "", PERMIT).start();
    let session = alices(&gateway);
    gateway.process().signal(mcpg_tests::Signal::Terminate);
    let gateway = gateway.restart();
    let response = session.at(gateway.address()).call("echo", json!({ "text": "x" }));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn noting() -> Fixture {
    Fixture::start_with(&["--note-requests"])
}

fn gateway(fixture: &Fixture, keys: &[&str]) -> Setup {
    setup(fixture, keys, "")
}

/// A gateway whose session keys are made from names, the first of which seals.
fn setup(fixture: &Fixture, keys: &[&str], sessions: &str) -> Setup {
    let references: Vec<String> =
        keys.iter().map(|name| format!("$secret://env/KEY_{}", name.to_uppercase())).collect();
    let sessions = format!("sessions:\n  keys: [{}]\n{sessions}", references.join(", "));
    let config = format!("    url: {}\n", fixture.url());
    let setup = scenes::governed_federation(&[("files", &config)], &sessions, PERMIT);
    keys.iter().fold(setup, |setup, name| {
        let key = blake3::hash(name.as_bytes()).to_hex();
        setup.env(&format!("KEY_{}", name.to_uppercase()), &key)
    })
}

fn alices(gateway: &Gateway) -> Session {
    Session::open(gateway.address(), "/mcp", Some(&key("alice")))
}

/// The upstream's id of a session, as the upstream sees it.
fn own_session(session: &Session) -> String {
    let response = session.call("request_headers", json!({}));
    let result = response.json();
    let text = result["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    let headers: Value = serde_json::from_str(text).unwrap();
    headers["mcp-session-id"].as_str().unwrap_or_else(|| panic!("{headers}")).to_owned()
}
