//! Client and upstream in one era, message by message.

use bytes::Bytes;
use mcpg_protocol::Revision as Protocol;
use serde_json::{Value, json};

use super::stage::{Legacy, Recorder, Stage, answer, modern};
use crate::bridge;
use crate::serve::Admitted;
use crate::upstream::testing::{self, Act, Upstream};

const LEGACY: Protocol = Protocol::V2025_11_25;

fn call() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "t", "arguments": {}}})
}

async fn relayed(stage: &Stage, admitted: &Admitted, request: &Value, client: &mut Recorder) {
    let body = Bytes::from(request.to_string());
    bridge::call(admitted, &stage.route, admitted.protocol.era(), &body, client).await.unwrap();
}

#[tokio::test]
async fn messages_of_a_session_pass_as_they_are() {
    let ask = json!({"jsonrpc": "2.0", "id": 41, "method": "roots/list"});
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}});
    let result = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [], "extra": {"x": [1]}}});
    let messages = [ask.clone(), progress.clone(), result.clone()];
    let body: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
    for prefixed in [false, true] {
        let body = body.clone();
        let legacy = Legacy::new(move |_| Act::Send(testing::events(&body))).await;
        let mut stage = Stage::new(&legacy.upstream).await;
        if prefixed {
            stage = stage.prefixed();
        }
        let admitted = stage.in_session(LEGACY, &json!({"roots": {}}), &call());
        let mut client = Recorder::default();
        relayed(&stage, &admitted, &call(), &mut client).await;
        let mut expected = messages.to_vec();
        if prefixed {
            expected[0]["id"] = json!("files:41");
        }
        assert_eq!((client.events, client.finished), (expected, true));
        assert_eq!(legacy.upstream.seen()[0].header("mcp-session-id"), "s1");
    }
}

#[tokio::test]
async fn a_modern_call_passes_with_its_headers() {
    let upstream = Upstream::serve(|seen| match seen.rpc_method().as_str() {
        "tools/call" => {
            answer(&json!({"jsonrpc": "2.0", "id": "c", "result": {"resultType": "input_required",
            "requestState": "theirs"}}))
        }
        _ => answer(&json!({"jsonrpc": "2.0", "id": "c", "error": {"code": -32601, "message": "m"}})),
    })
    .await;
    let stage = Stage::new(&upstream).await;
    for (method, status) in [("tools/call", 200), ("com.example/x", 404)] {
        let request = modern("c", method, json!({"name": "t"}), &json!({}));
        let admitted = stage.admitted(Protocol::V2026_07_28, &request);
        let mut client = Recorder::default();
        relayed(&stage, &admitted, &request, &mut client).await;
        assert_eq!(client.json.as_ref().unwrap().0, status, "{method}");
        if method == "tools/call" {
            assert_eq!(client.answer()["result"]["requestState"], "theirs");
        }
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.header("mcp-method"), seen.header("mcp-session-id")), (method, ""));
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), request);
    }
}

#[tokio::test]
async fn another_requests_answer_reaches_nobody() {
    for message in [
        json!({"jsonrpc": "2.0", "id": 8, "result": {"content": ["secret"]}}),
        json!({"jsonrpc": "2.0", "id": "7", "result": {"content": ["secret"]}}),
        json!({"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "secret"}}),
    ] {
        let said = message.to_string();
        let legacy = Legacy::new(move |_| Act::Send(testing::json(200, &said))).await;
        let stage = Stage::new(&legacy.upstream).await;
        let admitted = stage.in_session(LEGACY, &json!({}), &call());
        let mut client = Recorder::default();
        relayed(&stage, &admitted, &call(), &mut client).await;
        assert_eq!(client.json.as_ref().unwrap().0, 502, "{message}");
        assert!(!client.answer().to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_binding_that_the_session_does_not_have_is_unavailable() {
    let legacy = Legacy::new(|cue| answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "result": {}}))).await;
    let stage = Stage::new(&legacy.upstream).await;
    let mut admitted = stage.in_session(LEGACY, &json!({}), &call());
    let mut token = (**admitted.session.as_ref().unwrap()).clone();
    token.upstreams.clear();
    admitted.session = Some(std::sync::Arc::new(token));
    let mut client = Recorder::default();
    relayed(&stage, &admitted, &call(), &mut client).await;
    assert_eq!(client.json.unwrap().0, 502);
    assert!(legacy.upstream.asked().is_empty());
}
