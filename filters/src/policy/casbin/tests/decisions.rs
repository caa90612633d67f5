//! What models and policies decide.

use super::*;

fn check(engine: &CasbinEngine, ask: &Ask, expected: &str) {
    assert_eq!(ask.of(engine), expected, "{ask:?}");
}

fn ask(subject: &str, tool: &str) -> Ask {
    Ask::tool(subject, tool)
}

#[test]
fn roles_are_followed() {
    let engine = load(
        &model(RBAC),
        "p, reader, files.read, tools/call\np, alice, files.write, tools/call\ng, alice, lead\ng, lead, reader\n",
    );
    check(&engine, &ask("alice", "read"), "allow policy.csv:1");
    check(&engine, &ask("alice", "write"), "allow policy.csv:2");
    check(&engine, &ask("lead", "read"), "allow policy.csv:1");
    check(&engine, &ask("lead", "write"), "deny");
    check(&engine, &ask("mallory", "read"), "deny");
    check(&engine, &ask("", "read"), "deny");
}

#[test]
fn roles_belong_to_a_domain() {
    let engine = load(
        "[request_definition]\nr = sub, dom, obj, act\n[policy_definition]\np = sub, dom, obj, act\n\
         [role_definition]\ng = _, _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n\
         [matchers]\nm = g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act\n",
        "p, admin, acme-corp, files.read, tools/call\np, admin, other-corp, files.write, tools/call\n\
         g, alice, admin, acme-corp\ng, bob, admin, other-corp\n",
    );
    check(&engine, &ask("alice", "read"), "allow policy.csv:1");
    check(&engine, &ask("alice", "write"), "deny");
    check(&engine, &ask("bob", "read"), "deny");
    let elsewhere = Scope::new("other-corp", "team", "prod").unwrap();
    check(&engine, &Ask { scope: elsewhere.clone(), ..ask("alice", "read") }, "deny");
    check(&engine, &Ask { scope: elsewhere, ..ask("bob", "write") }, "allow policy.csv:2");
}

#[test]
fn one_that_denies_wins_where_the_effect_says_so() {
    let text = "[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, obj, eft\n\
        [policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n\
        [matchers]\nm = (p.sub == \"*\" || r.sub == p.sub) && keyMatch(r.obj, p.obj)\n";
    for policy in [
        "p, *, files.*, allow\np, *, files.delete, deny\n",
        "p, *, files.delete, deny\np, *, files.*, allow\n",
    ] {
        let engine = load(text, policy);
        assert!(ask("alice", "read").of(&engine).starts_with("allow"));
        assert!(ask("alice", "delete").of(&engine).starts_with("deny policy.csv:"));
        let elsewhere = Ask { binding: "crm", ..ask("alice", "read") };
        check(&engine, &elsewhere, "deny");
    }
}

#[test]
fn the_first_that_matches_decides_where_the_effect_says_so() {
    let of = |columns: &str, policy: &str| {
        load(
            &format!(
                "[request_definition]\nr = sub, obj\n[policy_definition]\np = {columns}\n[policy_effect]\n\
                 e = priority(p.eft) || deny\n[matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj)\n"
            ),
            policy,
        )
    };
    let by_line =
        of("sub, obj, eft", "p, alice, files.read, allow\np, alice, files.*, deny\np, alice, *, allow\n");
    check(&by_line, &ask("alice", "read"), "allow policy.csv:1");
    check(&by_line, &ask("alice", "write"), "deny policy.csv:2");
    check(&by_line, &Ask { binding: "crm", ..ask("alice", "write") }, "allow policy.csv:3");
    check(&by_line, &ask("bob", "read"), "deny");
    let by_number = of(
        "priority, sub, obj, eft",
        "p, 10, alice, *, allow\np, 1, alice, files.*, deny\np, -5, alice, files.read, allow\n",
    );
    check(&by_number, &ask("alice", "read"), "allow policy.csv:3");
    check(&by_number, &ask("alice", "write"), "deny policy.csv:2");
}

