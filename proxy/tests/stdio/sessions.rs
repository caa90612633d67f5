//! A process for each session, or for each caller of a server without sessions.

use std::time::Duration;

use mcpg::upstream::UpstreamError;
use mcpg::upstream::stdio::Sharing;
use serde_json::json;

use crate::rig::{ALICE, BOB, Rig, call, eventually, is_alive, last, legacy, modern, next, text_of};

#[tokio::test]
async fn each_session_has_a_process_that_ends_with_it() {
    let rig = Rig::per_session(&legacy("text $$"));
    let (one, two) = (rig.open(ALICE).await, rig.open(ALICE).await);
    let first = rig.call(Some(&one), "pid").await.unwrap();
    let second = rig.call(Some(&two), "pid").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(rig.call(Some(&one), "pid").await.unwrap(), first);
    assert_eq!(rig.metric("mcpg_processes_running{binding=\"test\"}"), 2);
    rig.close(&one).await;
    eventually(|| !is_alive(&first)).await;
    assert_eq!(rig.call(Some(&one), "pid").await, Err(UpstreamError::SessionLost));
    assert_eq!(rig.call(Some(&two), "pid").await.unwrap(), second);
    eventually(|| rig.metric("mcpg_process_exits_total{binding=\"test\",reason=\"stopped\"}") == 1).await;
}

#[tokio::test]
async fn a_session_that_was_never_begun_is_lost() {
    let rig = Rig::per_session(&legacy("text x"));
    for id in ["00000000000000000000000000000000", "x", "+0000000000000000000000000000000"] {
        let session = http::HeaderValue::from_static(id);
        assert_eq!(rig.call(Some(&session), "t").await, Err(UpstreamError::SessionLost), "{id}");
    }
}

#[tokio::test]
async fn a_refused_handshake_is_no_session() {
    let rig = Rig::per_session(&modern("text x"));
    let initialize = json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {}});
    let mut reply = rig.post(ALICE, None, &initialize).await.unwrap();
    assert!(reply.headers.is_empty());
    let answer = last(&mut reply).await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32601)));
    drop(reply);
    eventually(|| rig.metric("mcpg_processes_running{binding=\"test\"}") == 0).await;
}

#[tokio::test]
async fn a_session_begins_in_the_process_that_was_asked_what_it_speaks() {
    let rig = Rig::per_session(&legacy("text $$"));
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}});
    let answer = last(&mut rig.post(ALICE, None, &discover).await.unwrap()).await.unwrap();
    assert_eq!(answer["error"]["code"], -32601);
    rig.open(ALICE).await;
    assert_eq!(rig.metric("mcpg_processes_running{binding=\"test\"}"), 1);
    rig.open(ALICE).await;
    assert_eq!(rig.metric("mcpg_processes_running{binding=\"test\"}"), 2);
}

#[tokio::test]
async fn callers_of_a_server_without_sessions_have_a_process_each() {
    let rig = Rig::per_session(&modern("text $$"));
    let mut pids = Vec::new();
    for caller in [ALICE, BOB, ALICE] {
        let mut reply = rig.post(caller, None, &call(1, "pid")).await.unwrap();
        pids.push(text_of(&last(&mut reply).await.unwrap()));
    }
    assert_eq!(pids[0], pids[2]);
    assert_ne!(pids[0], pids[1]);
}

#[tokio::test]
async fn a_server_asks_the_client_of_its_session() {
    let script = r#"case $line in
        *'"answer"'*) text "$(cat asked)" ;;
        *'"id":"q1"'*) say "$line" > asked.new; tr -d '\\"' < asked.new > asked ;;
        *) say '{"jsonrpc":"2.0","id":"q1","method":"roots/list"}'; progress 1; result '{"content":[{"type":"text","text":"asked"}]}' ;;
    esac"#;
    let rig = Rig::per_session(&legacy(script));
    let session = rig.open(ALICE).await;
    let mut reply = rig.post(ALICE, Some(&session), &call("c", "ask")).await.unwrap();
    let asked = next(&mut reply).await.unwrap().unwrap();
    assert_eq!((&asked["id"], &asked["method"]), (&json!("q1"), &json!("roots/list")));
    let progress = next(&mut reply).await.unwrap().unwrap();
    assert_eq!(progress["params"], json!({"progressToken": "p", "progress": 1}));
    let answer = json!({"jsonrpc": "2.0", "id": "q1", "result": {"roots": []}});
    assert_eq!(rig.post(ALICE, Some(&session), &answer).await.unwrap().status, 202);
    assert_eq!(last(&mut reply).await.unwrap()["id"], "c");
    let heard = rig.call(Some(&session), "answer").await.unwrap();
    assert!(heard.contains("id:q1") && heard.contains("result:{roots:[]}"), "{heard}");
}

