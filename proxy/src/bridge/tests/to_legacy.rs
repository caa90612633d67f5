//! A modern client in front of a legacy upstream.

mod asks;

use bytes::Bytes;
use mcpg_protocol::{Accept, Era, Revision as Protocol};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::stage::{Cue, Legacy, Recorder, Stage, answer, end, event, modern};
use crate::bridge;
use crate::serve::ClientError;
use crate::upstream::testing::{self, Act};

async fn ask(stage: &Stage, request: &Value, client: &mut Recorder) -> Result<(), ClientError> {
    let admitted = stage.admitted(Protocol::V2026_07_28, request);
    let body = Bytes::from(request.to_string());
    bridge::call(&admitted, &stage.route, Era::Legacy, &body, client).await
}

async fn answered(stage: &Stage, request: &Value) -> Recorder {
    let mut client = Recorder::default();
    ask(stage, request, &mut client).await.unwrap();
    client
}

fn call(id: &str, capabilities: &Value) -> Value {
    modern(id, "tools/call", json!({"name": "t", "arguments": {"a": 1, "b": 2}}), capabilities)
}

/// The same call, repeated with what a client got and answers.
fn again(id: &str, first: &Recorder, responses: &Value) -> Value {
    let state = &first.answer()["result"]["requestState"];
    let params = json!({"arguments": {"b": 2, "a": 1}, "name": "t", "inputResponses": responses, "requestState": state});
    modern(id, "tools/call", params, &elicits())
}

fn form(id: &Value) -> Value {
    let params = json!({"message": "who", "requestedSchema": {"type": "object", "properties": {}}});
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params})
}

fn result(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
}

fn elicits() -> Value {
    json!({"elicitation": {}})
}

fn accepted(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// A call that an upstream has begun to answer.
struct Begun {
    id: Value,
    to: mpsc::UnboundedSender<Vec<u8>>,
}

impl Begun {
    fn says(&self, message: &Value) {
        self.to.send(event(message)).unwrap();
    }

    fn ends(&self, message: &Value) {
        self.says(message);
        self.to.send(end()).unwrap();
    }
}

/// An upstream that begins its answers with these messages, and leaves the rest to the test.
async fn beginning(messages: Vec<Value>) -> (Legacy, mpsc::UnboundedReceiver<Begun>) {
    let (begin, begun) = mpsc::unbounded_channel();
    let legacy = Legacy::new(move |cue: Cue| {
        let _ = begin.send(Begun { id: cue.id(), to: cue.to.clone() });
        cue.stream(&messages)
    })
    .await;
    (legacy, begun)
}

#[tokio::test]
async fn a_call_is_made_in_a_session_and_answered_in_the_modern_form() {
    let legacy = Legacy::new(|cue| answer(&result(&cue.id(), "done"))).await;
    let stage = Stage::new(&legacy.upstream).await;
    let client = answered(&stage, &call("c", &json!({}))).await;
    assert_eq!(
        client.json,
        Some((
            200,
            json!({"jsonrpc": "2.0", "id": "c", "result": {"resultType": "complete",
            "content": [{"type": "text", "text": "done"}],
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "1"}}}})
        ))
    );
    // The session serves the next call of the same client, and no other's.
    answered(&stage, &call("d", &json!({}))).await;
    let asked = legacy.upstream.asked();
    assert_eq!(asked, ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    let sent: Value = serde_json::from_slice(&legacy.upstream.seen()[2].body).unwrap();
    assert_eq!(sent["params"], json!({"name": "t", "arguments": {"a": 1, "b": 2}}));
    assert_eq!(legacy.upstream.seen()[2].header("mcp-session-id"), "s1");
}

