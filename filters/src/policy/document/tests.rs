use mcpg_sdk::policy::{ApprovalRead, ReadSet};
use mcpg_sdk::{AuthMethod, Call, Caller, Scope, Target};
use serde_json::json;

use super::*;

fn document(reads: &ReadSet, target: Target<'_>, arguments: Option<&str>) -> Result<Value, EngineError> {
    let caller = Caller {
        subject: "user:alice@acme.com".to_owned(),
        audience: None,
        attributes: [("groups".to_owned(), json!("dev")), ("team".to_owned(), json!({"id": 7}))].into(),
        auth_method: AuthMethod::Oidc,
    };
    let scope = "acme/platform/prod".parse::<Scope>().unwrap();
    let method = match target {
        Target::Tool(_) => "tools/call",
        Target::Resource(_) => "resources/read",
        Target::Prompt(_) => "prompts/get",
        Target::Binding => "ping",
    };
    let call = Call {
        scope: &scope,
        binding: "crm",
        method,
        target,
        arguments,
        source: "::ffff:192.0.2.1".parse().unwrap(),
        now: SystemTime::UNIX_EPOCH,
        approval_token: Some("t"),
    };
    Document::json(&PolicyInput::select(&caller, &call, reads))
}

#[test]
fn everything_that_is_read_is_there() {
    let all = document(&ReadSet::everything(), Target::Tool("export"), Some(r#"{"limit":10}"#)).unwrap();
    assert_eq!(
        all,
        json!({
            "caller": {
                "subject": "user:alice@acme.com", "auth_method": "oidc", "groups": ["dev"], "roles": [],
                "attributes": {"groups": "dev", "team": {"id": 7}},
            },
            "action": {"method": "tools/call", "kind": "tool", "name": "export"},
            "resource": {"binding": "crm", "kind": "tool", "name": "export"},
            "tenant": {"organization": "acme", "workspace": "platform", "environment": "prod"},
            "context": {
                "arguments": {"limit": 10}, "approval_token": "t", "time": "1970-01-01T00:00:00.000Z", "source_ip": "192.0.2.1",
            },
        })
    );
    let resource = document(&ReadSet::everything(), Target::Resource("file:///a"), None).unwrap();
    assert_eq!(resource["resource"], json!({"binding": "crm", "kind": "resource", "uri": "file:///a"}));
    assert_eq!(resource["action"], json!({"method": "resources/read", "kind": "resource"}));
    assert_eq!(resource["context"]["arguments"], json!({}));
}

#[test]
fn what_is_not_read_is_not_there() {
    let none = document(&ReadSet::default(), Target::Tool("export"), Some(r#"{"limit":10}"#)).unwrap();
    assert_eq!(
        none,
        json!({
            "caller": {"attributes": {}},
            "action": {"method": "tools/call", "kind": "tool"},
            "resource": {"binding": "crm", "kind": "tool"},
            "context": {},
        })
    );
    let some = ReadSet {
        arguments: Names::only(["limit"]),
        attributes: Names::only(["team"]),
        approval: ApprovalRead::Nothing,
        ..ReadSet::default()
    };
    let some =
        document(&some, Target::Tool("export"), Some(r#"{"limit":10,"other":{"x":1,"x":2}}"#)).unwrap();
    assert_eq!(some["context"], json!({"arguments": {"limit": 10}}));
    assert_eq!(some["caller"]["attributes"], json!({"team": {"id": 7}}));
}

#[test]
fn what_readers_differ_about_is_refused() {
    let reads = ReadSet { arguments: Names::All, ..ReadSet::default() };
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":18446744073709551616}"#,
        r#"{"a":-9223372036854775809}"#,
        r#"{"a":9007199254740993.0}"#,
        r#"{"a":1e400}"#,
        "[]",
        "null",
        "{",
    ] {
        let error = document(&reads, Target::Tool("export"), Some(text)).unwrap_err();
        assert_eq!(error.code(), "policy_input", "{text}: {error}");
    }
    for text in [r#"{"a":18446744073709551615}"#, r#"{"a":-9223372036854775808}"#, r#"{"a":0.5}"#] {
        document(&reads, Target::Tool("export"), Some(text)).unwrap();
    }
}

#[test]
fn a_document_has_the_shape_of_its_schema() {
    let document = document(&ReadSet::everything(), Target::Prompt("greet"), None).unwrap();
    let read: Document = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), document);
}

/// With `BLESS=1` in the environment it writes the file instead.
#[test]
fn the_published_schema_is_that_of_the_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/schema/policy-input.schema.json");
    let schema = serde_json::to_string_pretty(&Document::schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).is_ok_and(|published| published == schema),
        "run this test with BLESS=1"
    );
}
