//! `subscriptions/listen`.

use mcpg_protocol::streams::SUBSCRIPTION_ID;
use serde_json::{Value, json};

use super::bench::{ALL, Bench, Caller, Got, Server, notification};
use crate::serve::Admitted;
use crate::streams::listen;

fn listening(admitted: Admitted) -> Caller {
    Caller::of(|mut client| async move { listen(admitted, &mut client).await })
}

/// The acknowledged filter of a stream that has just begun.
async fn acknowledged(caller: &mut Caller) -> Value {
    assert_eq!(caller.next().await, Got::Opened);
    let (message, id) = caller.event().await;
    assert_eq!(message["method"], "notifications/subscriptions/acknowledged");
    assert_eq!((&message["params"]["_meta"][SUBSCRIPTION_ID], id), (&json!("mine"), None));
    message["params"]["notifications"].clone()
}

fn updated(uri: &str) -> String {
    notification(
        "notifications/resources/updated",
        &json!({"_meta": {SUBSCRIPTION_ID: "theirs"}, "uri": uri}),
    )
}

fn tools_changed() -> String {
    notification("notifications/tools/list_changed", &json!({"_meta": {SUBSCRIPTION_ID: "theirs"}}))
}

#[tokio::test]
async fn several_upstreams_of_both_eras_are_one_subscription() {
    let (modern, legacy) = (Server::modern().await, Server::legacy().await);
    let bench = Bench::new(&[("new", &modern), ("old", &legacy)], ALL).await;
    let filter = json!({
        "toolsListChanged": true, "promptsListChanged": true,
        "resourceSubscriptions": ["new+a:1", "old+a:2", "nobody+a:3", "a:4"]
    });
    let mut caller = listening(bench.listen(&filter));
    let honoured = acknowledged(&mut caller).await;
    // Neither has prompts; what names no binding is nobody's.
    assert_eq!(honoured, json!({"toolsListChanged": true, "resourceSubscriptions": ["new+a:1", "old+a:2"]}));

    let mut filters: Vec<_> = modern
        .asked("subscriptions/listen")
        .iter()
        .map(|seen| seen.params()["notifications"].clone())
        .collect();
    filters.sort_by_key(Value::to_string);
    assert_eq!(filters[0], json!({"resourceSubscriptions": ["a:1"]}));
    assert_eq!(filters[1]["toolsListChanged"], true);
    assert_eq!(legacy.asked("resources/subscribe")[0].params(), json!({"uri": "a:2"}));

    for server in [&modern, &legacy] {
        for speaker in [server.stream().await, server.stream().await] {
            speaker.say(&updated("b:sub"));
            speaker.say(&tools_changed());
            std::mem::forget(speaker);
        }
    }
    let mut uris = Vec::new();
    for _ in 0..4 {
        let message = caller.told("notifications/resources/updated").await;
        assert_eq!(message["params"]["_meta"][SUBSCRIPTION_ID], "mine");
        uris.push(message["params"]["uri"].as_str().unwrap().to_owned());
        if uris.contains(&"new+b:sub".to_owned()) && uris.contains(&"old+b:sub".to_owned()) {
            break;
        }
    }
    caller.leave().await;
}

#[tokio::test]
async fn what_is_the_same_for_all_is_asked_for_once() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    let mut callers = Vec::new();
    for _ in 0..5 {
        let mut caller = listening(bench.listen(&json!({"toolsListChanged": true})));
        acknowledged(&mut caller).await;
        callers.push(caller);
    }
    let speaker = server.stream().await;
    assert_eq!((server.unseen_streams(), server.asked("subscriptions/listen").len()), (0, 1));
    speaker.say(&tools_changed());
    for caller in &mut callers {
        let message = caller.told("notifications/tools/list_changed").await;
        assert_eq!(message["params"]["_meta"][SUBSCRIPTION_ID], "mine");
    }
    for caller in callers {
        caller.leave().await;
    }
    speaker.closed().await;
}

