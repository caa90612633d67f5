//! What does not load, and what the message says.

use super::*;

/// A policy file that does not load, and what the message contains.
fn refuse(text: &str, expected: &str) {
    refuse_files(&[("a.cedar", text)], expected);
}

fn refuse_files(files: &[(&str, &str)], expected: &str) {
    let error = load(files).unwrap_err();
    assert!(error.contains(expected), "expected: {expected}\nfound:    {error}");
}

#[test]
fn errors_say_where_and_what() {
    refuse("permit (principal, action, resource)\nwhen { contxt.x };", "a.cedar:2:8: ");
    refuse("permit (principal, action == Action::\"githb.x\", resource);", "did you mean `github`?");
    refuse(
        "\n  permit (principal, action == Action::\"githb.x\", resource);",
        "a.cedar:2:32: policy `a#1`: `Action::\"githb.x\"`: no binding is called `githb`",
    );
    refuse(
        "permit (principal, action == Action::\"delete\", resource);",
        "a tool's action is `Action::\"BINDING.TOOL\"`",
    );
    refuse("permit (principal, action, resource in Binding::\"file\");", "did you mean `files`?");
    refuse("permit (principal in Grup::\"a\", action, resource);", "did you mean `Group`?");
    refuse("permit (principal == User::\"user:alice\", action, resource);", "write `User::\"alice\"`");
    refuse(
        "permit (principal == User::\"spiffe://a/b\", action, resource);",
        "write `Workload::\"spiffe://a/b\"`",
    );
    refuse("permit (principal == Subject::\"user:a\", action, resource);", "write `User::\"a\"`");
    refuse(
        "permit (principal, action, resource);\n@id(\"x\")\nforbid (principal, action == Action::\"nope\", resource);",
        "a.cedar:3:30: policy `x`",
    );
}

#[test]
fn unknown_attributes_name_the_nearest() {
    refuse("permit (principal, action, resource) when { context.source_id.isLoopback() };", "source_ip");
    refuse("permit (principal, action, resource) when { principal.auth_methd == \"oidc\" };", "auth_method");
    refuse(
        "permit (principal, action, resource) when { context.tenant.org == \"a\" };",
        "attribute `tenant.org`",
    );
    refuse("permit (principal, action, resource) when { resource.name == \"a\" };", "attribute `name`");
    refuse("permit (principal, action, resource is Tool) when { resource.nme == \"a\" };", "name");
    refuse(
        "permit (principal, action, resource) when { context.approval_token == \"a\" };",
        "approval_token",
    );
    refuse("permit (principal, action, resource) when { context.time < 5 };", "datetime");
}

#[test]
fn null_is_refused_with_the_form_to_write() {
    refuse(
        "permit (\n  principal,\n  action == Action::\"github.delete_repo\",\n  resource\n)\nwhen { context.approval_token != null };",
        "a.cedar:6:34: Cedar has no `null`: write `context has approval_token`",
    );
}

#[test]
fn types_that_cannot_be_inferred_ask_for_a_schema() {
    let tool = |condition: &str| {
        format!("permit (principal, action == Action::\"files.a\", resource) when {{ {condition} }};")
    };
    refuse(
        &tool("context.arguments.a == context.arguments.b"),
        "`context.arguments.a` could be of several types",
    );
    refuse(&tool("context.arguments.a.isEmpty()"), "declare its type in a `.cedarschema`");
    refuse(
        &tool("context.arguments.a == 1 || context.arguments.a == \"x\""),
        "is used as Long and as String",
    );
    refuse(
        &tool("context.arguments.a == 1 && context.arguments.a.b == 1"),
        "is used as Long and as a record",
    );
    refuse(
        &format!("{}{}", tool("context.arguments.a == 1"), tool("context.arguments.a like \"x\"")),
        "policy `a#2`: `context.arguments.a` is used as Long and as String",
    );
    refuse(&tool("principal.attributes.x == context.arguments.y"), "principal.attributes.x");
    // Of different tools they are different arguments.
    let other = tool("context.arguments.a like \"x\"").replace("files.a", "files.b");
    assert!(load(&[("a.cedar", &format!("{}{other}", tool("context.arguments.a == 1")))]).is_ok());
    // Known from elsewhere in the policy.
    assert!(
        load(&[("a.cedar", &tool("context.arguments.a == context.arguments.b && context.arguments.b == 1"))])
            .is_ok()
    );
}

#[test]
fn what_the_analysis_cannot_see_through_is_refused() {
    let policy = |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
    refuse(&policy("context == {}"), "`context` cannot be used as a whole");
    refuse(&policy("principal.attributes == {}"), "`principal.attributes` cannot be used as a whole");
    refuse(&policy("context.arguments == {}"), "`context.arguments` cannot be used as a whole");
    refuse(&policy("(if true then principal else principal).subject == \"x\""), "attributes can be read of");
    refuse(&policy("{p: principal}.p has audience"), "attributes can be tested of");
    refuse(&policy("{p: principal}.p in Group::\"x\""), "the left side of `in` must be");
    refuse(&policy("User::\"alice\" in Group::\"x\""), "the left side of `in` must be");
    refuse(&policy("(if true then principal else principal) is User"), "`is` can test");
    refuse(&policy("principal.hasTag(\"x\")"), "entities have no tags here");
}

