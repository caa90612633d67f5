//! Policies that are written to take the machine.

use super::*;

/// A chain with a short deadline.
fn hurried(rules: &str) -> PolicyChain {
    let rules = format!("package mcpg\n{rules}");
    let more = json!({"limits": {"evaluation_ms_max": 50}});
    chain_of(load_with(&[("a.rego", &rules)], more).unwrap())
}

#[test]
fn a_decision_over_its_time_is_denied() {
    let range = "xs := numbers.range(1, 50000)\n";
    for rules in [
        "decision if { count([x | some x in xs; some y in xs; some z in xs; x + y + z == 0]) > input.context.arguments.n }",
        "decision if { count({x | some x in xs; count([y | some y in xs; y != x]) == 1}) > input.context.arguments.n }",
        "decision if { every x in xs { every y in xs { x + y > input.context.arguments.n } } }",
        "decision if { some x in xs; some y in xs; x * y == input.context.arguments.n }",
        "decision if { some x in xs; some y in xs; regex.match(sprintf(\"^(a+)+%d$\", [y]), sprintf(\"%d\", [x])); input.context.arguments.n == 1 }",
        "decision if { some x in xs; some y in xs; graph.reachable({\"a\": xs}, {x, y}) == {input.context.arguments.n} }",
    ] {
        // What is prepared when policies are loaded has no arguments, and so ends here.
        let rules = rules.replace("decision if {", "decision if { input.context.arguments.n;");
        let chain = hurried(&format!("{range}{rules}"));
        assert_eq!(show(&decide(&chain, "t", Some(r#"{"n":-1}"#))), "policy_timeout", "{rules}");
    }
}

#[test]
fn an_engine_decides_on_after_a_deadline() {
    let rules = "xs := numbers.range(1, 50000)
        decision if input.context.arguments.n == 1
        decision if { input.context.arguments.n == 2; some x in xs; some y in xs; some z in xs; x + y + z < 0 }";
    let chain = hurried(rules);
    for _ in 0..3 {
        assert_eq!(show(&decide(&chain, "t", Some(r#"{"n":2}"#))), "policy_timeout");
        assert_eq!(show(&decide(&chain, "t", Some(r#"{"n":1}"#))), "permit");
    }
}

#[test]
fn a_deep_argument_is_refused_or_decided() {
    let text = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let chain =
        chain("decision if { walk(input.context.arguments.a, [path, value]); count(path) == 20; value }");
    assert_eq!(show(&decide(&chain, "t", Some(&text(60)))), "permit");
    assert_eq!(show(&decide(&chain, "t", Some(&text(100_000)))), "policy_input");
}

#[test]
fn rules_as_deep_as_they_may_be_fit_the_stack() {
    let mut deep = "decision if r0\n".to_owned();
    for number in 0..30 {
        let next = number + 1;
        deep += &format!(
            "r{number} := [[[[[[x | x := r{next}]]]]]] if {{ count([y | some y in [r{next}]; every z in [y] {{ z != 1 }}]) == 1 }}\n"
        );
    }
    let chain = chain(&format!("{deep}r30 := 2"));
    let decided =
        std::thread::Builder::new().stack_size(2 << 20).spawn(move || show(&decide(&chain, "t", None)));
    assert_eq!(decided.unwrap().join().unwrap(), "permit");
}
