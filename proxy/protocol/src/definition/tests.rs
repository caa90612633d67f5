//! Definitions: one for all ways of writing it, another for everything that says something else.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn definition(tool: &str) -> Definition {
    Definition::read(tool, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {tool}"))
}

fn changes(old: &Value, new: &Value) -> Vec<String> {
    let (old, new) = (definition(&old.to_string()), definition(&new.to_string()));
    let found = diff(&old, &new, 8, &Limits::default());
    found.changes.iter().map(ToString::to_string).collect()
}

fn hidden(tool: &Value) -> Vec<String> {
    let read = ToolText::read(&tool.to_string(), &Limits::default()).unwrap();
    read.hidden.iter().map(ToString::to_string).collect()
}

#[test]
fn the_canonical_form_is_written_out() {
    let tool = r#" { "title":"A\/\u00e9\n" , "name" : "a", "_meta":{"seen":1},
        "inputSchema":{"z":[1.0,-0,1e2,true,null],"\ud83d\ude00":{},"a":"\u0007", "\ue000":1}, "icons":[] } "#;
    assert_eq!(
        definition(tool).as_str(),
        "{\"inputSchema\":{\"a\":\"\\u0007\",\"z\":[1.0,-0,1e2,true,null],\"\u{1f600}\":{},\"\u{e000}\":1},\
         \"name\":\"a\",\"title\":\"A/\u{e9}\\n\"}"
    );
}