#[test]
fn templates_and_ids_are_checked() {
    refuse("permit (principal == ?principal, action, resource);", "template");
    refuse(
        "@id(\"x\") permit (principal, action, resource); @id(\"x\") permit (principal, action, resource);",
        "the id is taken by a.cedar:1:1",
    );
    refuse("@id(\"mcpg.protocol\") permit (principal, action, resource);", "does not begin with `mcpg.`");
    refuse("@id(\"\") permit (principal, action, resource);", "an id is 1 to 256 printable characters");
    refuse(
        "@redact(\"a.b\") permit (principal, action, resource);",
        "policy `a#1`: `@redact(\"a.b\")` looks like a path",
    );
    refuse("@redact(\"a\") forbid (principal, action, resource);", "put it on the `permit`");
    refuse("permit (principal, action, resource)", "a.cedar:1:");
}

#[test]
fn every_problem_is_listed() {
    let error = load(&[
        (
            "a.cedar",
            "permit (principal, action == Action::\"x\", resource); permit (nobody, action, resource);",
        ),
        ("sub/b.cedar", "@redact(\"\") permit (principal, action, resource);"),
    ])
    .unwrap_err();
    assert_eq!(error.lines().count(), 3, "{error}");
    assert!(error.contains("sub/b.cedar:1:1: policy `sub/b#1`"), "{error}");
}

#[test]
fn schemas_and_entities_are_checked() {
    let with = |schema: &str, expected: &str| {
        refuse_files(
            &[("a.cedar", "permit (principal, action, resource);"), ("x.cedarschema", schema)],
            expected,
        );
    };
    with("entity Photo;", "the entity types are built in");
    with("type CallerAttributes = { x: Nothing };", "there is no type `Nothing`");
    with("type CallerAttributes = String;", "expected a record");
    with("namespace N { type T = Long; }", "without a namespace");
    with(
        "action \"file.a\" appliesTo { principal: [User], resource: [Tool], context: { arguments: {} } };",
        "did you mean `files`?",
    );
    with(
        "action \"ping\" appliesTo { principal: [User], resource: [Tool], context: { arguments: {} } };",
        "is no tool",
    );
    with(
        "action \"files.a\" appliesTo { principal: [User], resource: [Tool], context: { time: Long } };",
        "the context is built in",
    );
    with("action \"files.a\" appliesTo { principal: [User], resource: [Tool] };", "expected a record");
    with("type X = {", "x.cedarschema:1:");
    let entities = |text: &str, expected: &str| {
        refuse_files(
            &[("a.cedar", "permit (principal, action, resource);"), ("entities.json", text)],
            expected,
        );
    };
    entities("{", "entities.json:1:1");
    entities(r#"[{"uid": {"type": "Group", "id": "a"}, "attrs": {"x": 1}}]"#, "entities have no attributes");
    entities(
        r#"[{"uid": {"type": "Group", "id": "a"}}, {"uid": {"type": "Group", "id": "a"}}]"#,
        "is listed twice",
    );
    entities(r#"[{"uid": {"type": "Team", "id": "a"}}]"#, "there is no entity type `Team`");
    entities(r#"[{"uid": {"type": "Tool", "id": "files.a"}}]"#, "cannot stand here");
    entities(r#"[{"uid": {"type": "User", "id": "user:bob"}}]"#, "write `User::\"bob\"`");
    entities(
        r#"[{"uid": {"type": "User", "id": "bob"}, "parents": [{"type": "User", "id": "al"}]}]"#,
        "cannot stand here",
    );
    entities(r#"[{"uid": {"type": "User", "id": "bob"}, "children": []}]"#, "unknown field `children`");
    let declared = "type CallerAttributes = { department: String };";
    refuse_files(
        &[
            (
                "a.cedar",
                "permit (principal, action, resource) when { principal.attributes.departmnt == \"x\" };",
            ),
            ("x.cedarschema", declared),
        ],
        "department",
    );
    refuse_files(
        &[("a.cedar", "permit (principal, action, resource);"), ("a.cedarschema", ""), ("b.cedarschema", "")],
        "a bundle has one schema",
    );
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let engine = load(&[
        ("a.cedar", "permit (principal, action == Action::\"tasks/gett\", resource);"),
        ("b.ceder", "forbid (principal, action, resource);"),
        ("README.md", ""),
        (".hidden.cedar", "not a policy"),
    ])
    .unwrap();
    let warnings = engine.warnings().join("\n");
    assert!(warnings.contains("did you mean `tasks/get`?"), "{warnings}");
    assert!(warnings.contains("b.ceder: ignored"), "{warnings}");
    assert_eq!(engine.warnings().len(), 2, "{warnings}");
}

#[test]
fn settings_are_checked() {
    let parse = |value: Value| serde_json::from_value::<CedarSettings>(value);
    assert_eq!(parse(json!({"bundle": "x"})).unwrap().limits, CedarLimits::default());
    assert!(parse(json!({})).is_err());
    assert!(parse(json!({"bundle": "x", "protocl": "explicit"})).is_err());
    assert!(parse(json!({"bundle": "x", "limits": {"policies": 1}})).is_err());
    let folder = folder(&[("a.cedar", "permit (principal, action, resource);")]);
    let with = |bundle: &str, expected: &str| {
        let error =
            load_at(folder.path(), &CedarSettings { bundle: bundle.to_owned(), ..settings() }).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    with("nowhere", "nowhere: cannot be read");
    with("policies/a.cedar", "is a file");
    with("oci://policies.acme.com/platform-team:1.0", "has not been fetched");
    with("https://policies.acme.com/a.tar.gz", "a bundle is a folder, a `.tar.gz`, or `oci://");
    fs::create_dir(folder.path().join("empty")).unwrap();
    with("empty", "holds no `.cedar` file");
    let bindings = ["a.b".to_owned()];
    let context = BundleContext {
        base: &Base::trusted(folder.path()),
        bindings: &bindings,
        fetched: &FetchedBundles::default(),
    };
    assert!(CedarEngine::load(&settings(), &context).unwrap_err().to_string().contains("the binding `a.b`"));
}
