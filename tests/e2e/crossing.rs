//! Callers with equal ids, answers that come late or out of turn, and servers that answer for another: everybody gets
//! what is theirs, or nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Fixture, Gateway, RawUpstream, Step, scenes};
use serde_json::{Value, json};

use mcpg_tests::client::{Client, capabilities};

const PERMIT: &str = "permit (principal, action, resource);\n";

#[test]
fn callers_with_equal_ids_get_their_own_answers() {
    for era in [&[][..], &["--only", "legacy"], &["--only", "modern"]] {
        let fixture = Fixture::start_with(era);
        let lines = format!("    url: {}\n", fixture.url());
        let gateway = scenes::governed_federation(&[("up", &lines)], "", PERMIT).start();
        callers_with_equal_ids(&gateway);
    }
}

/// Alice and Bob, in both eras, with the same id and the same progress token at the same time, four times each.
pub(crate) fn callers_with_equal_ids(gateway: &Gateway) {
    std::thread::scope(|scope| {
        for name in ["alice", "bob"] {
            for era in ["modern", "legacy"] {
                scope.spawn(move || {
                    let client = client(gateway, era, name);
                    for round in 0..4_u64 {
                        // Whoever begins first waits longest.
                        let ms = 100 + 100 * (4 - round);
                        let params = json!({
                            "name": "slow", "arguments": { "ms": ms }, "_meta": { "progressToken": "same" },
                        });
                        let answer = client.ask("tools/call", params);
                        let text = &answer["result"]["content"][0]["text"];
                        assert_eq!(*text, json!(format!("slept {ms} ms")), "{name} {era}: {answer}");
                        let own = format!("{name} {era} {round}");
                        let result = client.call("echo", json!({ "text": own }));
                        assert_eq!(result["content"][0]["text"], json!(own), "{name} {era}");
                    }
                });
            }
        }
    });
}

#[test]
fn answers_out_of_turn_reach_whom_they_are_for() {
    // The first call is answered last, and each answer says whose it is.
    let calls = AtomicUsize::new(0);
    let upstream = RawUpstream::unaided(move |seen| {
        let body = seen.json();
        let answer = answer(&body["id"], body["params"]["arguments"]["who"].as_str().unwrap_or_default());
        if body["method"] != "tools/call" {
            return vec![Step::Send(refuse(&body["id"]))];
        }
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => vec![Step::AwaitRelease, Step::Send(answer)],
            _ => vec![Step::Send(answer)],
        }
    });
    let lines = format!("    url: {}\n    protocol: 2026-07-28\n", upstream.url());
    let gateway = scenes::governed_federation(&[("up", &lines)], "", PERMIT).start();
    let [alice, bob] = ["alice", "bob"].map(|name| client(&gateway, "modern", name));
    std::thread::scope(|scope| {
        let late = scope
            .spawn(|| alice.ask("tools/call", json!({ "name": "whose", "arguments": { "who": "alice" } })));
        mcpg_tests::until("the first call should arrive", || {
            upstream.requests().iter().any(|seen| seen.line.starts_with("POST")).then_some(())
        });
        let answer = bob.ask("tools/call", json!({ "name": "whose", "arguments": { "who": "bob" } }));
        assert_eq!(answer["result"]["content"][0]["text"], "bob", "{answer}");
        upstream.release();
        let answer = late.join().expect("the call should end");
        assert_eq!(answer["result"]["content"][0]["text"], "alice", "{answer}");
    });
}

#[test]
fn an_answer_under_anothers_id_is_no_answer() {
    // By the gateway's own hands, so that it reads the answer: a modern server, and a client with a session.
    for wrong in [json!("nobody"), json!(987_654_321), Value::Null, json!({ "a": 1 })] {
        let sent = wrong.clone();
        let upstream = RawUpstream::unaided(move |seen| {
            let body = seen.json();
            match body["method"].as_str() {
                Some("tools/call") => vec![Step::Send(answer(&sent, "of another"))],
                Some("server/discover") => vec![Step::Send(discovered(&body["id"]))],
                _ => vec![Step::Send(refuse(&body["id"]))],
            }
        });
        let lines = format!("    url: {}\n    protocol: 2026-07-28\n", upstream.url());
        let gateway = scenes::governed_federation(&[("up", &lines)], "", PERMIT).start();
        let client = client(&gateway, "legacy", "alice");
        let response = client.send("tools/call", json!({ "name": "whose", "arguments": {} }));
        assert!(!response.text().contains("of another"), "{wrong}: {}", response.text());
        assert!(
            response.status >= 500 || response.json()["error"].is_object(),
            "{wrong}: {}",
            response.text()
        );
        assert_eq!(response.json()["id"], client.last_id(), "{wrong}: {}", response.text());
    }
}

#[test]
fn two_messages_in_a_body_are_no_answer() {
    for glue in ["", "\n", ",", " "] {
        let upstream = RawUpstream::unaided(move |seen| {
            let body = seen.json();
            match body["method"].as_str() {
                Some("tools/call") => {
                    let [first, second] =
                        ["first", "second"].map(|text| message(&body["id"], text).to_string());
                    vec![Step::Send(json_response(&format!("{first}{glue}{second}")))]
                }
                Some("server/discover") => vec![Step::Send(discovered(&body["id"]))],
                _ => vec![Step::Send(refuse(&body["id"]))],
            }
        });
        let lines = format!("    url: {}\n    protocol: 2026-07-28\n", upstream.url());
        let gateway = scenes::governed_federation(&[("up", &lines)], "", PERMIT).start();
        let client = client(&gateway, "legacy", "alice");
        let response = client.send("tools/call", json!({ "name": "whose", "arguments": {} }));
        let both = response.text().contains("first") && response.text().contains("second");
        assert!(!both, "{glue:?}: {}", response.text());
        assert!(
            response.status >= 500 || response.json()["error"].is_object(),
            "{glue:?}: {}",
            response.text()
        );
    }
}

fn client(gateway: &Gateway, era: &str, name: &str) -> Client {
    match era {
        "modern" => Client::modern(gateway.address(), "/mcp").with_key(&key(name)),
        _ => Client::Legacy(Session::open_with(gateway.address(), "/mcp", Some(&key(name)), capabilities())),
    }
}

fn message(id: &Value, text: &str) -> Value {
    let result = json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] });
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn answer(id: &Value, text: &str) -> Vec<u8> {
    json_response(&message(id, text).to_string())
}

fn discovered(id: &Value) -> Vec<u8> {
    let result = json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {} },
        "ttlMs": 0,
        "cacheScope": "private",
    });
    json_response(&json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
}

fn refuse(id: &Value) -> Vec<u8> {
    let error = json!({ "code": -32601, "message": "Method not found" });
    json_response(&json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
}

fn json_response(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