#[tokio::test]
async fn progress_and_wanted_log_messages_come_before_the_answer() {
    let legacy = Legacy::new(|cue| {
        let progress = |token: Value| {
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
        };
        let log = |level: &str| {
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": level}})
        };
        let id = cue.id();
        let messages = [
            progress(json!("p")),
            progress(json!("another's")),
            log("debug"),
            log("error"),
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:b"}}),
            json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
            json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": "e"}}),
            result(&id, "done"),
        ];
        let body: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
        Act::Send(testing::events(&body))
    })
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let request = modern(
        "c",
        "tools/call",
        json!({"name": "t", "_meta": {"progressToken": "p", "io.modelcontextprotocol/logLevel": "warning"}}),
        &json!({}),
    );
    let client = answered(&stage, &request).await;
    let methods: Vec<_> = client.events.iter().map(|event| event["method"].clone()).collect();
    assert_eq!(methods, [json!("notifications/progress"), json!("notifications/message"), Value::Null]);
    assert_eq!(client.events[0]["params"]["progressToken"], "p");
    assert_eq!(client.events[1]["params"]["level"], "error");
    assert_eq!(client.answer()["id"], "c");
    assert!(client.finished);
    assert!(legacy.upstream.asked().contains(&"logging/setLevel".to_owned()));

    // A client that reads no streams gets the answer alone.
    let mut client = Recorder::default();
    let mut admitted = stage.admitted(Protocol::V2026_07_28, &request);
    admitted.accept = Accept { json: true, event_stream: false };
    let body = Bytes::from(request.to_string());
    bridge::call(&admitted, &stage.route, Era::Legacy, &body, &mut client).await.unwrap();
    assert_eq!(client.json.map(|(status, _)| status), Some(200));
}

#[tokio::test]
async fn what_belongs_to_the_session_is_answered_in_its_place() {
    let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
    let task = json!({"jsonrpc": "2.0", "id": "t", "method": "tasks/get", "params": {"taskId": "x"}});
    let bad = json!({"jsonrpc": "2.0", "id": "b", "method": "elicitation/create", "params": {}});
    let (legacy, mut begun) = beginning(vec![ping, task, bad]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let request = call("c", &elicits());
    let (client, ()) = tokio::join!(answered(&stage, &request), async {
        assert_eq!(legacy.said().await, json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
        assert_eq!(legacy.said().await["error"]["code"], -32601);
        assert_eq!(legacy.said().await["error"]["code"], -32602);
        let call = begun.recv().await.unwrap();
        call.ends(&result(&call.id, "done"));
    });
    assert_eq!(client.answer()["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_client_that_leaves_has_cancelled() {
    let (legacy, mut begun) = beginning(vec![]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let (leave, leaves) = watch::channel(false);
    let mut client = Recorder::default().leaving(leaves);
    let request = call("c", &json!({}));
    let (left, call) = tokio::join!(ask(&stage, &request, &mut client), async {
        let call = begun.recv().await.unwrap();
        leave.send(true).unwrap();
        call
    });
    assert_eq!(left, Err(ClientError::Gone));
    let cancelled = legacy.said().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], call.id);
    // Whatever the upstream still says in that session, no other call hears it.
    drop(begun);
    answered(&stage, &request).await;
    let asked = legacy.upstream.asked();
    assert_eq!(asked.iter().filter(|method| *method == "initialize").count(), 2, "{asked:?}");
}

#[tokio::test]
async fn pages_to_visit_first_become_input_required_and_the_call_is_made_again() {
    let page = json!({"mode": "url", "elicitationId": "e", "url": "https://x.test/", "message": "log in"});
    let visited = std::sync::atomic::AtomicBool::new(false);
    let legacy = Legacy::new(move |cue| {
        if visited.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return answer(&result(&cue.id(), "welcome"));
        }
        answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "error": {"code": -32042, "message": "first",
            "data": {"elicitations": [page]}}}))
    })
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let url = json!({"elicitation": {"url": {}}});

    let first = answered(&stage, &call("c", &url)).await;
    let required = &first.answer()["result"];
    assert_eq!(required["resultType"], "input_required");
    assert_eq!(
        required["inputRequests"]["1"],
        json!({"method": "elicitation/create",
            "params": {"mode": "url", "url": "https://x.test/", "message": "log in"}})
    );
    let declined = answered(&stage, &again("d", &first, &json!({"1": {"action": "decline"}}))).await;
    assert_eq!(declined.answer()["error"]["code"], 42201);
    let silent = answered(&stage, &again("d", &first, &json!({}))).await;
    assert_eq!(silent.answer()["error"]["code"], 42201);
    let second = answered(&stage, &again("d", &first, &json!({"1": {"action": "accept"}}))).await;
    assert_eq!(second.answer()["result"]["content"][0]["text"], "welcome");
}

