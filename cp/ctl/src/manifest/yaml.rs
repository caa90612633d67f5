//! Values as YAML for people: block style, texts of several lines as they are.

use std::borrow::Cow;

use mcpg_config::Document;
use saphyr::{Mapping, Scalar, ScalarStyle, Yaml, YamlEmitter};
use serde_json::Value;

/// A value as a YAML document, ending in a line break, without the line that begins one.
///
/// What the reader of manifests would not read as the same value is written as JSON, which is YAML too.
pub fn to_yaml(value: &Value) -> String {
    let text = emitted(value).filter(|text| reads_as(text, value));
    text.unwrap_or_else(|| format!("{value:#}\n"))
}

fn emitted(value: &Value) -> Option<String> {
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    emitter.dump(&yaml(value)).ok()?;
    let text = text.strip_prefix("---\n")?;
    Some(if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") })
}

fn reads_as(text: &str, value: &Value) -> bool {
    let documents = Document::all(text.as_bytes(), "");
    documents.is_ok_and(|documents| matches!(documents.as_slice(), [one] if one.to_json() == *value))
}

fn yaml(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(value) => Yaml::Value(Scalar::Boolean(*value)),
        Value::Number(number) => {
            Yaml::Representation(Cow::Owned(number.to_string()), ScalarStyle::Plain, None)
        }
        Value::String(text) => Yaml::Value(Scalar::String(Cow::Borrowed(text))),
        Value::Array(items) => Yaml::Sequence(items.iter().map(yaml).collect()),
        Value::Object(members) => {
            let key = |key| Yaml::Value(Scalar::String(Cow::Borrowed(key)));
            Yaml::Mapping(
                members
                    .iter()
                    .map(|(name, member)| (key(name.as_str()), yaml(member)))
                    .collect::<Mapping<'_>>(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_several_lines_stay_readable() {
        let value = json!({ "a": { "all.cedar": "permit (\n  principal\n);\n" }, "b": [{ "id": "x", "n": 1.5 }], "c": "yes", "d": "1" });
        let expected = "a:\n  all.cedar: |\n    permit (\n      principal\n    );\nb:\n  - id: x\n    n: 1.5\nc: \"yes\"\nd: \"1\"\n";
        assert_eq!(to_yaml(&value), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ \\t\\n#:|>~a-z0-9.'\"-]{0,12}",
            Just("permit\n\n".to_owned()),
            Just("\u{85}x\u{2028}\n".to_owned()),
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values()) {
            // The reader has no merge keys.
            prop_assume!(!value.to_string().contains("\"<<\":"));
            let text = to_yaml(&value);
            let read = Document::all(text.as_bytes(), "").map_err(|error| TestCaseError::fail(format!("{error}: {text:?}")))?;
            prop_assert_eq!(read[0].to_json(), value);
        }
    }
}
