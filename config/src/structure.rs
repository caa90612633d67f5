//! Walks the document along the JSON Schema of the wire types and reports everything that does not fit, each with its
//! position: unknown and missing keys, wrong types, values out of range.
//!
//! Only the keywords that the wire types use are understood: `$ref`, `anyOf`, `oneOf`, `type`, `const`, `enum`,
//! `properties`, `patternProperties` (one; which keys fit it is the type's to say), `additionalProperties`, `required`,
//! `items`, `minimum`, `maximum`, `minItems`, `maxItems`, `maxProperties`.
//! A value is repeated only where it is close to an allowed one, so that a misplaced secret is not.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde_json::{Map, Number, Value};

use crate::place::{Place, Report};
use crate::quote::{either, list, quote};
use crate::wire;
use crate::yaml::{Entry, Kind};

mod hint;
mod nearest;
mod planned;
mod reword;

pub(crate) use nearest::nearest;
pub(crate) use reword::{reword, unknown_field};

/// Checks a place against the schema of `T`.
pub(crate) fn check<T: JsonSchema>(place: &Place<'_>, report: &mut Report<'_>) {
    let schema = schema_of::<T>();
    Checker { root: &schema, report }.value(&schema, place);
}

/// Checks a whole file. There may be thousands, so their schema is made once.
pub(crate) fn check_file(place: &Place<'_>, report: &mut Report<'_>) {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<wire::File>);
    Checker { root: &SCHEMA, report }.value(&SCHEMA, place);
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    // What a message lists should not depend on how another crate has serde_json order its maps.
    schema.sort_all_objects();
    schema
}

struct Checker<'c, 'r> {
    root: &'c Value,
    report: &'c mut Report<'r>,
}