#[tokio::test]
async fn nothing_is_told_that_was_not_asked_for() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    let mut caller = listening(bench.listen(&json!({"resourcesListChanged": true})));
    acknowledged(&mut caller).await;
    let speaker = server.stream().await;
    speaker.say(&tools_changed());
    speaker.say(&notification("notifications/message", &json!({"level": "info", "data": 1})));
    speaker.say(r#"{"jsonrpc":"2.0","id":"mine","result":{}}"#);
    speaker.say(r#"{"jsonrpc":"2.0","id":"mine","method":"sampling/createMessage"}"#);
    speaker.say(&notification("notifications/resources/list_changed", &json!({})));
    let (message, _) = caller.event().await;
    assert_eq!(message["method"], "notifications/resources/list_changed");
    caller.leave().await;
}

#[tokio::test]
async fn resources_that_the_caller_may_not_read_are_not_watched() {
    let server = Server::modern().await;
    let policies = format!(
        "{ALL}@id(\"no\") forbid (principal, action == Action::\"resources/read\", resource == Resource::\"a:secret\");\n"
    );
    let bench = Bench::new(&[("one", &server), ("two", &server)], &policies).await;
    let filter = json!({"resourceSubscriptions": ["one+a:secret", "one+a:open"]});
    let mut caller = listening(bench.listen(&filter));
    assert_eq!(acknowledged(&mut caller).await, json!({"resourceSubscriptions": ["one+a:open"]}));
    let filters: Vec<_> =
        server.asked("subscriptions/listen").iter().map(|seen| seen.params().to_string()).collect();
    assert!(filters.iter().all(|filter| !filter.contains("secret")), "{filters:?}");
    caller.leave().await;
}

#[tokio::test]
async fn a_reload_tells_of_changes_and_ends_what_is_not_permitted_any_more() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    let mut caller = listening(bench.listen(&json!({"toolsListChanged": true})));
    acknowledged(&mut caller).await;
    let speaker = server.stream().await;
    bench
        .reload(&format!("{ALL}@id(\"more\") forbid (principal, action == Action::\"one.x\", resource);\n"))
        .await;
    caller.told("notifications/tools/list_changed").await;
    // The binding is the same, so nothing was asked for again.
    assert_eq!(server.unseen_streams(), 0);
    bench
        .reload(&format!(
            "{ALL}@id(\"none\") forbid (principal, action == Action::\"subscriptions/listen\", resource);\n"
        ))
        .await;
    loop {
        if let (message, _) = caller.event().await
            && message["id"] == "mine"
        {
            assert_eq!(message["result"]["_meta"][SUBSCRIPTION_ID], "mine");
            break;
        }
    }
    assert_eq!(caller.next().await, Got::Finished);
    speaker.closed().await;
}

#[tokio::test]
async fn a_process_that_leaves_ends_its_subscriptions_in_good_order() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    let mut caller = listening(bench.listen(&json!({"toolsListChanged": true})));
    acknowledged(&mut caller).await;
    bench.gateway.shared.leaving.send_replace(true);
    let (message, _) = caller.event().await;
    assert_eq!((&message["id"], &message["result"]["resultType"]), (&json!("mine"), &json!("complete")));
    assert_eq!(caller.next().await, Got::Finished);
}

#[tokio::test]
async fn tasks_are_told_under_the_names_of_the_endpoint() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    let body = |capabilities: Value| {
        json!({"jsonrpc": "2.0", "id": "mine", "method": "subscriptions/listen", "params": {
            "_meta": {"io.modelcontextprotocol/clientCapabilities": capabilities},
            "notifications": {"taskIds": ["one.t1", "t2"]}
        }})
    };
    let mut caller = listening(bench.modern(&body(json!({}))));
    let Got::Json(400, refusal) = caller.next().await else { panic!("not refused") };
    assert_eq!(refusal["error"]["code"], -32021);
    assert!(
        refusal["error"]["data"]["requiredCapabilities"]["extensions"]["io.modelcontextprotocol/tasks"]
            .is_object()
    );

    let able = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let mut caller = listening(bench.modern(&body(able)));
    assert_eq!(acknowledged(&mut caller).await, json!({"taskIds": ["one.t1"]}));
    let speaker = server.stream().await;
    speaker.say(&notification("notifications/tasks", &json!({"taskId": "t1", "status": "working"})));
    let message = caller.told("notifications/tasks").await;
    assert_eq!(message["params"]["taskId"], "one.t1");
    assert_eq!(message["params"]["_meta"][SUBSCRIPTION_ID], "mine");
    caller.leave().await;
}

#[tokio::test]
async fn a_malformed_request_is_refused() {
    let server = Server::modern().await;
    let bench = Bench::new(&[("one", &server)], ALL).await;
    for filter in [json!(null), json!({"toolsListChanged": 1}), json!({"resourceSubscriptions": [1]})] {
        let mut caller = listening(bench.listen(&filter));
        let Got::Json(400, refusal) = caller.next().await else { panic!("{filter}") };
        assert_eq!((&refusal["error"]["code"], &refusal["id"]), (&json!(-32602), &json!("mine")), "{filter}");
    }
    let mut admitted = bench.listen(&json!({}));
    admitted.accept.event_stream = false;
    let mut caller = listening(admitted);
    assert!(matches!(caller.next().await, Got::Json(406, _)));
}
