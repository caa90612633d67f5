//! Every decision is a row before its call is dispatched, and what was written cannot be changed unnoticed.

use std::path::{Path, PathBuf};

use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, modern_body};
use mcpg_tests::{Gateway, Ledger, RawHttp, RawUpstream, Signal, Step, scenes, until};
use serde_json::{Value, json};

#[test]
fn permitted_and_denied_calls_are_rows() {
    let (upstream, gateway) = start();
    assert_eq!(call(&gateway, "alice", "echo"), 200);
    assert_eq!(call(&gateway, "alice", "delete_repo"), 403);
    assert_eq!(call(&gateway, "bob", "echo"), 403);
    let rows = until("the outcome should be recorded", || {
        let rows = gateway.ledger().rows();
        rows.iter().any(|row| row["kind"] == "outcome").then_some(rows)
    });
    let decisions: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "decision").collect();
    let brief = |row: &Value| json!([row["subject"], row["binding"], row["target"], row["policies"]]);
    assert_eq!(
        decisions.iter().map(|row| brief(row)).collect::<Vec<_>>(),
        [
            json!(["user:alice@acme.com", "files", "echo", ["alice-calls-tools"]]),
            json!(["user:alice@acme.com", "files", "delete_repo", ["nobody-deletes"]]),
            json!(["user:bob@acme.com", "files", "echo", []]),
        ]
    );
    assert_eq!(decisions[0]["method"], "tools/call");
    assert_eq!(decisions[0]["auth_method"], "api_key");
    assert_eq!(decisions[0]["protocol"], "2026-07-28");
    assert_eq!(decisions[0]["scope"], "default/default/default");
    assert_eq!(decisions[0]["obligations"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&decisions[1]["deny_code"], &decisions[2]["deny_code"]),
        (&json!("forbidden"), &json!("not_permitted"))
    );
    let outcomes: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "outcome").collect();
    assert_eq!(outcomes.len(), 1, "a denied call has no outcome: {outcomes:?}");
    assert_eq!(outcomes[0]["request_id"], decisions[0]["request_id"]);
    assert_eq!(outcomes[0]["http_status"], 200);
    assert_eq!(upstream.requests().len(), 1);
    verified(&gateway.ledger());
}

#[test]
fn a_row_names_the_arguments_that_the_upstream_saw() {
    let (upstream, gateway) = start();
    let written = [r#"{"a":1}"#, r#"{ "a" : 1.0e0, "ü":"\u00fc" }"#, "{}"];
    for arguments in written {
        let body = modern_body("tools/call", json!({ "name": "echo", "arguments": {} })).to_string();
        let body = body.replace("\"arguments\":{}", &format!("\"arguments\":{arguments}"));
        let request = Request::modern_call("/mcp", "echo", json!({})).body(body.clone());
        assert_eq!(request.bearer(&key("alice")).send(gateway.address()).status, 200);
        assert_eq!(upstream.requests().pop().unwrap().body, body.as_bytes());
    }
    let rows = gateway.ledger().rows();
    let digests: Vec<_> = rows.iter().filter_map(|row| row["arguments_digest"].as_str()).collect();
    let expected = written.map(|arguments| blake3::hash(arguments.as_bytes()).to_hex().to_string());
    assert_eq!(digests, expected);
}

#[test]
fn the_row_is_there_before_the_call_is_dispatched() {
    let upstream = RawUpstream::start(|_| vec![Step::AwaitRelease, Step::Close]);
    let gateway = scenes::governed(&upstream.url()).start();
    let request = Request::modern_call("/mcp", "echo", json!({})).bearer(&key("alice"));
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(&request.bytes(gateway.address()));
    until("the upstream should see the call", || (upstream.requests().len() == 1).then_some(()));
    let rows = gateway.ledger().rows();
    assert!(rows.iter().any(|row| row["kind"] == "decision" && row["target"] == "echo"), "{rows:?}");
    upstream.release();
    assert_eq!(connection.response().map(|response| response.status), Some(502));
}

#[test]
fn a_killed_gateway_loses_no_row_and_goes_on() {
    let (_upstream, mut gateway) = start();
    for _ in 0..20 {
        assert_eq!(call(&gateway, "alice", "echo"), 200);
    }
    gateway.process().signal(Signal::Kill);
    gateway.process().wait();
    let decisions = |ledger: &Ledger| ledger.rows().iter().filter(|row| row["kind"] == "decision").count();
    assert_eq!(decisions(&gateway.ledger()), 20);
    let mut gateway = gateway.restart();
    assert_eq!(call(&gateway, "alice", "echo"), 200);
    assert_eq!(decisions(&gateway.ledger()), 21);
    gateway.process().signal(Signal::Terminate);
    gateway.process().wait();
    verified(&gateway.ledger());
}

#[test]
fn a_torn_row_is_recovered_and_flagged() {
    let (_upstream, mut gateway) = start();
    assert_eq!(call(&gateway, "alice", "echo"), 200);
    gateway.process().signal(Signal::Kill);
    gateway.process().wait();
    let segment = gateway.ledger().segments().pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 3;
    bytes.truncate(last);
    std::fs::write(&segment, bytes).unwrap();
    let mut gateway = gateway.restart();
    assert_eq!(call(&gateway, "alice", "echo"), 200);
    let rows = gateway.ledger().rows();
    assert!(rows.iter().any(|row| row["event"] == "tail_recovered"), "{rows:?}");
    gateway.process().signal(Signal::Terminate);
    gateway.process().wait();
    verified(&gateway.ledger());
}

#[test]
fn no_byte_can_be_changed_unnoticed() {
    let (_upstream, mut gateway) = start();
    for _ in 0..3 {
        assert_eq!(call(&gateway, "alice", "echo"), 200);
        assert_eq!(call(&gateway, "bob", "echo"), 403);
    }
    gateway.process().signal(Signal::Terminate);
    gateway.process().wait();
    let ledger = gateway.ledger();
    verified(&ledger);
    let segment = ledger.segments().pop().unwrap();
    let sound = std::fs::read(&segment).unwrap();

    // Every place would take too long here; the verifier's own tests do that.
    for at in (0..sound.len()).step_by(sound.len() / 24 + 1) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        refused(&ledger, &segment, &bytes, &format!("byte {at} of {}", sound.len()));
    }
    let subject = find(&sound, b"bob@acme.com");
    let mut bytes = sound.clone();
    bytes[subject..subject + 3].copy_from_slice(b"eve");
    refused(&ledger, &segment, &bytes, "another subject");
    let (start, end) = (sound.len() / 3, sound.len() / 2);
    refused(&ledger, &segment, &[&sound[..start], &sound[end..]].concat(), "a piece is missing");
    refused(&ledger, &segment, &[&sound[..end], &sound[start..]].concat(), "a piece is there twice");

    std::fs::write(&segment, &sound).unwrap();
    verified(&ledger);
}