#[test]
fn attributes_decide() {
    let with = |matcher: &str| {
        load_with(
            &matching("obj", &format!("r.obj == p.obj && {matcher}")),
            "p, files.read\n",
            &json!({"request": {"sub": "caller", "act": "context"}}),
        )
        .unwrap()
    };
    let arguments = |text: &str| Ask { arguments: Some(text.to_owned()), ..ask("alice", "read") };
    for (matcher, ask, expected) in [
        ("r.sub.subject == 'alice'", ask("alice", "read"), "allow policy.csv:1"),
        ("r.sub.attributes.level > 2", ask("alice", "read"), "allow policy.csv:1"),
        ("r.sub.attributes.level > 3", ask("alice", "read"), "deny"),
        (
            "r.sub.attributes.level >= 2.5 && r.sub.attributes.level < 4",
            ask("alice", "read"),
            "allow policy.csv:1",
        ),
        ("\"dev\" in r.sub.groups", ask("alice", "read"), "allow policy.csv:1"),
        ("\"ops\" in r.sub.groups", ask("alice", "read"), "deny"),
        ("r.sub.auth_method in (\"oidc\", \"mtls\")", ask("alice", "read"), "allow policy.csv:1"),
        ("!(r.sub.auth_method in [\"basic\"])", ask("alice", "read"), "allow policy.csv:1"),
        ("ipMatch(r.act.source_ip, \"10.0.0.0/8\")", ask("alice", "read"), "allow policy.csv:1"),
        ("r.act.time < \"2026-01-02\"", ask("alice", "read"), "allow policy.csv:1"),
        ("r.act.approval_token != \"\"", ask("alice", "read"), "deny"),
        (
            "r.act.approval_token != \"\"",
            Ask { token: Some("t"), ..ask("alice", "read") },
            "allow policy.csv:1",
        ),
        ("r.act.arguments.limit <= 100", arguments("{\"limit\": 100}"), "allow policy.csv:1"),
        ("r.act.arguments.limit <= 100", arguments("{\"limit\": 101}"), "deny"),
        (
            "keyMatch(r.act.arguments.path, \"/srv/*\")",
            arguments("{\"path\":\"/srv/a\"}"),
            "allow policy.csv:1",
        ),
    ] {
        check(&with(matcher), &ask, expected);
    }
}

#[test]
fn what_is_absent_or_of_another_type_denies() {
    let with = |matcher: &str| {
        load_with(
            &matching("obj", matcher),
            "p, x\n",
            &json!({"request": {"sub": "caller", "act": "context"}}),
        )
        .unwrap()
    };
    let arguments = |text: &str| Ask { arguments: Some(text.to_owned()), ..ask("alice", "read") };
    for (matcher, ask, code) in [
        ("r.sub.attributes.clearance != \"low\"", ask("alice", "read"), "policy_input"),
        ("r.act.arguments.path != \"/etc\"", ask("alice", "read"), "policy_input"),
        ("r.act.arguments.path != \"/etc\"", arguments("{\"path\": null}"), "policy_input"),
        ("r.act.arguments.path != \"/etc\"", arguments("{\"path\": {}}"), "policy_input"),
        ("r.act.arguments.path != \"/etc\"", arguments("{\"path\":\"a\",\"path\":\"b\"}"), "policy_input"),
        ("r.act.arguments.path != \"/etc\"", arguments("{\"path\": 5}"), "policy_error"),
        ("r.sub.attributes.level != \"3\"", ask("alice", "read"), "policy_error"),
        ("r.sub.groups != \"dev\"", ask("alice", "read"), "policy_error"),
        ("r.sub.subject", ask("alice", "read"), "policy_error"),
        ("r.sub.attributes.level in r.sub.groups", ask("alice", "read"), "policy_error"),
        ("ipMatch(r.sub.subject, \"10.0.0.0/8\")", ask("alice", "read"), "policy_error"),
    ] {
        let found = ask.of(&with(matcher));
        assert!(found.starts_with(code), "{matcher}: {found}");
    }
}

#[test]
fn conditions_of_the_policy_are_compiled_when_they_are_loaded() {
    let text = matching("obj, condition, eft", "eval(p.condition) && keyMatch(r.obj, p.obj)");
    let policy = "p, files.*, \"r.sub.attributes.level > 2 && r.sub.subject != \"\"mallory\"\"\", allow\n\
                  p, crm.*, false, allow\n";
    let engine = load_with(&text, policy, &json!({"request": {"sub": "caller"}})).unwrap();
    check(&engine, &ask("alice", "read"), "allow policy.csv:1");
    check(&engine, &ask("mallory", "read"), "deny");
    check(&engine, &Ask { binding: "crm", ..ask("alice", "read") }, "deny");
}

