//! What loads, and what is said of what does not.

use super::*;

fn refused(rules: &str, expected: &str) {
    let error = load(&format!("package mcpg\n{rules}")).unwrap_err();
    assert!(error.contains(expected), "{rules}\n{error}");
}

#[test]
fn what_is_no_function_of_the_input_is_refused_with_its_place() {
    refused("decision if time.now_ns() > 0", "a.rego:2:13: `time.now_ns` cannot be called here");
    refused(
        "decision if http.send({\"url\": \"x\"})",
        "`http.send` cannot be called here: a decision calls nobody",
    );
    refused("decision if rand.intn(\"a\", 2) == 1", "`rand.intn`");
    refused("decision if uuid.rfc4122(\"a\")", "`uuid.rfc4122`");
    refused("decision if opa.runtime().env.X", "`opa.runtime`");
    refused("decision if { print(input) }", "`print`");
    refused("f(x) := 1\ndecision if f(1) with f as time.now_ns", "`time.now_ns`");
    refused("decision if io.jwt.decode(\"a\")", "no function here is called `io.jwt.decode`");
    refused("decision if regex.macth(\"a\", \"b\")", "did you mean `regex.match`?");
    refused("decision if { now := [x | x := time.now_ns()]; now }", "`time.now_ns`");
}

#[test]
fn what_no_deadline_stops_is_refused() {
    refused(
        "decision if count(numbers.range(1, 1000000000)) > 1",
        "`numbers.range`: its bounds must be numbers",
    );
    refused("decision if count(numbers.range(1, input.context.arguments.n)) > 1", "`numbers.range`");
    refused("decision if numbers.range_step(1, 10, 0)", "`numbers.range_step`");
    refused("decision if net.cidr_expand(\"10.0.0.0/8\")", "`net.cidr_expand`");
    refused("decision if bits.lsh(1, 4000000000) > 0", "`bits.lsh`");
    refused("decision if sprintf(\"%999999999d\", [1]) == \"\"", "`sprintf`");
    refused("decision if sprintf(input.caller.subject, [1]) == \"\"", "`sprintf`");
    refused("decision if graph.reachable_paths({}, {})", "`graph.reachable_paths`");
    refused("decision if yaml.unmarshal(\"a\")", "`yaml.unmarshal`");
    load("package mcpg\ndecision if { count(numbers.range(1, 100)) == 100; sprintf(\"%03d\", [1]) == \"001\" }").unwrap();
}

#[test]
fn rules_that_call_themselves_or_too_deep_are_refused() {
    refused("f(x) := f(x + 1)\ndecision if f(1)", "`data.mcpg.f` refers to itself");
    refused("a if b\nb if a\ndecision if a", "refers to itself");
    refused("decision if data.mcpg[\"decision\"]", "refers to itself");
    refused("decision if { some x; data[x] }", "refers to itself");
    let mut deep = "decision if r0\n".to_owned();
    (0..200).for_each(|number| deep += &format!("r{number} if r{}\n", number + 1));
    refused(&format!("{deep}r200 := true"), "more than 32 deep");
    let mut wide = "decision if r0\n".to_owned();
    (0..20).for_each(|number| wide += &format!("r{number} if {{ r{}; input.caller.subject }}\n", number + 1));
    let chain = chain(&format!("{wide}r20 := true"));
    assert_eq!(show(&decide(&chain, "t", None)), "permit");
    // A name of the rule's own is not the rule of that name.
    load("package mcpg\nf(user) := x if { x := user }\nuser := f(1)\ndecision if user").unwrap();
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    refused("decision if", "a.rego:");
    refused("other := true", "no rule is called `data.mcpg.decision`");
    assert!(load_with(&[("a.txt", "")], json!({})).unwrap_err().contains("holds no `.rego` file"));
    let two = [("a.rego", "package mcpg\ndecision := true"), ("b.rego", "package x\ny if {")];
    assert!(load_with(&two, json!({})).unwrap_err().contains("b.rego"));
    let bad = |more: Value| load_with(&[("a.rego", "package mcpg\ndecision := true")], more).unwrap_err();
    assert!(bad(json!({"decision": "mcpg.decision"})).contains("write `data.PACKAGE.RULE`"));
    assert!(bad(json!({"decision": "data.mcpg.other"})).contains("no rule is called"));
    assert!(bad(json!({"bundle": null})).contains("needs a `bundle`"));
    let data =
        |path, text| load_with(&[("a.rego", "package mcpg\ndecision := true"), (path, text)], json!({}));
    assert!(data("data.json", "[]").unwrap_err().contains("data.json: is not an object"));
    assert!(data("data.json", "{").unwrap_err().contains("data.json"));
    data("other.json", "{").unwrap();
}

#[test]
fn data_is_below_its_folders_and_tests_are_no_policies() {
    let files = [
        (
            "a.rego",
            "package mcpg\ndecision if { data.owners[input.caller.subject]; data.teams.dev.level == 3 }",
        ),
        ("data.json", r#"{"owners": {"user:alice@acme.com": true}}"#),
        ("teams/data.yaml", "dev:\n  level: 3\n"),
        ("a_test.rego", "package mcpg\ntest_x if time.now_ns() > 0"),
    ];
    let chain = chain_of(load_with(&files, json!({})).unwrap());
    assert_eq!(show(&decide(&chain, "t", None)), "permit");
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let warnings = |rules: &str| load(&format!("package mcpg\n{rules}")).unwrap().warnings().join("\n");
    assert!(warnings("decision if input.user == 1").contains("the input has no `input.user`"));
    assert!(warnings("decision if input == {}").contains("`input` is read as a whole"));
    assert_eq!(warnings("decision if input.caller.subject"), "");
}
