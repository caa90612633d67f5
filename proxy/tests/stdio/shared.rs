//! One process for all callers: nothing crosses, and it comes back.

use mcpg::upstream::UpstreamError;
use serde_json::{Value, json};

use crate::rig::{ALICE, BOB, Rig, call, eventually, is_alive, last, legacy, modern, next, text_of};

/// Answers two calls at a time, the second first, with progress before; says in each answer which call it is of.
const TWO_AT_A_TIME: &str = r#"
    name=${line#*\"name\":\"}; name=${name%%\"*}
    if [ -z "$held" ]; then held=$id; held_name=$name
    else
        progress 1; second=$id; id=$held; progress 2; id=$second; text "$name"; text "$name"; id=$held; text "$held_name"; held=
    fi"#;

#[tokio::test]
async fn identical_ids_and_tokens_do_not_cross() {
    for script in [legacy(TWO_AT_A_TIME), modern(TWO_AT_A_TIME)] {
        let rig = Rig::shared(&script);
        for round in 0..20 {
            let (alice, bob) = (format!("alice-{round}"), format!("bob-{round}"));
            let (alices, bobs) = (call(1, &alice), call(1, &bob));
            let (one, two) = tokio::join!(rig.post(ALICE, None, &alices), rig.post(BOB, None, &bobs));
            for (mut reply, name) in [(one.unwrap(), alice), (two.unwrap(), bob)] {
                let progress = next(&mut reply).await.unwrap().unwrap();
                assert_eq!(progress["params"]["progressToken"], "p");
                let answer = next(&mut reply).await.unwrap().unwrap();
                assert_eq!((&answer["id"], text_of(&answer)), (&json!(1), name));
                assert_eq!(next(&mut reply).await, Ok(None));
            }
        }
        // Every second answer came twice, and reached nobody.
        let unasked = rig.metric("mcpg_process_messages_dropped_total{binding=\"test\",reason=\"unasked\"}");
        assert_eq!((rig.metric("mcpg_processes_running{binding=\"test\"}"), unasked), (1, 20));
    }
}

#[tokio::test]
async fn sessions_are_answered_by_the_gateway() {
    let rig = Rig::shared(&legacy("text $$"));
    let (one, two) = (rig.open(ALICE).await, rig.open(BOB).await);
    assert_ne!(one, two);
    assert_eq!(rig.call(Some(&one), "pid").await, rig.call(Some(&two), "pid").await);
    rig.close(&one).await;
    assert!(rig.call(Some(&two), "pid").await.is_ok());
    for (method, code) in [("server/discover", -32601), ("logging/setLevel", -32601), ("tasks/list", -32601)]
    {
        let request = json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": {}});
        let answer = last(&mut rig.post(ALICE, Some(&two), &request).await.unwrap()).await.unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("x"), &json!(code)), "{method}");
    }
}

#[tokio::test]
async fn what_cannot_be_shared_is_not_offered() {
    let rig = Rig::shared(&legacy("text x"));
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    let answer = last(&mut rig.post(ALICE, None, &initialize).await.unwrap()).await.unwrap();
    assert_eq!(answer["result"]["capabilities"], json!({"tools": {}}));
}

#[tokio::test]
async fn a_shared_process_has_nobody_to_ask() {
    let script = r#"case $line in
        *'"id":"q"'*) say "$line" > refused ;;
        *) say '{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}'; text ok ;;
    esac"#;
    let rig = Rig::shared(&legacy(script));
    let session = rig.open(ALICE).await;
    let mut reply = rig.post(ALICE, Some(&session), &call(1, "t")).await.unwrap();
    assert_eq!(text_of(&next(&mut reply).await.unwrap().unwrap()), "ok");
    let refused: Value = serde_json::from_str(&rig.file("refused").await).unwrap();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("q"), &json!(-32601)));
}

