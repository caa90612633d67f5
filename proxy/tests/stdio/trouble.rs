//! Processes that do not behave. Each harms itself and nobody else.

use std::time::Duration;

use mcpg::upstream::UpstreamError;
use mcpg::upstream::stdio::Sharing;
use serde_json::json;

use crate::rig::{ALICE, BOB, Rig, call, eventually, last, legacy, modern, next, text_of};

fn exits(rig: &Rig, reason: &str) -> u64 {
    rig.metric(&format!("mcpg_process_exits_total{{binding=\"test\",reason=\"{reason}\"}}"))
}

#[tokio::test]
async fn killed_in_the_middle_of_a_call() {
    let rig = Rig::per_session(&legacy("progress 1; kill -9 $$"));
    let session = rig.open(ALICE).await;
    let mut reply = rig.post(ALICE, Some(&session), &call(1, "t")).await.unwrap();
    next(&mut reply).await.unwrap().unwrap();
    assert!(matches!(next(&mut reply).await, Err(UpstreamError::Unavailable { sent: true, .. })));
    assert_eq!(rig.call(Some(&session), "t").await, Err(UpstreamError::SessionLost));
    eventually(|| exits(&rig, "exited") == 1).await;
}

#[tokio::test]
async fn what_it_says_last_counts() {
    let rig = Rig::per_session(&legacy("text bye; exit 0"));
    let session = rig.open(ALICE).await;
    assert_eq!(rig.call(Some(&session), "t").await.unwrap(), "bye");
    eventually(|| exits(&rig, "exited") == 1).await;
}

#[tokio::test]
async fn a_line_beyond_the_limit() {
    let script = r#"text ok; printf '{"jsonrpc":"2.0","id":%s,"result":{"x":"' "$id"; head -c 3000000 /dev/zero | tr '\0' x; printf '"}}\n'"#;
    let rig = Rig::shared(&modern(script));
    let mut held = rig.post(BOB, None, &call(1, "t")).await.unwrap();
    assert_eq!(text_of(&next(&mut held).await.unwrap().unwrap()), "ok");
    eventually(|| exits(&rig, "line_too_long") == 1).await;
    eventually(|| rig.metric("mcpg_process_restarts_total{binding=\"test\"}") > 0).await;
    assert_eq!(rig.call(None, "t").await.unwrap(), "ok");
}

#[tokio::test]
async fn a_message_up_to_the_limit_passes() {
    let script = r#"printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"text":"' "$id"; head -c 1000000 /dev/zero | tr '\0' x; printf '"}]}}\n'"#;
    let rig = Rig::shared(&modern(script));
    assert_eq!(rig.call(None, "t").await.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn lines_that_are_no_messages_are_passed_over_but_not_for_ever() {
    let script =
        r#"echo "listening on port 1"; text ok; case $line in *'"flood"'*) exec yes no message ;; esac"#;
    let rig = Rig::shared(&modern(script));
    assert_eq!(rig.call(None, "t").await.unwrap(), "ok");
    assert_eq!(rig.metric("mcpg_process_messages_dropped_total{binding=\"test\",reason=\"invalid\"}"), 1);
    let _ = rig.call(None, "flood").await;
    eventually(|| exits(&rig, "not_mcp") == 1).await;
}

#[tokio::test]
async fn a_flood_on_standard_error_holds_nothing_up() {
    let rig = Rig::shared(&modern(
        r#"[ -n "$begun" ] || { begun=1; yes "$(printf '\033[31m%01000d' 7)" >&2 & }; text ok"#,
    ));
    for _ in 0..50 {
        assert_eq!(rig.call(None, "t").await.unwrap(), "ok");
    }
}

/// Counts up in notifications for the request, far beyond what is kept for its reader.
const FLOOD: &str = r#"case $line in
    *'"flood"'*) n=0; while [ $n -lt 3000 ]; do n=$((n+1)); progress $n; done; text done ;;
    *) text ok ;;
esac"#;

#[tokio::test]
async fn a_flood_waits_for_the_one_caller() {
    let rig = Rig::per_session(&modern(FLOOD));
    let mut reply = rig.post(ALICE, None, &call(1, "flood")).await.unwrap();
    for n in 1..=3000 {
        let message = next(&mut reply).await.unwrap().unwrap();
        assert_eq!(message["params"]["progress"], n);
    }
    assert_eq!(text_of(&next(&mut reply).await.unwrap().unwrap()), "done");
}

#[tokio::test]
async fn a_flood_waits_for_nobody_where_others_wait() {
    let rig = Rig::shared(&modern(FLOOD));
    let mut slow = rig.post(ALICE, None, &call(1, "flood")).await.unwrap();
    // The process is through with it only if nothing held it up.
    let mut reply = rig.post(BOB, None, &call(1, "t")).await.unwrap();
    assert_eq!(text_of(&last(&mut reply).await.unwrap()), "ok");
    let error = loop {
        match next(&mut slow).await {
            Ok(message) => assert!(message.is_some(), "it must not seem complete"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, UpstreamError::Unavailable { sent: true, .. }), "{error}");
}

#[tokio::test]
async fn it_never_reads_its_input() {
    let script = r#"IFS= read -r line; printf '%s\n' '{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}'; sleep 1000"#;
    let rig = Rig::with(script, |settings| settings.write_timeout = Duration::from_millis(300));
    let big =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": "y".repeat(100_000)}});
    let error = rig.post(ALICE, None, &big).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable { .. }), "{error}");
    eventually(|| exits(&rig, "input_stuck") == 1).await;
}

#[tokio::test]
async fn it_never_answers() {
    let rig = Rig::with(&modern("say \"$line\" >> heard"), |settings| {
        settings.read_timeout = Duration::from_millis(50);
    });
    let error = rig.call(None, "t").await.unwrap_err();
    assert_eq!(error, UpstreamError::Timeout { sent: true });
    eventually(|| {
        let heard = std::fs::read_to_string(rig.folder.path().join("heard")).unwrap_or_default();
        heard.contains("notifications/cancelled")
    })
    .await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_tried_less_and_less() {
    let sharing = Sharing::PerSession { processes_max: 4, idle: Duration::from_secs(60) };
    let rig = Rig::with("", |settings| {
        settings.command = vec!["/nonexistent/program".into()];
        settings.sharing = sharing;
        settings.backoff = (Duration::from_secs(600), Duration::from_secs(600));
    });
    for _ in 0..3 {
        let error = rig.call(None, "t").await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unavailable { .. }), "{error}");
    }
    eventually(|| exits(&rig, "exited") == 1).await;
}
