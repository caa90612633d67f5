//! A legacy client in front of a modern upstream.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::{Accept, Era, Revision as Protocol};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::stage::{Recorder, Stage, answer, event};
use crate::bridge;
use crate::serve::ClientError;
use crate::sessions::LocalSession;
use crate::upstream::testing::{self, Act, Seen, Upstream};

const LEGACY: Protocol = Protocol::V2025_11_25;

/// A modern upstream that answers calls one after the other with these results, `$id` being the id.
async fn upstream(results: Vec<Value>) -> Upstream {
    let results = Mutex::new(VecDeque::from(results));
    scripted(move |seen| {
        let result = results
            .lock()
            .pop_front()
            .unwrap_or_else(|| json!({"error": {"code": 1, "message": "once more"}}));
        let mut message = json!({"jsonrpc": "2.0", "id": id(seen)});
        message.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        answer(&message)
    })
    .await
}

/// A modern upstream whose calls are scripted.
async fn scripted(call: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Upstream {
    Upstream::serve(move |seen| match seen.rpc_method().as_str() {
        "server/discover" => answer(&json!({"jsonrpc": "2.0", "id": id(seen), "result": {"resultType": "complete",
            "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}})),
        "tools/list" => answer(&json!({"jsonrpc": "2.0", "id": id(seen), "result": {"resultType": "complete",
            "ttlMs": 60000, "cacheScope": "public", "tools": [{"name": "t", "inputSchema": {"type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}]}})),
        _ => call(seen),
    })
    .await
}

fn id(seen: &Seen) -> Value {
    serde_json::from_str(&seen.id()).unwrap()
}

fn call() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "t", "arguments": {"region": "eu"},
        "_meta": {"progressToken": "p"}}})
}

fn elicits() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": true}})
}

fn requires(requests: &Value, state: &str) -> Value {
    json!({"result": {"resultType": "input_required", "inputRequests": requests, "requestState": state}})
}

fn done(text: &str) -> Value {
    json!({"result": {"resultType": "complete", "content": [{"type": "text", "text": text}],
        "structuredContent": [1], "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new"}}}})
}

fn form() -> Value {
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": "who",
        "requestedSchema": {"type": "object", "properties": {}}}})
}

async fn serve(
    stage: &Stage,
    protocol: Protocol,
    capabilities: &Value,
    request: &Value,
    client: &mut Recorder,
) -> Result<(), ClientError> {
    let admitted = stage.in_session(protocol, capabilities, request);
    let body = Bytes::from(request.to_string());
    bridge::call(&admitted, &stage.route, Era::Modern, &body, client).await
}

async fn answered(stage: &Stage, capabilities: &Value, request: &Value) -> Recorder {
    let mut client = Recorder::default();
    serve(stage, LEGACY, capabilities, request, &mut client).await.unwrap();
    client
}

/// What this instance knows of the session.
fn local(stage: &Stage) -> Arc<LocalSession> {
    let admitted = stage.in_session(LEGACY, &json!({}), &json!({}));
    stage.shared.sessions.session(admitted.session.as_ref().unwrap(), admitted.now)
}

/// A client that answers each question with the next of these members.
fn answering(stage: &Stage, answers: Vec<Value>) -> Recorder {
    let (local, mut answers) = (local(stage), VecDeque::from(answers));
    Recorder::default().reacting(move |event| {
        if event["id"].as_str().is_some_and(|id| id.starts_with('~')) && event.get("method").is_some() {
            let Some(answer) = answers.pop_front() else { return };
            let mut response = json!({"jsonrpc": "2.0", "id": event["id"]});
            response.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
            assert!(local.answer(event["id"].as_str().unwrap(), Bytes::from(response.to_string())));
        }
    })
}

fn sent(upstream: &Upstream) -> Vec<Value> {
    let calls = upstream.seen().into_iter().filter(|seen| seen.rpc_method() == "tools/call");
    calls.map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect()
}

#[tokio::test]
async fn a_call_says_who_asks_and_is_answered_in_the_legacy_form() {
    let upstream = upstream(vec![done("hello")]).await;
    let stage = Stage::new(&upstream).await;
    let client = answered(&stage, &elicits(), &call()).await;
    assert_eq!(
        client.json,
        Some((
            200,
            json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "hello"}]}})
        ))
    );
    let seen = upstream.seen().into_iter().find(|seen| seen.rpc_method() == "tools/call").unwrap();
    for (name, value) in [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
        ("mcp-param-region", "eu"),
        ("mcp-session-id", ""),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    let params = &sent(&upstream)[0]["params"];
    assert_eq!(params["arguments"], json!({"region": "eu"}));
    assert_eq!(
        params["_meta"],
        json!({"progressToken": "p",
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "old", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities":
                {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}},
            "io.modelcontextprotocol/logLevel": "info"})
    );
}

