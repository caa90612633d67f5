//! Messages of one era in the other: what is accepted is what `serde_json` reads, what is written is read again, and what means
//! something in one era only does not reach the other.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::bridge::{
    Answer, Ask, InputRequests, Json, ModernMeta, ModernResult, Object, Packet, Request,
    answer_to_input_response, error_to_legacy, error_to_modern, param_headers, result_to_legacy,
    result_to_modern, write_input_required,
};
use mcpg_protocol::streams::{EventId, Incoming, Positions, RoutedId, inward, outward};
use mcpg_protocol::{Limits, Method, Revision};
use serde_json::Value;

const METHODS: [Method<'static>; 3] = [Method::ToolsCall, Method::PromptsGet, Method::ResourcesRead];

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    if let Ok(request) = Request::parse(data, &limits) {
        self::request(data, &request, &limits);
    }
    if let Ok(packet) = Packet::parse(data, &limits) {
        self::packet(data, &packet, &limits);
    }
    if let Ok(text) = str::from_utf8(data) {
        routed(text, &limits);
        if let Ok(object) = Object::parse(text, &limits) {
            // Whatever a definition asks for, no header breaks out of its line.
            for (name, value) in param_headers(&object, &object, &limits).unwrap_or_default() {
                assert!(!name.contains(['\r', '\n', ':', ' ']) && !value.contains(['\r', '\n', '\0']));
            }
        }
    }
});

fn request(data: &[u8], request: &Request<'_>, limits: &Limits) {
    let theirs: Value = serde_json::from_slice(data).expect("a request is JSON");
    assert_eq!(theirs["method"], request.method().as_str());
    let about = ModernMeta { capabilities: "{}", info: r#"{"name":"f","version":"1"}"#, log_level: None };
    for (modern, written) in
        [(false, request.to_legacy("\"new\"")), (true, request.to_modern("\"new\"", about, None))]
    {
        let again: Value = serde_json::from_slice(&written).expect("what is written is JSON");
        assert_eq!((&again["id"], &again["method"]), (&Value::from("new"), &theirs["method"]));
        for own in ["inputResponses", "requestState", "task"] {
            assert!(again["params"].get(own).is_none(), "{own}");
        }
        for kept in ["name", "arguments", "uri"] {
            assert_eq!(again["params"].get(kept), theirs["params"].get(kept), "{kept}");
        }
        let reserved = "io.modelcontextprotocol/protocolVersion";
        let said = again["params"]["_meta"].get(reserved).and_then(Value::as_str);
        assert_eq!(said, modern.then_some(Revision::V2026_07_28.as_str()));
        Request::parse(&written, limits).expect("what is written is a request");
    }
}

fn packet(data: &[u8], packet: &Packet<'_>, limits: &Limits) {
    let theirs: Value = serde_json::from_slice(data).expect("a message is JSON");
    match packet {
        Packet::Request { method, .. } => {
            assert_eq!(theirs["method"], method.as_str());
            asked(packet, limits);
        }
        Packet::Notification { method, .. } => {
            assert_eq!(theirs["method"], method.as_str());
            assert!(theirs["id"].is_null());
        }
        Packet::Result { result, .. } => {
            for method in METHODS {
                let modern = result_to_modern("1", &method, result, None, limits);
                let again: Value = serde_json::from_slice(&modern).expect("a result is JSON");
                assert_eq!(
                    again["result"]["resultType"], "complete",
                    "nothing else is what a legacy server means"
                );
                assert!(again["result"].get("inputRequests").is_none());
                let legacy = result_to_legacy("1", &method, result, Revision::V2025_11_25, limits);
                let again: Value = serde_json::from_slice(&legacy).expect("a result is JSON");
                assert!(again["result"].get("resultType").is_none());
                if let Ok(ModernResult::InputRequired { requests, .. }) =
                    ModernResult::read(result, &method, limits)
                {
                    requests.iter().for_each(|(_, ask)| same(ask, limits));
                }
            }
        }
        Packet::Error { error, .. } => {
            let written = [error_to_modern("1", &Method::ToolsCall, error), error_to_legacy("1", error)];
            for (code, message) in written {
                let again: Value = serde_json::from_slice(&message).expect("an error is JSON");
                assert_eq!(again["error"]["code"], code);
            }
        }
    }
}

fn asked(packet: &Packet<'_>, limits: &Limits) {
    let Ok(ask) = Ask::of_packet(packet, limits) else { return };
    same(&ask, limits);
    let answers = [
        br#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#.as_slice(),
        br#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{}}}"#,
    ];
    for answer in answers {
        let answer = Packet::parse(answer, limits).expect("it is an answer");
        if let Ok(Answer::Given(entry)) = answer_to_input_response(ask.kind, &answer, limits) {
            serde_json::from_slice::<Value>(&entry).expect("an entry is JSON");
        }
    }
}

/// A question is the same in the other era and back.
fn same(ask: &Ask<'_>, limits: &Limits) {
    let entry = ask.to_input_request();
    let answer = write_input_required("1", [("k", entry.as_slice())], "state");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let requests = answer["result"]["inputRequests"].to_string();
    let requests = Json::parse(&requests, limits).expect("requests are JSON");
    let read = InputRequests::parse(requests, limits).expect("what is written is read");
    assert!(read.iter().all(|(key, again)| (key, again.kind) == ("k", ask.kind)));
    if let Ok(request) = ask.to_request("\"q\"", Revision::V2025_11_25, "e") {
        let packet = Packet::parse(&request, limits).expect("what is written is a request");
        assert_eq!(Ask::of_packet(&packet, limits).map(|ask| ask.kind), Ok(ask.kind));
    }
}

/// Ids that are made to find their binding again do.
fn routed(text: &str, limits: &Limits) {
    if let Ok(Cow::Owned(out)) = outward(text, "files", limits)
        && let Ok(Some(back)) = inward(&out.replace("\"method\"", "\"result\""), limits)
    {
        assert_eq!(&*back.binding, "files");
    }
    if let Some(id) = RoutedId::encode("files", text, limits) {
        let back = RoutedId::parse(&id, limits);
        assert!(back.is_some() || !Json::parse(text, limits).is_ok_and(Json::is_integer));
        assert!(back.is_none_or(|back| (&*back.binding, &*back.raw) == ("files", text.trim())));
    }
    if let Some(id) = EventId::parse(text) {
        assert_eq!(EventId::encode(&id.binding, id.request.as_deref(), &id.id).as_deref(), Some(text));
    }
    if let Some(positions) = Positions::parse(text) {
        assert_eq!(positions.encode().as_deref(), Some(text));
    }
    let _ = Incoming::read(text, limits);
}
