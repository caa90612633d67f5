//! Properties: names survive both ways, nothing panics, and filtering agrees with a JSON parser.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Envelope;

/// A binding's id, as configuration allows it.
fn binding() -> impl Strategy<Value = String> {
    "[a-z0-9-]{1,40}"
}

/// Any JSON value, with the keys that matter among its keys.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        4 => proptest::sample::select(&[
            "result", "params", "content", "contents", "messages", "uri", "taskId", "task", "tasks", "resource", "_meta",
            "method", "id", "io.modelcontextprotocol/related-task", "inputRequests", "tools", "name", "cacheScope",
        ][..]).prop_map(str::to_owned),
        1 => "[^\\x00]{0,6}",
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_name_survives_outward_and_inward(binding in binding(), name in r"\PC{1,60}") {
        let item = json!({"x": 1, "name": name}).to_string();
        let list = format!(r#"{{"tools":[{item}]}}"#);
        let page = page(&list, ListKind::Tools).unwrap();
        let mut writer = PageWriter::new(ListKind::Tools, 0);
        page.items[0].write(&mut writer, Prefix::new(&binding).of_names());
        let mut out = writer.finish(None);
        PageTail { era: Era::Legacy, ttl_ms: 0, scope: CacheScope::Private, meta: &[] }.write(&mut out);
        let listed: Value = serde_json::from_slice(&out).unwrap();
        let named = listed["tools"][0]["name"].as_str().unwrap();
        prop_assert_eq!(named.split_once('.'), Some((&*binding, &*name)));

        let call = |name: &str| {
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string()
        };
        let body = call(named);
        let envelope = Envelope::parse(body.as_bytes(), &limits()).unwrap();
        let inner = inward(body.as_bytes(), &envelope, &name).unwrap();
        prop_assert_eq!(String::from_utf8(inner).unwrap(), call(&name));
    }

    #[test]
    fn a_uri_survives_outward_and_inward(binding in binding(), uri in ".{1,60}") {
        let message = json!({"result": {"contents": [{"uri": uri}]}}).to_string();
        let prefix = Prefix::new(&binding);
        let named = outward(message.as_bytes(), &prefix, &limits()).unwrap();
        let named: Value = serde_json::from_slice(&named).unwrap();
        let named = named["result"]["contents"][0]["uri"].as_str().unwrap();
        prop_assert_eq!(named.split_once('+'), Some((&*binding, &*uri)));
    }

    #[test]
    fn outward_changes_only_what_it_names(message in value(), binding in binding()) {
        let text = message.to_string();
        let prefix = Prefix::new(&binding);
        let written = outward(text.as_bytes(), &prefix, &limits()).unwrap();
        let after: Value = serde_json::from_slice(&written).unwrap();
        prop_assert!(differs_by_prefix_only(&message, &after, &binding));
        // What was rewritten is as it was without what was put in.
        let grown = written.len() - text.len();
        prop_assert_eq!(grown % (binding.len() + 1), 0);
    }

    #[test]
    fn nothing_that_is_no_json_panics(text in "\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        for kind in ListKind::ALL {
            let _ = page(&text, kind);
            let _ = filter_list(&bytes, kind, &limits(), true, |_| false);
        }
        let _ = outward(&bytes, &Prefix::new("a"), &limits());
        let _ = unrelate(&bytes, &Prefix::new("a"), &limits());
        let _ = About::parse(&text, &limits());
        let _ = ClientClass::of(&text, &limits());
    }

    #[test]
    fn a_filter_shows_what_it_keeps_and_nothing_else(
        names in proptest::collection::vec("[a-c]{1,2}", 0..12),
        denied in proptest::collection::hash_set("[a-c]{1,2}", 0..6),
        private in any::<bool>(),
    ) {
        let items: Vec<Value> = names.iter().map(|name| json!({"name": name, "denied": denied.contains(name)})).collect();
        let message = json!({"id": 1, "result": {"tools": items, "cacheScope": "public", "ttlMs": 1}}).to_string();
        let filtered =
            filter_list(message.as_bytes(), ListKind::Tools, &limits(), private, |item| !denied.contains(&*item.name));
        let shown: Value = match filtered.unwrap() {
            Filtered::Untouched => serde_json::from_str(&message).unwrap(),
            Filtered::Changed(text) => serde_json::from_slice(&text).unwrap(),
        };
        let kept: Vec<Value> = items.into_iter().filter(|item| item["denied"] == false).collect();
        prop_assert_eq!(&shown["result"]["tools"], &Value::from(kept));
        prop_assert_eq!(&shown["result"]["cacheScope"], if private { "private" } else { "public" });
    }
}

fn differs_by_prefix_only(before: &Value, after: &Value, binding: &str) -> bool {
    match (before, after) {
        (Value::String(before), Value::String(after)) => {
            before == after
                || after
                    .strip_prefix(binding)
                    .is_some_and(|rest| rest.strip_prefix(['.', '+']).is_some_and(|rest| rest == before))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(before, after)| differs_by_prefix_only(before, after, binding))
        }
        (Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before.iter().all(|(key, before)| {
                    after.get(key).is_some_and(|after| differs_by_prefix_only(before, after, binding))
                })
        }
        _ => before == after,
    }
}