#[tokio::test]
async fn what_an_upstream_requires_is_asked_and_the_call_repeated() {
    let url = json!({"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": "https://x.test/"}});
    let upstream = upstream(vec![
        requires(&json!({"a": {"method": "roots/list"}, "b": form()}), "state-1"),
        requires(&json!({"page": url}), "state-2"),
        done("at last"),
    ])
    .await;
    let stage = Stage::new(&upstream).await;
    let name = json!({"action": "accept", "content": {"name": "ann"}});
    let mut client = answering(
        &stage,
        vec![
            // In the order of the upstream's map.
            json!({"result": {"roots": []}}),
            json!({"result": name}),
            json!({"result": {"action": "accept"}}),
        ],
    );
    serve(&stage, LEGACY, &elicits(), &call(), &mut client).await.unwrap();
    let asked: Vec<_> = client.events.iter().map(|event| event["method"].clone()).collect();
    assert_eq!(
        asked,
        [json!("roots/list"), json!("elicitation/create"), json!("elicitation/create"), Value::Null]
    );
    assert_eq!(client.events[0].get("params"), None);
    assert!(client.events[2]["params"]["elicitationId"].is_string());
    assert_eq!((&client.answer()["id"], client.finished), (&json!(7), true));
    assert_eq!(client.answer()["result"]["content"][0]["text"], "at last");

    let sent = sent(&upstream);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1]["params"]["inputResponses"], json!({"a": {"roots": []}, "b": name}));
    assert_eq!(sent[1]["params"]["requestState"], "state-1");
    assert_eq!(sent[2]["params"]["inputResponses"], json!({"page": {"action": "accept"}}));
    assert_eq!(sent[2]["params"]["requestState"], "state-2");
    let ids: std::collections::HashSet<_> = sent.iter().map(|sent| sent["id"].to_string()).collect();
    assert_eq!(ids.len(), 3, "each repetition is a request of its own");
}

#[tokio::test]
async fn a_request_is_repeated_as_it_is_where_nothing_is_asked() {
    let again = json!({"result": {"resultType": "input_required", "requestState": "later"}});
    let upstream = upstream(vec![again, done("now")]).await;
    let stage = Stage::new(&upstream).await;
    let client = answered(&stage, &json!({}), &call()).await;
    assert_eq!(client.answer()["result"]["content"][0]["text"], "now");
    let sent = sent(&upstream);
    assert_eq!(sent[1]["params"]["requestState"], "later");
    assert_eq!(sent[1]["params"].get("inputResponses"), None);
}

#[tokio::test]
async fn rounds_are_bounded() {
    let required = requires(&json!({"k": {"method": "roots/list"}}), "s");
    let upstream = upstream(vec![required; 40]).await;
    let stage = Stage::new(&upstream).await;
    let mut client = answering(&stage, vec![json!({"result": {"roots": []}}); 40]);
    serve(&stage, LEGACY, &elicits(), &call(), &mut client).await.unwrap();
    assert_eq!(client.answer()["error"]["data"]["detail"], "too_many_rounds");
    assert_eq!(sent(&upstream).len(), 16);
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare_or_cannot_know() {
    let url = json!({"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": "https://x.test/"}});
    let sampling = json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}});
    let tools =
        json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1, "tools": []}});
    for (capabilities, protocol, question) in [
        (json!({}), LEGACY, form()),
        (json!({"elicitation": {}}), Protocol::V2025_03_26, form()),
        (json!({"elicitation": {}}), LEGACY, url.clone()),
        (json!({"elicitation": {"url": {}}}), Protocol::V2025_06_18, url),
        (json!({"elicitation": {"url": {}}}), LEGACY, form()),
        (json!({"roots": {}}), LEGACY, sampling),
        (json!({"sampling": {}}), LEGACY, tools),
        (json!({"sampling": {}}), LEGACY, json!({"method": "roots/list"})),
    ] {
        let upstream = upstream(vec![requires(&json!({"k": question}), "s")]).await;
        let stage = Stage::new(&upstream).await;
        let mut client = Recorder::default();
        serve(&stage, protocol, &capabilities, &call(), &mut client).await.unwrap();
        let (status, answer) = client.json.unwrap();
        assert_eq!(
            (status, &answer["error"]["data"]["detail"]),
            (502, &json!("undeclared_capability")),
            "{question}"
        );
        assert!(client.events.is_empty(), "{question}");
    }
}

