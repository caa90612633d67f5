//! Tables of cases against policies on disk.

use std::path::Path;

use super::*;

const POLICIES: &str = r#"
    @id("dev") permit (principal in Group::"dev", action == Action::"files.read", resource)
    when { context.arguments.path like "/srv/*" };
    @id("sales") @redact("email") @redact_detector("card") @note("sales")
    permit (principal in Group::"sales", action == Action::"files.find", resource);
    @id("no-delete") forbid (principal, action == Action::"files.delete", resource)
    unless { context has approval_token };
    @id("ops") permit (principal in Role::"ops", action in Action::"tools/call", resource);
"#;

pub(in super::super) fn gateway(dir: &Path, policies: &str) -> Against {
    std::fs::create_dir_all(dir.join("policies")).unwrap();
    std::fs::write(dir.join("policies/all.cedar"), policies).unwrap();
    let config = "server: { listen: [\"127.0.0.1:0\"] }\n\
        plugins:\n  - { id: identity.anonymous }\n  - { id: policy.cedar, config: { bundle: ./policies } }\n\
        bindings:\n  - { id: files, type: mcp, url: \"http://127.0.0.1:3001/mcp\" }\n";
    std::fs::write(dir.join("gateway.yaml"), config).unwrap();
    Against { config: dir.join("gateway.yaml"), bundle: None, engine: None, scope: None }
}

/// The cases' names, with what is wrong with each.
fn check(cases: &str, expected: &[(&str, &[&str])]) {
    let dir = tempfile::tempdir().unwrap();
    let against = gateway(dir.path(), POLICIES);
    std::fs::write(dir.path().join("cases.yaml"), cases).unwrap();
    let test = Test { cases: dir.path().join("cases.yaml"), against, format: Format::Text };
    let outcomes = test.outcomes().unwrap();
    let found: Vec<_> =
        outcomes.iter().map(|outcome| (outcome.name.as_str(), outcome.problems.clone())).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, problems)| {
            (*name, problems.iter().map(|problem| (*problem).to_owned()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(found, expected);
    let (json, junit) = (as_json(&outcomes), as_junit(&outcomes));
    let failed = expected.iter().filter(|(_, problems)| !problems.is_empty()).count();
    assert_eq!(json["failed"], failed);
    assert_eq!(junit.matches("<failure").count(), failed);
}

#[test]
fn cases_that_hold_pass() {
    check(
        r#"
cases:
  - name: developers read below /srv
    call: { caller: { subject: "user:a", groups: [dev] }, tool: files.read, arguments: { path: /srv/x } }
    expect: permit
  - name: and nowhere else
    call: { caller: { subject: "user:a", groups: [dev] }, tool: files.read, arguments: { path: /etc/x } }
    expect: { decision: deny, code: not_permitted, engine: policy.cedar }
  - name: sales see no addresses
    call: { caller: { groups: [sales] }, tool: files.find }
    expect: { decision: permit, policies: [sales], obligations: ["note:sales", "redact:detector=card", "redact:email"] }
  - name: nobody deletes
    call: { caller: { roles: [ops] }, tool: files.delete, time: "2026-11-22T07:00:00Z", source: 10.0.0.1 }
    expect: { decision: deny, policies: [no-delete], code: forbidden }
  - name: but with an approval
    call: { caller: { roles: [ops] }, tool: files.delete, approved: true }
    expect: permit
  - name: anybody lists
    call: { method: tools/list }
    expect: permit
"#,
        &[
            ("developers read below /srv", &[]),
            ("and nowhere else", &[]),
            ("sales see no addresses", &[]),
            ("nobody deletes", &[]),
            ("but with an approval", &[]),
            ("anybody lists", &[]),
        ],
    );
}

#[test]
fn cases_that_do_not_hold_say_what_differs() {
    check(
        r#"
cases:
  - name: a
    call: { caller: { groups: [sales] }, tool: files.find }
    expect: permit
  - name: b
    call: { caller: { groups: [sales] }, tool: files.find }
    expect: { decision: deny, code: forbidden }
  - name: c
    call: { tool: crm.find }
    expect: deny
"#,
        &[
            ("a", &["obligations: expected none, decided note:sales, redact:detector=card, redact:email"]),
            ("b", &["decision: expected deny, decided permit", "code: expected forbidden, decided none"]),
            ("c", &["`crm.find` is of no binding: write `BINDING.NAME`; there are files"]),
        ],
    );
}

#[test]
fn tables_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let check = |cases: &str, expected: &str| {
        let against = gateway(dir.path(), POLICIES);
        std::fs::write(dir.path().join("cases.yaml"), cases).unwrap();
        let test = Test { cases: dir.path().join("cases.yaml"), against, format: Format::Text };
        let error = test.outcomes().err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    };
    check("cases: [", "line");
    check("case: []", "unknown field `case`");
    check("cases: [{ name: a, call: { tool: files.read }, expect: maybe }]", "`maybe` is no decision");
    check("cases: [{ name: a, call: { tol: files.read }, expect: deny }]", "unknown field `tol`");
    let twice = "{ name: a, call: { tool: files.read }, expect: deny }";
    check(&format!("cases: [{twice}, {twice}]"), "two cases are called `a`");
}

#[test]
fn another_bundle_takes_the_place_of_the_configured_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut against = gateway(dir.path(), POLICIES);
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("a.cedar"), "permit (principal, action, resource);").unwrap();
    against.bundle = Some(other.display().to_string());
    std::fs::write(
        dir.path().join("cases.yaml"),
        "cases: [{ name: a, call: { tool: files.delete }, expect: permit }]",
    )
    .unwrap();
    let test = Test { cases: dir.path().join("cases.yaml"), against, format: Format::Text };
    assert!(test.outcomes().unwrap()[0].problems.is_empty());
    let mut wrong = gateway(dir.path(), POLICIES);
    (wrong.bundle, wrong.engine) = (Some("x".to_owned()), Some("policy.opa".to_owned()));
    let error = wrong.load().err().unwrap().to_string();
    assert!(error.contains("no engine `policy.opa` has a bundle: there are policy.cedar"), "{error}");
}
