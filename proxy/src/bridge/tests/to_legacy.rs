//! A modern client in front of a legacy upstream.

use bytes::Bytes;
use mcpg_protocol::{Accept, Revision as Protocol};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::stage::{Cue, Legacy, Recorder, Stage, answer, end, event, modern};
use crate::bridge::modern_to_legacy;
use crate::serve::ClientError;
use crate::upstream::testing::{self, Act};

async fn ask(stage: &Stage, request: &Value, client: &mut Recorder) -> Result<(), ClientError> {
    let admitted = stage.admitted(Protocol::V2026_07_28, request);
    let body = Bytes::from(request.to_string());
    modern_to_legacy(&admitted, &stage.route, &body, client).await
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
    modern_to_legacy(&admitted, &stage.route, &body, &mut client).await.unwrap();
    assert_eq!(client.json.map(|(status, _)| status), Some(200));
}

#[tokio::test]
async fn what_an_upstream_asks_becomes_input_required_and_the_call_goes_on() {
    let (legacy, mut begun) = beginning(vec![form(&json!(41)), form(&json!("x"))]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let first = answered(&stage, &call("c", &elicits())).await;
    let call = begun.recv().await.unwrap();
    let required = &first.answer()["result"];
    assert_eq!((&first.answer()["id"], &required["resultType"]), (&json!("c"), &json!("input_required")));
    let requests = required["inputRequests"].as_object().unwrap();
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(requests["1"]["method"], "elicitation/create");
    assert_eq!(requests["1"]["params"]["message"], "who");
    assert!(!required["requestState"].as_str().unwrap().is_empty());
    assert_eq!(stage.shared.bridge.parked.len(), 1);

    // One answer of two: what is missing is asked again, under its own key.
    let second = answered(&stage, &again("d", &first, &json!({"2": accepted("bob"), "9": {}}))).await;
    assert_eq!(legacy.said().await, json!({"jsonrpc": "2.0", "id": "x", "result": accepted("bob")}));
    let requests = second.answer()["result"]["inputRequests"].as_object().unwrap();
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["1"]);

    call.says(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}}));
    let repeated = again("e", &second, &json!({"1": accepted("ann")}));
    let (third, ()) = tokio::join!(answered(&stage, &repeated), async {
        assert_eq!(legacy.said().await, json!({"jsonrpc": "2.0", "id": 41, "result": accepted("ann")}));
        call.ends(&result(&call.id, "hello ann"));
    });
    assert_eq!(third.answer()["id"], "e");
    assert_eq!(third.answer()["result"]["content"][0]["text"], "hello ann");
    assert!(stage.shared.bridge.parked.is_empty());
    // One call, however often the client asked.
    let calls = legacy.upstream.asked().iter().filter(|method| *method == "tools/call").count();
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn progress_after_a_repetition_is_under_its_token() {
    let (legacy, mut begun) = beginning(vec![form(&json!(1))]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let mut request = call("c", &elicits());
    request["params"]["_meta"]["progressToken"] = json!("first");
    let first = answered(&stage, &request).await;
    let call = begun.recv().await.unwrap();
    let mut repeated = again("d", &first, &json!({"1": accepted("ann")}));
    repeated["params"]["_meta"]["progressToken"] = json!(2);
    let (second, ()) = tokio::join!(answered(&stage, &repeated), async {
        legacy.said().await;
        call.says(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": "first", "progress": 1}}));
        call.ends(&result(&call.id, "done"));
    });
    assert_eq!(second.events[0]["params"], json!({"progressToken": 2, "progress": 1}));
}

#[tokio::test]
async fn a_state_is_good_once_for_its_caller_and_its_request() {
    let (legacy, mut begun) = beginning(vec![form(&json!(1))]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let first = answered(&stage, &call("c", &elicits())).await;
    let begun = begun.recv().await.unwrap();
    let repeated = again("d", &first, &json!({"1": accepted("ann")}));
    let code = |client: &Recorder| client.answer()["error"]["code"].clone();

    let mut other_arguments = repeated.clone();
    other_arguments["params"]["arguments"]["a"] = json!(2);
    let mut other_tool = repeated.clone();
    other_tool["params"]["name"] = json!("u");
    let mut forged = repeated.clone();
    let state = forged["params"]["requestState"].as_str().unwrap();
    forged["params"]["requestState"] = json!(format!("{}A", &state[..state.len() - 1]));
    let mut invented = repeated.clone();
    invented["params"]["requestState"] = json!("state");
    for request in [other_arguments, other_tool, forged, invented] {
        let client = answered(&stage, &request).await;
        assert_eq!(client.json.as_ref().map(|(status, _)| *status), Some(400), "{request}");
        assert_eq!(code(&client), -32602, "{request}");
    }
    let mut mallory = Recorder::default();
    let mut admitted = stage.admitted(Protocol::V2026_07_28, &repeated);
    admitted.caller = testing::caller("user:mallory");
    let body = Bytes::from(repeated.to_string());
    modern_to_legacy(&admitted, &stage.route, &body, &mut mallory).await.unwrap();
    assert_eq!(code(&mallory), -32602);

    let other = Stage::new(&legacy.upstream).await;
    assert_eq!(code(&answered(&other, &repeated).await), -32602, "another key ring");
    assert_eq!(stage.shared.bridge.parked.len(), 1, "none of them has taken the call");

    // Two at once: one goes on, the other is told.
    let (one, two, ()) = tokio::join!(answered(&stage, &repeated), answered(&stage, &repeated), async {
        legacy.said().await;
        begun.ends(&result(&begun.id, "done"));
    });
    let mut codes = [code(&one), code(&two)];
    codes.sort_by_key(Value::is_null);
    assert_eq!(codes, [json!(40901), Value::Null]);
}

#[tokio::test]
async fn a_state_of_another_instance_or_time_is_told_apart() {
    let (legacy, _begun) = beginning(vec![form(&json!(1))]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let first = answered(&stage, &call("c", &elicits())).await;
    let repeated = again("d", &first, &json!({"1": accepted("ann")}));
    // The same keys, another process.
    let mut other = Stage::new(&legacy.upstream).await;
    other.revision = std::sync::Arc::clone(&stage.revision);
    let client = answered(&other, &repeated).await;
    assert_eq!(client.answer()["error"]["code"], 40901);
    assert!(client.answer()["error"]["message"].as_str().unwrap().contains("another instance"));

    let mut admitted = stage.admitted(Protocol::V2026_07_28, &repeated);
    admitted.now += stage.revision.input_timeout + std::time::Duration::from_secs(2);
    let mut late = Recorder::default();
    modern_to_legacy(&admitted, &stage.route, &Bytes::from(repeated.to_string()), &mut late).await.unwrap();
    assert_eq!(late.answer()["error"]["code"], 40901);
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    for (capabilities, question, required) in [
        (json!({}), "elicitation/create", json!({"elicitation": {"form": {}}})),
        (json!({"elicitation": {"url": {}}}), "elicitation/create", json!({"elicitation": {"form": {}}})),
        (json!({"elicitation": {}}), "roots/list", json!({"roots": {}})),
        (json!({"roots": {}}), "sampling/createMessage", json!({"sampling": {}})),
    ] {
        let params = match question {
            "elicitation/create" => form(&json!(0))["params"].clone(),
            "sampling/createMessage" => json!({"messages": [], "maxTokens": 1}),
            _ => json!({}),
        };
        let ask = json!({"jsonrpc": "2.0", "id": 5, "method": question, "params": params});
        let (legacy, mut begun) = beginning(vec![ask]).await;
        let stage = Stage::new(&legacy.upstream).await;
        let request = call("c", &capabilities);
        let (client, ()) = tokio::join!(answered(&stage, &request), async {
            let refused = legacy.said().await;
            assert_eq!((&refused["id"], refused["error"]["code"].is_i64()), (&json!(5), true), "{refused}");
            let call = begun.recv().await.unwrap();
            call.ends(
                &json!({"jsonrpc": "2.0", "id": call.id, "error": {"code": -32603, "message": "cannot"}}),
            );
        });
        let (status, answer) = client.json.unwrap();
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32021)), "{question}");
        assert_eq!(answer["error"]["data"]["requiredCapabilities"], required, "{question}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_without_what_it_asked_has_its_result() {
    let roots = json!({"jsonrpc": "2.0", "id": 5, "method": "roots/list"});
    let (legacy, mut begun) = beginning(vec![roots]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let request = call("c", &json!({}));
    let (client, ()) = tokio::join!(answered(&stage, &request), async {
        legacy.said().await;
        let call = begun.recv().await.unwrap();
        call.ends(&result(&call.id, "without"));
    });
    assert_eq!(client.answer()["result"]["content"][0]["text"], "without");
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
async fn questions_on_the_sessions_own_stream_are_the_calls() {
    let (begin, mut begun) = mpsc::unbounded_channel();
    let streams = begin.clone();
    let legacy = Legacy::with_stream(
        move |cue: Cue| {
            let _ = begin.send(Begun { id: cue.id(), to: cue.to.clone() });
            cue.stream(&[])
        },
        move |cue: Cue| {
            let _ = streams.send(Begun { id: Value::Null, to: cue.to.clone() });
            cue.stream(&[])
        },
    )
    .await;
    let stage = Stage::new(&legacy.upstream).await;
    let request = call("c", &elicits());
    let (first, (aside, call)) = tokio::join!(answered(&stage, &request), async {
        let aside = begun.recv().await.unwrap();
        let call = begun.recv().await.unwrap();
        aside.says(&form(&json!("q")));
        // What answers nothing of ours is not the call's answer.
        aside.says(&result(&json!("another"), "secret"));
        (aside, call)
    });
    assert_eq!(first.answer()["result"]["inputRequests"].as_object().unwrap().len(), 1);
    let repeated = again("d", &first, &json!({"1": accepted("ann")}));
    let (second, ()) = tokio::join!(answered(&stage, &repeated), async {
        assert_eq!(legacy.said().await["id"], "q");
        call.ends(&result(&call.id, "done"));
    });
    assert_eq!(second.answer()["result"]["content"][0]["text"], "done");
    drop(aside);
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
async fn a_malformed_answer_gives_the_call_up() {
    let (legacy, _begun) = beginning(vec![form(&json!(1))]).await;
    let stage = Stage::new(&legacy.upstream).await;
    let first = answered(&stage, &call("c", &elicits())).await;
    let client = answered(&stage, &again("d", &first, &json!({"1": {"action": "perhaps"}}))).await;
    assert_eq!(client.answer()["error"]["code"], -32602);
    assert_eq!(legacy.said().await["method"], "notifications/cancelled");
    assert!(legacy.said().await["error"].is_object());
    assert!(stage.shared.bridge.parked.is_empty());
}

#[tokio::test]
async fn calls_that_wait_are_bounded() {
    let (legacy, _begun) = beginning(vec![form(&json!(1))]).await;
    let stage = Stage::with(&legacy.upstream, "calls: {concurrency_max: 2}").await;
    // Twice what runs at a time: those that wait take no place.
    for _ in 0..8 {
        let client = answered(&stage, &call("c", &elicits())).await;
        assert_eq!(client.answer()["result"]["resultType"], "input_required", "{}", client.answer());
    }
    let refused = answered(&stage, &call("c", &elicits())).await;
    assert_eq!(refused.json.as_ref().map(|(status, _)| *status), Some(503));
    stage.shared.bridge.parked.close();
    assert!(stage.shared.bridge.parked.is_empty());
    for _ in 0..2 {
        assert!(legacy.said().await.is_object());
    }
}