#[tokio::test]
async fn a_client_without_streams_cannot_be_asked() {
    let upstream = upstream(vec![requires(&json!({"k": form()}), "s")]).await;
    let stage = Stage::new(&upstream).await;
    let mut admitted = stage.in_session(LEGACY, &elicits(), &call());
    admitted.accept = Accept { json: true, event_stream: false };
    let mut client = Recorder::default();
    let body = Bytes::from(call().to_string());
    bridge::call(&admitted, &stage.route, Era::Modern, &body, &mut client).await.unwrap();
    let (status, answer) = client.json.unwrap();
    assert_eq!((status, &answer["error"]["data"]["detail"]), (406, &json!("stream_required")));
}

#[tokio::test]
async fn a_client_that_refuses_or_answers_something_else_has_its_reason() {
    for (answer, detail, said) in [
        (
            json!({"error": {"code": -1, "message": "the user said no"}}),
            "client_input_refused",
            "the user said no (-1)",
        ),
        (json!({"result": {"action": "perhaps"}}), "malformed_response", "does not answer"),
        (json!({"result": {"roots": []}}), "malformed_response", "does not answer"),
    ] {
        let upstream = upstream(vec![requires(&json!({"a": form(), "b": form()}), "s")]).await;
        let stage = Stage::new(&upstream).await;
        let mut client = answering(&stage, vec![answer]);
        serve(&stage, LEGACY, &elicits(), &call(), &mut client).await.unwrap();
        let error = &client.answer()["error"];
        assert_eq!((&error["code"], &error["data"]["detail"]), (&json!(42201), &json!(detail)));
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        // The question that is open still is taken back.
        let events: Vec<_> = client.events.iter().map(|event| event["method"].clone()).collect();
        assert_eq!(
            events[..3],
            [json!("elicitation/create"), json!("elicitation/create"), json!("notifications/cancelled")]
        );
        assert_eq!(client.events[2]["params"]["requestId"], client.events[1]["id"]);
        assert_eq!(sent(&upstream).len(), 1, "the upstream is not asked again");
    }
}

#[tokio::test]
async fn what_cannot_be_bridged_says_so() {
    let upstream = upstream(vec![]).await;
    let stage = Stage::new(&upstream).await;
    for (method, params, code, word) in [
        ("tasks/get", json!({"taskId": "t"}), 50101, "tasks_across_eras"),
        ("tasks/list", json!({}), 50101, "tasks_across_eras"),
        ("com.example/x", json!({}), 50101, "extension_across_eras"),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params});
        let error = answered(&stage, &json!({}), &request).await.answer()["error"].clone();
        assert_eq!((&error["code"], &error["data"]["detail"]), (&json!(code), &json!(word)), "{method}");
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn progress_and_log_messages_come_before_the_answer() {
    let upstream = scripted(|seen| {
        let progress = |token: &str| {
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
        };
        let log = |level: &str| {
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": 1}})
        };
        let mut result = done("end");
        result["jsonrpc"] = json!("2.0");
        result["id"] = id(seen);
        let messages = [progress("p"), progress("q"), log("info"), log("error"), result];
        let body: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
        Act::Send(testing::events(&body))
    })
    .await;
    let stage = Stage::new(&upstream).await;
    local(&stage).set_log_level("warning".parse().unwrap());
    let client = answered(&stage, &json!({}), &call()).await;
    let methods: Vec<_> = client.events.iter().map(|event| event["method"].clone()).collect();
    assert_eq!(methods, [json!("notifications/progress"), json!("notifications/message"), Value::Null]);
    let meta = &sent(&upstream)[0]["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/logLevel"], "warning");
}

#[tokio::test]
async fn errors_lose_the_codes_of_the_modern_era() {
    for (code, expected) in [(-32021, -32600), (-32022, -32603), (-32602, -32602), (-32042, -32603)] {
        let upstream = upstream(vec![json!({"error": {"code": code, "message": "m"}})]).await;
        let stage = Stage::new(&upstream).await;
        let (status, answer) = answered(&stage, &json!({}), &call()).await.json.unwrap();
        assert_eq!((status, answer["error"]["code"].as_i64().unwrap()), (200, expected), "{code}");
    }
}

