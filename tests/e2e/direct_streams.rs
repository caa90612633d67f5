//! The stream of a session that passes straight through lasts no longer than its caller's right to it.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Event, Fixture, Gateway, RawHttp, scenes, until};
use serde_json::json;

/// The session's stream for Alice, until a policy says otherwise.
const PERMIT: &str = "permit (principal, action, resource);\n";
const NO_STREAM: &str = "permit (principal, action, resource);\nforbid (principal, action == Action::\"mcp/stream\", resource);\n";
const NOT_ALICE: &str = "permit (principal, action, resource);\nforbid (principal == User::\"alice@acme.com\", action, resource);\n";

#[test]
fn a_stream_that_is_permitted_still_goes_on() {
    for http2 in ["off", "on"] {
        let bench = Bench::start(http2);
        let (mut stream, session) = bench.listen("alice");
        let number = bench.number();
        bench.gateway.replace("policies/policy.cedar", &format!("{PERMIT}// another text\n"));
        bench.renewed(number);
        session.call("define_tool", json!({ "name": "new", "description": "x" }));
        assert!(next(&mut stream).is_some_and(|data| data.contains("list_changed")), "http2: {http2}");
    }
}

#[test]
fn a_stream_ends_with_the_right_to_it() {
    for http2 in ["off", "on"] {
        for (case, policy) in [("the stream", NO_STREAM), ("the caller", NOT_ALICE)] {
            let bench = Bench::start(http2);
            let (mut alice, _session) = bench.listen("alice");
            let (mut bob, bobs) = bench.listen("bob");
            bench.gateway.replace("policies/policy.cedar", policy);
            ended(&format!("{case}, http2: {http2}"), &mut alice);
            if policy == NOT_ALICE {
                bobs.call("define_tool", json!({ "name": "new", "description": "x" }));
                assert!(next(&mut bob).is_some_and(|data| data.contains("list_changed")), "{case}");
            } else {
                ended(&format!("{case}, http2: {http2}"), &mut bob);
            }
        }
    }
}

#[test]
fn a_stream_ends_with_the_key_that_opened_it() {
    let bench = Bench::start("off");
    let (mut alice, _session) = bench.listen("alice");
    let (mut bob, bobs) = bench.listen("bob");
    let config = bench.config();
    let line = config.lines().find(|line| line.contains("alice-laptop")).expect("her key is configured");
    bench.gateway.replace("mcpg.yaml", &config.replace(&format!("{line}\n"), ""));
    ended("the revoked key", &mut alice);
    bobs.call("define_tool", json!({ "name": "new", "description": "x" }));
    assert!(next(&mut bob).is_some_and(|data| data.contains("list_changed")), "the other key");
}

#[test]
fn a_stream_ends_with_its_binding() {
    let other = Fixture::start_with(&["--only", "legacy"]);
    for (case, id, url) in [("gone", "other", other.url()), ("elsewhere", "up", other.url())] {
        let bench = Bench::start("off");
        let (mut stream, _session) = bench.listen("alice");
        let config = bench.config().replace("- id: up", &format!("- id: {id}"));
        bench.gateway.replace("mcpg.yaml", &config.replace(&bench.fixture.url(), &url));
        ended(case, &mut stream);
    }
}

struct Bench {
    fixture: Fixture,
    gateway: Gateway,
}

impl Bench {
    fn start(http2: &str) -> Self {
        let version = if http2 == "on" { "2" } else { "1" };
        let fixture = Fixture::start_with(&["--only", "legacy", "--http", version]);
        let lines = format!("    url: {}\n    http2: {http2}\n", fixture.url());
        let gateway = scenes::governed_federation(&[("up", &lines)], "", PERMIT).start();
        Self { fixture, gateway }
    }

    fn listen(&self, who: &str) -> (RawHttp, Session) {
        let session = Session::open(self.gateway.address(), "/bindings/up/mcp", Some(&key(who)));
        let (stream, head) = session.listen();
        assert_eq!(head.status, 200, "{}", head.text());
        (stream, session)
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.gateway.dir().join("mcpg.yaml")).expect("there is a configuration")
    }

    fn number(&self) -> f64 {
        self.gateway.metrics().sum("mcpg_revision_number", &[])
    }

    fn renewed(&self, before: f64) {
        until("another revision should be in force", || (self.number() > before).then_some(()));
    }
}

/// The next message; none at the stream's end.
fn next(stream: &mut RawHttp) -> Option<String> {
    loop {
        let Event { data, .. } = stream.event()?;
        if !data.is_empty() {
            return Some(data);
        }
    }
}

/// The stream ends, and in good order: its connection serves the next request.
fn ended(case: &str, stream: &mut RawHttp) {
    assert_eq!(next(stream), None, "{case}");
    stream.send(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert!(stream.response().is_some(), "{case}: the connection broke off");
}
