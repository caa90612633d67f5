//! The published schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

#[derive(schemars::JsonSchema)]
#[expect(dead_code)]
struct Sample {
    /// A list of these.
    parts: Vec<Part>,
    inner: Option<Box<Sample>>,
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code)]
struct Part {
    name: String,
}

#[test]
fn the_part_of_this_crate_is_golden() {
    let text = serde_json::to_string_pretty(&schema(&[])).unwrap();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("gateway_schema", text);
    });
}

#[test]
fn the_settings_of_plugins_are_taken_in_with_their_definitions() {
    let schema = schema(&[("identity.api-key", schemars::schema_for!(Sample))]);
    let settings = &schema["$defs"]["settings.identity.api-key"];
    assert_eq!(settings["properties"]["parts"]["items"]["$ref"], "#/$defs/settings.identity.api-key.Part");
    assert_eq!(settings["properties"]["inner"]["anyOf"][0]["$ref"], "#/$defs/settings.identity.api-key");
    let condition = &schema["$defs"]["Plugin"]["allOf"][0];
    assert_eq!(condition["if"]["properties"]["id"]["enum"], json!(["identity.api-key", "api-keys"]));
    assert_eq!(condition["then"]["properties"]["config"]["$ref"], "#/$defs/settings.identity.api-key");
}

#[test]
fn every_reference_leads_somewhere_and_every_map_is_closed() {
    let schema = schema(&[("policy.cedar", schemars::schema_for!(Sample))]);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    walk(&schema, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    });
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition.get("properties").is_some() && !name.starts_with("settings.policy.cedar") {
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
    }
}

#[test]
fn the_schema_lists_what_this_build_has() {
    let listed: BTreeSet<String> =
        serde_json::from_value(schema(&[])["$defs"]["PluginId"]["enum"].clone()).unwrap();
    assert!(builtin_ids().all(|id| listed.contains(id)));
    assert!(listed.contains("api-keys") && !listed.contains("secret.vault"));
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}
