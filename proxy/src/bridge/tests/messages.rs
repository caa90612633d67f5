//! What a client says on its own.

use mcpg_protocol::Revision as Protocol;
use serde_json::{Value, json};

use super::stage::{Legacy, Recorder, Stage, answer};
use crate::bridge::client_message;
use crate::upstream::testing;

const LEGACY: Protocol = Protocol::V2025_11_25;

async fn said(stage: &Stage, message: &Value) -> Option<u16> {
    let admitted = stage.in_session(LEGACY, &json!({"roots": {}}), message);
    let mut client = Recorder::default();
    client_message(&admitted, &mut client).await.unwrap();
    client.empty
}

async fn upstream() -> Legacy {
    Legacy::new(|cue| answer(&json!({"jsonrpc": "2.0", "id": cue.id(), "result": {}}))).await
}

#[tokio::test]
async fn an_answer_finds_whoever_asked() {
    let legacy = upstream().await;
    let stage = Stage::new(&legacy.upstream).await.prefixed();
    let session = stage.in_session(LEGACY, &json!({}), &json!({})).session.unwrap();
    let local = stage.shared.sessions.session(&session, std::time::SystemTime::now());

    // The gateway's own question.
    let mut asked = local.ask().unwrap();
    let own = json!({"jsonrpc": "2.0", "id": asked.id(), "result": {"roots": []}});
    assert_eq!(said(&stage, &own).await, Some(202));
    let heard: Value = serde_json::from_slice(&asked.answer().await.unwrap()).unwrap();
    assert_eq!(heard, own);

    // An upstream's, under the id that says whose it is.
    for (id, raw) in [("files:41", json!(41)), (r#"files:"x""#, json!("x"))] {
        let routed = json!({"jsonrpc": "2.0", "id": id, "result": {"action": "cancel"}});
        assert_eq!(said(&stage, &routed).await, Some(202));
        assert_eq!(legacy.said().await, json!({"jsonrpc": "2.0", "id": raw, "result": {"action": "cancel"}}));
    }
    let seen = legacy.upstream.seen();
    assert_eq!(seen[0].header("mcp-session-id"), "s1");
}

#[tokio::test]
async fn an_answer_to_nobody_is_accepted_and_dropped() {
    let legacy = upstream().await;
    let stage = Stage::new(&legacy.upstream).await.prefixed();
    for id in [
        json!("~0123456789abcdef"),
        json!("other:1"),
        json!("files:{}"),
        json!("files"),
        json!("nobody"),
        json!(5),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": id, "result": {}});
        assert_eq!(said(&stage, &message).await, Some(202), "{id}");
    }
    assert!(legacy.upstream.asked().is_empty());
    // A binding that the caller may not reach now.
    let mut admitted =
        stage.in_session(LEGACY, &json!({}), &json!({"jsonrpc": "2.0", "id": "files:1", "result": {}}));
    admitted.routes.clear();
    client_message(&admitted, &mut Recorder::default()).await.unwrap();
    assert!(legacy.upstream.asked().is_empty());
}

#[tokio::test]
async fn notifications_go_where_they_belong() {
    let legacy = upstream().await;
    let stage = Stage::new(&legacy.upstream).await.prefixed();
    let note = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});

    let changed = note("notifications/roots/list_changed", json!({}));
    assert_eq!(said(&stage, &changed).await, Some(202));
    assert_eq!(legacy.said().await, changed);

    // Nobody knows where it runs: whoever may have it is told.
    let cancelled = note("notifications/cancelled", json!({"requestId": 3}));
    assert_eq!(said(&stage, &cancelled).await, Some(202));
    assert_eq!(legacy.said().await, cancelled);

    // It runs here: it is cancelled, and only its binding is told.
    let session = stage.in_session(LEGACY, &json!({}), &json!({})).session.unwrap();
    let local = stage.shared.sessions.session(&session, std::time::SystemTime::now());
    let running = local.begin("3", Some("elsewhere")).unwrap();
    let before = legacy.upstream.asked().len();
    assert_eq!(said(&stage, &cancelled).await, Some(202));
    assert!(running.is_cancelled());
    assert_eq!(legacy.upstream.asked().len(), before);

    for silent in [
        note("notifications/initialized", json!({})),
        note("notifications/com.example/x", json!({})),
        note("notifications/cancelled", json!({"requestId": {}})),
        note("notifications/progress", json!({"progressToken": "nobody's", "progress": 1})),
    ] {
        assert_eq!(said(&stage, &silent).await, Some(202), "{silent}");
    }
    assert_eq!(legacy.upstream.asked().len(), before);
}

#[tokio::test]
async fn an_upstream_that_is_slow_or_dead_costs_the_client_nothing() {
    let legacy = upstream().await;
    let stage = Stage::new(&legacy.upstream).await.prefixed();
    drop(legacy);
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
    assert_eq!(said(&stage, &changed).await, Some(202));
    let _ = testing::caller("user:alice");
}

#[tokio::test]
async fn a_modern_client_has_nothing_to_say_on_its_own() {
    let legacy = upstream().await;
    let stage = Stage::new(&legacy.upstream).await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    let admitted = stage.admitted(Protocol::V2026_07_28, &note);
    let mut client = Recorder::default();
    client_message(&admitted, &mut client).await.unwrap();
    assert_eq!(client.empty, Some(202));
    assert!(legacy.upstream.asked().is_empty());
}
