//! What is kept of a call, that it is the same call again, and that what is not kept is named.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use mcpg_config::{Audit, AuditMode, RecordInput};
use mcpg_filters::transform::redact::HashKey;
use mcpg_ledger::verify::{Row, RowBody};
use mcpg_ledger::{DecisionRef, RowRef, TargetRef, Texts, Verdict};
use mcpg_sdk::policy::{ApprovalRead, Names, PolicyInput, ReadSet};
use mcpg_sdk::{AuthMethod, Call, Caller, Scope, Target};
use serde_json::json;

use super::*;

fn recorder(keeps: RecordInput, mask: &[&str]) -> Recorder {
    let audit = Audit {
        dir: "audit".into(),
        mode: AuditMode::Written,
        signing_key: None,
        fsync_interval: Duration::from_millis(50),
        checkpoint_rows: 1,
        checkpoint_interval: Duration::from_secs(1),
        segment_bytes_max: 1,
        queue_rows_max: 1,
        organizations_open_max: 1,
        record_input: keeps,
        record_input_mask: mask.iter().map(|name| (*name).to_owned()).collect(),
    };
    Recorder::new(&audit, HashKey::derive(&[7; 32], &Scope::default()))
}

fn caller() -> Caller {
    let attributes = json!({"groups": ["dev"], "department": "sales", "ssn": "123", "level": 3});
    Caller {
        subject: "user:alice".to_owned(),
        audience: None,
        attributes: attributes.as_object().unwrap().clone().into_iter().collect(),
        auth_method: AuthMethod::Oidc,
    }
}