#[tokio::test]
async fn pages_are_not_shown_to_who_cannot_visit_them() {
    let page = json!({"mode": "url", "elicitationId": "e", "url": "https://x.test/", "message": "log in"});
    let legacy = Legacy::new(move |cue| {
        answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "error": {"code": -32042, "message": "first",
            "data": {"elicitations": [page]}}}))
    })
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let client = answered(&stage, &call("c", &elicits())).await;
    assert_eq!(client.answer()["error"]["code"], -32021);
    let url = json!({"elicitation": {"url": {}}});
    assert_eq!(client.answer()["error"]["data"]["requiredCapabilities"], url);
}

#[tokio::test]
async fn errors_come_with_the_code_and_status_of_the_modern_era() {
    for (method, code, expected) in [
        ("tools/call", -32601, (404, -32601)),
        ("tools/call", -32602, (200, -32602)),
        ("tools/call", -32022, (200, -32603)),
        ("resources/read", -32002, (200, -32602)),
    ] {
        let legacy = Legacy::new(move |cue| {
            answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "error": {"code": code, "message": "m"}}))
        })
        .await;
        let stage = Stage::new(&legacy.upstream).await;
        let request = modern("c", method, json!({"name": "t", "uri": "a:b"}), &json!({}));
        let (status, answer) = answered(&stage, &request).await.json.unwrap();
        assert_eq!((status, answer["error"]["code"].as_i64().unwrap()), expected, "{method} {code}");
    }
}

#[tokio::test]
async fn what_cannot_be_bridged_says_so() {
    let legacy = Legacy::new(|cue| answer(&result(&cue.id(), "never"))).await;
    let stage = Stage::new(&legacy.upstream).await;
    for (method, word) in [
        ("tasks/get", "tasks_across_eras"),
        ("tasks/update", "tasks_across_eras"),
        ("com.example/x", "extension_across_eras"),
        ("server/discover", "method_across_eras"),
    ] {
        let client = answered(&stage, &modern("c", method, json!({"taskId": "t"}), &json!({}))).await;
        let (status, answer) = client.json.unwrap();
        assert_eq!((status, &answer["error"]["code"]), (501, &json!(50101)), "{method}");
        assert_eq!(answer["error"]["data"]["detail"], word, "{method}");
    }
    let meta = json!({"io.modelcontextprotocol/logLevel": "loud"});
    let loud = modern("c", "tools/call", json!({"name": "t", "_meta": meta}), &json!({}));
    assert_eq!(answered(&stage, &loud).await.answer()["error"]["code"], -32602);
    assert!(legacy.upstream.asked().is_empty());
}

