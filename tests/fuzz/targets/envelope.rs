//! What the envelope accepts, serde_json accepts, and both read the same in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::{Envelope, Limits, Message, Method};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let limits = Limits::default();
    let envelope = match Envelope::parse(body, &limits) {
        Ok(envelope) => envelope,
        Err(error) => {
            assert!(error.offset <= body.len());
            if let Some(id) = error.id {
                check_id(id);
            }
            return;
        }
    };
    let text = str::from_utf8(body).expect("an accepted body is UTF-8");
    let theirs: Value = serde_json::from_str(text).expect("an accepted body is JSON");
    let params = &theirs["params"];

    assert_eq!(theirs["jsonrpc"], "2.0");
    assert_eq!(envelope.method().map(Method::as_str), theirs["method"].as_str());
    assert_eq!(envelope.id().is_some(), theirs.get("id").is_some());
    if let Some(id) = envelope.id() {
        check_id(id);
        assert_eq!(serde_json::from_str::<Value>(id).unwrap(), theirs["id"]);
    }
    match envelope.message {
        Message::Request { .. } => assert!(envelope.id().is_some()),
        Message::Notification { .. } => assert!(envelope.id().is_none()),
        Message::Response { .. } => assert!(theirs.get("result").is_some() != theirs.get("error").is_some()),
    }
    if let Some(target) = &envelope.target {
        let span = envelope.spans.name.clone().expect("a target has a span");
        assert_eq!(serde_json::from_str::<String>(&text[span]).unwrap(), target.name);
        let known = [
            &params["name"],
            &params["uri"],
            &params["taskId"],
            &params["ref"]["name"],
            &params["ref"]["uri"],
        ];
        assert!(known.iter().any(|value| value.as_str() == Some(&target.name)));
    }
    if let Some(arguments) = envelope.arguments {
        assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), params["arguments"]);
    }
    let version = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
    if envelope.method().is_some() {
        assert_eq!(envelope.meta.protocol_version.as_deref(), version.as_str());
    }
});

fn check_id(raw: &str) {
    match serde_json::from_str::<Value>(raw).expect("an id is JSON") {
        Value::String(_) => {}
        Value::Number(number) => assert_eq!(number.as_i64().expect("an integer").to_string(), raw),
        other => panic!("{other} is no id"),
    }
}