#[tokio::test]
async fn what_belongs_to_no_request_comes_on_the_stream_of_the_session() {
    let script = r#"case $line in
        *'"notifications/'*) say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}' ;;
        *) text ok ;;
    esac"#;
    let rig = Rig::per_session(&legacy(script));
    let mut events = rig.upstream.events();
    let session = rig.open(ALICE).await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
    // Before anybody listens, and while somebody does.
    assert_eq!(rig.post(ALICE, Some(&session), &note).await.unwrap().status, 202);
    assert!(!events.recv().await.unwrap().is_empty());
    assert_eq!(rig.call(Some(&session), "t").await.unwrap(), "ok");
    let mut stream = rig.stream(&session).await.unwrap();
    assert!(stream.is_stream);
    rig.post(ALICE, Some(&session), &note).await.unwrap();
    for _ in 0..2 {
        let message = next(&mut stream).await.unwrap().unwrap();
        assert_eq!(message["method"], "notifications/tools/list_changed");
    }
    rig.close(&session).await;
    drop(stream);
    assert_eq!(rig.stream(&session).await.map(|_| ()), Err(UpstreamError::SessionLost));
}

#[tokio::test]
async fn processes_are_bounded_and_idle_ones_make_room() {
    let sharing = Sharing::PerSession { processes_max: 1, idle: Duration::from_secs(600) };
    let rig = Rig::with(&legacy("text $$"), |settings| settings.sharing = sharing);
    let session = rig.open(ALICE).await;
    assert_eq!(rig.call(None, "pid").await, Err(UpstreamError::Busy));
    rig.close(&session).await;
    eventually(|| rig.metric("mcpg_processes_running{binding=\"test\"}") == 0).await;
    // Without a session nothing is lost when a process makes room for another.
    let first = rig.call(None, "pid").await.unwrap();
    let mut reply = rig.post(BOB, None, &call(1, "pid")).await.unwrap();
    assert_ne!(text_of(&last(&mut reply).await.unwrap()), first);
    assert!(!is_alive(&first));
}

#[tokio::test]
async fn a_process_that_nobody_uses_ends() {
    let sharing = Sharing::PerSession { processes_max: 4, idle: Duration::from_millis(50) };
    let rig = Rig::with(&legacy("text $$"), |settings| settings.sharing = sharing);
    let session = rig.open(ALICE).await;
    let stream = rig.stream(&session).await.unwrap();
    let of_caller = rig.call(None, "pid").await.unwrap();
    eventually(|| !is_alive(&of_caller)).await;
    // Whoever listens uses it.
    let pid = rig.call(Some(&session), "pid").await.unwrap();
    drop(stream);
    eventually(|| !is_alive(&pid)).await;
    assert_eq!(rig.call(Some(&session), "pid").await, Err(UpstreamError::SessionLost));
}

#[tokio::test]
async fn closing_an_answer_of_the_modern_era_cancels() {
    let script = r#"case $line in
        *'"slow"'*) progress 1; number=$id ;;
        *'"notifications/cancelled"'*) say "$number $line" > cancelled ;;
    esac"#;
    let rig = Rig::per_session(&modern(script));
    let mut reply = rig.post(ALICE, None, &call("c", "slow")).await.unwrap();
    assert_eq!(next(&mut reply).await.unwrap().unwrap()["method"], "notifications/progress");
    drop(reply);
    let cancelled = rig.file("cancelled").await;
    let (number, line) = cancelled.split_once(' ').unwrap();
    assert!(line.contains(&format!(r#""requestId":{number}"#)), "{cancelled}");
}

#[tokio::test]
async fn a_session_cancels_by_its_own_id() {
    let script = r#"case $line in
        *'"slow"'*) progress 1; number=$id ;;
        *'"notifications/cancelled"'*) say "$number $line" > cancelled ;;
    esac"#;
    let rig = Rig::per_session(&legacy(script));
    let session = rig.open(ALICE).await;
    let mut reply = rig.post(ALICE, Some(&session), &call("c", "slow")).await.unwrap();
    next(&mut reply).await.unwrap().unwrap();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}});
    rig.post(ALICE, Some(&session), &cancel).await.unwrap();
    assert_eq!(next(&mut reply).await, Ok(None));
    let cancelled = rig.file("cancelled").await;
    let (number, line) = cancelled.split_once(' ').unwrap();
    assert!(line.contains(&format!(r#""requestId":{number}"#)), "{cancelled}");
}