#[test]
fn two_gateways_never_write_one_chain() {
    let (upstream, gateway) = start();
    let other = scenes::governed(&upstream.url());
    let config = std::fs::read_to_string(other.dir().join("mcpg.yaml")).unwrap();
    let config = config.replace("./audit", &gateway.ledger().dir().display().to_string());
    let other = other.file("mcpg.yaml", &config).start();
    for gateway in [&gateway, &other, &gateway, &other] {
        assert_eq!(call(gateway, "alice", "echo"), 200);
    }
    verified(&gateway.ledger());
    let rows = gateway.ledger().rows();
    assert_eq!(rows.iter().filter(|row| row["kind"] == "decision").count(), 4);
    let folders: std::collections::BTreeSet<_> = gateway
        .ledger()
        .segments()
        .iter()
        .filter_map(|segment| segment.parent().map(Path::to_owned))
        .collect();
    assert_eq!(folders.len(), 2, "each has a chain of its own: {folders:?}");
}

#[test]
fn rows_that_cannot_be_written_stop_the_calls() {
    let (upstream, mut gateway) = start();
    assert_eq!(call(&gateway, "alice", "echo"), 200);
    // No file may grow any more: the next write fails as on a full disk (EFBIG here, ENOSPC there).
    gateway.process().limit_file_size(0);
    let before = upstream.requests().len();
    let response =
        Request::modern_call("/mcp", "echo", json!({})).bearer(&key("alice")).send(gateway.address());
    crate::expect::refused(503, 50301, "audit_unavailable").check_id("no space", &response, json!(1));
    assert_eq!(upstream.requests().len(), before, "an unrecorded call is not dispatched");
    until("the gateway should not be ready", || (gateway.admin_get("/readyz").status == 503).then_some(()));
    gateway.process().limit_file_size(u64::MAX);
    until("calls should be recorded again", || (call(&gateway, "alice", "echo") == 200).then_some(()));
}

fn start() -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    (upstream, gateway)
}

fn call(gateway: &Gateway, caller: &str, tool: &str) -> u16 {
    Request::modern_call("/mcp", tool, json!({})).bearer(&key(caller)).send(gateway.address()).status
}

fn verified(ledger: &Ledger) {
    let output = ledger.verify();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Puts these bytes in place of a segment; verification must fail and name the segment.
fn refused(ledger: &Ledger, segment: &Path, bytes: &[u8], case: &str) {
    std::fs::write(segment, bytes).unwrap();
    let output = ledger.verify();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{case}: {said}");
    let name = PathBuf::from(segment.file_name().unwrap());
    assert!(said.contains(&name.display().to_string()), "{case}: {said}");
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("the row should say it")
}
