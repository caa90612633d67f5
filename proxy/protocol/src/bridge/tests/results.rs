//! Results of one era as the other has them.

use serde_json::{Value, json as j};

use super::{json, limits, object};
use crate::bridge::{BridgeError, Impossible, ModernResult, result_to_legacy, result_to_modern};
use crate::{Method, Revision};

fn to_modern(method: &Method<'_>, result: &Value, info: Option<&str>) -> Value {
    let text = result.to_string();
    json(result_to_modern("\"i\"", method, &object(&text), info, &limits()))
}

fn to_legacy(method: &Method<'_>, result: &Value, client: Revision) -> Value {
    let text = result.to_string();
    json(result_to_legacy("5", method, &object(&text), client, &limits()))
}

#[test]
fn a_legacy_result_gains_what_modern_results_must_have() {
    for (method, legacy, modern) in [
        (
            Method::ToolsCall,
            j!({"content":[],"structuredContent":{"a":1},"isError":true,"_meta":{"k":1}}),
            j!({"content":[],"structuredContent":{"a":1},"isError":true,"resultType":"complete","_meta":{"k":1}}),
        ),
        (
            Method::ResourcesRead,
            j!({"contents":[{"uri":"a:b","text":"t"}]}),
            j!({"contents":[{"uri":"a:b","text":"t"}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}),
        ),
        (
            Method::PromptsGet,
            j!({"messages":[],"description":"d"}),
            j!({"messages":[],"description":"d","resultType":"complete"}),
        ),
        (
            Method::CompletionComplete,
            j!({"completion":{"values":["v"]}}),
            j!({"completion":{"values":["v"]},"resultType":"complete"}),
        ),
        (
            Method::ToolsList,
            j!({"tools":[],"nextCursor":"c"}),
            j!({"tools":[],"nextCursor":"c","resultType":"complete","ttlMs":0,"cacheScope":"private"}),
        ),
    ] {
        let expected = j!({"jsonrpc":"2.0","id":"i","result":modern});
        assert_eq!(to_modern(&method, &legacy, None), expected, "{method}");
    }
}

#[test]
fn a_legacy_server_cannot_say_what_only_a_modern_one_means() {
    let legacy = j!({"content":[],"resultType":"input_required","inputRequests":{"k":{}},"requestState":"s",
        "ttlMs":1e9,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"forged"}}});
    assert_eq!(
        to_modern(&Method::ToolsCall, &legacy, Some(r#"{"name":"real"}"#))["result"],
        j!({"content":[],"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"real"}}})
    );
}

#[test]
fn a_modern_result_loses_what_legacy_clients_do_not_know() {
    use Revision::{V2025_03_26, V2025_06_18, V2025_11_25};
    let link = j!({"type":"resource_link","name":"n","uri":"a:b"});
    for (method, client, modern, legacy) in [
        (
            Method::ResourcesRead,
            V2025_11_25,
            j!({"contents":[],"resultType":"complete","ttlMs":5,"cacheScope":"public",
                "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"k":1}}),
            j!({"contents":[],"_meta":{"k":1}}),
        ),
        (
            Method::ToolsCall,
            V2025_11_25,
            j!({"content":[link],"structuredContent":[1],"resultType":"complete","ttlMs":"the tool's own"}),
            j!({"content":[link],"ttlMs":"the tool's own"}),
        ),
        (
            Method::ToolsCall,
            V2025_06_18,
            j!({"content":[link],"structuredContent":{"a":1}}),
            j!({"content":[link],"structuredContent":{"a":1}}),
        ),
        (
            Method::ToolsCall,
            V2025_03_26,
            j!({"content":[{"type":"text","text":"t"},link],"resultType":"complete"}),
            j!({"content":[{"type":"text","text":"t"},{"type":"text","text":"n: a:b"}]}),
        ),
        (
            Method::PromptsGet,
            V2025_03_26,
            j!({"messages":[{"role":"user","content":link},{"role":"user","content":{"type":"text","text":"t"}}]}),
            j!({"messages":[{"role":"user","content":{"type":"text","text":"n: a:b"}},
                {"role":"user","content":{"type":"text","text":"t"}}]}),
        ),
    ] {
        let expected = j!({"jsonrpc":"2.0","id":5,"result":legacy});
        assert_eq!(to_legacy(&method, &modern, client), expected, "{method} for {client}");
    }
}

#[test]
fn a_modern_result_is_complete_or_wants_to_know_something() {
    let read = |method: &Method<'_>, text: &str| match ModernResult::read(&object(text), method, &limits()) {
        Ok(ModernResult::Complete) => Ok((0, None)),
        Ok(ModernResult::InputRequired { requests, state }) => Ok((requests.len(), state.map(str::to_owned))),
        Err(error) => Err(error),
    };
    let shape = |part| Err(BridgeError::Shape(part));
    let roots = r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}},"requestState":"\u0061"}"#;
    for (method, text, expected) in [
        (Method::ToolsCall, r#"{"content":[]}"#, Ok((0, None))),
        (Method::ToolsCall, r#"{"resultType":"complete"}"#, Ok((0, None))),
        (Method::ToolsCall, roots, Ok((1, Some(r#""\u0061""#.to_owned())))),
        (Method::ResourcesRead, roots, Ok((1, Some(r#""\u0061""#.to_owned())))),
        (
            Method::PromptsGet,
            r#"{"resultType":"input_required","requestState":"s"}"#,
            Ok((0, Some("\"s\"".to_owned()))),
        ),
        (Method::CompletionComplete, roots, shape("result.resultType")),
        (Method::ToolsList, roots, shape("result.resultType")),
        (Method::ToolsCall, r#"{"resultType":"task","taskId":"x"}"#, Err(Impossible::ResultType.into())),
        (Method::ToolsCall, r#"{"resultType":1}"#, shape("result.resultType")),
        (Method::ToolsCall, r#"{"resultType":"input_required"}"#, shape("result.inputRequests")),
        (
            Method::ToolsCall,
            r#"{"resultType":"input_required","requestState":{}}"#,
            shape("result.requestState"),
        ),
        (
            Method::ToolsCall,
            r#"{"resultType":"input_required","inputRequests":{"k":{"method":"tools/call"}}}"#,
            Err(Impossible::Question.into()),
        ),
        (
            Method::ToolsCall,
            r#"{"resultType":"input_required","inputRequests":{"k":1}}"#,
            shape("result.inputRequests"),
        ),
    ] {
        assert_eq!(read(&method, text), expected, "{text}");
    }
}
