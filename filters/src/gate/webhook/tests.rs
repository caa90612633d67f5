use std::sync::Arc;

use mcpg_sdk::{Base, Scope};

use super::*;
use crate::secret::SecretResolver;

const NOW: u64 = 1_790_000_000;

fn build(settings: &Value, secret: &str) -> Result<WebhookApproval, SettingsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (secrets, scope) = (SecretResolver::new(&Base::trusted(folder.path())), Scope::default());
    let context = BuildContext {
        base: &Base::trusted(folder.path()),
        secrets: &secrets,
        bindings: &["files"],
        scope: &scope,
        shared: &Arc::default(),
        now: SystemTime::UNIX_EPOCH,
    };
    WebhookApproval::build(&Settings(settings.clone()), &context)
}

fn gate() -> WebhookApproval {
    let settings = json!({
        "url": "http://127.0.0.1:9/approvals", "secret": "$secret://file/secret", "approvers": ["bob", "alice"],
    });
    build(&settings, &"k".repeat(32)).unwrap()
}

fn read(gate: &WebhookApproval, body: &str) -> Result<Option<Answer>, CallbackError> {
    let signature = WEBHOOK.sign(&gate.secret, NOW, body.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(WEBHOOK.timestamp), NOW.into());
    headers.insert(HeaderName::from_static(WEBHOOK.signature), signature.parse().unwrap());
    gate.callback(&headers, body.as_bytes(), UNIX_EPOCH + Duration::from_secs(NOW))
}

#[test]
fn an_answer_is_read_from_what_is_signed() {
    let gate = gate();
    let body = r#"{"id":"ab12","decision":"approve","approver":"bob","reason":"fine"}"#;
    let answer = read(&gate, body).unwrap().unwrap();
    assert_eq!((&*answer.id, answer.approve, answer.by.identity()), ("ab12", true, "webhook:bob".into()));
    assert_eq!(answer.reason.unwrap().as_str(), "fine");
    for body in [
        "",
        "[]",
        r#"{"id":"ab12","decision":"yes","approver":"bob"}"#,
        r#"{"id":"ab12","decision":"approve"}"#,
        r#"{"id":"ab12","decision":"approve","approver":"bob","reason":""}"#,
        r#"{"id":"ab12","decision":"approve","approver":"bob","reason":"a\nb"}"#,
        r#"{"id":"","decision":"approve","approver":"bob"}"#,
        r#"{"id":"ab12","decision":"approve","approver":"bob","more":1}"#,
        r#"{"id":"ab12","decision":"approve","decision":"deny","approver":"bob"}"#,
        // What the gateway itself sends.
        r#"{"event":"concluded","id":"ab12","outcome":"approved","by":"bob"}"#,
    ] {
        assert_eq!(read(&gate, body), Err(CallbackError::Malformed), "{body}");
    }
    let unsigned = gate.callback(&HeaderMap::new(), body.as_bytes(), UNIX_EPOCH);
    assert!(matches!(unsigned, Err(CallbackError::Unsigned(_))));
}

#[test]
fn only_others_on_the_list_approve() {
    let gate = gate();
    let requester = Requester {
        subject: "user:alice@acme.com".into(),
        email: Some("alice@acme.com".into()),
        ..Requester::default()
    };
    assert_eq!(gate.judge("bob", true, &requester), Ok(()));
    assert_eq!(gate.judge("alice", true, &requester), Err(NotCounted::OwnCall));
    assert_eq!(gate.judge("alice", false, &requester), Ok(()));
    assert_eq!(gate.judge("eve", true, &requester), Err(NotCounted::NotApprover));
    assert_eq!(gate.judge("eve", false, &requester), Err(NotCounted::NotApprover));
}

#[test]
fn settings_say_what_is_wrong() {
    let check = |settings: Value, secret: &str, at: &str| {
        let error = build(&settings, secret).err().unwrap();
        assert_eq!(error.pointer, at, "{}", error.message);
    };
    let settings = |approvers: &[&str]| json!({ "url": "https://hooks.acme.com/x", "secret": "$secret://file/secret", "approvers": approvers });
    check(settings(&[]), &"k".repeat(32), "/approvers");
    check(settings(&["bob"]), "short", "/secret");
}
