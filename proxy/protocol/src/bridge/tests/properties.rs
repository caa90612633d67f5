//! What translation keeps, whatever the message.

use proptest::prelude::*;
use serde_json::{Value, json as j};

use super::{json, limits, object, request};
use crate::bridge::{ModernMeta, result_to_legacy, result_to_modern};
use crate::{Method, Revision};

const ABOUT: ModernMeta<'_> = ModernMeta { capabilities: "{}", info: "{}", log_level: None };

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Floats that any parser reads exactly.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map("[^\\x00]{0,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The raw text of a member of `params`, as it stands in the message.
fn raw(text: &[u8], key: &str) -> Option<String> {
    let text = std::str::from_utf8(text).unwrap();
    request(text).param(key).map(|value| value.raw().to_owned())
}

proptest! {
    #[test]
    fn a_request_there_and_back_keeps_its_bytes(
        name in any::<String>(),
        arguments in proptest::collection::hash_map("[^\\x00]{0,12}", any_json(), 0..6),
        token in prop_oneof![any::<i32>().prop_map(Value::from), any::<String>().prop_map(Value::from)],
        pretty in any::<bool>(),
    ) {
        let arguments = Value::Object(arguments.into_iter().collect());
        let message = j!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":
            {"name":name,"arguments":arguments,"_meta":{"progressToken":token}}});
        let text =
            if pretty { serde_json::to_string_pretty(&message).unwrap() } else { message.to_string() };
        let modern = request(&text).to_modern("\"2\"", ABOUT, None);
        let modern_text = std::str::from_utf8(&modern).unwrap();
        let back = request(modern_text).to_legacy("1");
        for key in ["name", "arguments"] {
            let original = raw(text.as_bytes(), key);
            prop_assert_eq!(raw(&modern, key), original.clone());
            prop_assert_eq!(raw(&back, key), original);
        }
        prop_assert_eq!(&json(&modern)["params"]["_meta"]["progressToken"], &token);
        prop_assert_eq!(json(&back), message);
    }

    #[test]
    fn a_result_there_and_back_says_the_same(content in proptest::collection::vec(any_json(), 0..5)) {
        let legacy = j!({"content":content,"isError":false,"_meta":{"k":1}});
        let text = legacy.to_string();
        let modern = result_to_modern("1", &Method::ToolsCall, &object(&text), Some("{}"), &limits());
        let result = json(&modern)["result"].to_string();
        let back =
            result_to_legacy("1", &Method::ToolsCall, &object(&result), Revision::V2025_11_25, &limits());
        prop_assert_eq!(&json(back)["result"], &legacy);
    }

    #[test]
    fn no_text_makes_the_translation_panic(text in "\\PC{0,200}") {
        let _ = crate::bridge::Packet::parse(text.as_bytes(), &limits());
        let _ = crate::bridge::Request::parse(text.as_bytes(), &limits());
    }
}