#[tokio::test]
async fn announcements_are_heard_by_all_and_logs_by_none() {
    let script = r#"
        say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"of one caller"}}'
        say '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}'
        text ok"#;
    let rig = Rig::shared(&legacy(script));
    let session = rig.open(ALICE).await;
    let mut events = rig.upstream.events();
    let mut stream = rig.stream(&session).await.unwrap();
    let mut reply = rig.post(ALICE, Some(&session), &call(1, "t")).await.unwrap();
    assert_eq!(text_of(&next(&mut reply).await.unwrap().unwrap()), "ok");
    assert_eq!(next(&mut stream).await.unwrap().unwrap()["params"]["uri"], "a:b");
    assert!(
        events
            .recv()
            .await
            .unwrap()
            .starts_with(br#"{"jsonrpc":"2.0","method":"notifications/resources/updated""#)
    );
    assert!(events.is_empty());
}

#[tokio::test]
async fn it_is_started_again_and_what_was_under_way_fails_at_once() {
    let script = r#"case $line in
        *'"die"'*) exit 3 ;;
        *'"hold"'*) progress 1 ;;
        *'resources/subscribe"'*) echo x >> subscribed; result '{}' ;;
        *) text "$$" ;;
    esac"#;
    let rig = Rig::shared(&legacy(script));
    let session = rig.open(ALICE).await;
    let first = rig.call(Some(&session), "pid").await.unwrap();
    let subscribe =
        json!({"jsonrpc": "2.0", "id": 4, "method": "resources/subscribe", "params": {"uri": "file:///a"}});
    last(&mut rig.post(ALICE, Some(&session), &subscribe).await.unwrap()).await.unwrap();
    let mut held = rig.post(BOB, None, &call(1, "hold")).await.unwrap();
    next(&mut held).await.unwrap().unwrap();
    assert!(matches!(rig.call(None, "die").await, Err(UpstreamError::Unavailable { sent: true, .. })));
    assert!(matches!(next(&mut held).await, Err(UpstreamError::Unavailable { sent: true, .. })));
    eventually(|| rig.metric("mcpg_process_restarts_total{binding=\"test\"}") == 1).await;
    // The session goes on: it never was the process's own.
    let second = rig.call(Some(&session), "pid").await.unwrap();
    assert!(second != first && !is_alive(&first));
    assert_eq!(rig.metric("mcpg_process_exits_total{binding=\"test\",reason=\"exited\"}"), 1);
    assert_eq!(rig.file("subscribed").await, "x\nx");
}

#[tokio::test]
async fn a_server_that_the_question_kills_is_asked_differently() {
    let script = r#"
        while IFS= read -r line; do case $line in
            *'"server/discover"'*) exit 1 ;;
            *'"initialize"'*) printf '%s\n' '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}}' ;;
        esac; done"#;
    let rig = Rig::shared(script);
    // The first start fails; whoever comes later finds it up.
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    assert!(matches!(
        rig.post(ALICE, None, &initialize).await.map(|_| ()),
        Err(UpstreamError::Unavailable { sent: false, .. })
    ));
    eventually(|| rig.metric("mcpg_process_restarts_total{binding=\"test\"}") == 1).await;
    rig.open(ALICE).await;
}

#[tokio::test]
async fn subscriptions_of_the_modern_era_end_when_their_reader_leaves() {
    let script = r#"case $line in
        *'"subscriptions/listen"'*) number=$id
            say '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$id"'},"notifications":{}}}' ;;
        *'"notifications/cancelled"'*) say "$number $line" > cancelled ;;
        *) say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$number"'}}}'; text ok ;;
    esac"#;
    let rig = Rig::shared(&modern(script));
    let listen = json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {"notifications": {}}});
    let mut stream = rig.post(ALICE, None, &listen).await.unwrap();
    assert!(stream.is_stream);
    let tag = |message: &Value| message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    assert_eq!(tag(&next(&mut stream).await.unwrap().unwrap()), "l");
    rig.call(None, "t").await.unwrap();
    assert_eq!(tag(&next(&mut stream).await.unwrap().unwrap()), "l");
    drop(stream);
    let cancelled = rig.file("cancelled").await;
    let (number, line) = cancelled.split_once(' ').unwrap();
    assert!(line.contains(&format!(r#""requestId":{number}"#)), "{cancelled}");
}