impl<'c> Checker<'c, '_> {
    fn value(&mut self, schema: &'c Value, place: &Place<'_>) {
        let Some(node) = place.node else { return };
        if self.report.is_full() {
            return;
        }
        if let Some((at, message, help)) = planned::planned_binding(place) {
            return self.report.error_with_help(&at, message, help);
        }
        let mut branches = Vec::new();
        self.branches(schema, &mut branches);
        let fitting: Vec<_> = branches.iter().copied().filter(|branch| fits(branch, &node.kind)).collect();
        let Some(first) = fitting.first() else {
            let choices: Vec<&str> = branches.iter().flat_map(|branch| constants(branch)).collect();
            let expected = if choices.is_empty() { expectation(&branches) } else { either(choices) };
            let message = format!("expected {expected}, found {}", node.noun());
            return self.report(place, message, hint::for_type(&branches, place));
        };
        match &node.kind {
            Kind::Text(text) => self.text(&fitting, text, place),
            Kind::Number(number) => self.number(first, number, place),
            Kind::List(items) => self.list(first, items.len(), place),
            Kind::Map(entries) => self.map(first, entries, place),
            Kind::Null | Kind::Bool(_) => {}
        }
    }

    fn text(&mut self, fitting: &[&'c Value], text: &str, place: &Place<'_>) {
        let choices: Vec<&str> = fitting.iter().flat_map(|branch| constants(branch)).collect();
        if choices.is_empty() || choices.contains(&text) {
            return;
        }
        let message = format!("expected {}, found another string", either(choices.iter().copied()));
        let help = nearest(text, choices).map(|near| format!("did you mean {}?", quote(near)));
        self.report(place, message, help);
    }

    fn number(&mut self, schema: &Value, number: &Number, place: &Place<'_>) {
        let (minimum, maximum) = (bound(schema, "minimum"), bound(schema, "maximum"));
        let below = minimum.is_some_and(|minimum| number.as_i128() < Some(minimum));
        let above = maximum.is_some_and(|maximum| number.as_i128() > Some(maximum));
        if !below && !above {
            return;
        }
        let range = match (minimum, maximum) {
            (Some(minimum), Some(maximum)) => format!("from {minimum} to {maximum}"),
            (Some(minimum), None) => format!("at least {minimum}"),
            (None, maximum) => format!("at most {}", maximum.unwrap_or_default()),
        };
        self.report.error(place, format!("{number} is out of range: expected a number {range}"));
    }

    fn list(&mut self, schema: &'c Value, length: usize, place: &Place<'_>) {
        if bound(schema, "minItems").is_some_and(|minimum| (length as i128) < minimum) {
            self.report.error(place, format!("{} needs at least one item", quote(&place.path)));
        }
        if let Some(maximum) = bound(schema, "maxItems").filter(|maximum| length as i128 > *maximum) {
            return self.report.error(place, format!("{} has more than {maximum} items", quote(&place.path)));
        }
        if let Some(items) = schema.get("items") {
            for index in 0..length {
                self.item(items, &place.item(index));
            }
        }
    }

    fn item(&mut self, schema: &'c Value, place: &Place<'_>) {
        match place.node.map(|node| &node.kind) {
            Some(Kind::Null) => self.report.error(place, "this item of the list is empty"),
            _ => self.value(schema, place),
        }
    }

    fn map(&mut self, schema: &'c Value, entries: &[Entry], place: &Place<'_>) {
        if let Some(maximum) =
            bound(schema, "maxProperties").filter(|maximum| entries.len() as i128 > *maximum)
        {
            return self.report.error(place, format!("{} has more than {maximum} keys", quote(&place.path)));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let patterned = schema.get("patternProperties").and_then(|known| known.as_object()?.values().next());
        let mut meant = Vec::new();
        for Entry { key, .. } in entries {
            if self.report.is_full() {
                return;
            }
            let member = properties.and_then(|properties| properties.get(key));
            match member.or(patterned).or_else(|| schema.get("additionalProperties")) {
                Some(Value::Bool(false)) => meant.extend(self.unknown_key(properties, key, place)),
                Some(member) => self.value(member, &place.child(key)),
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            let child = place.child(key);
            if child.node.is_none() && !meant.contains(&key) {
                self.report
                    .error(&child, format!("{} is missing in {}", quote(key), within(place, self.report)));
            }
        }
    }

    /// Reports a key that does not belong here, and returns the one here that was probably meant.
    fn unknown_key(
        &mut self,
        known: Option<&'c Map<String, Value>>,
        key: &str,
        place: &Place<'_>,
    ) -> Option<&'c str> {
        let at = place.key(key);
        if let Some((message, help)) = planned::planned_key(&place.path, key) {
            self.report.error_with_help(&at, message, help);
            return None;
        }
        let siblings = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let meant = planned::renamed_key(&place.path, key).or_else(|| nearest(key, siblings.clone()));
        let help = meant
            .map(|meant| format!("did you mean {}?", quote(meant)))
            .or_else(|| nearest::elsewhere(self.root, key))
            .unwrap_or_else(|| format!("known here: {}", list(siblings)));
        let message = format!("unknown key {} in {}", quote(key), within(place, self.report));
        self.report.error_with_help(&at, message, help);
        meant
    }

    /// Follows `$ref` and collects the alternatives; `null` is none, since an empty key counts as absent.
    fn branches(&self, schema: &'c Value, found: &mut Vec<&'c Value>) {
        let schema = resolve(self.root, schema);
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|keyword| schema.get(keyword)?.as_array());
        match alternatives {
            Some(alternatives) => alternatives.iter().for_each(|schema| self.branches(schema, found)),
            None if schema.get("type").and_then(Value::as_str) == Some("null") => {}
            None => found.push(schema),
        }
    }

    fn report(&mut self, place: &Place<'_>, message: String, help: Option<String>) {
        match help {
            Some(help) => self.report.error_with_help(place, message, help),
            None => self.report.error(place, message),
        }
    }
}

/// Follows a `$ref` of the form `#/$defs/NAME`.
fn resolve<'c>(root: &'c Value, schema: &'c Value) -> &'c Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// The JSON types that a schema without alternatives allows; none for any.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect()
        }
        _ => Vec::new(),
    }
}

fn fits(schema: &Value, kind: &Kind) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|name| match kind {
            Kind::Null => false,
            Kind::Bool(_) => *name == "boolean",
            Kind::Number(number) => *name == "number" || (*name == "integer" && !number.is_f64()),
            Kind::Text(_) => *name == "string",
            Kind::List(_) => *name == "array",
            Kind::Map(_) => *name == "object",
        })
}

fn expectation(branches: &[&Value]) -> String {
    let mut nouns: Vec<&str> = Vec::new();
    for name in branches.iter().flat_map(|branch| types(branch)) {
        let noun = match name {
            "boolean" => "`true` or `false`",
            "integer" => "an integer",
            "number" => "a number",
            "string" => "a string",
            "array" => "a list",
            _ => "a map",
        };
        if !nouns.contains(&noun) {
            nouns.push(noun);
        }
    }
    nouns.join(" or ")
}

fn constants(schema: &Value) -> impl Iterator<Item = &str> {
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    schema.get("const").into_iter().chain(several).filter_map(Value::as_str)
}

fn bound(schema: &Value, keyword: &str) -> Option<i128> {
    schema.get(keyword)?.as_number()?.as_i128()
}

fn within(place: &Place<'_>, report: &Report<'_>) -> String {
    if place.path.is_empty() { report.whole.to_owned() } else { quote(&place.path) }
}
