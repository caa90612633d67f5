//! `requestState`.

use std::time::{Duration, SystemTime};

use mcpg_protocol::bridge::Request;
use mcpg_protocol::{Limits, RpcError};
use serde_json::{Value, json};

use crate::bridge::failure::Failure;
use crate::bridge::state::{Bound, State, open, seal, subject};
use crate::sessions::{Sealer, SessionKey};

const BOUND: Bound = Bound { caller: [1; 32], subject: [2; 32], instance: [3; 16] };

fn sealer(digit: char) -> Sealer {
    // Of more than one byte: a repeated one is refused as no key.
    let key: String = format!("{digit}1{digit}2").repeat(16);
    Sealer::new(vec![SessionKey::parse(key.as_bytes()).unwrap()]).unwrap()
}

fn row(failure: &Failure) -> RpcError {
    failure.rpc(mcpg_protocol::Era::Modern)
}

#[test]
fn a_state_opens_for_what_it_is_bound_to() {
    let (sealer, now) = (sealer('a'), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    for state in [State::Waiting([9; 16]), State::Again(3)] {
        let text = seal(&sealer, state, &BOUND, now, Duration::from_secs(300)).unwrap();
        let try_open =
            |bound: Bound, late: u64| open(&sealer, &text, &bound, now + Duration::from_secs(late));
        assert_eq!(try_open(BOUND, 299), Ok(state));
        let failure = |bound, late| row(&try_open(bound, late).unwrap_err());
        assert_eq!(failure(Bound { caller: [0; 32], ..BOUND }, 0), RpcError::InvalidParams);
        assert_eq!(failure(Bound { subject: [0; 32], ..BOUND }, 0), RpcError::InvalidParams);
        assert_eq!(failure(BOUND, 300), RpcError::InputStateUnknown);
        let elsewhere = try_open(Bound { instance: [0; 16], ..BOUND }, 0);
        match state {
            State::Waiting(_) => assert_eq!(row(&elsewhere.unwrap_err()), RpcError::InputStateUnknown),
            State::Again(_) => assert_eq!(elsewhere, Ok(state), "nothing waits anywhere"),
        }
    }
}

#[test]
fn what_was_not_sealed_here_does_not_open() {
    let (ours, now) = (sealer('a'), SystemTime::now());
    let theirs = seal(&sealer('b'), State::Again(1), &BOUND, now, Duration::from_secs(9)).unwrap();
    let text = seal(&ours, State::Again(1), &BOUND, now, Duration::from_secs(9)).unwrap();
    let flipped: String = text.chars().rev().collect();
    for forged in [theirs, flipped, String::new(), "x".repeat(100_000), text.chars().skip(4).collect()] {
        let failure = open(&ours, &forged, &BOUND, now).unwrap_err();
        assert_eq!(row(&failure), RpcError::InvalidParams);
    }
}

#[test]
fn a_subject_is_what_a_request_says_and_where_it_arrived() {
    let limits = Limits::default();
    let digest = |endpoint: &str, binding: &str, request: &Value| {
        let text = request.to_string();
        subject(endpoint, binding, &Request::parse(text.as_bytes(), &limits).unwrap(), &limits)
    };
    let request =
        |params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let base = request(json!({"name": "t", "arguments": {"a": [1, {"x": 1, "y": 2}], "b": "ü"}}));
    let same = [
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":{"b":"\u00fc","a":[1,{"y":2,"x":1}]},"name":"t"}}"#,
        r#"{"method":"tools/call","params": { "_meta":{"progressToken":3}, "name" : "\u0074","requestState":"s","inputResponses":{"1":{}},
            "arguments":{"a":[ 1 ,{"x":1,"y":2}],"b":"ü"}},"id":"z","jsonrpc":"2.0"}"#,
    ];
    let limits = Limits::default();
    for text in same {
        let parsed = Request::parse(text.as_bytes(), &limits).unwrap();
        assert_eq!(subject("/mcp", "files", &parsed, &limits), digest("/mcp", "files", &base), "{text}");
    }
    let mut other_method = base.clone();
    other_method["method"] = json!("prompts/get");
    for (endpoint, binding, other) in [
        ("/bindings/files/mcp", "files", base.clone()),
        ("/mcp", "file", base.clone()),
        ("/mcp", "files", other_method),
        ("/mcp", "files", request(json!({"name": "u", "arguments": {"a": [1, {"x": 1, "y": 2}], "b": "ü"}}))),
        ("/mcp", "files", request(json!({"name": "t", "arguments": {"a": [{"x": 1, "y": 2}, 1], "b": "ü"}}))),
        (
            "/mcp",
            "files",
            request(json!({"name": "t", "arguments": {"a": [1, {"x": 1, "y": 2}], "b": "ü", "c": null}})),
        ),
        ("/mcp", "files", request(json!({"name": "t"}))),
    ] {
        assert_ne!(
            digest(endpoint, binding, &other),
            digest("/mcp", "files", &base),
            "{endpoint} {binding} {other}"
        );
    }
}
