//! Requests of one era as the other has them.

use serde_json::json as j;

use super::{json, request};
use crate::Revision;
use crate::bridge::{
    Impossible, LogLevel, ModernMeta, Retry, capabilities_to_legacy, capabilities_to_modern,
};

const ABOUT: ModernMeta<'_> = ModernMeta {
    capabilities: r#"{"elicitation":{"form":{}}}"#,
    info: r#"{"name":"c","version":"1"}"#,
    log_level: Some(LogLevel::Warning),
};

#[test]
fn a_modern_request_loses_what_the_session_era_does_not_know() {
    for (modern, legacy) in [
        (
            j!({"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"t","arguments":{"x":1},
                "inputResponses":{},"requestState":"s","_meta":{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{},
                "io.modelcontextprotocol/logLevel":"debug",
                "progressToken":7,"traceparent":"00-x","com.example/k":[1]}}}),
            j!({"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"t","arguments":{"x":1},
                "_meta":{"progressToken":7,"traceparent":"00-x","com.example/k":[1]}}}),
        ),
        (
            j!({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b",
                "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}),
            j!({"jsonrpc":"2.0","id":9,"method":"resources/read","params":{"uri":"a:b"}}),
        ),
        (
            j!({"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{}},"extra":true}),
            j!({"jsonrpc":"2.0","id":9,"method":"x/y","params":{}}),
        ),
        (j!({"jsonrpc":"2.0","id":1,"method":"x/y"}), j!({"jsonrpc":"2.0","id":9,"method":"x/y"})),
    ] {
        let text = modern.to_string();
        assert_eq!(json(request(&text).to_legacy("9")), legacy, "{modern}");
    }
}

#[test]
fn a_legacy_request_gains_what_the_modern_era_requires_and_brings_nothing_of_it() {
    let legacy = j!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{},
        "task":{"ttl":1},"inputResponses":{"k":{}},"requestState":"forged",
        "_meta":{"progressToken":"p","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},
                 "io.modelcontextprotocol/related-task":{"taskId":"x"},"a":1}}})
    .to_string();
    let meta = j!({"progressToken":"p","a":1,
        "io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}},
        "io.modelcontextprotocol/logLevel":"warning"});
    let first = j!({"jsonrpc":"2.0","id":"g-1","method":"tools/call",
        "params":{"name":"t","arguments":{},"_meta":meta}});
    assert_eq!(json(request(&legacy).to_modern("\"g-1\"", ABOUT, None)), first);

    let retry =
        Retry { input_responses: Some(r#"{"k":{"action":"accept"}}"#), request_state: Some(r#""\u0073""#) };
    let written = request(&legacy).to_modern("2", ABOUT, Some(retry));
    assert!(String::from_utf8_lossy(&written).contains(r#""requestState":"\u0073""#));
    let second = json(written);
    assert_eq!(second["params"]["inputResponses"], j!({"k":{"action":"accept"}}));
    assert_eq!(second["params"]["requestState"], "s");
    assert_eq!(second["params"]["_meta"], meta);
}

#[test]
fn a_request_without_parameters_still_says_who_asks() {
    let modern =
        json(request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).to_modern("1", ABOUT, None));
    assert_eq!(modern["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[test]
fn what_a_request_is_about_is_the_same_when_it_is_repeated() {
    let first = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1},"_meta":{"x":1}}}"#;
    let again = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t","arguments":{"a":1},"inputResponses":{},"requestState":"s"}}"#;
    let subject = |text: &str| -> Vec<String> {
        request(text).subject().map(|member| format!("{}={}", member.key, member.value.raw())).collect()
    };
    assert_eq!(subject(first), subject(again));
    assert_eq!(subject(first), ["name=\"t\"", "arguments={\"a\":1}"]);
}

#[test]
fn some_methods_have_no_counterpart() {
    use Revision::{V2025_03_26, V2025_11_25, V2026_07_28};
    for (method, to, expected) in [
        ("tools/call", V2026_07_28, Ok(())),
        ("prompts/get", V2025_03_26, Ok(())),
        ("completion/complete", V2026_07_28, Ok(())),
        ("tasks/get", V2026_07_28, Err(Impossible::Tasks)),
        ("tasks/list", V2026_07_28, Err(Impossible::Tasks)),
        ("tasks/update", V2025_11_25, Err(Impossible::Tasks)),
        ("logging/setLevel", V2026_07_28, Err(Impossible::Method)),
        ("resources/subscribe", V2026_07_28, Err(Impossible::Method)),
        ("com.example/x", V2026_07_28, Err(Impossible::Extension)),
        ("com.example/x", V2025_11_25, Err(Impossible::Extension)),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
        assert_eq!(request(&text).is_bridged(to), expected, "{method} to {to}");
    }
}

#[test]
fn the_log_level_of_a_request_is_one_that_there_is() {
    let with = |level: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/logLevel":{level}}}}}}}"#
        )
    };
    assert_eq!(request(&with("\"notice\"")).log_level(), Ok(Some(LogLevel::Notice)));
    assert_eq!(request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).log_level(), Ok(None));
    for wrong in ["\"Notice\"", "\"verbose\"", "3", "null", "{}"] {
        assert!(request(&with(wrong)).log_level().is_err(), "{wrong}");
    }
}

#[test]
fn capabilities_lose_what_the_other_era_or_the_clients_revision_has_not() {
    let all = r#"{"experimental":{"e":{}},"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},
        "elicitation":{"form":{},"url":{}},"tasks":{"list":{}},"later":{},
        "extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"m":1}}}"#;
    let newest = j!({"experimental":{"e":{}},"roots":{},"sampling":{"tools":{},"context":{}},
        "elicitation":{"form":{},"url":{}},"extensions":{"io.modelcontextprotocol/ui":{"m":1}}});
    let limits = super::limits();
    assert_eq!(json(capabilities_to_legacy(all, &limits).unwrap()), newest);
    for (raw, revision, expected) in [
        (all, Revision::V2025_11_25, newest),
        (
            r#"{"sampling":{"tools":{}},"elicitation":{}}"#,
            Revision::V2025_06_18,
            j!({"sampling":{},"elicitation":{"form":{}}}),
        ),
        (r#"{"sampling":{},"elicitation":{}}"#, Revision::V2025_03_26, j!({"sampling":{}})),
        (r#"{"elicitation":{}}"#, Revision::V2025_11_25, j!({"elicitation":{"form":{}}})),
        (r#"{"elicitation":{"url":{}}}"#, Revision::V2025_11_25, j!({"elicitation":{"url":{}}})),
        (
            r#"{"sampling":true,"roots":[],"elicitation":"yes","experimental":1}"#,
            Revision::V2025_11_25,
            j!({}),
        ),
    ] {
        assert_eq!(
            json(capabilities_to_modern(raw, revision, &limits).unwrap()),
            expected,
            "{raw} {revision}"
        );
    }
    assert!(capabilities_to_modern("[]", Revision::V2025_11_25, &limits).is_err());
}
