//! Policies against calls.

use super::*;

const PERMIT_ALL: &str = "permit (principal, action, resource);";

#[test]
fn default_deny_with_the_protocol_permitted() {
    let none = "forbid (principal == User::\"nobody\", action, resource);";
    check(
        none,
        &[
            (Ask::method("initialize"), "permit"),
            (Ask::method("tools/list"), "permit"),
            (Ask::method("notifications/initialized"), "permit"),
            (Ask::method("notifications/of/the/future"), "permit"),
            (Ask::method("mcp/stream"), "permit"),
            (Ask::tool("github", "delete_repo"), "not_permitted"),
            (Ask::resource("files", "file:///a"), "not_permitted"),
            (Ask::prompt("files", "greet"), "not_permitted"),
            (Ask::method("tasks/get"), "not_permitted"),
            (Ask::method("resources/subscribe2"), "not_permitted"),
            (Ask::method("x/unknown"), "not_permitted"),
            (Ask::method("initialize").subject("user:nobody"), "forbidden"),
        ],
    );
}

#[test]
fn an_explicit_bundle_permits_nothing_by_itself() {
    let folder = folder(&[("a.cedar", "permit (principal, action == Action::\"ping\", resource);")]);
    let settings = CedarSettings { protocol: Protocol::Explicit, ..settings() };
    let engine = load_at(folder.path(), &settings).unwrap();
    assert_eq!(engine.policies(), 1);
    let chain = PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default());
    assert_eq!(show(&decide(&chain, &Ask::method("ping"))), "permit");
    assert_eq!(show(&decide(&chain, &Ask::method("initialize"))), "not_permitted");
}

