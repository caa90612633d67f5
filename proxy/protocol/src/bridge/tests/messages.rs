//! Notifications and what may travel on which stream.

use serde_json::json as j;

use super::{json, limits, object, packet, value};
use crate::Limits;
use crate::bridge::{
    LogLevel, MirrorError, Packet, Relayed, cancelled, param_headers, progress_with_token, relay,
};

#[test]
fn a_message_is_one_of_four_or_none() {
    let kind = |text: &str| match Packet::parse(text.as_bytes(), &limits()) {
        Ok(Packet::Request { .. }) => "request",
        Ok(Packet::Notification { .. }) => "notification",
        Ok(Packet::Result { .. }) => "result",
        Ok(Packet::Error { .. }) => "error",
        Err(_) => "none",
    };
    for (text, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request"),
        (r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#, "notification"),
        (r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, "result"),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, "error"),
        (r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#, "error"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"ping"}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}{}"#, "none"),
        (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, "none"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":{},"result":{}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, "none"),
        (r#"{"jsonrpc":"1.0","id":1,"result":{}}"#, "none"),
        (r#"{"id":1,"result":{}}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"notifications/x"}"#, "none"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "none"),
        ("", "none"),
        ("null", "none"),
    ] {
        assert_eq!(kind(text), expected, "{text}");
    }
    assert_eq!(Packet::parse(b"\xff", &limits()).ok(), None);
    let shallow = Limits { depth_max: 3, ..limits() };
    let deep = r#"{"jsonrpc":"2.0","id":1,"result":{"a":{"b":{}}}}"#;
    assert!(Packet::parse(deep.as_bytes(), &shallow).is_err());
}

#[test]
fn arrays_are_read_element_by_element() {
    for (text, expected) in [
        ("[]", vec![]),
        ("[ ]", vec![]),
        ("[1]", vec!["1"]),
        (" [ 1 , \"a,]\" ,{\"b\":[2,3]},[4] , null ] ", vec!["1", "\"a,]\"", "{\"b\":[2,3]}", "[4]", "null"]),
    ] {
        let read: Vec<_> = value(text).array(&limits()).unwrap().iter().map(|it| it.raw()).collect();
        assert_eq!(read, expected, "{text}");
    }
    assert_eq!(value("{}").array(&limits()), None);
}

#[test]
fn only_what_belongs_to_the_request_travels_with_its_answer() {
    let log = |level: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#
        )
    };
    let progress = |token: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        )
    };
    let bare = |method: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}"}}"#);
    for (text, token, level, expected) in [
        (progress("7"), Some("7"), None, Relayed::Progress),
        (progress(r#""\u0061""#), Some(r#""a""#), None, Relayed::Progress),
        (progress("\"7\""), Some("7"), None, Relayed::Nothing),
        (progress("8"), Some("7"), None, Relayed::Nothing),
        (progress("7"), None, None, Relayed::Nothing),
        (progress("{}"), Some("7"), None, Relayed::Nothing),
        (log("error"), None, Some(LogLevel::Warning), Relayed::Log),
        (log("warning"), None, Some(LogLevel::Warning), Relayed::Log),
        (log("info"), None, Some(LogLevel::Warning), Relayed::Nothing),
        (log("emergency"), None, None, Relayed::Nothing),
        (log("loud"), None, Some(LogLevel::Debug), Relayed::Nothing),
        (bare("tools/list_changed"), None, None, Relayed::ListChanged),
        (bare("resources/updated"), None, None, Relayed::Nothing),
        (bare("elicitation/complete"), None, None, Relayed::Nothing),
        (bare("anything"), None, None, Relayed::Nothing),
        (bare("cancelled"), None, None, Relayed::Nothing),
    ] {
        let Packet::Notification { method, params } = packet(&text) else { panic!("{text}") };
        assert_eq!(relay(&method, &params, token.map(value), level), expected, "{text} {token:?} {level:?}");
    }
    let text = String::from_utf8(cancelled("\"q\"", "why \"so\"")).unwrap();
    let Packet::Notification { method, params } = packet(&text) else { panic!("{text}") };
    assert_eq!(relay(&method, &params, None, None), Relayed::Withdrawn(value("\"q\"")));
}

#[test]
fn progress_follows_the_request_that_it_goes_to_now() {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5,"total":1,"message":"m","_meta":{"io.modelcontextprotocol/subscriptionId":9,"k":1}}}"#;
    assert_eq!(
        json(progress_with_token(&packet(text), "\"new\"", &limits()).unwrap()),
        j!({"jsonrpc":"2.0","method":"notifications/progress",
            "params":{"progressToken":"new","progress":0.5,"total":1,"message":"m","_meta":{"k":1}}})
    );
    assert_eq!(
        progress_with_token(&packet(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "1", &limits()),
        None
    );
}

#[test]
fn marked_parameters_are_mirrored() {
    let schema = j!({"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "count":{"type":"integer","x-mcp-header":"Count"},
        "dry":{"type":"boolean","x-mcp-header":"Dry-Run"},
        "plain":{"type":"string"},
        "deep":{"type":"object","properties":{"zone":{"type":"string","x-mcp-header":"Zone"}}},
        "x-mcp-header":{"type":"string"}}});
    for (arguments, expected) in [
        (j!({}), vec![]),
        (j!({"plain":"p","x-mcp-header":"v"}), vec![]),
        (
            j!({"region":"eu","count":-7,"dry":true,"deep":{"zone":"ä"}}),
            vec![
                ("Mcp-Param-Count", "-7"),
                ("Mcp-Param-Dry-Run", "true"),
                ("Mcp-Param-Region", "eu"),
                ("Mcp-Param-Zone", "=?base64?w6Q=?="),
            ],
        ),
        (j!({"region":null,"count":{},"dry":[],"deep":"x"}), vec![]),
    ] {
        let (schema, arguments) = (schema.to_string(), arguments.to_string());
        let mut headers = param_headers(&object(&schema), &object(&arguments), &limits()).unwrap();
        headers.sort();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, expected, "{arguments}");
    }
}

#[test]
fn invalid_marks_make_the_tool_unusable() {
    let marked =
        |mark: serde_json::Value, kind: &str| j!({"properties":{"a":{"type":kind,"x-mcp-header":mark}}});
    let nested = (0..20).fold(j!({"type":"string"}), |inner, _| j!({"properties":{"p":inner}}));
    let many: serde_json::Map<_, _> =
        (0..65).map(|n| (n.to_string(), j!({"type":"string","x-mcp-header":format!("h{n}")}))).collect();
    for (schema, expected) in [
        (marked(j!(""), "string"), MirrorError::Name),
        (marked(j!("a b"), "string"), MirrorError::Name),
        (marked(j!("a\r\nX: y"), "string"), MirrorError::Name),
        (marked(j!(1), "string"), MirrorError::Name),
        (marked(j!("n"), "number"), MirrorError::Type),
        (marked(j!("n"), "object"), MirrorError::Type),
        (
            j!({"properties":{"a":{"type":"string","x-mcp-header":"N"},"b":{"type":"string","x-mcp-header":"n"}}}),
            MirrorError::Repeated,
        ),
        (nested, MirrorError::TooMany),
        (j!({"properties":many}), MirrorError::TooMany),
    ] {
        let text = schema.to_string();
        assert_eq!(param_headers(&object(&text), &object("{}"), &limits()), Err(expected), "{text}");
    }
}
