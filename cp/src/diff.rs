//! What differs between two documents, by place. Entries of lists that have an `id` are found by it (and their `name`), so an entry that
//! moves is one change and not many.

use std::collections::BTreeMap;

use mcpg_cp_api::Change;
use serde_json::Value;

/// The most differences that are told. Beyond it, a difference is told of the nearest place that holds the rest.
const CHANGES_MAX: usize = 2000;

/// What differs, in order of pointer.
pub(crate) fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut changes);
    changes.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    changes
}

fn compare(pointer: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let pairs = match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => Some((members(before), members(after))),
        (Some(Value::Array(before)), Some(Value::Array(after))) => entries(before).zip(entries(after)),
        _ => None,
    };
    match pairs.filter(|_| changes.len() < CHANGES_MAX) {
        Some((old, new)) => {
            let told = changes.len();
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                compare(place, old.get(name).copied(), new.get(name).copied(), changes);
            }
            // The same entries in another order: what is run in order is not the same.
            if changes.len() == told {
                changes.push(Change { pointer, before: before.cloned(), after: after.cloned() });
            }
        }
        None => changes.push(Change { pointer, before: before.cloned(), after: after.cloned() }),
    }
}

fn members(object: &serde_json::Map<String, Value>) -> BTreeMap<String, &Value> {
    object.iter().map(|(name, value)| (name.clone(), value)).collect()
}

/// Entries by `id` and `name`, if all have an id and no two the same.
fn entries(list: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let mut found = BTreeMap::new();
    for entry in list {
        let id = entry.get("id").and_then(Value::as_str)?;
        let name = entry.get("name").and_then(Value::as_str);
        let key = name.map_or_else(|| id.to_owned(), |name| format!("{id}:{name}"));
        if found.insert(key, entry).is_some() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: &Value, after: &Value, expected: &[&str]) {
        let found: Vec<String> = diff(before, after).into_iter().map(|change| change.pointer).collect();
        assert_eq!(found, expected, "{before} -> {after}");
    }

    #[test]
    fn differences_have_their_place() {
        let one = json!({ "plugins": [{ "id": "policy.cedar", "config": { "bundle": "a" } }, { "id": "identity.oidc" }] });
        let two = json!({ "plugins": [{ "id": "policy.cedar", "config": { "bundle": "b" } }, { "id": "gate.x", "name": "n" }] });
        check(&one, &one, &[]);
        check(
            &one,
            &two,
            &["/plugins/gate.x:n", "/plugins/identity.oidc", "/plugins/policy.cedar/config/bundle"],
        );
        check(&json!({ "a/b": 1 }), &json!({}), &["/a~1b"]);
        check(&json!([1, 2]), &json!([1, 3]), &[""]);
        let change = diff(&json!({ "a": 1 }), &json!({ "a": 2, "b": null })).remove(0);
        assert_eq!((change.before, change.after), (Some(json!(1)), Some(json!(2))));
    }

    #[test]
    fn order_is_a_difference() {
        let one = json!({ "plugins": [{ "id": "a" }, { "id": "b" }] });
        check(&one, &json!({ "plugins": [{ "id": "b" }, { "id": "a" }] }), &["/plugins"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_differs_from_itself_and_something_else_does(one in 0..5u8, two in 0..5u8) {
            let (one, two) = (json!([{ "id": one.to_string() }]), json!([{ "id": two.to_string() }]));
            proptest::prop_assert_eq!(diff(&one, &two).is_empty(), one == two);
        }
    }
}