#[test]
fn the_articles_approval_policy_in_its_working_form() {
    let policy = "permit (principal, action == Action::\"github.delete_repo\", resource)
                  when { context has approval_token };";
    check(
        policy,
        &[
            (Ask::tool("github", "delete_repo"), "not_permitted"),
            (Ask::tool("github", "delete_repo").token("t"), "permit"),
            (Ask::tool("github", "delete_repo").arguments(r#"{"approval_token":"t"}"#), "not_permitted"),
            (Ask::tool("github", "create_repo").token("t"), "not_permitted"),
            (Ask::tool("files", "delete_repo").token("t"), "not_permitted"),
        ],
    );
}

#[test]
fn principals_are_mapped() {
    let policy = "permit (principal == User::\"alice@acme.com\", action, resource is Tool);
        permit (principal == Workload::\"spiffe://acme.org/sa/cron\", action, resource is Tool);
        permit (principal is Anonymous, action == Action::\"files.public\", resource);
        permit (principal == Subject::\"service:cron\", action, resource is Tool);";
    let tool = || Ask::tool("files", "read");
    check(
        policy,
        &[
            (tool(), "permit"),
            (tool().subject("alice@acme.com"), "not_permitted"),
            (tool().subject("user:Alice@acme.com"), "not_permitted"),
            (tool().subject("spiffe://acme.org/sa/cron"), "permit"),
            (tool().subject("user:spiffe://acme.org/sa/cron"), "not_permitted"),
            (tool().subject("service:cron"), "permit"),
            (tool().subject("user:service:cron"), "not_permitted"),
            (tool().subject("anonymous"), "not_permitted"),
            (Ask::tool("files", "public").subject("anonymous"), "permit"),
            (Ask::tool("files", "public").subject("user:anonymous"), "not_permitted"),
            (Ask::tool("files", "public").subject(""), "not_permitted"),
        ],
    );
}

#[test]
fn groups_roles_and_organization_are_parents() {
    let policy = "permit (principal in Group::\"admins\", action, resource is Tool);
        permit (principal in Role::\"operator\", action == Action::\"files.read\", resource);
        permit (principal in Org::\"acme-corp\", action == Action::\"files.list\", resource);";
    let read = || Ask::tool("files", "read");
    check(
        policy,
        &[
            (read(), "not_permitted"),
            (read().attribute("groups", json!(["dev", "admins"])), "permit"),
            (read().attribute("groups", json!("admins")), "permit"),
            (read().attribute("groups", json!(["Admins"])), "not_permitted"),
            (read().attribute("groups", json!(["admins", 1])), "policy_input"),
            (read().attribute("groups", json!({"admins": true})), "policy_input"),
            (read().attribute("groups", Value::Null), "policy_input"),
            (read().attribute("roles", json!(["operator"])), "permit"),
            (read().attribute("roles", json!(["admins"])), "not_permitted"),
            (Ask::tool("files", "list"), "permit"),
            (Ask { scope: Scope::default(), ..Ask::tool("files", "list") }, "not_permitted"),
        ],
    );
}

#[test]
fn entities_json_adds_to_the_hierarchy() {
    let files = [
        ("a.cedar", "permit (principal in Group::\"staff\", action, resource is Tool);"),
        (
            "entities.json",
            r#"[{"uid": {"type": "Group", "id": "dev"}, "parents": [{"type": "Group", "id": "eng"}]},
                {"uid": {"type": "Group", "id": "eng"}, "parents": [{"type": "Group", "id": "staff"}]},
                {"uid": {"type": "Group", "id": "loop"}, "parents": [{"type": "Group", "id": "loop"}]},
                {"uid": {"type": "User", "id": "bob"}, "parents": [{"type": "Group", "id": "eng"}]}]"#,
        ),
    ];
    let read = || Ask::tool("files", "read").attribute("groups", json!([]));
    check_files(
        &files,
        &[
            (read(), "not_permitted"),
            (read().attribute("groups", json!(["dev"])), "permit"),
            (read().attribute("groups", json!(["loop"])), "not_permitted"),
            (read().subject("user:bob"), "permit"),
            (read().subject("bob"), "not_permitted"),
        ],
    );
}

#[test]
fn a_forbid_overrides_every_permit() {
    let policy = "permit (principal, action, resource);
        forbid (principal, action == Action::\"github.delete_repo\", resource);
        forbid (principal, action in Action::\"tools/call\", resource in Binding::\"crm\");
        forbid (principal, action == Action::\"resources/read\", resource == Resource::\"file:///etc/passwd\");
        forbid (principal, action, resource == Prompt::\"files.secret\");
        forbid (principal, action == Action::\"completion/complete\", resource in Binding::\"crm\");";
    check(
        policy,
        &[
            (Ask::tool("github", "delete_repo"), "forbidden"),
            (Ask::tool("files", "delete_repo"), "permit"),
            (Ask::tool("crm", "anything"), "forbidden"),
            (Ask::resource("files", "file:///etc/passwd"), "forbidden"),
            (Ask::resource("files", "file:///etc/passwd2"), "permit"),
            (
                Ask {
                    method: "resources/subscribe".to_owned(),
                    ..Ask::resource("files", "file:///etc/passwd")
                },
                "permit",
            ),
            (Ask::prompt("files", "secret"), "forbidden"),
            (Ask::prompt("crm", "secret"), "permit"),
            (Ask::method("completion/complete"), "permit"),
            (Ask { binding: "crm".to_owned(), ..Ask::method("completion/complete") }, "forbidden"),
        ],
    );
}

#[test]
fn a_method_is_not_taken_for_a_tool() {
    let policy = "permit (principal, action == Action::\"files.delete\", resource);
        permit (principal, action in Action::\"tools/call\", resource in Binding::\"crm\");
        permit (principal, action == Action::\"method:x.y\", resource);";
    check(
        policy,
        &[
            (Ask::tool("files", "delete"), "permit"),
            (Ask { binding: "files".to_owned(), ..Ask::method("files.delete") }, "not_permitted"),
            (Ask { binding: "crm".to_owned(), ..Ask::method("delete") }, "not_permitted"),
            (Ask { binding: "crm".to_owned(), ..Ask::method("tools/call2") }, "not_permitted"),
            (Ask { binding: "crm".to_owned(), ..Ask::method("protocol") }, "not_permitted"),
            (Ask::method("x.y"), "permit"),
            (Ask::tool("method:x", "y"), "policy_input"),
            (Ask { binding: "files.delete".to_owned(), ..Ask::tool("", "x") }, "policy_input"),
            (Ask::tool("files", "delete.x"), "not_permitted"),
        ],
    );
}

#[test]
fn the_context_is_given() {
    let policy = "permit (principal, action == Action::\"files.a\", resource)
          when { context.source_ip.isInRange(ip(\"10.0.0.0/8\")) };
        permit (principal, action == Action::\"files.b\", resource)
          when { context.time < datetime(\"2026-06-01\") };
        permit (principal, action == Action::\"files.c\", resource)
          when { context.tenant.environment == \"prod\" && context.tenant.organization == \"acme-corp\" };
        permit (principal, action == Action::\"files.d\", resource)
          when { principal.auth_method == \"api_key\" && !(principal has audience) };
        permit (principal, action, resource)
          when { context.mcp.method == \"resources/read\" && context.mcp.binding == \"files\" };
        permit (principal, action == Action::\"files.e\", resource)
          when { resource.name == \"e\" && resource.binding == \"files\" && principal.subject like \"user:*\" };
        permit (principal, action == Action::\"files.f\", resource) when { context has approval_token && context.approval_token == \"t\" };
        permit (principal, action == Action::\"resources/subscribe\", resource) when { resource.uri like \"a://*\" };";
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let mut audience = Ask::tool("files", "d");
    audience.caller.audience = Some("x".to_owned());
    check(
        policy,
        &[
            (Ask::tool("files", "a"), "permit"),
            (Ask::tool("files", "a").source("11.1.2.3"), "not_permitted"),
            (Ask::tool("files", "a").source("::1"), "not_permitted"),
            (Ask::tool("files", "a").source("::ffff:10.1.2.3"), "permit"),
            (Ask::tool("files", "b"), "permit"),
            (Ask { now: late, ..Ask::tool("files", "b") }, "not_permitted"),
            (Ask::tool("files", "c"), "permit"),
            (Ask { scope: Scope::default(), ..Ask::tool("files", "c") }, "not_permitted"),
            (Ask::tool("files", "d"), "permit"),
            (audience, "not_permitted"),
            (Ask::resource("files", "x"), "permit"),
            (Ask::resource("crm", "x"), "not_permitted"),
            (Ask::tool("files", "e"), "permit"),
            (Ask::tool("files", "f").token("t"), "permit"),
            (Ask::tool("files", "f").token("u"), "not_permitted"),
            (Ask::tool("files", "f"), "not_permitted"),
            (Ask { method: "resources/subscribe".to_owned(), ..Ask::resource("crm", "a://b") }, "permit"),
        ],
    );
}

#[test]
fn arguments_are_read() {
    let policy = "permit (principal, action == Action::\"files.read\", resource)
          when { context.arguments.path like \"/public/*\" && !(context.arguments.path like \"*/../*\") };
        permit (principal, action == Action::\"crm.export\", resource)
          when { context.arguments has limit && context.arguments.limit <= 100
                 && [\"eu\", \"us\"].contains(context.arguments.options.region) };
        forbid (principal, action == Action::\"crm.export\", resource) when { context.arguments has force };";
    let read = |text: &str| Ask::tool("files", "read").arguments(text);
    let export = |text: &str| Ask::tool("crm", "export").arguments(text);
    check(
        policy,
        &[
            (read(r#"{"path":"/public/a"}"#), "permit"),
            (read(r#"{"path":"/public/../a"}"#), "not_permitted"),
            (read(r#"{"path":"/etc/passwd"}"#), "not_permitted"),
            (read(r#"{"p\u0061th":"/public/a"}"#), "permit"),
            (read(r#"{"path":"/public/a","path":"/etc/passwd"}"#), "policy_input"),
            (read(r#"{"path":"/etc/passwd","p\u0061th":"/public/a"}"#), "policy_input"),
            (read(r#"{"path":"/public/a","mode":null,"x":1.5}"#), "permit"),
            (read(r#"{"path":null}"#), "policy_input"),
            (read(r#"{"path":["/public/a"]}"#), "policy_input"),
            (read("{}"), "policy_error"),
            (read("[]"), "policy_input"),
            (Ask::tool("files", "read"), "policy_error"),
            (export(r#"{"limit":10,"options":{"region":"eu"}}"#), "permit"),
            (export(r#"{"limit":101,"options":{"region":"eu"}}"#), "not_permitted"),
            (export(r#"{"limit":10.0,"options":{"region":"eu"}}"#), "policy_input"),
            (export(r#"{"limit":"10","options":{"region":"eu"}}"#), "policy_input"),
            (export(r#"{"limit":10,"options":{"region":"eu","region":"cn"}}"#), "policy_input"),
            (export(r#"{"limit":10,"options":{"region":"eu","x":null}}"#), "permit"),
            (export(r#"{"limit":10,"options":{"region":"eu"},"force":false}"#), "forbidden"),
            (export(r#"{"limit":10,"options":{"region":"eu"},"force":null}"#), "policy_input"),
            (export(r#"{"options":{"region":"eu"}}"#), "not_permitted"),
        ],
    );
}

#[test]
fn an_error_in_any_policy_denies() {
    let overflow = "9223372036854775807 + context.arguments.n > 0";
    let policy = format!(
        "{PERMIT_ALL}
        forbid (principal, action == Action::\"files.a\", resource) when {{ {overflow} }};
        permit (principal, action == Action::\"files.b\", resource) when {{ {overflow} }};"
    );
    for tool in ["a", "b"] {
        check(
            &policy,
            &[
                (Ask::tool("files", tool).arguments(r#"{"n":1}"#), "policy_error"),
                (Ask::tool("files", tool), "policy_error"),
                (Ask::tool("files", "c").arguments(r#"{"n":1}"#), "permit"),
            ],
        );
    }
    check(
        &policy,
        &[
            (Ask::tool("files", "a").arguments(r#"{"n":0}"#), "forbidden"),
            (Ask::tool("files", "b").arguments(r#"{"n":0}"#), "permit"),
        ],
    );
}

#[test]
fn attributes_are_typed_by_their_use() {
    let policy = "permit (principal, action == Action::\"files.read\", resource)
          when { principal.attributes has level && principal.attributes.level >= 3
                 && principal.attributes.org.unit == \"ops\" };";
    let ask =
        |level: Value, org: Value| Ask::tool("files", "read").attribute("level", level).attribute("org", org);
    check(
        policy,
        &[
            (ask(json!(3), json!({"unit": "ops", "other": null})), "permit"),
            (ask(json!(2), json!({"unit": "ops"})), "not_permitted"),
            (ask(json!("3"), json!({"unit": "ops"})), "policy_input"),
            (ask(json!(3.5), json!({"unit": "ops"})), "policy_input"),
            (ask(json!(3), json!({})), "policy_error"),
            (Ask::tool("files", "read"), "not_permitted"),
            (Ask::tool("files", "other").attribute("level", json!("3")), "not_permitted"),
        ],
    );
}

#[test]
fn obligations_of_all_satisfied_permits_unite() {
    let policy = "@redact(\"email\") permit (principal, action == Action::\"crm.find\", resource);
        @redact(field=\"phone\") permit (principal, action in Action::\"tools/call\", resource in Binding::\"crm\");
        @redact(\"ssn,email\") @redact_mode(\"remove\")
        permit (principal, action, resource) when { context.source_ip.isLoopback() };
        permit (principal == User::\"root\", action, resource);";
    check(
        policy,
        &[
            (Ask::tool("crm", "find"), "permit email phone"),
            (Ask::tool("crm", "list"), "permit phone"),
            (Ask::tool("crm", "list").source("127.0.0.1"), "permit email=remove phone ssn=remove"),
            (Ask::tool("crm", "find").source("127.0.0.1"), "permit email=remove phone ssn=remove"),
            (Ask::tool("files", "read"), "not_permitted"),
            (Ask::tool("files", "read").subject("user:root"), "permit"),
            (Ask::tool("crm", "find").subject("user:root"), "permit email phone"),
            (Ask::method("ping"), "permit"),
        ],
    );
}

#[test]
fn grounds_are_named() {
    let chain = chain(
        "@id(\"find\") permit (principal, action == Action::\"crm.find\", resource);
        @id(\"all of it\") permit (principal, action in Action::\"tools/call\", resource);
        @id(\"no root\") forbid (principal == User::\"root\", action, resource);",
    );
    let ids = |ask: &Ask| {
        let verdict = decide(&chain, ask);
        verdict
            .policies
            .iter()
            .map(|policy| format!("{}/{}", policy.engine, policy.policy))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&Ask::tool("crm", "find")), ["policy.cedar/all of it", "policy.cedar/find"]);
    assert_eq!(ids(&Ask::method("ping")), ["policy.cedar/mcpg.protocol"]);
    assert_eq!(ids(&Ask::tool("crm", "find").subject("user:root")), ["policy.cedar/no root"]);
    assert!(ids(&Ask::prompt("crm", "find")).is_empty());
}

#[test]
fn declared_types_take_the_place_of_inferred_ones() {
    let files = [
        ("a.cedar", "permit (principal, action == Action::\"files.a\", resource)
            when { context.arguments.one == context.arguments.other };
          permit (principal, action == Action::\"files.b\", resource)
            when { context.arguments.at < datetime(\"2026-01-01\") && principal.attributes.nets.contains(context.source_ip) };
          permit (principal, action == Action::\"files.c\", resource)
            when { context.arguments.opts == {deep: true} };"),
        ("types.cedarschema", "type CallerAttributes = { nets: Set<ipaddr>, unused: String };
          type Options = { deep: Bool };
          action \"files.a\", \"files.b\", \"files.c\" appliesTo { principal: [User], resource: [Tool],
            context: { arguments: { one: Long, other: Long, at: datetime, opts: Options } } };"),
    ];
    let nets = |text: &str| Ask::tool("files", "b").attribute("nets", json!(["10.1.2.3"])).arguments(text);
    let options = |text: &str| Ask::tool("files", "c").arguments(text);
    check_files(
        &files,
        &[
            (Ask::tool("files", "a").arguments(r#"{"one":1,"other":1}"#), "permit"),
            (Ask::tool("files", "a").arguments(r#"{"one":"1","other":"1"}"#), "policy_input"),
            (nets(r#"{"at":"2025-01-01"}"#), "permit"),
            (nets(r#"{"at":"yesterday"}"#), "policy_input"),
            (options(r#"{"opts":{"deep":true}}"#), "permit"),
            (options(r#"{"opts":{"deep":false}}"#), "not_permitted"),
            (options(r#"{"opts":{"deep":true,"more":false}}"#), "policy_input"),
        ],
    );
}

#[test]
fn a_policy_may_name_many_tools() {
    let tools: Vec<String> = (0..40).map(|number| format!("Action::\"files.t{number}\"")).collect();
    let policy = format!(
        "permit (principal, action in [{0}], resource) when {{ context.arguments.n > 1 }};
        forbid (principal, action in [{0}, Action::\"ping\"], resource in Binding::\"crm\");",
        tools.join(", ")
    );
    check(
        &policy,
        &[
            (Ask::tool("files", "t39").arguments(r#"{"n":2}"#), "permit"),
            (Ask::tool("files", "t39").arguments(r#"{"n":1}"#), "not_permitted"),
            (Ask::tool("files", "t40").arguments(r#"{"n":2}"#), "not_permitted"),
            (Ask::tool("crm", "t39").arguments(r#"{"n":2}"#), "not_permitted"),
            (Ask::method("ping"), "permit"),
            (Ask { binding: "crm".to_owned(), ..Ask::method("ping") }, "forbidden"),
        ],
    );
}
