//! The definitions as they are kept in config/schema/crds, and what the API server holds of structural schemas.

use std::path::PathBuf;

use mcpg_config::Document;

use super::*;
use crate::manifest::tests::{ARTICLE, EVERY_KIND};
use crate::manifest::to_yaml;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/schema/crds")
}

#[test]
fn the_definitions_are_those_that_are_kept() {
    if std::env::var_os("MCPG_ACCEPT").is_some() {
        for (name, definition) in crds().unwrap() {
            std::fs::write(folder().join(name), to_yaml(&definition)).unwrap();
        }
    }
    let mut kept: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    let mut names = Vec::new();
    for (name, definition) in crds().unwrap() {
        let text = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert_eq!(to_yaml(&definition), text, "{name}: `mcpg-ctl crds --dir config/schema/crds` writes it");
        names.push(name);
    }
    names.sort();
    assert_eq!(kept, names);
}

/// The rules of structural schemas (apiextensions.k8s.io/v1), as the API server checks them.
fn unstructural(schema: &Value, place: &str, found: &mut Vec<String>) {
    let mut breach = |what: &str| found.push(format!("{place}: {what}"));
    let free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let kind = schema.get("type").and_then(Value::as_str);
    match kind {
        None if free => {}
        Some("object" | "array" | "string" | "integer" | "number" | "boolean") => {}
        other => breach(&format!("type {other:?}")),
    }
    for keyword in schema.as_object().unwrap().keys() {
        let known = PLAIN.contains(&keyword.as_str())
            || [
                "pattern",
                "properties",
                "items",
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            ]
            .contains(&keyword.as_str());
        if !known {
            breach(&format!("`{keyword}`"));
        }
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
        breach("`properties` beside `additionalProperties`");
    }
    if schema.get("additionalProperties").is_some_and(Value::is_boolean) {
        breach("`additionalProperties` that says yes or no");
    }
    if kind == Some("array") && !schema.get("items").is_some_and(Value::is_object) {
        breach("an array without `items`");
    }
    if schema.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.contains("\\u")) {
        breach("a pattern that RE2 does not know");
    }
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if schema.pointer(&format!("/properties/{}", required.as_str().unwrap())).is_none() {
            breach(&format!("{required} is required and not there"));
        }
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        unstructural(property, &format!("{place}.{name}"), found);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(keyword).filter(|inner| inner.is_object()) {
            unstructural(inner, &format!("{place}[]"), found);
        }
    }
}

#[test]
fn every_schema_is_structural() {
    for (name, definition) in crds().unwrap() {
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let mut found = Vec::new();
        unstructural(schema, "", &mut found);
        assert!(found.is_empty(), "{name}: {found:#?}");
        // Of `metadata` only that it is there may be said.
        assert_eq!(schema.pointer("/properties/metadata"), Some(&json!({ "type": "object" })));
    }
}

#[test]
fn what_is_not_structural_is_found() {
    for wrong in [
        json!({}),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "string", "$ref": "#/a" }),
        json!({ "type": "object", "additionalProperties": false }),
        json!({ "type": "object", "properties": {}, "additionalProperties": { "type": "string" } }),
        json!({ "type": "array" }),
        json!({ "type": "string", "pattern": "\\u0000" }),
        json!({ "type": "object", "required": ["a"] }),
        json!({ "type": "object", "properties": { "a": {} } }),
    ] {
        let mut found = Vec::new();
        unstructural(&wrong, "", &mut found);
        assert!(!found.is_empty(), "{wrong}");
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    let check = |schema: Value, expected: &str| {
        let error = Structural { root: &schema }.schema(&schema, "spec").unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(json!({ "type": "string", "if": {} }), "`spec`: `if` cannot be said in a CRD");
    check(
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
        "`spec`: a choice of types cannot be said in a CRD",
    );
    check(json!({ "type": ["string", "integer"] }), "`spec`: a choice of types cannot be said in a CRD");
    check(json!({ "$ref": "#/$defs/X" }), "`spec`: a reference that leads nowhere");
    check(json!({ "properties": { "a": {} } }), "`spec.a`: it has no type");
    assert_eq!(re2(r"^[^\u0000-\u001f\u2028]+$"), r"^[^\x00-\x1f\x{2028}]+$");
}

/// What the API server would drop or refuse of a value.
fn misfits(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let is = |kind: &str| schema.get("type").and_then(Value::as_str) == Some(kind);
    match value {
        Value::Object(members) if is("object") => {
            for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if !members.contains_key(name.as_str().unwrap()) {
                    found.push(format!("{place}: {name} is missing"));
                }
            }
            for (name, member) in members {
                let known =
                    schema.pointer(&format!("/properties/{name}")).or(schema.get("additionalProperties"));
                match known {
                    Some(schema) => misfits(schema, member, &format!("{place}.{name}"), found),
                    // Of `metadata` the API server has a schema of its own.
                    None if place == ".metadata"
                        || schema.get("x-kubernetes-preserve-unknown-fields").is_some() => {}
                    None => found.push(format!("{place}.{name} is dropped")),
                }
            }
        }
        Value::Array(items) if is("array") => {
            for item in items {
                misfits(&schema["items"], item, &format!("{place}[]"), found);
            }
        }
        Value::String(text) if is("string") => {
            let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
            let words = schema.get("enum").and_then(Value::as_array);
            if !regex::Regex::new(pattern).unwrap().is_match(text)
                || words.is_some_and(|words| !words.contains(value))
            {
                found.push(format!("{place}: {text}"));
            }
        }
        Value::Bool(_) if is("boolean") => {}
        Value::Number(_) if is("integer") || is("number") => {}
        other => found.push(format!("{place}: {other}")),
    }
}

#[test]
fn manifests_fit_their_definitions() {
    let check = |text: &str| {
        let mut found = Vec::new();
        for document in Document::all(text.as_bytes(), "a.yaml").unwrap() {
            let kind =
                Kind::ALL.into_iter().find(|kind| document.text("kind") == Some(kind.as_str())).unwrap();
            let definition = definition(kind).unwrap();
            let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
            misfits(schema, &document.to_json(), "", &mut found);
        }
        found
    };
    assert_eq!(check(ARTICLE), Vec::<String>::new());
    assert_eq!(check(EVERY_KIND), Vec::<String>::new());
    assert_eq!(check(&ARTICLE.replace("- id: identity", "- idd: identity")).len(), 2);
    assert_eq!(check(&ARTICLE.replace("acme-corp/", "Acme/")), [".spec.workspace: Acme/platform-team"]);
}