fn call<'a>(scope: &'a Scope, arguments: Option<&'a str>) -> Call<'a> {
    Call {
        scope,
        binding: "files",
        method: "tools/call",
        target: Target::Tool("read"),
        arguments,
        source: Ipv4Addr::LOCALHOST.into(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
        approval_token: None,
    }
}

/// The call as it comes out of a row with this input.
fn back(input: Option<&str>) -> Recorded {
    let scope = Scope::default();
    let row = DecisionRef {
        time: 7_000_000_000,
        request_id: [1; 16],
        organization: scope.organization(),
        workspace: scope.workspace(),
        environment: scope.environment(),
        subject: "user:alice",
        auth_method: "oidc",
        source: Ipv4Addr::LOCALHOST.into(),
        binding: "files",
        method: "tools/call",
        target: TargetRef::Tool("read"),
        verdict: Verdict::Permit,
        engine: "policy.cedar",
        policies: Texts::NONE,
        deny_code: None,
        obligations: Texts::NONE,
        revision: 1,
        revision_digest: [0; 32],
        cached: false,
        arguments_digest: None,
        protocol: "2026-07-28",
        input,
        shadow: Texts::NONE,
    };
    let mut bytes = Vec::new();
    RowRef::Decision(&row).encode(&mut bytes);
    let row = Row::decode(&bytes).unwrap();
    let RowBody::Decision(decision) = &row.body else { panic!("{row:?}") };
    Recorded::of(decision, row.time).unwrap()
}

fn reads(attributes: &[&str], arguments: &[&str]) -> ReadSet {
    ReadSet {
        attributes: Names::only(attributes.iter().copied()),
        arguments: Names::only(arguments.iter().copied()),
        ..ReadSet::default()
    }
}

#[test]
fn exactly_what_is_read_is_kept() {
    let (scope, caller) = (Scope::default(), caller());
    let call = call(&scope, Some(r#"{"path":"/srv","limit": 1.0e2,"\u0070w":"x"}"#));
    let input = |keeps, mask: &[&str], reads: &ReadSet| recorder(keeps, mask).input(reads, &caller, &call);
    let read = reads(&["department", "team"], &["limit", "path", "depth"]);
    assert_eq!(input(RecordInput::None, &[], &read), None);
    assert_eq!(
        input(RecordInput::Read, &[], &ReadSet { subject: true, time: true, ..ReadSet::default() }),
        None
    );
    assert_eq!(
        input(RecordInput::Read, &[], &read).unwrap(),
        r#"{"attributes":{"department":"sales"},"arguments":{"limit":1.0e2,"path":"/srv"},"absent":["attributes.team","arguments.depth"]}"#
    );
    let masked = input(RecordInput::Read, &["ssn"], &reads(&["ssn"], &[])).unwrap();
    assert!(masked.contains("[hash:") && !masked.contains("123"), "{masked}");
    let full = input(RecordInput::Full, &["ssn"], &ReadSet::default()).unwrap();
    assert!(full.starts_with(r#"{"groups":["dev"],"approval":false,"attributes":{"department":"#), "{full}");
    assert!(full.contains(r#""all":["attributes","arguments"]"#) && !full.contains("123"), "{full}");
    let long = format!(r#"{{"body":"{}","path":"a"}}"#, "x".repeat(5000));
    let long = Call { arguments: Some(&long), ..call };
    let input = recorder(RecordInput::Full, &[]).input(&ReadSet::default(), &caller, &long).unwrap();
    assert!(input.len() < 500 && input.contains(r#""omitted":["arguments.body"]"#), "{input}");
}

#[test]
fn what_was_read_is_there_again() {
    let (scope, caller) = (Scope::default(), caller());
    let call = call(&scope, Some(r#"{"path":"/srv","limit": 1.0e2}"#));
    let mut set = reads(&["department", "team", "level"], &["limit", "path", "depth"]);
    (set.groups, set.roles, set.audience, set.approval) = (true, true, true, ApprovalRead::Presence);
    for (keeps, set) in [
        (RecordInput::Read, set.clone()),
        (RecordInput::Full, set),
        (RecordInput::Full, ReadSet::everything()),
    ] {
        let text = recorder(keeps, &[]).input(&set, &caller, &call).unwrap();
        let recorded = back(Some(&text));
        assert_eq!(recorded.missing(&set), None, "{text}");
        let again = recorded.call();
        let (before, after) =
            (PolicyInput::select(&caller, &call, &set), PolicyInput::select(&recorded.caller, &again, &set));
        assert_eq!(after.groups(), before.groups());
        assert_eq!(after.roles(), before.roles());
        assert_eq!(after.audience(), before.audience());
        assert_eq!(after.subject(), before.subject());
        assert_eq!(after.time(), before.time());
        assert_eq!(after.approval_token(), before.approval_token());
        for name in ["department", "team", "level"] {
            assert_eq!(after.attribute(name), before.attribute(name));
        }
        for name in ["limit", "path", "depth"] {
            assert_eq!(after.argument(name).unwrap(), before.argument(name).unwrap());
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let (scope, caller) = (Scope::default(), caller());
    let arguments = format!(r#"{{"path":"/srv","body":"{}"}}"#, "x".repeat(5000));
    let call = call(&scope, Some(&arguments));
    let text = recorder(RecordInput::Read, &["level"])
        .input(&reads(&["department", "level"], &["path", "body"]), &caller, &call)
        .unwrap();
    let recorded = back(Some(&text));
    let check =
        |set: ReadSet, expected: Option<&str>| assert_eq!(recorded.missing(&set).as_deref(), expected);
    check(reads(&["department"], &["path"]), None);
    check(ReadSet { subject: true, name: true, tenant: true, time: true, ..ReadSet::default() }, None);
    check(reads(&["team"], &[]), Some("caller.attributes.team"));
    check(reads(&["level"], &[]), Some("caller.attributes.level"));
    check(reads(&[], &["body"]), Some("context.arguments.body"));
    check(reads(&[], &["depth"]), Some("context.arguments.depth"));
    check(ReadSet { groups: true, ..ReadSet::default() }, Some("caller.groups"));
    check(ReadSet { audience: true, ..ReadSet::default() }, Some("caller.audience"));
    check(ReadSet { approval: ApprovalRead::Presence, ..ReadSet::default() }, Some("context.approval_token"));
    check(ReadSet { attributes: Names::All, ..ReadSet::default() }, Some("caller.attributes.level"));
    check(ReadSet { arguments: Names::All, ..ReadSet::default() }, Some("context.arguments.body"));
    // A row of before, or without its input, holds none of it; what is in every row it does.
    assert_eq!(back(None).missing(&reads(&[], &["path"])).as_deref(), Some("context.arguments.path"));
    assert_eq!(back(None).missing(&ReadSet { subject: true, ..ReadSet::default() }), None);
    // The same name twice is an error to a policy: it is not made one value here.
    let twice = Call { arguments: Some(r#"{"path":1,"path":2}"#), ..call };
    let text = recorder(RecordInput::Full, &[]).input(&ReadSet::default(), &caller, &twice).unwrap();
    assert_eq!(back(Some(&text)).missing(&reads(&[], &["path"])).as_deref(), Some("context.arguments"));
}
