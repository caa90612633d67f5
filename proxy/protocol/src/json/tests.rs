//! What is JSON here and what is not, table-driven and against serde_json.

use proptest::prelude::*;

use super::*;
use crate::Limits;

fn scan(text: &str, limits: &Limits) -> Result<Value, JsonError> {
    let mut scanner = Scanner::new(text, limits);
    let value = scanner.value().map_err(|fault| fault.error)?;
    scanner.finish().map_err(|fault| fault.error)?;
    Ok(value)
}

#[track_caller]
fn check(text: &str, expected: Result<ValueKind, JsonError>) {
    assert_eq!(scan(text, &Limits::default()).map(|value| value.kind), expected, "{text:?}");
}

const STRING: ValueKind = ValueKind::String { escaped: false };
const ESCAPED: ValueKind = ValueKind::String { escaped: true };
const INTEGER: ValueKind = ValueKind::Number { integer: true };
const FLOAT: ValueKind = ValueKind::Number { integer: false };

#[test]
fn values_of_every_kind_are_told_apart() {
    check("{}", Ok(ValueKind::Object));
    check(" { } ", Ok(ValueKind::Object));
    check("[]", Ok(ValueKind::Array));
    check("[[],{},[{}]]", Ok(ValueKind::Array));
    check("\t\r\n null \n", Ok(ValueKind::Null));
    check("true", Ok(ValueKind::Bool));
    check("false", Ok(ValueKind::Bool));
    check(r#""""#, Ok(STRING));
    check("\"é𝄞\u{7f}\u{2028}\"", Ok(STRING));
    check(r#"{"a":[1,{"b":"c"}],"d":null}"#, Ok(ValueKind::Object));
}

#[test]
fn numbers_are_those_of_rfc_8259() {
    for text in ["0", "-0", "7", "-10", "123456789012345678901234567890"] {
        check(text, Ok(INTEGER));
    }
    for text in ["0.0", "-0.5", "1.25", "1e5", "1E+5", "1e-5", "0e0", "1.5e300", "1e-400"] {
        check(text, Ok(FLOAT));
    }
    for text in ["01", "-01", "00", "1.e5", "-a", "1e+x", "1.x"] {
        check(text, Err(JsonError::MalformedNumber));
    }
    for text in ["-", "1e", "1e+", "1."] {
        check(text, Err(JsonError::UnexpectedEnd));
    }
    for text in [".5", "+1", "Infinity", "NaN"] {
        check(text, Err(JsonError::UnexpectedByte));
    }
    for text in ["1_000", "0x10", "1a", "1 2"] {
        check(text, Err(JsonError::TrailingBytes));
    }
}

#[test]
fn numbers_beyond_a_double_are_refused() {
    check("1e400", Err(JsonError::NumberOutOfRange));
    check("-1e400", Err(JsonError::NumberOutOfRange));
    check("1e999999999999999999999", Err(JsonError::NumberOutOfRange));
    check(&"9".repeat(310), Err(JsonError::NumberOutOfRange));
    check(&"9".repeat(308), Ok(INTEGER));
    check(&format!("0.{}", "9".repeat(400)), Ok(FLOAT));
    check("1e308", Ok(FLOAT));
}

#[test]
fn strings_are_those_of_rfc_8259() {
    for text in [r#""\"\\\/\b\f\n\r\t""#, r#""\u0041\u00e9\uD834\uDD1E""#, r#""\u0000""#] {
        check(text, Ok(ESCAPED));
    }
    for text in [r#""\x41""#, r#""\'""#, r#""\u00g0""#, r#""\U0041""#, r#""\u+041""#, "\"\\\u{e9}\""] {
        check(text, Err(JsonError::MalformedEscape));
    }
    for text in ["\"a\nb\"", "\"\0\"", "\"\u{1f}\"", "\"1234567\u{8}\"", "\"a\tb\""] {
        check(text, Err(JsonError::ControlCharacter));
    }
    for text in ["\"", "\"abc", "\"abcdefgh", r#""\"#, r#""\u"#, r#""\u00"#, r#""\""#] {
        check(text, Err(JsonError::UnexpectedEnd));
    }
    for text in ["'a'", "a", "“a”"] {
        check(text, Err(JsonError::UnexpectedByte));
    }
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [
        r#""\ud834""#,
        r#""\udd1e""#,
        r#""\ud834\ud834""#,
        r#""\ud834x""#,
        r#""\ud834\n""#,
        r#""\ud834\u0041""#,
    ] {
        check(text, Err(JsonError::LoneSurrogate));
    }
    check(r#"{"\ud834":1}"#, Err(JsonError::LoneSurrogate));
}

#[test]
fn structure_is_strict() {
    for text in ["{,}", "[,]", "[1,]", r#"{"a":1,}"#, r#"{"a"}"#, r#"{"a":}"#, "{1:2}", "{a:1}", "[1 2]"] {
        check(text, Err(JsonError::UnexpectedByte));
    }
    for text in
        ["[1}", r#"{"a":1]"#, "]", "}", ":", ",", "tru", "nul", "/**/1", "\u{feff}1", "\u{a0}1", "\u{c}1"]
    {
        check(text, Err(JsonError::UnexpectedByte));
    }
    for text in
        ["", " ", "[", "[1", "[1,", "{", r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":1,"#, "[[[", "[{"]
    {
        check(text, Err(JsonError::UnexpectedEnd));
    }
    for text in ["{}{}", "[]]", "1//", "null\0", "{} x"] {
        check(text, Err(JsonError::TrailingBytes));
    }
}

#[test]
fn a_duplicate_key_is_found_at_any_level() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"b":{"c":1},"a":2}"#,
        r#"[[{"x":{"y":1,"y":1}}]]"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0061":1,"a":2}"#,
        r#"{"\u0061":1,"\u0061":2}"#,
        r#"{"\ud834\udd1e":1,"𝄞":2}"#,
        r#"{"":1,"":2}"#,
        r#"{"a\/":1,"a/":2}"#,
        r#"{"delete_repo":1,"delet\u0065_repo":2}"#,
        r#"{"d\u0065lete_repo":1,"delet\u0065_repo":2}"#,
    ] {
        check(text, Err(JsonError::DuplicateKey));
    }
    for text in [
        r#"{"a":{"a":{"a":1}}}"#,
        r#"[{"a":1},{"a":1}]"#,
        r#"{"a":1,"A":2}"#,
        "{\"\u{e1}\":1,\"a\u{301}\":2}",
        r#"{"a":{"b":1},"b":{"a":1}}"#,
        r#"{"a\\u0062":1,"ab":2}"#,
    ] {
        assert!(scan(text, &Limits::default()).is_ok(), "{text}");
    }
}

/// An object of `count` keys, every seventh one escaped, and one more at the end.
fn object_of(count: usize, last: &str) -> String {
    let mut text = String::from("{");
    for key in 0..count {
        let k = if key % 7 == 0 { r"\u006b" } else { "k" };
        text.push_str(&format!(r#""{k}{key}":{{"k1":0}},"#));
    }
    text.push_str(&format!(r#""{last}":0}}"#));
    text
}

#[test]
fn a_duplicate_key_is_found_in_objects_of_any_size() {
    for count in [1, 15, 16, 17, 31, 32, 33, 40, 300, 20_000] {
        let fresh = object_of(count, "fresh");
        assert!(scan(&fresh, &Limits::default()).is_ok(), "{count} keys");
        let nested = format!(r#"{{"a":{fresh},"b":{fresh},"c":{{"d":{fresh}}}}}"#);
        assert!(scan(&nested, &Limits::default()).is_ok(), "{count} keys, nested");
        check(&object_of(count, "k0"), Err(JsonError::DuplicateKey));
        check(&object_of(count, r"\u006b0"), Err(JsonError::DuplicateKey));
        check(&format!("[{}]", object_of(count, "k0")), Err(JsonError::DuplicateKey));
    }
}

#[test]
fn a_duplicate_in_an_outer_object_is_found_after_a_large_inner_one() {
    let inner = object_of(100, "fresh");
    check(&format!(r#"{{"a":{inner},"a":1}}"#), Err(JsonError::DuplicateKey));
    check(&format!(r#"{{"a":{inner},"b":{{"c":1,"c":2}}}}"#), Err(JsonError::DuplicateKey));
}

#[test]
fn nul_in_a_key_is_refused_and_in_a_value_is_not() {
    check(r#"{"a\u0000b":1}"#, Err(JsonError::NulInKey));
    check(r#"{"a":{"\u0000":1}}"#, Err(JsonError::NulInKey));
    check(r#"{"a":"\u0000"}"#, Ok(ValueKind::Object));
    check(r#"{"a\\u0000":1}"#, Ok(ValueKind::Object));
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    check(&nested("[", "]", 64), Ok(ValueKind::Array));
    check(&nested("[", "]", 65), Err(JsonError::TooDeep));
    check(&nested(r#"{"a":"#, "}", 64), Ok(ValueKind::Object));
    check(&nested(r#"{"a":"#, "}", 65), Err(JsonError::TooDeep));
    check(&"[".repeat(10_000), Err(JsonError::TooDeep));
    check(&r#"[{"a":"#.repeat(10_000), Err(JsonError::TooDeep));

    let deepest = Limits { depth_max: u32::MAX, ..Limits::default() };
    assert!(scan(&nested("[", "]", 128), &deepest).is_ok());
    assert!(scan(&nested(r#"{"a":"#, "}", 128), &deepest).is_ok());
    assert_eq!(scan(&nested("[", "]", 129), &deepest).err(), Some(JsonError::TooDeep));
}

#[test]
fn counts_are_bounded() {
    let limits = Limits { values_max: 4, object_keys_max: 2, ..Limits::default() };
    assert!(scan("[1,2,3]", &limits).is_ok());
    assert_eq!(scan("[1,2,3,4]", &limits).err(), Some(JsonError::TooManyValues));
    assert_eq!(scan("[[],[],[[]]]", &limits).err(), Some(JsonError::TooManyValues));
    assert!(scan(r#"{"a":1,"b":2}"#, &limits).is_ok());
    assert_eq!(scan(r#"{"a":1,"b":2,"c":3}"#, &limits).err(), Some(JsonError::TooManyKeys));
}

#[test]
fn a_fault_is_at_its_byte() {
    let offset = |text: &str| Scanner::new(text, &Limits::default()).value().unwrap_err().offset as usize;
    assert_eq!(offset(r#"{"a":tru}"#), 5);
    assert_eq!(offset(r#"{"a":1,"b":2,"a":3}"#), 14);
    assert_eq!(offset(&object_of(50, "k3")), object_of(50, "k3").rfind("k3").unwrap());
    assert_eq!(offset(r#"["ab\ud800"]"#), 4);
}

/// JSON texts, whole and broken: fragments in any order.
fn soup() -> impl Strategy<Value = String> {
    let fragments = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\ud834\\udd1e\"",
        "\"\\ud834\"",
        "\"é\"",
        "\"",
        "\\",
        "0",
        "-0",
        "1",
        "-",
        "1.5",
        "1e5",
        "1e400",
        "E",
        ".",
        "true",
        "null",
        "{\"a\":1}",
        "[1,2]",
        "\"k\":",
        "\u{1f}",
        "𝄞",
        "{}",
        "[]",
    ];
    prop::collection::vec(prop::sample::select(fragments.to_vec()), 0..24).prop_map(|parts| parts.concat())
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[^\0]{0,6}", inner, 0..24)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// We accept no more than serde_json, and less only for what we refuse on purpose.
fn agrees_with_serde_json(text: &str) -> Result<(), TestCaseError> {
    let ours = scan(text, &Limits::default());
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => {
            let on_purpose = matches!(
                ours,
                Ok(_) | Err(JsonError::DuplicateKey | JsonError::NulInKey | JsonError::TooDeep)
            );
            prop_assert!(on_purpose, "{ours:?} for {text:?}");
        }
        Err(error) => prop_assert!(ours.is_err(), "accepted {text:?}: {error}"),
    }
    Ok(())
}

/// A member with this key, in which each character is escaped whose bit is set (or must be).
fn spell(key: &str, escapes: u64) -> String {
    let mut text = String::from("\"");
    for (index, c) in key.chars().enumerate() {
        if escapes >> (index % 64) & 1 == 1 || c < ' ' || c == '"' || c == '\\' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text + "\":0"
}

proptest! {
    #[test]
    fn fragments_are_judged_as_serde_json_does(text in soup()) {
        agrees_with_serde_json(&text)?;
    }

    #[test]
    fn what_serde_json_writes_is_accepted(value in value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert!(scan(&text, &Limits::default()).is_ok(), "{text}");
    }

    #[test]
    fn a_damaged_text_is_judged_as_serde_json_does(
        value in value(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![0x20_u8..0x7f, Just(0)],
    ) {
        let mut text = serde_json::to_string(&value).unwrap().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(text) = str::from_utf8(&text) {
            agrees_with_serde_json(text)?;
        }
    }

    #[test]
    fn a_key_is_a_duplicate_however_it_is_spelled(
        keys in prop::collection::btree_set("[^\0]{0,9}", 1..40),
        again in any::<prop::sample::Index>(),
        escapes in any::<[u64; 2]>(),
    ) {
        let again = keys.iter().nth(again.index(keys.len())).unwrap().clone();
        let object = |last: Option<&str>| {
            let first = keys.iter().map(|key| spell(key, escapes[0]));
            let members: Vec<_> = first.chain(last.map(|key| spell(key, escapes[1]))).collect();
            format!("{{{}}}", members.join(","))
        };
        prop_assert!(scan(&object(None), &Limits::default()).is_ok());
        let found = scan(&object(Some(&again)), &Limits::default());
        prop_assert_eq!(found, Err(JsonError::DuplicateKey), "{}", object(Some(&again)));
    }

    #[test]
    fn a_written_string_is_read_back(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        let written = str::from_utf8(&out).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(written).unwrap(), text.clone());
        let value = scan(written, &Limits::default()).unwrap();
        let content = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
        prop_assert_eq!(unescape(content, value.kind == ESCAPED), text);
    }
}
