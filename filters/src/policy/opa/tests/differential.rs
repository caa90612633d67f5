//! The corpus in `tests/rego` holds what a real OPA makes of each case (`tests/rego/differential.py`); here the engine must make the
//! same of it, but for the cases that have `ours`.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Corpus {
    input: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rules: String,
    data: Option<Value>,
    opa: Value,
    ours: Option<Value>,
}

#[test]
fn rego_means_what_opa_says_it_means() {
    let text = include_str!("../../../../../tests/rego/corpus.json");
    let corpus: Corpus = serde_json::from_str(text).unwrap();
    assert!(corpus.cases.len() >= 100);
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let ours = evaluated(case, &corpus.input);
        let expected = case.ours.as_ref().unwrap_or(&case.opa);
        let expected = if expected.get("error").is_some() { &json!({"error": true}) } else { expected };
        if !same(&ours, expected) {
            wrong.push(format!("{}: {ours}, and not {expected}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn evaluated(case: &Case, input: &Value) -> Value {
    let rules = format!("package mcpg\n{}", case.rules);
    let data = case.data.as_ref().map(Value::to_string);
    let files: Vec<(&str, &str)> = [("a.rego", rules.as_str())]
        .into_iter()
        .chain(data.as_deref().map(|data| ("data.json", data)))
        .collect();
    let engine = match load_with(&files, json!({})) {
        Ok(engine) => engine,
        Err(error) => return json!({ "refused": error }),
    };
    let Policies::Embedded(pool) = &engine.policies else { unreachable!("it is embedded") };
    let mut evaluator = pool.take();
    evaluator.set_input(input.clone().into());
    match evaluator.eval_rule("data.mcpg.decision".to_owned()) {
        Ok(regorus::Value::Undefined) => json!({"undefined": true}),
        Ok(value) => json!({ "value": serde_json::to_value(&value).unwrap() }),
        Err(_) => json!({"error": true}),
    }
}

/// Whether two values are the same: `1` and `1.0` are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}
