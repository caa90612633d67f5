//! The sliced, keyed engine against Cedar itself on the whole policy set, for random policies and calls.
//!
//! The reference evaluates every policy on every part of the call. It differs from Cedar's own decision in one
//! rule only, which is ours: a policy that fails denies.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Effect, PolicySet};
use mcpg_sdk::policy::{Names, PolicyInput, ReadSet};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn scope() -> impl Strategy<Value = String> {
    let principal = select(vec![
        "principal",
        "principal == User::\"alice\"",
        "principal == Workload::\"spiffe://acme.org/cron\"",
        "principal in Group::\"dev\"",
        "principal in Group::\"staff\"",
        "principal in Role::\"operator\"",
        "principal in Org::\"acme-corp\"",
        "principal is User",
        "principal is User in Group::\"dev\"",
    ]);
    let action = select(vec![
        "action",
        "action == Action::\"files.read\"",
        "action == Action::\"files.write\"",
        "action == Action::\"crm.read\"",
        "action == Action::\"ping\"",
        "action == Action::\"resources/read\"",
        "action == Action::\"method:files.read\"",
        "action in Action::\"tools/call\"",
        "action in Action::\"protocol\"",
        "action in Action::\"resources\"",
        "action in [Action::\"files.read\", Action::\"prompts/get\"]",
        "action in [Action::\"tools/call\", Action::\"files.read\", Action::\"tasks/get\"]",
    ]);
    let resource = select(vec![
        "resource",
        "resource",
        "resource in Binding::\"files\"",
        "resource == Tool::\"files.read\"",
        "resource in Tool::\"files.write\"",
        "resource == Prompt::\"files.read\"",
        "resource == Resource::\"file:///a\"",
        "resource == Binding::\"crm\"",
        "resource is Tool",
        "resource is Resource in Binding::\"crm\"",
    ]);
    (principal, action, resource)
        .prop_map(|(principal, action, resource)| format!("{principal}, {action}, {resource}"))
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = select(vec![
        "principal == User::\"alice\"",
        "principal in [Group::\"dev\", Group::\"ops\"]",
        "principal.auth_method == \"oidc\"",
        "principal has audience",
        "principal.attributes has level && principal.attributes.level > 2",
        "principal.subject like \"user:*\"",
        "action == Action::\"files.read\"",
        "action in Action::\"tools/call\"",
        "resource is Tool && resource.name == \"read\"",
        "resource is Tool && resource.name like \"o*\"",
        "resource in Binding::\"crm\"",
        "resource is Resource && resource.uri like \"file:*\"",
        "context has approval_token",
        "context has approval_token && context.approval_token == \"t\"",
        "context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
        "context.time < datetime(\"2026-01-02\")",
        "context.tenant.environment == \"prod\"",
        "context.mcp.method == \"ping\"",
        "context.arguments has path && context.arguments.path like \"/a*\"",
        "context.arguments.n + 9223372036854775806 > 0",
        "context.arguments has flag",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("!({one})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}) && ({other})")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("({one}) || ({other})")),
        ]
    })
}

