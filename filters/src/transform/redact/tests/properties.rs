//! Properties of redaction, checked against another JSON library.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const NAMES: [&str; 3] = ["email", "e\"ml", "é\n"];

fn all(mode: RedactMode) -> Redactor {
    redactor(&NAMES.map(|name| (name, mode)))
}

/// What redaction means, on a parsed value: JSON inside strings is parsed and written anew.
fn model(value: &Value, mode: RedactMode) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(|element| model(element, mode)).collect(),
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, _)| mode == RedactMode::Mask || !NAMES.contains(&name.as_str()));
            kept.map(|(name, value)| {
                let value = if NAMES.contains(&name.as_str()) { json!(MASK) } else { model(value, mode) };
                (name.clone(), value)
            })
            .collect::<Map<_, _>>()
            .into()
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) => json!(model(&inner, mode).to_string()),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}

/// Values with the names among their members, JSON in strings, and text that is none.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "[a-z \\\\\\n😀{}:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let name = prop_oneof![
            1 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
            2 => "[a-d\"\\\\\\n]{0,3}",
        ];
        let members = proptest::collection::vec((name, inner.clone()), 0..6);
        prop_oneof![
            3 => members.prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            1 => inner.prop_map(|value| json!(value.to_string())),
        ]
    })
}

/// How many strings of JSON are inside each other, which the redactor bounds.
fn strings_deep(value: &Value) -> u32 {
    match value {
        Value::Array(elements) => elements.iter().map(strings_deep).max().unwrap_or(0),
        Value::Object(members) => members.values().map(strings_deep).max().unwrap_or(0),
        Value::String(text) if text.contains('"') => {
            1 + serde_json::from_str(text).map_or(0, |inner: Value| strings_deep(&inner))
        }
        _ => 0,
    }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

proptest! {
    #[test]
    fn a_message_is_redacted_as_the_model_says(
        value in values(),
        remove in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        prop_assume!(strings_deep(&value) <= RedactLimits::default().embedded_max);
        let mode = if remove { RedactMode::Remove } else { RedactMode::Mask };
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": value});
        let bytes =
            if pretty { serde_json::to_vec_pretty(&message) } else { serde_json::to_vec(&message) }.unwrap();
        let redacted = all(mode).redact(&bytes).unwrap();
        let expected = json!({"jsonrpc": "2.0", "id": 1, "result": model(&value, mode)});
        // Both sides written anew inside strings, where the redactor keeps spaces as they were.
        prop_assert_eq!(normal(&parse(&redacted)), normal(&expected));
        // And so nothing is left to redact.
        prop_assert_eq!(normal(&model(&parse(&redacted), mode)), normal(&parse(&redacted)));
        let again = all(mode).redact(&redacted).unwrap();
        prop_assert_eq!(&*again, &*redacted);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = all(RedactMode::Mask).redact(&bytes);
    }

    /// Agreement with another strict parser on what is JSON, over text made of JSON's own pieces.
    #[test]
    fn the_same_texts_are_json(
        pieces in proptest::collection::vec(
            proptest::sample::select(&[
                "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"email\"", "1", "-", "0", ".5", "e3", "true", "null", " ",
                "\\", "\\u00", "22", "\\ud83d", "\\ude00", "\n", "{\"a\":1}", "[2]",
            ][..]),
            0..14,
        ),
    ) {
        let text = pieces.concat();
        let accepted = match all(RedactMode::Mask).redact(text.as_bytes()) {
            Ok(_) | Err(RedactError::Text) => true,
            Err(_) => false,
        };
        let other = serde_json::from_str::<Value>(&text);
        // A number that no `f64` holds is JSON all the same; the other parser says so of it and looks no further.
        if !other.as_ref().is_err_and(|error| error.to_string().starts_with("number out of range")) {
            prop_assert_eq!(accepted, other.is_ok(), "{}", text);
        }
    }

    /// Text that is no JSON: whatever is said in it, no member of the name keeps its value.
    #[test]
    fn no_text_keeps_a_member(
        before in "[a-z{\\[\": ,]{0,10}",
        after in "[a-z}\\]\": ,]{0,10}",
        space in "[ \\n]{0,2}",
    ) {
        let text = format!("{before}\"email\"{space}:{space}\"a@b.c\"{after}");
        let message = json!({"id": 1, "result": {"content": [{"text": text}]}}).to_string();
        if let Ok(redacted) = all(RedactMode::Remove).redact(message.as_bytes()) {
            let redacted = String::from_utf8_lossy(&redacted);
            prop_assert!(!redacted.contains("a@b.c"), "{} -> {}", text, redacted);
        }
    }
}

/// A value with the JSON in its strings written anew.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(normal).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), normal(value))).collect::<Map<_, _>>().into()
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) => json!(normal(&inner).to_string()),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}
