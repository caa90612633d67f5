//! The file as JSON Schema (draft 2020-12), for editors: the wire types' own, with each plugin's settings.

use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::plugins::builtin::{self, Builtin};
use crate::wire;

/// The ids of the plugins that this build has.
pub fn builtin_ids() -> impl Iterator<Item = &'static str> {
    builtin::in_build().map(|builtin| builtin.id)
}

/// Describes the whole file.
///
/// `plugin_settings` gives the schema of `config:` by plugin id; the settings of a plugin without one are any map.
/// Those of `observability.audit` are known here, since they may also stand in `audit:`.
pub fn schema(plugin_settings: &[(&str, Schema)]) -> Value {
    let mut root = into_object(schemars::schema_for!(wire::File));
    let mut definitions = take_definitions(&mut root);
    let audit = (builtin::AUDIT, schemars::schema_for!(wire::audit::Audit));
    let mut conditions = Vec::new();
    for (id, schema) in plugin_settings.iter().filter(|(id, _)| *id != audit.0).chain([&audit]) {
        let name = format!("settings.{id}");
        add_settings(&name, into_object(schema.clone()), &mut definitions);
        let ids = builtin::find(id).map_or_else(|| vec![*id], |builtin| names(builtin).collect());
        conditions.push(json!({
            "if": { "properties": { "id": { "enum": ids } } },
            "then": { "properties": { "config": { "$ref": format!("#/$defs/{name}") } } },
        }));
    }
    if let Some(Value::Object(plugin)) = definitions.get_mut("Plugin") {
        plugin.insert("allOf".to_owned(), conditions.into());
    }
    let ids: Vec<&str> = builtin::in_build().flat_map(names).collect();
    definitions.insert("PluginId".to_owned(), json!({ "description": "A built-in plugin.", "enum": ids }));
    root.insert("$defs".to_owned(), definitions.into());
    let mut schema = Value::Object(root);
    // The same text however another crate has serde_json order its maps.
    schema.sort_all_objects();
    schema
}

fn names(builtin: &Builtin) -> impl Iterator<Item = &'static str> {
    std::iter::once(builtin.id).chain(builtin.aliases.iter().copied())
}

/// Adds a self-contained schema under a name, its own definitions beside it and its references rewritten.
fn add_settings(name: &str, mut schema: Map<String, Value>, definitions: &mut Map<String, Value>) {
    schema.remove("$schema");
    for (inner, mut definition) in take_definitions(&mut schema) {
        rewrite_references(&mut definition, name);
        definitions.insert(format!("{name}.{inner}"), definition);
    }
    let mut schema = Value::Object(schema);
    rewrite_references(&mut schema, name);
    definitions.insert(name.to_owned(), schema);
}

/// `#/$defs/X` becomes `#/$defs/NAME.X`, and `#` the schema itself.
fn rewrite_references(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), &*member) {
                    ("$ref", Value::String(reference)) => {
                        let target = match reference.strip_prefix("#/$defs/") {
                            Some(inner) => format!("#/$defs/{name}.{inner}"),
                            None if reference == "#" => format!("#/$defs/{name}"),
                            None => continue,
                        };
                        *member = Value::String(target);
                    }
                    _ => rewrite_references(member, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite_references(item, name)),
        _ => {}
    }
}

fn into_object(schema: Schema) -> Map<String, Value> {
    match schema.to_value() {
        Value::Object(members) => members,
        // `true` and `false` are schemas too.
        Value::Bool(false) => Map::from_iter([("not".to_owned(), json!({}))]),
        _ => Map::new(),
    }
}

fn take_definitions(schema: &mut Map<String, Value>) -> Map<String, Value> {
    match schema.remove("$defs") {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