#[tokio::test]
async fn an_upstream_that_is_confused_fails_its_call_and_no_other() {
    let (a, b) = (form(&json!(1)), form(&json!(1)));
    for (messages, what) in [
        (vec![result(&json!("another"), "secret of another")], "another's id"),
        (vec![json!({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": ""}})], "both"),
        (vec![json!([result(&json!(1), "batch")])], "a batch"),
        (vec![json!({"jsonrpc": "2.0", "id": null, "result": {}})], "no id"),
        (vec![a, b], "one id twice"),
    ] {
        let (legacy, _begun) = beginning(messages).await;
        let stage = Stage::new(&legacy.upstream).await;
        let client = answered(&stage, &call("c", &elicits())).await;
        let (status, answer) = client.json.unwrap();
        assert_eq!((status, &answer["error"]["code"]), (502, &json!(50202)), "{what}");
        assert!(!answer.to_string().contains("secret"), "{what}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_heard_once() {
    let legacy = Legacy::new(|cue| {
        let (one, two) = (result(&cue.id(), "one"), result(&cue.id(), "two"));
        Act::Send(testing::events(&format!("data: {one}\n\ndata: {two}\n\n")))
    })
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let client = answered(&stage, &call("c", &json!({}))).await;
    assert_eq!(client.answer()["result"]["content"][0]["text"], "one");
}

#[tokio::test]
async fn an_answer_without_a_response_is_a_failure() {
    for (act, status) in [
        (testing::empty as fn(u16) -> Vec<u8>, 202),
        (testing::empty, 400),
        (testing::empty, 500),
        (testing::empty, 403),
    ] {
        let legacy = Legacy::new(move |_| Act::Send(act(status))).await;
        let stage = Stage::new(&legacy.upstream).await;
        let client = answered(&stage, &call("c", &json!({}))).await;
        let (told, answer) = client.json.unwrap();
        assert_eq!(told, 502, "{status}");
        assert!(answer["error"]["code"].is_i64(), "{status}");
    }
}

#[tokio::test]
async fn a_session_that_the_upstream_has_forgotten_is_replaced_once() {
    for lost in [1, 2] {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let legacy = Legacy::new(move |cue| {
            if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < lost {
                return Act::Send(testing::empty(404));
            }
            answer(&result(&cue.id(), "done"))
        })
        .await;
        let stage = Stage::new(&legacy.upstream).await;
        let client = answered(&stage, &call("c", &json!({}))).await;
        let asked = legacy.upstream.asked();
        let sessions = asked.iter().filter(|method| *method == "initialize").count();
        assert_eq!(sessions, 2, "{asked:?}");
        match lost {
            1 => assert_eq!(client.answer()["result"]["content"][0]["text"], "done"),
            _ => assert_eq!(client.json.unwrap().0, 502),
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_taken_up_where_it_was() {
    let (say, said) = std::sync::mpsc::channel();
    let said = parking_lot::Mutex::new(said);
    let legacy = Legacy::with_stream(
        move |cue| {
            let _ = say.send(cue.id());
            Act::SendAndClose(testing::events("id: e7\nretry: 1\ndata:\n\n"))
        },
        move |cue| match cue.seen.header("last-event-id") {
            "e7" => {
                let id = said.lock().try_recv().unwrap();
                Act::Send(testing::events(&format!("data: {}\n\n", result(&id, "resumed"))))
            }
            _ => Act::Send(testing::empty(405)),
        },
    )
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let client = answered(&stage, &call("c", &json!({}))).await;
    assert_eq!(client.answer()["result"]["content"][0]["text"], "resumed");
}

#[tokio::test]
async fn resources_have_the_bindings_prefix_where_there_are_several() {
    let legacy = Legacy::new(|cue| {
        answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "result": {"content": [
            {"type": "resource_link", "name": "n", "uri": "a:b"}]}}))
    })
    .await;
    let stage = Stage::new(&legacy.upstream).await.prefixed();
    let client = answered(&stage, &call("c", &json!({}))).await;
    assert_eq!(client.answer()["result"]["content"][0]["uri"], "files+a:b");
}

#[tokio::test]
async fn a_stream_that_the_upstream_still_holds_for_open_is_asked_for_again() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let legacy = Legacy::with_stream(
        |cue| answer(&result(&cue.id(), "done")),
        move |cue| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => Act::Send(testing::empty(409)),
            _ => cue.stream(&[]),
        },
    )
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let client = answered(&stage, &call("c", &elicits())).await;
    assert_eq!(client.answer()["result"]["content"][0]["text"], "done");
    let asked = legacy.upstream.asked();
    let called = asked.iter().position(|method| method == "tools/call").unwrap();
    assert_eq!(asked[..called].iter().filter(|method| *method == "GET").count(), 3, "{asked:?}");
}
