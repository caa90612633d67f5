//! Upstreams that speak HTTP/2: the same deadline, retries and renewal of tokens as over HTTP/1.1, where calls pass straight through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcpg_tests::client::Client;
use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, modern_body};
use mcpg_tests::{Gateway, H2Step, H2Upstream, RawHttp, Response, scenes, until};
use serde_json::{Value, json};

use crate::credentials::Counting;
use crate::expect::{Refused, refused};

const TIMEOUT: Refused = refused(504, 50401, "upstream_timeout");
const UNAVAILABLE: Refused = refused(502, 50201, "upstream_unavailable");
/// Reasons of RFC 9113 section 7.
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const HTTP_1_1_REQUIRED: u32 = 13;

#[test]
fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let upstream = H2Upstream::start(|_| vec![H2Step::Stall]);
    let gateway = gateway(&upstream, "deadline_ms: 500, retries_max: 2");
    TIMEOUT.check_id("no head", &call(&gateway), json!(1));
    until("the stream should be reset", || (upstream.resets() == [CANCEL]).then_some(()));
    assert_eq!(upstream.requests().len(), 1, "what took too long is not sent again");
    let running = || gateway.metrics().sum("mcpg_upstream_calls", &[("binding", "up")]);
    until("its place should be free", || (running() == 0.0).then_some(()));
}

#[test]
fn an_answer_that_does_not_end_is_cut_at_the_deadline() {
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
    let half = r#"{"jsonrpc":"2.0","id":1,"#.as_bytes().to_vec();
    for (case, steps) in [
        ("an event stream", vec![H2Step::events(), H2Step::event(&progress), H2Step::Stall]),
        ("a body", vec![H2Step::json(200, &json!({}))[0].clone(), H2Step::Data(half), H2Step::Stall]),
    ] {
        let upstream = H2Upstream::start(move |_| steps.clone());
        let gateway = gateway(&upstream, "deadline_ms: 500");
        let response = call(&gateway);
        assert!(!response.complete, "{case}: {}", response.text());
        until(case, || (upstream.resets() == [CANCEL]).then_some(()));
    }
}

#[test]
fn a_token_that_the_upstream_refuses_is_replaced_within_the_call() {
    let (issuer, good) = (Counting::start(), Arc::new(AtomicUsize::new(1)));
    let accepted = Arc::clone(&good);
    let upstream = H2Upstream::start(move |seen| {
        let token = format!("Bearer token-{}", accepted.load(Ordering::SeqCst));
        match seen.header("authorization") {
            Some(presented) if presented == token => H2Step::result(seen, ok()),
            _ => H2Step::json(401, &json!({ "error": "no" })),
        }
    });
    let lines = format!(
        "    url: {}
    http2: on
    protocol: 2026-07-28
    credentials:
      type: client_credentials
      token_url: {}
      client_id: mcpg
      client_secret: $secret://env/CLIENT_SECRET
",
        upstream.url(),
        issuer.url()
    );
    let permit = "permit (principal, action, resource);\n";
    let gateway =
        scenes::governed_federation(&[("up", &lines)], "", permit).env("CLIENT_SECRET", "x").start();
    let client = Client::modern(gateway.address(), "/mcp").with_key(&key("alice"));
    let call = || client.send("tools/call", json!({ "name": "whoami", "arguments": {} }));
    let is_served = || call().json()["result"]["content"][0]["text"] == "ok";
    assert!(is_served());
    good.store(2, Ordering::SeqCst);
    // One that has just been granted is not thrown away at the first word.
    let asked = until("the token should be replaced", || {
        let before = upstream.requests().len();
        is_served().then(|| upstream.requests().len() - before)
    });
    assert_eq!(asked, 2, "within one call");
    let seen = upstream.requests();
    let last: Vec<_> = seen[seen.len() - 2..].iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(last, [Some("Bearer token-1"), Some("Bearer token-2")]);
    assert_eq!(issuer.granted(), 2);

    good.store(0, Ordering::SeqCst);
    let before = upstream.requests().len();
    let refused = call();
    assert_eq!(refused.status, 502, "an upstream's 401 is not relayed: {}", refused.text());
    assert_eq!((upstream.requests().len() - before, issuer.granted()), (1, 2), "it goes round and round");
}

#[test]
fn what_the_upstream_has_not_looked_at_is_sent_again() {
    let turn = AtomicUsize::new(0);
    let upstream = H2Upstream::start(move |seen| match turn.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => vec![H2Step::Reset(REFUSED_STREAM)],
        _ => H2Step::result(seen, ok()),
    });
    let gateway = gateway(&upstream, "retries_max: 2, breaker: off");
    let response = call(&gateway);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(upstream.asked("tools/call").len(), 3, "twice refused, once served");
    assert!(upstream.requests().iter().all(|seen| seen.body == upstream.requests()[0].body));
}

