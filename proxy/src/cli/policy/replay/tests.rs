//! A log as the gateway writes it, decided again by other policies.

use std::net::Ipv4Addr;
use std::path::Path;

use ed25519_dalek::SigningKey;
use mcpg::audit::{AuditLog, AuditSettings};
use mcpg_ledger::{DecisionRef, RowRef, TargetRef, Texts, Verdict};
use mcpg_sdk::Scope;

use super::super::test::tests::gateway;
use super::changes::Change;
use super::*;

/// One call: whose, which tool, with what input, and what was decided.
struct Was {
    subject: &'static str,
    tool: &'static str,
    input: Option<&'static str>,
    shadow: &'static [&'static str],
    policies: &'static [&'static str],
    obligations: &'static [&'static str],
    denied: Option<(&'static str, &'static str)>,
}

const PERMIT: Was = Was {
    subject: "user:a",
    tool: "read",
    input: Some(r#"{"groups":["dev"]}"#),
    shadow: &[],
    policies: &["dev"],
    obligations: &[],
    denied: None,
};

const DENY: Was = Was { policies: &[], denied: Some(("policy.cedar", "not_permitted")), ..PERMIT };

fn write(dir: &Path, rows: &[Was], hour: u64) {
    let scope = Scope::default();
    let key = SigningKey::from_bytes(&[1; 32]);
    let organization = scope.organization().to_owned();
    let log =
        AuditLog::open(AuditSettings::new(dir.join("audit"), organization, "gw".to_owned(), key)).unwrap();
    for (index, was) in rows.iter().enumerate() {
        let mut request_id = [0; 16];
        request_id[15] = u8::try_from(index).unwrap();
        let (engine, code) = was.denied.unzip();
        let row = DecisionRef {
            time: hour * 3_600_000_000_000 + index as u64,
            request_id,
            organization: scope.organization(),
            workspace: scope.workspace(),
            environment: scope.environment(),
            subject: was.subject,
            auth_method: "oidc",
            source: Ipv4Addr::LOCALHOST.into(),
            binding: "files",
            method: "tools/call",
            target: TargetRef::Tool(was.tool),
            verdict: match (was.denied, was.obligations) {
                (Some(_), _) => Verdict::Deny,
                (None, []) => Verdict::Permit,
                (None, _) => Verdict::PermitWithObligations,
            },
            engine: engine.unwrap_or("policy.cedar"),
            policies: Texts::Refs(was.policies),
            deny_code: code,
            obligations: Texts::Refs(was.obligations),
            revision: 1,
            revision_digest: [0; 32],
            cached: false,
            arguments_digest: None,
            protocol: "2026-07-28",
            input: was.input,
            shadow: Texts::Refs(was.shadow),
        };
        log.record_now(&RowRef::Decision(&row)).unwrap();
    }
    log.close().unwrap();
}

fn replay(dir: &Path, policies: &str, options: impl FnOnce(&mut Replay)) -> Changes {
    let mut replay = Replay {
        against: gateway(dir, policies),
        audit: Some(dir.join("audit")),
        since: None,
        until: None,
        limit: None,
        fail_on: Vec::new(),
        format: Format::Text,
        quiet: true,
    };
    options(&mut replay);
    let policies = replay.against.load().unwrap();
    replay.replay(&policies, SystemTime::UNIX_EPOCH + Duration::from_secs(100 * 3600)).unwrap()
}

fn counts(changes: &Changes) -> [u64; 7] {
    let of = |change| changes.of(change);
    [
        changes.unchanged,
        changes.skipped,
        of(Change::PermitToDeny),
        of(Change::DenyToPermit),
        of(Change::Obligations),
        of(Change::Policy),
        of(Change::Undecidable),
    ]
}

const DEV: &str =
    r#"@id("dev") permit (principal in Group::"dev", action == Action::"files.read", resource);"#;

#[test]
fn what_would_change_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        PERMIT,
        PERMIT,
        Was { subject: "user:b", input: Some(r#"{"groups":["qa"]}"#), ..DENY },
        Was { tool: "write", ..DENY },
        Was { denied: Some(("gate.slack-approval", "approval_denied")), policies: &[], ..PERMIT },
    ];
    write(dir.path(), &rows, 1);
    assert_eq!(counts(&replay(dir.path(), DEV, |_| {})), [4, 1, 0, 0, 0, 0, 0]);
    let nobody = r#"@id("x") permit (principal in Group::"none", action == Action::"files.read", resource);"#;
    let changes = replay(dir.path(), nobody, |_| {});
    assert_eq!(counts(&changes), [2, 1, 2, 0, 0, 0, 0]);
    assert!(
        changes.fails(&[FailOn::Deny]) && changes.fails(&[FailOn::Any]) && !changes.fails(&[FailOn::Permit])
    );
    let everybody =
        r#"@id("all") @redact("email") permit (principal, action in Action::"tools/call", resource);"#;
    assert_eq!(counts(&replay(dir.path(), everybody, |_| {})), [0, 1, 0, 2, 2, 0, 0]);
    let renamed = DEV.replace("@id(\"dev\")", "@id(\"developers\")");
    let changes = replay(dir.path(), &renamed, |_| {});
    assert_eq!(counts(&changes), [2, 1, 0, 0, 0, 2, 0]);
    // The same input is decided once, however often it was asked.
    assert_eq!(changes.distinct, 3);
}

#[test]
fn a_call_that_waited_for_approval_is_decided_again() {
    let dir = tempfile::tempdir().unwrap();
    let waited = |code| Was {
        input: Some(r#"{"approval":false}"#),
        denied: Some(("gate.slack-approval", code)),
        policies: &[],
        ..PERMIT
    };
    let approved = Was { input: Some(r#"{"approval":true}"#), ..PERMIT };
    let rows =
        [waited("approval_required"), waited("approval_unavailable"), approved, waited("approval_denied")];
    write(dir.path(), &rows, 1);
    let permit = r#"@id("dev") permit (principal, action == Action::"files.read", resource)"#;
    let forbid = r#"forbid (principal, action == Action::"files.read", resource)"#;
    let unapproved = "unless { context has approval_token };";
    for (policies, expected) in [
        // It waits as before, whichever way policy says so.
        (format!("{permit}; {forbid} {unapproved}"), [3, 1, 0, 0, 0, 0, 0]),
        (format!("{permit} when {{ context has approval_token }};"), [3, 1, 0, 0, 0, 0, 0]),
        // Nobody is asked any more: the calls that waited would go through.
        (format!("{permit};"), [1, 1, 0, 2, 0, 0, 0]),
        // Nobody could approve it any more.
        (format!("{permit}; {forbid};"), [0, 1, 1, 0, 0, 2, 0]),
    ] {
        assert_eq!(counts(&replay(dir.path(), &policies, |_| {})), expected, "{policies}");
    }
    let obliged = format!("@require_approval {permit};");
    let changes = replay(dir.path(), &obliged, |_| {});
    assert_eq!(changes.of(Change::DenyToPermit), 0, "{obliged}");
}

#[test]
fn a_call_that_would_have_to_wait_is_no_permit_any_more() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[Was { input: Some(r#"{"approval":false}"#), ..PERMIT }, PERMIT], 1);
    let gated = r#"@id("dev") permit (principal, action == Action::"files.read", resource)
        when { context has approval_token };"#;
    let changes = replay(dir.path(), gated, |_| {});
    assert_eq!(counts(&changes), [0, 0, 1, 0, 0, 0, 1]);
    assert!(report::as_text(&changes).contains("becomes: deny approval_required"));
}

#[test]
fn what_shadows_thought_is_no_obligation() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[Was { shadow: &["next=deny:forbidden"], ..PERMIT }], 1);
    assert_eq!(counts(&replay(dir.path(), DEV, |_| {})), [1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_was_not_recorded_is_named_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        PERMIT,
        Was { input: Some(r#"{"groups":["dev"],"arguments":{"path":"/srv/x"}}"#), ..PERMIT },
        Was {
            input: Some(
                r#"{"groups":["dev"],"arguments":{"path":"[hash:abc]"},"masked":["arguments.path"]}"#,
            ),
            ..PERMIT
        },
        Was { input: None, ..PERMIT },
        Was { input: Some("no json"), ..PERMIT },
    ];
    write(dir.path(), &rows, 1);
    let path = r#"@id("dev") permit (principal in Group::"dev", action == Action::"files.read", resource)
        when { context.arguments.path like "/srv/*" };"#;
    let changes = replay(dir.path(), path, |_| {});
    assert_eq!(counts(&changes), [1, 0, 0, 0, 0, 0, 4]);
    let missing: Vec<_> =
        changes.groups.iter().map(|(group, counted)| (group.after.clone(), counted.count)).collect();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(missing.contains(&("context.arguments.path".to_owned(), 2)), "{missing:?}");
    assert!(missing.contains(&("caller.groups".to_owned(), 1)), "{missing:?}");
    // Policies that read what is in every row need no more.
    let by_name = r#"@id("dev") permit (principal == User::"a", action == Action::"files.read", resource);"#;
    assert_eq!(counts(&replay(dir.path(), by_name, |_| {})), [4, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn times_and_limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    for hour in [10, 20, 30] {
        write(dir.path(), &[PERMIT, PERMIT], hour);
    }
    let decisions =
        |options: &dyn Fn(&mut Replay)| replay(dir.path(), DEV, |replay| options(replay)).decisions;
    assert_eq!(decisions(&|_| {}), 6);
    assert_eq!(decisions(&|replay| replay.since = Some("85h".to_owned())), 4);
    assert_eq!(decisions(&|replay| replay.since = Some("1970-01-02T00:00:00Z".to_owned())), 2);
    assert_eq!(decisions(&|replay| replay.until = Some("75h".to_owned())), 4);
    assert_eq!(decisions(&|replay| replay.limit = Some(3)), 3);
    let other = |replay: &mut Replay| replay.against.scope = Some("a/b/c".parse().unwrap());
    assert!(std::panic::catch_unwind(|| decisions(&other)).is_err());
    assert!(moment("soon", SystemTime::now()).is_err() && moment("7x", SystemTime::now()).is_err());
}

#[test]
fn reports_have_every_change() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[PERMIT, Was { subject: "=1+1, \"x\"", ..PERMIT }, Was { tool: "write", ..DENY }], 1);
    let nobody = r#"@id("x") permit (principal in Group::"none", action == Action::"files.read", resource);"#;
    let changes = replay(dir.path(), nobody, |_| {});
    let (text, csv, json) = (report::as_text(&changes), report::as_csv(&changes), report::as_json(&changes));
    assert!(text.contains("permit -> deny: 2") && text.contains("was:     permit [dev]"), "{text}");
    assert!(text.contains("requests: 0000"), "{text}");
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.contains("\"'=1+1, \"\"x\"\"\""), "{csv}");
    assert_eq!(
        (&json["permit_to_deny"], &json["unchanged"], &json["decisions"]),
        (&2.into(), &1.into(), &3.into())
    );
    assert_eq!(json["groups"][0]["callers"]["user:a"], 1);
}
