use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::HeaderName;
use mcpg_sdk::{AuthMethod, Base, Scope};
use serde_json::{Value, json};

use super::*;
use crate::secret::SecretResolver;

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const NOW: u64 = 1_790_000_000;

fn settings() -> Value {
    json!({
        "bot_token": "$secret://file/token", "signing_secret": "$secret://file/signing", "channel": "C0123456789",
        "approvers": { "users": ["U0BOB"] }, "unmatched_callers": "ask",
        // Nobody listens there.
        "api_url": "http://127.0.0.1:9/api",
    })
}

fn build(settings: Value) -> Result<SlackApproval, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "token", "xoxb-1-2-abc");
    secret_file(folder.path(), "signing", SECRET);
    let (secrets, scope) = (SecretResolver::new(&Base::trusted(folder.path())), Scope::default());
    let context = BuildContext {
        base: &Base::trusted(folder.path()),
        secrets: &secrets,
        bindings: &["files"],
        scope: &scope,
        shared: &Arc::default(),
        now: SystemTime::UNIX_EPOCH,
    };
    SlackApproval::build(&Settings(settings), &context)
}

fn secret_file(folder: &Path, name: &str, value: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, value).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn question(arguments: Option<&str>) -> Question {
    Question {
        id: "0123456789abcdef0123456789abcdef".into(),
        caller: "user:alice@acme.com".into(),
        scope: "acme-corp/platform/prod".into(),
        binding: "github".into(),
        method: "tools/call".into(),
        target: "delete_repo".into(),
        arguments: arguments.map(|json| crate::gate::show(json, &[], 8192).unwrap().into()),
        asked: UNIX_EPOCH + Duration::from_secs(NOW),
        deadline: UNIX_EPOCH + Duration::from_secs(NOW + 300),
        page: Some("https://mcp.acme.com/approvals/0123/key".into()),
    }
}

fn golden(message: &Value) -> String {
    serde_json::to_string_pretty(message).unwrap()
}