#[test]
fn only_what_is_safe_is_sent_again() {
    let rows: &[(&str, H2Step)] = &[
        ("an error", H2Step::Reset(INTERNAL_ERROR)),
        ("cancelled", H2Step::Reset(CANCEL)),
        // Whether it looked at the request before is not said.
        ("another version", H2Step::Reset(HTTP_1_1_REQUIRED)),
        ("leaving, with the request taken", H2Step::Leave),
    ];
    for (case, step) in rows {
        let step = step.clone();
        let upstream = H2Upstream::start(move |_| vec![step.clone()]);
        let gateway = gateway(&upstream, "retries_max: 2, breaker: off");
        UNAVAILABLE.check(case, &call(&gateway));
        assert_eq!(upstream.asked("tools/call").len(), 1, "{case}: a call may have had an effect");
        let request = Request::modern("/mcp", "resources/read", json!({ "uri": "test://x" }));
        UNAVAILABLE.check(case, &request.send(gateway.address()));
        let reads = upstream.asked("resources/read").len();
        assert_eq!(reads, 3, "{case}: once, and `retries_max` times again");
    }
}

#[test]
fn an_answer_that_has_begun_is_never_asked_for_again() {
    let half = r#"{"jsonrpc":"2.0","id":1,"#.as_bytes().to_vec();
    let head = H2Step::json(200, &json!({}))[0].clone();
    let upstream = H2Upstream::start(move |_| {
        vec![head.clone(), H2Step::Data(half.clone()), H2Step::AwaitRelease, H2Step::Reset(REFUSED_STREAM)]
    });
    let gateway = gateway(&upstream, "retries_max: 2");
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let request = Request::modern("/mcp", "resources/read", json!({ "uri": "test://x" }));
            request.send(gateway.address())
        });
        until("the request should arrive", || (upstream.requests().len() == 1).then_some(()));
        upstream.release();
        let response = calling.join().expect("the call should end");
        assert!(!response.complete || response.status >= 500, "{}: {}", response.status, response.text());
    });
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_that_leaves_cancels_its_call() {
    let upstream = H2Upstream::start(|_| vec![H2Step::Stall]);
    let gateway = gateway(&upstream, "concurrency_max: 1, queue_max: 0");
    let client = Client::modern(gateway.address(), "/mcp");
    for round in 1..=3 {
        let stream = client.begin("tools/call", json!({ "name": "any", "arguments": {} }));
        until("the call should arrive", || (upstream.requests().len() == round).then_some(()));
        drop(stream);
        until("it should be cancelled", || (upstream.resets().len() == round).then_some(()));
    }
    assert_eq!(upstream.resets(), [CANCEL; 3]);
    assert_eq!(upstream.connections(), 1, "the connection serves on");
}

#[test]
fn a_body_needs_no_length() {
    let upstream = H2Upstream::start(|seen| H2Step::result(seen, ok()));
    let gateway = gateway(&upstream, "");
    let text = "x".repeat(200_000);
    let body =
        modern_body("tools/call", json!({ "name": "echo", "arguments": { "text": text } })).to_string();
    let request = Request::modern_call("/mcp", "echo", json!({})).body("").bytes(gateway.address());
    let head = String::from_utf8(request).unwrap();
    let head = head.replacen("\r\n", "\r\nTransfer-Encoding: chunked\r\n", 1);
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(head.as_bytes());
    for piece in body.as_bytes().chunks(50_000) {
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.send(piece);
        connection.send(b"\r\n");
    }
    connection.send(b"0\r\n\r\n");
    let response = connection.response().expect("an answer");
    assert_eq!(response.status, 200, "{}", response.text());
    let seen = upstream.asked("tools/call");
    assert_eq!(seen[0].body, body.as_bytes(), "the bytes that were judged are the bytes that are sent");
    assert_eq!(seen[0].header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(seen[0].header("transfer-encoding"), None);
}

fn gateway(upstream: &H2Upstream, calls: &str) -> Gateway {
    let url = upstream.url();
    let lines =
        format!("    url: {url}\n    http2: on\n    protocol: 2026-07-28\n    calls: {{ {calls} }}\n");
    scenes::open_federation(&[("up", &lines)], "").start()
}

fn ok() -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": "ok" }] })
}

fn call(gateway: &Gateway) -> Response {
    Request::modern_call("/mcp", "echo", json!({ "text": "x" })).send(gateway.address())
}