#[test]
fn what_is_no_tool_is_told_apart() {
    for (text, error) in [
        ("", DefinitionError::Json(JsonError::UnexpectedEnd)),
        ("[]", DefinitionError::NoTool),
        ("{}", DefinitionError::NoTool),
        (r#"{"name":1}"#, DefinitionError::NoTool),
        (r#"{"name":"a"} x"#, DefinitionError::Json(JsonError::TrailingBytes)),
        (r#"{"name":"a","inputSchema":{"b":1,"\u0062":2}}"#, DefinitionError::Json(JsonError::DuplicateKey)),
        (r#"{"name":"\ud800"}"#, DefinitionError::Json(JsonError::LoneSurrogate)),
    ] {
        assert_eq!(Definition::read(text, &Limits::default()), Err(error), "{text}");
    }
    let deep = format!(r#"{{"name":"a","inputSchema":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let error = DefinitionError::Json(JsonError::TooDeep);
    assert_eq!(Definition::read(&deep, &Limits::default()), Err(error));
}

#[test]
fn only_the_pinned_members_make_a_definition() {
    let plain = json!({ "name": "a", "description": "b", "inputSchema": { "type": "object" } });
    let mut other = plain.clone();
    other["_meta"] = json!({ "build": 7 });
    other["icons"] = json!([{ "src": "https://a/b.png" }]);
    assert_eq!(definition(&plain.to_string()), definition(&other.to_string()));
    for member in MEMBERS.iter().filter(|member| **member != "name") {
        let mut other = plain.clone();
        other[*member] = json!({ "new": "value" });
        assert_ne!(definition(&plain.to_string()), definition(&other.to_string()), "{member}");
    }
}

#[test]
fn differences_are_named_field_by_field() {
    let old = json!({
        "name": "a", "description": "reads a file", "annotations": { "readOnlyHint": true },
        "inputSchema": {
            "type": "object", "required": ["path"],
            "properties": { "path": { "type": "string" }, "a/b~": { "oneOf": [{ "type": "null" }] } },
        },
    });
    assert_eq!(changes(&old, &old), [""; 0]);
    let mut new = old.clone();
    new["description"] = json!("reads a file\u{202e} and sends it");
    new["title"] = json!("A");
    new["annotations"] = json!({});
    new["inputSchema"]["required"] = json!(["path", "token"]);
    new["inputSchema"]["properties"]["a/b~"]["oneOf"] = json!([{ "type": "string" }, { "x": 1 }]);
    assert_eq!(
        changes(&old, &new),
        [
            "/annotations/readOnlyHint: removed true",
            r#"/description: "reads a file" -> "reads a file\u{202e} and sends it""#,
            r#"/inputSchema/properties/a~1b~0/oneOf/0/type: "null" -> "string""#,
            r#"/inputSchema/properties/a~1b~0/oneOf/1: added {"x":1}"#,
            r#"/inputSchema/required: ["path"] -> ["path","token"]"#,
            r#"/title: added "A""#,
        ]
    );
}

#[test]
fn a_difference_late_in_a_long_text_is_shown() {
    let text = |end: &str| json!({ "name": "a", "description": "x".repeat(5_000) + end });
    let found = changes(&text("old"), &text("new"));
    let context = "x".repeat(40);
    assert_eq!(found, [format!("/description: …{context}old\" -> …{context}new\"")]);
}

#[test]
fn differences_are_bounded() {
    let tool = |value: u32| {
        let properties: Map<String, Value> =
            (0..100).map(|index| (format!("p{index}"), value.into())).collect();
        definition(&json!({ "name": "a", "inputSchema": properties }).to_string())
    };
    let found = diff(&tool(1), &tool(2), 8, &Limits::default());
    assert_eq!((found.changes.len(), found.more), (8, 92));
    assert!(found.to_string().ends_with("; and 92 more"), "{found}");
    let narrow = Limits { depth_max: 1, ..Limits::default() };
    assert_eq!(diff(&tool(1), &tool(2), 8, &narrow).changes[0].path, "");
    assert!(diff(&tool(1), &tool(1), 8, &narrow).changes.is_empty());
}

#[test]
fn hidden_text_is_found_and_what_writing_needs_is_not() {
    let check = |text: &str, expected: Option<&str>| {
        let expected: Vec<String> = expected.iter().map(|what| format!("/description: {what}")).collect();
        assert_eq!(hidden(&json!({ "name": "a", "description": text })), expected, "{text:?}");
    };
    for (text, expected) in [
        ("a\u{1b}[31mred", "terminal_escape U+001B at 1"),
        ("a\u{9b}31m", "terminal_escape U+009B at 1"),
        ("line\rover", "control U+000D at 4"),
        ("\u{8}\u{8}\u{0}", "control U+0008 at 0, 3 times"),
        ("a\u{7f}", "control U+007F at 1"),
        ("a\u{85}b", "control U+0085 at 1"),
        ("\u{202e}txt.exe", "bidi U+202E at 0"),
        ("a \u{2066}b\u{2069}", "bidi U+2066 at 2, 2 times"),
        ("a\u{200f}b", "bidi U+200F at 1"),
        ("\u{5d0}\u{200f}\u{200f}", "bidi U+200F at 2"),
        ("a\u{200b}b\u{feff}", "zero_width U+200B at 1, 2 times"),
        ("a\u{200d}b", "zero_width U+200D at 1"),
        ("\u{645}\u{200c}\u{200c}", "zero_width U+200C at 2"),
        ("hi\u{e0049}\u{e0067}", "tag U+E0049 at 2, 2 times"),
        ("\u{1f600}\u{fe01}\u{e0100}\u{e0101}", "variation_selector U+E0100 at 2, 2 times"),
        ("1\u{fe0f}", "variation_selector U+FE0F at 1"),
        ("a\u{fe0f}", "variation_selector U+FE0F at 1"),
        ("a\u{ad}b", "invisible U+00AD at 1"),
        ("\u{3164}\u{2800}\u{2063}\u{2028}", "invisible U+3164 at 0, 4 times"),
    ] {
        check(text, Some(expected));
    }
    for text in [
        "plain\r\n\ttext",
        "caf\u{e9} \u{2014} \u{201c}x\u{201d} \u{a0}",
        "\u{26a0}\u{fe0f} 1\u{fe0f}\u{20e3} \u{1f468}\u{1f3fd}\u{200d}\u{1f4bb} \u{2764}\u{fe0f}\u{200d}\u{1f525}",
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
        "\u{915}\u{94d}\u{200d}\u{937}",
        "\u{5e9}\u{200f} (abc)",
        "\u{845b}\u{e0100}",
    ] {
        check(text, None);
    }
}

#[test]
fn hidden_text_is_found_in_keys_and_in_members_that_are_not_pinned() {
    let tool = json!({
        "name": "a\u{200b}", "_meta": { "x": ["\u{202d}"] }, "inputSchema": { "properties": { "b\u{1b}": {} } },
    });
    assert_eq!(
        hidden(&tool),
        [
            "/_meta/x/0: bidi U+202D at 0",
            "/inputSchema/properties/b\\u{001b}: terminal_escape U+001B at 1",
            "/name: zero_width U+200B at 1",
        ]
    );
}

#[test]
fn findings_are_bounded() {
    let many: Vec<String> = (0..1_000).map(|_| "\u{200b}".to_owned()).collect();
    let read =
        ToolText::read(&json!({ "name": "a", "_meta": many }).to_string(), &Limits::default()).unwrap();
    assert_eq!(read.hidden.len(), HiddenText::FINDINGS_MAX);
    assert_eq!(read.hidden.iter().map(|one| one.count).sum::<usize>(), 1_000);
}

#[test]
fn what_is_printed_has_nothing_hidden() {
    assert_eq!(
        printable("a\u{1b}[2J\u{202e}\n\u{e0041}\u{e9}", 99),
        "a\\u{001b}[2J\\u{202e}\\n\\u{e0041}\u{e9}"
    );
    assert_eq!(printable("abcdef", 3), "abc…");
    assert_eq!(printable("abc", 3), "abc");
}

#[test]
fn json_can_be_written_so_that_nothing_is_hidden() {
    let shown = visible_json("{\"a\u{e9}\":\"\u{202e}b\u{e0041}\u{7f}\"}");
    assert_eq!(shown, "{\"a\u{e9}\":\"\\u202eb\\udb40\\udc41\\u007f\"}");
}

/// Any JSON, of which floats are left out: what is pinned is how a number is written.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z/\"\\\\]{0,4}", any::<String>(), Just("\u{1f600}\u{e000}".to_owned())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof!["[a-c]{1,2}", any::<String>()].prop_map(|key| key.replace('\0', ""));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The value written with keys in an order, white space and escapes that `choices` picks.
fn written(value: &Value, choices: &mut impl FnMut() -> u8, out: &mut String) {
    let space = |choices: &mut dyn FnMut() -> u8, out: &mut String| {
        out.push_str(["", " ", "\n", "\t \r"][usize::from(choices() % 4)]);
    };
    space(choices, out);
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            let turns = usize::from(choices()) % members.len().max(1);
            members.rotate_left(turns);
            if choices().is_multiple_of(2) {
                members.reverse();
            }
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                space(choices, out);
                write_text(key, choices, out);
                space(choices, out);
                out.push(':');
                written(value, choices, out);
            }
            space(choices, out);
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                written(element, choices, out);
            }
            space(choices, out);
            out.push(']');
        }
        Value::String(text) => write_text(text, choices, out),
        other => out.push_str(&other.to_string()),
    }
    space(choices, out);
}

fn write_text(text: &str, choices: &mut impl FnMut() -> u8, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match (character, choices() % 3) {
            ('/', 0) => out.push_str("\\/"),
            ('\n', 0) => out.push_str("\\n"),
            ('"' | '\\', 0) => out.extend(['\\', character]),
            ('"' | '\\' | '\0'..='\u{1f}', _) | (_, 1) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&if choices().is_multiple_of(2) {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    });
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn how_a_definition_is_written_does_not_count(schema in value(), bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let tool = json!({ "name": "a", "inputSchema": schema, "description": "b" });
        let mut choices = bytes.iter().copied().cycle();
        let mut text = String::new();
        written(&tool, &mut || choices.next().unwrap_or_default(), &mut text);
        let one = definition(&tool.to_string());
        prop_assert_eq!(&one, &definition(&text), "{}", text);
        // It is its own canonical form, and says what was said.
        prop_assert_eq!(&one, &definition(one.as_str()));
        prop_assert_eq!(&one, &definition(&visible_json(one.as_str())));
        prop_assert_eq!(serde_json::from_str::<Value>(one.as_str()).unwrap(), tool);
    }

    #[test]
    fn what_a_definition_says_counts(one in value(), other in value()) {
        let tool = |schema: &Value| definition(&json!({ "name": "a", "inputSchema": schema }).to_string());
        let (first, second) = (tool(&one), tool(&other));
        prop_assert_eq!(one == other, first == second);
        let found = diff(&first, &second, 4, &Limits::default());
        prop_assert_eq!(one == other, found.changes.is_empty());
        prop_assert!(!found.to_string().chars().any(char::is_control));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Definition::read(&text, &Limits::default());
        let shown = printable(&text, 40);
        prop_assert!(!shown.contains(char::is_control));
        let found = hidden(&json!({ "name": "a", "title": shown }));
        prop_assert!(found.is_empty(), "{:?}", found);
    }
}