#[test]
fn the_message_is_what_people_see() {
    let asked =
        message::asked(&question(Some(r#"{"name":"mcpg","force":true,"note":"<!channel> *now* `x`"}"#)));
    insta::assert_snapshot!(golden(&asked));
}

#[test]
fn the_message_says_how_it_ended() {
    let question = question(None);
    let ended: Vec<Value> = [
        Conclusion::Approved { by: "slack:T1/U0BOB".into(), reason: None },
        Conclusion::Approved { by: "os:root(0)".into(), reason: "ticket 4711".parse().ok() },
        Conclusion::Denied { by: "slack:T1/U0BOB".into(), reason: None },
        Conclusion::Denied { by: "os:root(0)".into(), reason: "<@U1> not today".parse().ok() },
        Conclusion::Expired,
        Conclusion::Cancelled,
    ]
    .iter()
    .map(|conclusion| message::concluded(&question, conclusion))
    .collect();
    let ended = golden(&Value::from(ended));
    assert!(!ended.contains("\"button\""));
    insta::assert_snapshot!(ended);
}

#[test]
fn the_longest_arguments_fit() {
    let arguments = format!(r#"{{"a":"{}"}}"#, "ä\u{202e}".repeat(1600));
    let message = message::asked(&question(Some(&arguments)));
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    let mut shown = String::new();
    for block in
        blocks.iter().filter(|block| block["type"] == "rich_text" && block["block_id"] != "mcpg-page")
    {
        let text = block["elements"][0]["elements"][0]["text"].as_str().unwrap();
        assert!(text.chars().count() <= 3000);
        shown += text;
    }
    assert_eq!(shown, crate::gate::show(&arguments, &[], 8192).unwrap());
}

#[test]
fn an_answer_is_read_from_what_slack_signed() {
    let gate = build(settings()).unwrap();
    let payload = |change: &dyn Fn(&mut Value)| {
        let mut payload = json!({
            "type": "block_actions", "team": { "id": "T1", "domain": "acme" },
            "user": { "id": "U0BOB", "username": "bob", "team_id": "T1" }, "api_app_id": "A1",
            "container": { "type": "message", "message_ts": "1.2", "channel_id": "C0123456789" },
            "response_url": "https://hooks.slack.com/actions/T1/1/x",
            "actions": [{ "action_id": "mcpg-approve", "block_id": "mcpg-decision", "type": "button", "value": "0123abcd" }],
        });
        change(&mut payload);
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish()
    };
    let read = |body: &str| {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let signature = SLACK.sign(&gate.signing_secret, NOW, body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(SLACK.timestamp), NOW.into());
        headers.insert(HeaderName::from_static(SLACK.signature), signature.parse().unwrap());
        gate.callback(&headers, body.as_bytes(), now)
    };
    let answer = read(&payload(&|_| {})).unwrap().unwrap();
    assert_eq!(
        (&*answer.id, answer.approve, answer.by.identity()),
        ("0123abcd", true, "slack:T1/U0BOB".into())
    );
    let denied = read(&payload(&|payload| payload["actions"][0]["action_id"] = json!("mcpg-deny")));
    assert!(!denied.unwrap().unwrap().approve);
    let ignored: [&dyn Fn(&mut Value); 4] = [
        &|payload| payload["type"] = json!("view_submission"),
        &|payload| payload["actions"][0]["action_id"] = json!("other"),
        &|payload| payload["actions"] = json!([]),
        &|payload| payload["actions"] = json!([{ "action_id": "mcpg-approve", "value": "1" }, { "action_id": "mcpg-deny", "value": "1" }]),
    ];
    for change in ignored {
        assert_eq!(read(&payload(change)), Ok(None), "{}", payload(change));
    }
    let malformed: [&dyn Fn(&mut Value); 4] = [
        &|payload| payload["actions"][0]["value"] = json!("../x"),
        &|payload| payload["actions"][0]["value"] = json!(""),
        &|payload| payload["user"]["id"] = json!("U1/../T2"),
        &|payload| *payload = json!([]),
    ];
    for change in malformed {
        assert_eq!(read(&payload(change)), Err(CallbackError::Malformed), "{}", payload(change));
    }
    for body in ["", "payload=", "x=1", &format!("{}&{}", payload(&|_| {}), payload(&|_| {}))] {
        assert_eq!(read(body), Err(CallbackError::Malformed), "{body}");
    }
    let unsigned = gate.callback(&HeaderMap::new(), payload(&|_| {}).as_bytes(), UNIX_EPOCH);
    assert!(matches!(unsigned, Err(CallbackError::Unsigned(_))));
}

#[tokio::test]
async fn only_others_on_the_list_approve() {
    let gate = build(settings()).unwrap();
    let requester =
        |user: Option<&str>| Requester { slack_user: user.map(Box::from), ..Requester::default() };
    assert_eq!(gate.judge("U0BOB", true, &requester(None)).await, Ok(()));
    assert_eq!(gate.judge("U0BOB", true, &requester(Some("U0ALICE"))).await, Ok(()));
    assert_eq!(gate.judge("U0BOB", true, &requester(Some("U0BOB"))).await, Err(NotCounted::OwnCall));
    assert_eq!(gate.judge("U0BOB", false, &requester(Some("U0BOB"))).await, Ok(()));
    assert_eq!(gate.judge("U0EVE", true, &requester(None)).await, Err(NotCounted::NotApprover));
    assert_eq!(gate.judge("u0bob", true, &requester(None)).await, Err(NotCounted::NotApprover));
    // Whether she is in a group cannot be asked: nobody listens.
    let mut with_group = settings();
    with_group["approvers"]["groups"] = json!(["S0OPS"]);
    let gate = build(with_group).unwrap();
    assert_eq!(gate.judge("U0EVE", true, &requester(None)).await, Err(NotCounted::Unknown));
    assert_eq!(gate.judge("U0BOB", true, &requester(None)).await, Ok(()));
}

#[tokio::test]
async fn a_caller_that_slack_cannot_tell_is_refused() {
    let caller = |subject: &str| Caller {
        subject: subject.to_owned(),
        audience: None,
        attributes: std::collections::HashMap::new(),
        auth_method: AuthMethod::ApiKey,
    };
    let mut strict = settings();
    strict["unmatched_callers"] = json!("refuse");
    let found = build(strict).unwrap().requester(&caller("spiffe://acme.com/cron")).await;
    assert!(matches!(found, Err(GateError::Unmatched)), "{found:?}");
    let found = build(settings()).unwrap().requester(&caller("spiffe://acme.com/cron")).await;
    assert_eq!(found.unwrap().slack_user, None);
    // With an address Slack must be asked, and does not answer.
    let found = build(settings()).unwrap().requester(&caller("user:alice@acme.com")).await;
    assert!(matches!(found, Err(GateError::Fetch(_))), "{found:?}");
}

#[test]
fn answers_go_to_slack_and_nowhere_else() {
    let gate = build(settings()).unwrap();
    for (url, expected) in [
        ("https://hooks.slack.com/actions/T1/2/x", true),
        ("https://hooks.slack-gov.com/actions/T1/2/x", true),
        ("http://127.0.0.1:9/respond", true),
        ("http://hooks.slack.com/actions/T1/2/x", false),
        ("https://hooks.slack.com:8443/actions", false),
        ("https://hooks.slack.com.evil.example/actions", false),
        ("https://evil.example/hooks.slack.com", false),
        ("https://hooks.slack.com@evil.example/", false),
        ("http://127.0.0.1:10/respond", false),
        ("http://169.254.169.254/latest", false),
        ("file:///etc/passwd", false),
        ("", false),
    ] {
        assert_eq!(gate.response_target(url).is_some(), expected, "{url}");
    }
}

#[test]
fn settings_say_what_is_wrong() {
    let check = |pointer: &str, value: Value, at: &str, part: &str| {
        let mut changed = settings();
        *changed.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value.clone();
        if let Some(key) = pointer.strip_prefix('/').filter(|key| !key.contains('/')) {
            changed[key] = value;
        }
        let error = build(changed).err().unwrap_or_else(|| panic!("{pointer} holds"));
        assert_eq!(error.pointer, at, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
    };
    check("/channel", json!("#general"), "/channel", "C0123456789");
    check("/approvers", json!({}), "/approvers", "nobody could approve");
    check("/approvers", json!({ "users": ["bob"] }), "/approvers/users", "`bob`");
    check("/approvers", json!({ "user": ["U1"] }), "/approvers/user", "unknown field");
    check("/bot_token", json!("xoxb-1"), "/bot_token", "reference");
    check("/bot_token", json!("$secret://file/none"), "/bot_token", "none");
    check("/deadline_ms", json!(10), "/deadline_ms", "1000 to");
    check("/tools", json!(["github.x"]), "/tools/0", "no tool of a binding");
    check("/tools", json!(["files."]), "/tools/0", "no tool of a binding");
    check("/pending_max", json!(0), "/pending_max", "1 to");
    check("/api_url", json!("slack.com"), "/api_url", "");
    check("/public_url", json!("mcp.acme.com"), "/public_url", "");
    check("/self_approval", json!("yes"), "/self_approval", "never");
    check("/colour", json!("red"), "/colour", "unknown field");
    let mut fine = settings();
    fine["tools"] = json!(["files.delete", "files.*"]);
    let gate = build(fine).unwrap();
    assert!(gate.terms.tools.name("files", "x") && !gate.terms.tools.name("github", "x"));
}