#[tokio::test]
async fn headers_that_an_upstream_misses_are_looked_up_again() {
    let mismatch = json!({"error": {"code": -32020, "message": "Mcp-Param-Zone is missing"}});
    let upstream = upstream(vec![mismatch.clone(), done("now")]).await;
    let stage = Stage::new(&upstream).await;
    let client = answered(&stage, &json!({}), &call()).await;
    assert_eq!(client.answer()["result"]["content"][0]["text"], "now");
    let lists = upstream.asked().iter().filter(|method| *method == "tools/list").count();
    assert_eq!(lists, 2);

    let upstream = self::upstream(vec![mismatch.clone(), mismatch]).await;
    let stage = Stage::new(&upstream).await;
    let client = answered(&stage, &json!({}), &call()).await;
    assert_eq!(client.answer()["error"]["code"], -32603, "it is tried twice");
}

#[tokio::test]
async fn an_upstream_that_is_confused_fails_its_call() {
    for message in [
        json!({"jsonrpc": "2.0", "id": "another", "result": {"content": ["secret"]}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": "secret"}}),
    ] {
        let said = message.to_string();
        let upstream = scripted(move |_| Act::Send(testing::json(200, &said))).await;
        let stage = Stage::new(&upstream).await;
        let (status, answer) = answered(&stage, &elicits(), &call()).await.json.unwrap();
        assert_eq!((status, &answer["error"]["code"]), (502, &json!(50202)), "{message}");
        assert!(!answer.to_string().contains("secret"));
    }
    for required in [
        json!({"resultType": "input_required"}),
        json!({"resultType": "input_required", "inputRequests": {"k": {"method": "tools/call", "params": {}}}}),
        json!({"resultType": "task", "taskId": "t"}),
        json!({"resultType": "complete!"}),
    ] {
        let upstream = upstream(vec![json!({"result": required})]).await;
        let stage = Stage::new(&upstream).await;
        let answer = answered(&stage, &elicits(), &call()).await;
        assert!(answer.answer()["error"].is_object(), "{required}");
    }
}

/// An upstream that begins an answer, and says when its client closed it.
async fn lasting() -> (Upstream, mpsc::UnboundedReceiver<(Value, mpsc::UnboundedSender<Vec<u8>>)>) {
    let (begin, begun) = mpsc::unbounded_channel();
    let upstream = scripted(move |seen| {
        let (to, feed) = mpsc::unbounded_channel();
        to.send(testing::endless_head()).unwrap();
        let _ = begin.send((id(seen), to));
        Act::Follow(feed)
    })
    .await;
    (upstream, begun)
}

#[tokio::test]
async fn a_client_that_cancels_closes_the_upstreams_stream() {
    let (upstream, mut begun) = lasting().await;
    let stage = Stage::new(&upstream).await;
    let mut client = Recorder::default();
    let request = call();
    let nothing = json!({});
    let (served, ()) = tokio::join!(serve(&stage, LEGACY, &nothing, &request, &mut client), async {
        let (_, to) = begun.recv().await.unwrap();
        assert_eq!(local(&stage).cancel("7"), Some(Some("files".into())));
        // The upstream sees its connection close.
        to.closed().await;
    });
    assert_eq!(served, Ok(()));
    assert!(client.finished && client.events.is_empty(), "a cancelled request has no response");
    assert_eq!(local(&stage).cancel("7"), None);
}

#[tokio::test]
async fn a_client_that_loses_its_connection_has_not_cancelled() {
    let (upstream, mut begun) = lasting().await;
    let stage = Stage::new(&upstream).await;
    let (leave, leaves) = watch::channel(false);
    let mut client = Recorder::default().leaving(leaves);
    let request = call();
    let nothing = json!({});
    let (served, ()) = tokio::join!(serve(&stage, LEGACY, &nothing, &request, &mut client), async {
        let (id, to) = begun.recv().await.unwrap();
        leave.send(true).unwrap();
        let mut result = done("for nobody");
        result["jsonrpc"] = json!("2.0");
        result["id"] = id;
        tokio::task::yield_now().await;
        assert!(!to.is_closed(), "the upstream is heard to the end");
        to.send(event(&result)).unwrap();
        to.closed().await;
    });
    assert_eq!(served, Err(ClientError::Gone));
    assert!(client.events.is_empty() && client.json.is_none());
}

#[tokio::test]
async fn an_id_that_is_in_use_is_refused() {
    let upstream = upstream(vec![done("x")]).await;
    let stage = Stage::new(&upstream).await;
    let running = local(&stage).begin("7", None).unwrap();
    let client = answered(&stage, &json!({}), &call()).await;
    assert_eq!(client.answer()["error"]["data"]["detail"], "id_in_use");
    drop(running);
    assert_eq!(answered(&stage, &json!({}), &call()).await.json.unwrap().0, 200);
}
