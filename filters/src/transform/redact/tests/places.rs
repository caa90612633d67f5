//! Pointers, detectors and hashes in whole messages: what must never be in the output, in whatever encoding it came.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpg_sdk::{Obligation, Scope};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::content;

fn redactor(obligations: &[&str]) -> Redactor {
    let obligations: Vec<Obligation> = obligations.iter().map(|text| text.parse().unwrap()).collect();
    Redactor::default().keyed(HashKey::derive(&[7; 32], &Scope::default())).with(&obligations).unwrap()
}

fn redact(obligations: &[&str], result: &str) -> String {
    let message = format!(r#"{{"jsonrpc":"2.0","id":"a@b.de","result":{result}}}"#);
    let redacted = redactor(obligations).redact(message.as_bytes()).unwrap().into_owned();
    let redacted = String::from_utf8(redacted).unwrap();
    serde_json::from_str::<Value>(&redacted).unwrap_or_else(|error| panic!("{redacted}: {error}"));
    let result = redacted.strip_prefix(r#"{"jsonrpc":"2.0","id":"a@b.de","result":"#).unwrap();
    result.strip_suffix('}').unwrap().to_owned()
}

fn check(obligation: &str, result: &str, expected: &str) {
    assert_eq!(redact(&[obligation], result), expected);
}

#[test]
fn pointers_lead_from_the_result() {
    let result = r#"{"structuredContent":{"a":[{"b":1},{"b":"x"}],"b":2},"b":3}"#;
    for (pointer, expected) in [
        ("/b", r#"{"structuredContent":{"a":[{"b":1},{"b":"x"}],"b":2},"b":"[redacted]"}"#),
        (
            "/structuredContent/a/1/b",
            r#"{"structuredContent":{"a":[{"b":1},{"b":"[redacted]"}],"b":2},"b":3}"#,
        ),
        (
            "/structuredContent/a/*/b",
            r#"{"structuredContent":{"a":[{"b":"[redacted]"},{"b":"[redacted]"}],"b":2},"b":3}"#,
        ),
        ("/structuredContent/a/0", r#"{"structuredContent":{"a":["[redacted]",{"b":"x"}],"b":2},"b":3}"#),
        ("/structuredContent", r#"{"structuredContent":"[redacted]","b":3}"#),
        ("/a", result),
        ("/structuredContent/a/2/b", result),
    ] {
        check(&format!("redact:pointer={pointer}"), result, expected);
    }
    check(
        "remove:pointer=/structuredContent/b",
        r#"{"structuredContent":{"a":1,"b":2}}"#,
        r#"{"structuredContent":{"a":1}}"#,
    );
    check("remove:pointer=/a/0", r#"{"a":[1,2]}"#, r#"{"a":["[redacted]",2]}"#);
    check("redact:pointer=/a", r#"{"\u0061":1,"a":2}"#, r#"{"\u0061":"[redacted]","a":"[redacted]"}"#);
}

#[test]
fn pointers_hold_in_the_text_that_repeats_the_structured_content() {
    let obligation = "redact:pointer=/structuredContent/user/name";
    let both = |name: &str| {
        let text = format!(r#"{{"user":{{"name":"{name}","id":7}}}}"#);
        let result = content(&text);
        format!(r#"{},"structuredContent":{text}}}"#, result.strip_suffix('}').unwrap())
    };
    check(obligation, &both("alice"), &both("[redacted]"));
    // In text that is no JSON, the value of the name that the pointer ends with.
    check(
        obligation,
        &content(r#"found {"name": "alice"} here"#),
        &content(r#"found {"name": "[redacted]"} here"#),
    );
    let broken = format!(r#"{{"result":{}}}"#, content(r#"found {"name": alice"#));
    assert_eq!(redactor(&[obligation]).redact(broken.as_bytes()).unwrap_err().code(), "broken_text");
}

#[test]
fn pointers_hold_in_results_that_messages_tell_of() {
    let redactor = redactor(&["redact:pointer=/structuredContent/a"]);
    for (message, expected) in [
        (
            r#"{"method":"notifications/tasks","params":{"result":{"structuredContent":{"a":1}}}}"#,
            r#"{"method":"notifications/tasks","params":{"result":{"structuredContent":{"a":"[redacted]"}}}}"#,
        ),
        (
            r#"[{"id":1,"result":{"result":{"structuredContent":{"a":1}}}}]"#,
            r#"[{"id":1,"result":{"result":{"structuredContent":{"a":"[redacted]"}}}}]"#,
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(&redactor.redact(message.as_bytes()).unwrap()), expected);
    }
}

#[test]
fn hashes_stand_for_equal_values() {
    let redacted = redact(
        &["hash:email"],
        r#"[{"email":"a@b.de"},{"email":"\u0061@b.de"},{"email":"c@d.ef"},{"email":7}]"#,
    );
    let values: Value = serde_json::from_str(&redacted).unwrap();
    let of = |index: usize| values[index]["email"].as_str().unwrap();
    assert!(of(0).starts_with("[hash:"), "{redacted}");
    assert_eq!(of(0), of(1));
    assert_ne!(of(0), of(2));
    assert!(of(3).starts_with("[hash:"));
    // A detector has the same mark for the same address.
    assert!(redact(&["hash:detector=email"], &content("to a@b.de")).contains(of(0)));
    let obligation = ["hash:email".parse().unwrap()];
    assert!(matches!(Redactor::default().with(&obligation), Err(RedactError::Unkeyed)));
}

#[test]
fn detectors_look_everywhere_but_in_the_envelope() {
    let obligation = "redact:detector=email";
    check(obligation, r#"{"a":"to a@b.de!","b":["a@b.de"]}"#, r#"{"a":"to [redacted]!","b":["[redacted]"]}"#);
    check(obligation, r#"{"a@b.de":1}"#, r#"{"[redacted]":1}"#);
    check("remove:detector=email", r#"{"a@b.de":1,"c":"x a@b.de"}"#, r#"{"c":"x "}"#);
    check(
        "redact:detector=card",
        r#"{"n":4111111111111111,"m":4111111111111112}"#,
        r#"{"n":"[redacted]","m":4111111111111112}"#,
    );
    let key = "aB3dE5fG7hJ9kL1mN3pQ";
    check(
        "redact:detector=secret",
        &format!(r#"{{"token":"{key}","note":"{key}"}}"#),
        &format!(r#"{{"token":"[redacted]","note":"{key}"}}"#),
    );
}

/// A value in every encoding that is looked through.
fn encodings(value: &str) -> Vec<String> {
    let escaped: String = value.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    let twice = json!(json!({ "x": value }).to_string()).to_string();
    let deep = json!(json!({ "y": twice }).to_string()).to_string();
    let blob =
        |text: &str| json!({ "contents": [{ "uri": "x:y", "blob": STANDARD.encode(text) }] }).to_string();
    vec![
        json!(value).to_string(),
        format!(r#""{escaped}""#),
        json!([{ "a": { "b": [value] } }]).to_string(),
        json!({ "text": format!("it is {value}, he said") }).to_string(),
        json!({ "text": json!({ "x": value }).to_string() }).to_string(),
        json!({ "text": format!(r#"log: {{"x":"{escaped}"}} end"#) }).to_string(),
        json!({ "text": format!(r#"{{"x":"{escaped}"}}"#) }).to_string(),
        twice,
        deep,
        blob(value),
        blob(&format!("a,{value},b\n")),
        blob(&json!({ "x": value }).to_string()),
        json!({ "blob": URL_SAFE_NO_PAD.encode(format!("??>{value}>??")) }).to_string(),
        json!({ "uri": format!("data:text/plain;base64,{}", STANDARD.encode(value)) }).to_string(),
        json!({ "type": "image", "data": STANDARD.encode(value) }).to_string(),
        json!({ value: true }).to_string(),
        json!({ "text": format!("1 {value} 2") }).to_string(),
    ]
}

/// Every reading of a text that a client might make: unescaped as often as it goes, and out of base64.
fn readings(text: &str, depth: usize, out: &mut String) {
    out.push_str(text);
    out.push('\n');
    if depth == 0 {
        return;
    }
    for word in text.split(|char: char| !(char.is_ascii_alphanumeric() || "+/=-_".contains(char))) {
        for engine in [&STANDARD, &URL_SAFE_NO_PAD] {
            if word.len() > 7
                && let Ok(bytes) = engine.decode(word)
                && let Ok(text) = String::from_utf8(bytes)
            {
                readings(&text, depth - 1, out);
            }
        }
    }
    fn strings(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(all) => all.iter().for_each(|one| strings(one, found)),
            Value::Object(all) => all.iter().for_each(|(name, one)| {
                found.push(name.clone());
                strings(one, found);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        strings(&value, &mut found);
    }
    if let Some(start) = text.find('{')
        && let Some(end) = text.rfind('}')
        && let Ok(value) = serde_json::from_str::<Value>(text.get(start..=end).unwrap_or_default())
    {
        strings(&value, &mut found);
    }
    found.iter().filter(|one| *one != text).for_each(|one| readings(one, depth - 1, out));
}

#[test]
fn a_value_is_in_no_reading_of_what_is_left() {
    let key = ["ghp", "_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"].concat();
    for (detector, value) in [
        ("email", "alice.b@acme.com"),
        ("phone", "+49 30 1234567"),
        ("phone", "(415) 555-0132"),
        ("card", "4111 1111 1111 1111"),
        ("card", "4111111111111111"),
        ("secret", &key),
    ] {
        for mode in ["redact", "hash", "remove"] {
            let redactor = redactor(&[&format!("{mode}:detector={detector}")]);
            for result in encodings(value) {
                let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
                let mut before = String::new();
                readings(&message, 6, &mut before);
                assert!(before.contains(value), "{message}");
                let redacted = redactor.redact(message.as_bytes()).unwrap();
                let mut after = String::new();
                readings(std::str::from_utf8(&redacted).unwrap(), 6, &mut after);
                assert!(
                    !after.contains(value),
                    "{mode} {detector}: {message} left {}",
                    String::from_utf8_lossy(&redacted)
                );
            }
        }
    }
}

#[test]
fn binary_data_in_which_something_is_seen_does_not_pass() {
    let redactor = redactor(&["redact:detector=email"]);
    let of = |bytes: &[u8]| json!({ "result": { "blob": STANDARD.encode(bytes) } }).to_string();
    assert!(redactor.redact(of(b"\x89PNG\xff\xfe\x00\x01").as_bytes()).is_ok());
    let error = redactor.redact(of(b"%PDF\xff\xfe alice.b@acme.com \x00").as_bytes()).unwrap_err();
    assert_eq!(error.code(), "broken_blob");
}

proptest! {
    #[test]
    fn what_is_left_is_json_and_holds_nothing_to_redact(
        texts in proptest::collection::vec(prop_oneof![
            any::<String>(), Just("alice@acme.com".to_owned()), Just("{\"email\":\"x\"}".to_owned()), Just("+49 30 1234567".to_owned()),
        ], 1..6),
        mode in proptest::sample::select(vec!["redact", "hash", "remove"]),
    ) {
        let obligations = ["email", "detector=email", "detector=phone", "detector=secret", "pointer=/a/*"].map(|what| format!("{mode}:{what}"));
        let redactor = redactor(&obligations.each_ref().map(String::as_str));
        let message = json!({ "id": 1, "result": { "a": texts[0], "b": texts, "c": json!({ "t": texts }).to_string() } }).to_string();
        if let Ok(redacted) = redactor.redact(message.as_bytes()) {
            let text = std::str::from_utf8(&redacted).unwrap();
            prop_assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
            prop_assert!(!text.contains("alice@acme.com"), "{text}");
        }
    }
}
