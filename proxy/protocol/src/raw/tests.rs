//! What is found where, and that a splice touches nothing else: by tables and against serde_json.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LIMITS: fn() -> Limits = Limits::default;

#[track_caller]
fn check_find(text: &str, path: &[&str], expected: Option<&str>) {
    let [found] = find(text, [path], &LIMITS()).unwrap();
    assert_eq!(found.as_ref().map(|raw| raw.text), expected, "{text} at {path:?}");
    if let Some(found) = found {
        assert_eq!(text.get(found.span.clone()), Some(found.text), "{text} at {path:?}");
    }
}

#[test]
fn a_path_leads_through_objects() {
    let text = r#" { "id" : 7 , "params":{"uri":"a\u0062","_meta":{"x/y":null}}, "list":[{"id":1}] } "#;
    check_find(text, &["id"], Some("7"));
    check_find(text, &["params", "uri"], Some(r#""a\u0062""#));
    check_find(text, &["params", "_meta", "x/y"], Some("null"));
    check_find(text, &["params", "id"], None);
    check_find(text, &["id", "id"], None);
    check_find(text, &["list", "id"], None);
    check_find(text, &["list"], Some(r#"[{"id":1}]"#));
    check_find(r#"{"p\u0061rams":1}"#, &["params"], Some("1"));
    check_find("[1]", &["params"], None);
    check_find("[1]", &[], Some("[1]"));
}

#[test]
fn several_paths_are_found_in_one_pass() {
    let text = r#"{"method":"m","params":{"a":1,"b":{"c":[]}}}"#;
    let paths: [&[&str]; 4] = [&["params", "b", "c"], &["params"], &["method"], &["no"]];
    let found = find(text, paths, &LIMITS()).unwrap().map(|found| found.map(|raw| raw.text));
    assert_eq!(found, [Some("[]"), Some(r#"{"a":1,"b":{"c":[]}}"#), Some(r#""m""#), None]);
}

#[test]
fn what_is_not_strict_json_is_refused() {
    for (text, error) in [
        (r#"{"a":1,"a":2}"#, JsonError::DuplicateKey),
        (r#"{"b":{"a":1,"\u0061":2}}"#, JsonError::DuplicateKey),
        (r#"{"a":1}{"a":2}"#, JsonError::TrailingBytes),
        (r#"{"a":1"#, JsonError::UnexpectedEnd),
        (r#"{"a":01}"#, JsonError::MalformedNumber),
        (r#"{"a\u0000":1}"#, JsonError::NulInKey),
    ] {
        assert_eq!(find(text, [&["a"]], &LIMITS()), Err(error), "{text}");
        assert_eq!(set(text, &["a"], "1", &LIMITS()), Err(error), "{text}");
        assert_eq!(remove(text, &["a"], &LIMITS()), Err(error), "{text}");
    }
}

#[test]
fn a_value_says_what_it_is() {
    let of = |text| find(text, [&[][..]], &LIMITS()).unwrap()[0].clone().unwrap();
    assert_eq!(of(r#""a\n""#).as_str().as_deref(), Some("a\n"));
    assert_eq!(
        (of("true").as_bool(), of("false").as_bool(), of("1").as_bool()),
        (Some(true), Some(false), None)
    );
    assert!(of("7").is_id() && of(r#""7""#).is_id() && !of("7.5").is_id() && !of("null").is_id());
    assert!(of("{}").is_object() && of("[]").is_array());
    assert_eq!(of(r#"["a","\u0062"]"#).as_strings(&LIMITS()).unwrap(), ["a", "b"]);
    assert_eq!(of("[]").as_strings(&LIMITS()).unwrap().len(), 0);
    assert_eq!(of(r#"["a",1]"#).as_strings(&LIMITS()), None);
    assert_eq!(of(r#"{"a":1}"#).as_strings(&LIMITS()), None);
}

#[track_caller]
fn check_set(text: &str, path: &[&str], expected: &str) {
    assert_eq!(set(text, path, "9", &LIMITS()).unwrap(), expected, "{text} at {path:?}");
}

#[test]
fn a_member_is_set() {
    check_set(r#"{ "a" : 1 , "b":2}"#, &["a"], r#"{ "a" : 9 , "b":2}"#);
    check_set(r#"{"a":{"b":[1]}}"#, &["a", "b"], r#"{"a":{"b":9}}"#);
    check_set("{}", &["a"], r#"{"a":9}"#);
    check_set("{ }", &["a"], r#"{"a":9 }"#);
    check_set(r#"{"b":2}"#, &["a"], r#"{"a":9,"b":2}"#);
    check_set(r#"{"b":2}"#, &["a", "b", "c"], r#"{"a":{"b":{"c":9}},"b":2}"#);
    check_set(r#"{"a":{}}"#, &["a", "b"], r#"{"a":{"b":9}}"#);
    check_set(r#"{"a":null}"#, &["a", "b"], r#"{"a":{"b":9}}"#);
    check_set("3", &["a"], r#"{"a":9}"#);
}

#[track_caller]
fn check_remove(text: &str, path: &[&str], expected: &str) {
    assert_eq!(remove(text, path, &LIMITS()).unwrap(), expected, "{text} at {path:?}");
}

#[test]
fn a_member_is_removed_with_its_comma() {
    check_remove(r#"{"a":1}"#, &["a"], "{}");
    check_remove(r#"{ "a" : 1 , "b":2}"#, &["a"], r#"{ "b":2}"#);
    check_remove(r#"{"a":1, "b":2 , "c":3}"#, &["b"], r#"{"a":1 , "c":3}"#);
    check_remove(r#"{"a":1, "b":2}"#, &["b"], r#"{"a":1}"#);
    check_remove(r#"{"a":{"b":1,"c":2}}"#, &["a", "b"], r#"{"a":{"c":2}}"#);
    check_remove(r#"{"a":1}"#, &["b"], r#"{"a":1}"#);
    check_remove(r#"{"a":1}"#, &["a", "b"], r#"{"a":1}"#);
}

#[test]
fn several_splices_keep_what_is_between() {
    let edits = vec![(4..5, "D".to_owned()), (0..2, "A".to_owned()), (1..3, "no".to_owned())];
    assert_eq!(splice_all("abcdefg", edits), "AcdDfg");
    assert_eq!(splice_all("abc", Vec::new()), "abc");
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\é\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What `set` means, on a tree.
fn model_set(value: &mut Value, path: &[&str], new: Value) {
    let Some((name, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    model_set(&mut value[*name], rest, new);
}

fn model_remove(value: &mut Value, path: &[&str]) {
    if let Some((name, rest)) = path.split_first()
        && let Some(members) = value.as_object_mut()
    {
        match members.get_mut(*name) {
            Some(_) if rest.is_empty() => drop(members.remove(*name)),
            Some(inner) => model_remove(inner, rest),
            None => {}
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_tree(mut value in json_value(), path in prop::collection::vec("[a-d]", 0..4), pretty: bool) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let pointer: String = path.iter().map(|name| format!("/{name}")).collect();
        let through_objects = (0..path.len()).all(|depth| {
            let above: String = path[..depth].iter().map(|name| format!("/{name}")).collect();
            value.pointer(&above).is_some_and(Value::is_object)
        });
        let [found] = find(&text, [&path], &LIMITS()).unwrap();
        let parsed = found.map(|raw| serde_json::from_str::<Value>(raw.text).unwrap());
        prop_assert_eq!(parsed.as_ref(), value.pointer(&pointer).filter(|_| through_objects));

        let written = set(&text, &path, "[9]", &LIMITS()).unwrap();
        let mut expected = value.clone();
        model_set(&mut expected, &path, json!([9]));
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);

        if !path.is_empty() {
            let written = remove(&text, &path, &LIMITS()).unwrap();
            model_remove(&mut value, &path);
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }

    #[test]
    fn replacing_keeps_all_else(head in "[ \n]{0,3}", before in "[a-z]{0,9}", old in -99..99_i32, tail in "[ \t]{0,3}") {
        let (left, right) = (format!("{head}{{\"x\" : \"{before}\",\t\"id\": "), format!(" ,\"y\":[1.50e2]}}{tail}"));
        let written = set(&format!("{left}{old}{right}"), &["id"], "\"new\"", &LIMITS()).unwrap();
        prop_assert_eq!(written, format!("{left}\"new\"{right}"));
    }

    #[test]
    fn nothing_panics(text in ".{0,60}") {
        let _ = find(&text, [&["a", "b"]], &LIMITS());
        let _ = set(&text, &["a", "b"], "1", &LIMITS());
        let _ = remove(&text, &["a"], &LIMITS());
        let _ = elements(&text, &LIMITS());
    }
}
