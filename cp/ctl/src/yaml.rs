//! Values as YAML for people: block style, texts of several lines as they are. A document of `mcpg-config` reads it as the same value.

use std::fmt::Write as _;

use serde_json::Value;

use crate::text;

/// Words that some reader of YAML takes for something else than a text.
const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null"];

/// Writes a value as a document in block style. Nothing in it is acted on by a terminal.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    node(&mut text, value, 0);
    text
}

/// Writes a node at the beginning of a line.
fn node(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, item) in map {
                indent(out, depth);
                entry(out, key, item, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(out, depth);
                item_of_list(out, item, depth);
            }
        }
        other => {
            indent(out, depth);
            scalar(out, other, depth);
            out.push('\n');
        }
    }
}

fn entry(out: &mut String, key: &str, item: &Value, depth: usize) {
    quoted(out, key);
    out.push(':');
    match item {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            node(out, item, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            node(out, item, depth + 1);
        }
        other => {
            out.push(' ');
            scalar(out, other, depth);
            out.push('\n');
        }
    }
}

fn item_of_list(out: &mut String, item: &Value, depth: usize) {
    match item {
        // The first entry stands beside the dash, the others below it.
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, item)) in map.iter().enumerate() {
                if index == 0 {
                    out.push_str("- ");
                } else {
                    indent(out, depth + 1);
                }
                entry(out, key, item, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push_str("-\n");
            node(out, item, depth + 1);
        }
        other => {
            out.push_str("- ");
            scalar(out, other, depth);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(text) if is_block(text) => block(out, text, depth + 1),
        Value::String(text) => quoted(out, text),
        // Null, truth values, numbers, and what is empty are written as in JSON.
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// Whether a text of lines can stand as it is. Tabs are harmless within it.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_plain = |line: &str| line.split('\t').all(|part| *text::plain(part) == *part);
    text.contains('\n')
        && !body.is_empty()
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with([' ', '\t', '\n'])
        && body.split('\n').all(is_plain)
}

fn block(out: &mut String, text: &str, depth: usize) {
    out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
    for line in text.lines() {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
}

/// A text as it is, where no reader takes it for something else, or else in quotes.
fn quoted(out: &mut String, text: &str) {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./@+$".contains(letter);
    let starts = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || "_/$".contains(letter));
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    // A colon is harmless unless a space or the end follows it.
    let colons = !text.ends_with(':') && text.chars().all(|letter| plain(letter) || letter == ':');
    if starts && colons && !is_word { out.push_str(text) } else { out.push_str(&text::json_string(text)) }
}

#[cfg(test)]
mod tests {
    use mcpg_config::Document;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let documents = Document::all(text.as_bytes(), "").map_err(|error| error.to_string())?;
        match documents.as_slice() {
            [one] => Ok(one.to_json()),
            _ => Err(format!("{} documents", documents.len())),
        }
    }

    #[test]
    fn values_come_back_as_they_were() {
        for value in [
            json!({}),
            json!([]),
            json!("x"),
            json!({ "a": 1, "b": [true, 0, "x", { "c": -1.5, "e": [[1, [2]], []] }], "d": {} }),
            // Texts that look like something else, or would end the document.
            json!([
                "true", "null", "1", "1.5", "", "~", " x ", "a: b", "# x", "- x", "---", "No", "0x10", "1e3"
            ]),
            json!(["a:", "a:b", "a #b", "*a", "&a", "!a", "{", "[", "%", "`", ".inf", "-", "?", "|", ">"]),
            json!({ "k: v": "line\nline\n", "tab\t": "\u{1b}[31m", "é": "東京 'a' \"b\" \\ \u{9b}x\u{202e}" }),
            json!({ "a": "x\ny", "b": ["x\n\ny\n", " x\ny", "x\ny\n\n", "x\ty\nz", "x \ny", "a\r\nb", "\n"] }),
            json!(["$secret://env/API_KEY", "2026-11-22T10:11:54.000Z", "http://127.0.0.1:1/a?b=c"]),
            json!({ "on": "off", "y": "n", "null": 0, "1": 1 }),
        ] {
            let text = text(&value);
            assert_eq!(read(&text).as_ref(), Ok(&value), "{text}");
            assert!(text.ends_with('\n'), "{text}");
            assert!(text.lines().all(|line| text::plain(line) == line || line.contains('\t')), "{text:?}");
        }
    }

    #[test]
    fn it_reads_well() {
        let value = json!({ "items": [{ "id": "policy.cedar", "files": { "all.cedar": "permit (\n);\n" } }, 1], "none": [] });
        let expected = "items:\n  - id: policy.cedar\n    files:\n      all.cedar: |\n        permit (\n        );\n  - 1\nnone: []\n";
        assert_eq!(text(&value), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ \\t\\n#:|>~a-z0-9.'\"-]{0,12}",
            "[a-z \\n]{0,12}",
            Just("permit\n\n".to_owned()),
            Just("\u{85}x\u{2028}\n".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let map = proptest::collection::btree_map(text.clone(), inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                map.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values()) {
            // The reader has no merge keys, and an absent key for one without a value.
            prop_assume!(!value.to_string().contains("\"<<\":") && !value.to_string().contains("null"));
            let text = text(&value);
            prop_assert_eq!(read(&text).map_err(TestCaseError::fail)?, value, "{}", text);
        }
    }
}