#[test]
fn obligations_of_all_that_allow_unite() {
    let engine = load(
        &matching("sub, obj, obligations", "keyMatch(r.sub, p.sub) && keyMatch(r.obj, p.obj)"),
        "p, alice, files.read, redact:email\np, *, files.*, \"remove:phone; note:seen\"\np, *, crm.*\n",
    );
    check(
        &engine,
        &ask("alice", "read"),
        "allow policy.csv:1 policy.csv:2 redact:email remove:phone note:seen",
    );
    check(&engine, &Ask { binding: "crm", ..ask("alice", "x") }, "allow policy.csv:3");
    assert_eq!(engine.obligations().unwrap().len(), 3);
}

#[test]
fn the_protocol_is_permitted_unless_it_is_explicit() {
    let text = model(RBAC);
    let policy = "p, alice, files, ping\n";
    let engine = load(&text, policy);
    for method in ["initialize", "ping", "tools/list", "notifications/initialized"] {
        check(&engine, &Ask::method(method), "allow mcpg.protocol");
    }
    for method in ["tasks/get", "x/own"] {
        check(&engine, &Ask::method(method), "deny");
    }
    // A tool or a resource does not pass for a method.
    check(&engine, &ask("bob", "ping"), "deny");
    let explicit = load_with(&text, policy, &json!({"protocol": "explicit"})).unwrap();
    check(&explicit, &Ask::method("ping"), "allow policy.csv:1");
    check(&explicit, &Ask::method("initialize"), "deny");
}

#[test]
fn only_what_is_declared_is_read() {
    let engine = load(&model(RBAC), "p, alice, files.read, tools/call\n");
    let reads = engine.reads().rest(Kind::Tool);
    assert_eq!(**reads, ReadSet { subject: true, name: true, ..ReadSet::default() });
    assert!(engine.reads().method("ping") == &Arc::new(ReadSet::default()));
    let of = |matcher: &str| {
        let engine = load_with(
            &matching("obj", matcher),
            "p, x\n",
            &json!({"request": {"sub": "caller", "act": "context"}}),
        );
        (**engine.unwrap().reads().rest(Kind::Tool)).clone()
    };
    assert!(of("r.act.time > p.obj").time);
    let reads =
        of("r.sub.attributes.a.b == p.obj && r.act.arguments.path == p.obj && r.act.arguments.x == p.obj");
    assert!(reads.attributes.contains("a") && !reads.attributes.contains("b"));
    assert!(reads.arguments.contains("path") && reads.arguments.contains("x") && !reads.subject);
}

#[test]
fn a_deadline_holds() {
    // Every rule is looked at, and each costs a thousand comparisons.
    let long = (0..400).map(|at| format!("r.sub == \"{at}\"")).collect::<Vec<_>>().join(" || ");
    let rules: String = (0..10_000).map(|at| format!("p, {at}\n")).collect();
    let engine = load_with(
        &matching("obj", &format!("({long}) && r.obj != p.obj")),
        &rules,
        &json!({"limits": {"evaluation_ms_max": 20}}),
    )
    .unwrap();
    let begun = Instant::now();
    assert!(ask("alice", "read").of(&engine).starts_with("policy_timeout"));
    assert!(begun.elapsed() < Duration::from_secs(5), "it stops by itself");
    // Links without end.
    let links: String = (0..40_000).map(|at| format!("g, {}, {at}\n", at % 200)).collect();
    let engine = load_with(
        &model(RBAC).replace("g(r.sub, p.sub)", "g(p.sub, r.sub)"),
        &format!(
            "{links}{}",
            (0..20_000).map(|at| format!("p, {}, files.read, tools/call\n", at % 200)).collect::<String>()
        ),
        &json!({"limits": {"evaluation_ms_max": 20}}),
    )
    .unwrap();
    let begun = Instant::now();
    let _ = ask("alice", "read").of(&engine);
    assert!(begun.elapsed() < Duration::from_secs(5), "it stops by itself");
}

#[test]
fn what_is_filed_elsewhere_is_not_looked_at() {
    let rules: String =
        (0..10_000).map(|at| format!("p, role{}, files.tool{at}, tools/call\n", at % 100)).collect();
    let engine = load(&model(RBAC), &format!("{rules}g, alice, role7\n"));
    check(&engine, &ask("alice", "tool107"), "allow policy.csv:108");
    check(&engine, &ask("alice", "tool108"), "deny");
    assert_eq!(engine.rules(), 10_000);
}
