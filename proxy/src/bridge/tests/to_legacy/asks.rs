//! What a legacy upstream asks of a modern client while its call waits.

use bytes::Bytes;
use mcpg_protocol::{Era, Revision as Protocol};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::stage::{Cue, Legacy, Recorder, Stage};
use super::{Begun, accepted, again, answered, beginning, call, elicits, form, result};
use crate::bridge;
use crate::upstream::testing;

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
    forged["params"]["requestState"] = json!(state.chars().rev().collect::<String>());
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
    bridge::call(&admitted, &stage.route, Era::Legacy, &body, &mut mallory).await.unwrap();
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
    let body = Bytes::from(repeated.to_string());
    bridge::call(&admitted, &stage.route, Era::Legacy, &body, &mut late).await.unwrap();
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