fn policy() -> impl Strategy<Value = String> {
    let redact = option::weighted(
        0.2,
        select(vec!["@redact(\"email\")", "@redact(\"phone\") @redact_mode(\"remove\")"]),
    );
    (redact, prop::bool::weighted(0.7), scope(), option::of(condition())).prop_map(
        |(redact, permit, scope, condition)| {
            let (effect, redact) =
                if permit { ("permit", redact.unwrap_or_default()) } else { ("forbid", "") };
            let condition = condition.map(|condition| format!(" when {{ {condition} }}")).unwrap_or_default();
            format!("{redact} {effect} ({scope}){condition};\n")
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let what = select(vec![
        ("tools/call", "files", "read"),
        ("tools/call", "files", "write"),
        ("tools/call", "files", "other"),
        ("tools/call", "files", "another"),
        ("tools/call", "crm", "read"),
        ("resources/read", "files", "file:///a"),
        ("resources/subscribe", "crm", "file:///b"),
        ("prompts/get", "files", "read"),
        ("ping", "crm", ""),
        ("tasks/get", "files", ""),
        ("files.read", "files", ""),
    ]);
    let subject = select(vec!["user:alice", "user:bob", "alice", "anonymous", "spiffe://acme.org/cron"]);
    let groups = select(vec![json!([]), json!(["dev"]), json!(["ops", "eng"])]);
    let level = option::of(select(vec![json!(1), json!(3), json!("3"), json!(null)]));
    let arguments = option::of(select(vec![
        "{}",
        r#"{"n":0}"#,
        r#"{"n":1,"path":"/a/b"}"#,
        r#"{"n":5,"path":"/b","flag":1}"#,
        r#"{"n":-1,"path":null}"#,
        r#"{"n":0,"path":"/a","path":"/b"}"#,
        r#"{"n":0,"flag":null,"other":null}"#,
    ]));
    let rest =
        (any::<bool>(), any::<bool>(), any::<bool>(), option::of(select(vec!["t", "u"])), any::<bool>());
    (what, subject, groups, level, arguments, rest).prop_map(
        |(what, subject, groups, level, arguments, rest)| {
            let (method, binding, name) = what;
            let (oidc, private, tenant, token, operator) = rest;
            let mut ask =
                Ask { binding: binding.to_owned(), name: Some(name.to_owned()), ..Ask::method(method) }
                    .subject(subject)
                    .attribute("groups", groups)
                    .source(if private { "10.0.0.1" } else { "192.0.2.1" });
            if let Some(level) = level {
                ask = ask.attribute("level", level);
            }
            if operator {
                ask = ask.attribute("roles", json!(["operator"]));
            }
            if oidc {
                ask.caller.auth_method = AuthMethod::Oidc;
                ask.caller.audience = Some("gateway".to_owned());
                ask.now += Duration::from_secs(86_400 * 30);
            }
            if tenant {
                ask.scope = Scope::default();
            }
            ask.arguments = arguments.map(str::to_owned);
            ask.token = token.map(str::to_owned);
            ask
        },
    )
}

/// What the whole set says: the code or `permit` with the sorted policies. None: a part of the call that only
/// some policies read does not fit, so whole and slice may differ in whether they notice.
fn reference(engine: &CedarEngine, whole: &PolicySet, ask: &Ask) -> Option<(String, Vec<String>)> {
    let call = ask.call();
    // What is read of the arguments and attributes decides which values are converted at all.
    let narrow = engine.reads().of(&call);
    let everything = ReadSet {
        arguments: narrow.arguments.clone(),
        attributes: narrow.attributes.clone(),
        ..ReadSet::everything()
    };
    let input = PolicyInput::select(&ask.caller, &call, &everything);
    let (request, entities) = match engine.question_for_tests(&input) {
        Ok(question) => question,
        Err(error) => return Some((error.code().to_owned(), vec![])),
    };
    let response = Authorizer::new().is_authorized(&request, whole, &entities);
    let reasons: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    let forbidden = response
        .diagnostics()
        .reason()
        .any(|id| whole.policy(id).is_some_and(|policy| policy.effect() == Effect::Forbid));
    let failed = response.diagnostics().errors().next().is_some();
    Some(if forbidden {
        ("forbidden".to_owned(), vec![])
    } else if failed {
        ("policy_error".to_owned(), vec![])
    } else if reasons.is_empty() {
        ("not_permitted".to_owned(), vec![])
    } else {
        ("permit".to_owned(), reasons.into_iter().collect())
    })
}

const HIERARCHY: &str = r#"[
    {"uid": {"type": "Group", "id": "eng"}, "parents": [{"type": "Group", "id": "staff"}]},
    {"uid": {"type": "User", "id": "bob"}, "parents": [{"type": "Group", "id": "dev"}]}]"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_and_cache_decide_as_the_whole_set(
        policies in vec(policy(), 1..12),
        asks in vec(ask(), 1..40),
        hierarchy in any::<bool>(),
    ) {
        let text = policies.concat();
        let mut files = vec![("a.cedar", text.as_str())];
        if hierarchy {
            files.push(("entities.json", HIERARCHY));
        }
        let engine = load(&files).map_err(TestCaseError::fail)?;
        // The ids are those that the engine gives by default.
        let named: String = policies.iter().enumerate().map(|(at, one)| format!("@id(\"a#{}\") {one}", at + 1)).collect();
        let builtin = "@id(\"mcpg.protocol\") permit (principal, action in Action::\"protocol\", resource);";
        let parsed: PolicySet = format!("{named}{builtin}").parse().unwrap();
        let renamed = parsed.policies().map(|one| one.new_id(one.annotation("id").unwrap().parse().unwrap()));
        let whole = PolicySet::from_policies(renamed).unwrap();

        let engine = Arc::new(engine);
        let chain = PolicyChain::new(vec![engine.clone()], CacheLimits::default());
        for ask in &asks {
            let decided = now(chain.decide(&ask.caller, &ask.call()));
            prop_assert_eq!(&*decided.verdict, &now(chain.decide_uncached(&ask.caller, &ask.call())), "{:?}\n{}", ask, text);
            let Some((code, grounds)) = reference(&engine, &whole, ask) else { continue };
            let shown = show(&decided.verdict);
            prop_assert_eq!(shown.split(' ').next(), Some(code.as_str()), "{:?}\n{}", ask, text);
            if code == "permit" {
                let ids: Vec<String> = decided.verdict.policies.iter().map(|one| one.policy.to_string()).collect();
                prop_assert_eq!(ids, grounds);
            }
        }
    }

    /// A part that the policies do not read can change without changing the decision, and so can the clock.
    #[test]
    fn what_is_not_read_does_not_matter(policies in vec(policy(), 1..8), one in ask(), other in ask()) {
        let engine = load(&[("a.cedar", &policies.concat())]).map_err(TestCaseError::fail)?;
        let (first, second) = (one.call(), other.call());
        let reads = engine.reads().of(&first);
        let mut mixed = one.clone();
        if !reads.subject { mixed.caller.subject = other.caller.subject.clone(); }
        if !reads.auth_method { mixed.caller.auth_method = other.caller.auth_method; }
        if !reads.audience { mixed.caller.audience = other.caller.audience.clone(); }
        for (name, read) in
            [("groups", reads.groups), ("roles", reads.roles), ("level", reads.attributes.contains("level"))]
        {
            if !read {
                mixed.caller.attributes.remove(name);
                if let Some(value) = other.caller.attributes.get(name) {
                    mixed.caller.attributes.insert(name.to_owned(), value.clone());
                }
            }
        }
        if !reads.tenant { mixed.scope = other.scope.clone(); }
        if !reads.source { mixed.source = other.source.clone(); }
        if !reads.time { mixed.now = second.now; }
        // A tool of this binding with policies of its own has another set of reads.
        let renamed = Ask { name: other.name.clone(), ..mixed.clone() };
        if !reads.name && mixed.method == other.method && !engine.reads().of(&renamed.call()).name {
            mixed = renamed;
        }
        if matches!(&reads.arguments, Names::Only(names) if names.is_empty()) {
            mixed.arguments = other.arguments.clone();
        }
        let chain = PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default());
        prop_assert_eq!(
            now(chain.decide_uncached(&one.caller, &one.call())),
            now(chain.decide_uncached(&mixed.caller, &mixed.call()))
        );
    }
}
