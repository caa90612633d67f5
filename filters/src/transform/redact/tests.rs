//! Redaction: what goes, what stays to the byte, and what is withheld.

mod places;
mod properties;

use mcpg_sdk::RedactMode;
use serde_json::json;

use super::*;

fn redactor(fields: &[(&str, RedactMode)]) -> Redactor {
    let obligation = |(field, mode): &(&str, RedactMode)| Obligation::redact_field(*field, *mode);
    let obligations: Vec<_> = fields.iter().map(obligation).collect();
    Redactor::compile(&obligations, RedactLimits::default()).unwrap()
}

fn redact(mode: RedactMode, message: &str) -> Result<String, RedactError> {
    let redacted = redactor(&[("email", mode)]).redact(message.as_bytes())?;
    Ok(String::from_utf8(redacted.into_owned()).unwrap())
}

/// `email` in a result, masked and removed.
fn check(result: &str, masked: &str, removed: &str) {
    let message = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    assert_eq!(redact(RedactMode::Mask, &message(result)), Ok(message(masked)), "mask");
    assert_eq!(redact(RedactMode::Remove, &message(result)), Ok(message(removed)), "remove");
}

fn fails(message: &str, code: &str) {
    let error = redact(RedactMode::Mask, message).unwrap_err();
    assert_eq!(error.code(), code, "{message}: {error}");
}

/// A text content with this text, escaped.
fn content(text: &str) -> String {
    format!(r#"{{"content":[{{"type":"text","text":{}}}]}}"#, json!(text))
}

fn check_text(text: &str, masked: &str, removed: &str) {
    check(&content(text), &content(masked), &content(removed));
}

#[test]
fn members_go_at_any_depth() {
    check(r#"{"email":"a@b.c"}"#, r#"{"email":"[redacted]"}"#, "{}");
    check(
        r#"{"structuredContent":{"user":{"email":"a@b.c","id":7}}}"#,
        r#"{"structuredContent":{"user":{"email":"[redacted]","id":7}}}"#,
        r#"{"structuredContent":{"user":{"id":7}}}"#,
    );
    check(
        r#"[[{"email":{"email":[1,{"x":null}]}}],{"a":{"email":-1.5e+3}}]"#,
        r#"[[{"email":"[redacted]"}],{"a":{"email":"[redacted]"}}]"#,
        r#"[[{}],{"a":{}}]"#,
    );
}

#[test]
fn removing_a_member_takes_the_right_comma() {
    let masked = |result: &str| result.replace(":1", r#":"[redacted]""#);
    for (result, removed) in [
        (r#"{"email":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"email":1}"#, r#"{"a":2}"#),
        (r#"{"a":2,"email":1,"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"email":1,"email":1}"#, "{}"),
        (r#"{"email":1,"email":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"email":1,"email":1}"#, r#"{"a":2}"#),
        (r#"{"email":1,"a":2,"email":1}"#, r#"{"a":2}"#),
        (r#"{ "email" : 1 , "a" : 2 }"#, r#"{ "a" : 2 }"#),
        (r#"{ "a" : 2 , "email":1 }"#, r#"{ "a" : 2  }"#),
    ] {
        check(result, &masked(result).replace(": 1", r#": "[redacted]""#), removed);
    }
}

#[test]
fn a_name_counts_as_what_its_escapes_stand_for() {
    check(
        r#"{"\u0065mail":1,"em\u0061il":2,"e\/mail":3}"#,
        r#"{"\u0065mail":"[redacted]","em\u0061il":"[redacted]","e\/mail":3}"#,
        r#"{"e\/mail":3}"#,
    );
    let odd = redactor(&[("a\"b\n", RedactMode::Remove), ("😀", RedactMode::Remove)]);
    let message = br#"{"result":{"a\"b\n":1,"a\u0022b\u000a":2,"\ud83d\ude00":3,"b":4}}"#;
    assert_eq!(&*odd.redact(message).unwrap(), br#"{"result":{"b":4}}"#);
}

#[test]
fn other_names_and_values_stay() {
    for result in [
        r#"{"Email":1,"email ":2,"emails":3,"e-mail":4,"":5}"#,
        r#"["email",{"x":"email"},"\"email\""]"#,
        r#"{"content":[{"type":"text","text":"email: a@b.c"}]}"#,
        r#"{"content":[{"type":"text","text":"the \"email\" of {\"a\": 1}, said \"she\""}]}"#,
        "null",
        "[1.0,-0,1E9,true,false,null,\"\\u0000\"]",
    ] {
        check(result, result, result);
    }
}

#[test]
fn bytes_around_a_redaction_stay_as_they_are() {
    let before = "{ \"jsonrpc\":\"2.0\",\r\n\t\"id\": 1.50e0, \"result\" : {\"a\\u0062\":\"\\/é\\u00e9\", \"email\" :\t";
    let after = " ,\"z\":[ 1 , 2 ]}\n} \n";
    let redacted = redact(RedactMode::Mask, &format!("{before}{{}}{after}")).unwrap();
    assert_eq!(redacted, format!("{before}\"[redacted]\"{after}"));
}

#[test]
fn without_a_match_nothing_is_copied() {
    let message = br#"{"jsonrpc":"2.0","id":1,"result":{"name":"x"}}"#;
    let redacted = redactor(&[("email", RedactMode::Mask)]).redact(message).unwrap();
    assert!(matches!(redacted, Cow::Borrowed(_)));
}

#[test]
fn the_envelope_stays_whatever_is_named() {
    let names = ["jsonrpc", "id", "method", "result", "params", "error", "code"];
    let all = redactor(&names.map(|name| (name, RedactMode::Remove)));
    let check = |message: &str, expected: &str| {
        assert_eq!(&*all.redact(message.as_bytes()).unwrap(), expected.as_bytes());
    };
    check(
        r#"{"jsonrpc":"2.0","id":1,"result":{"id":7,"a":{"result":8}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":{}}}"#,
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no","data":{"code":5}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no","data":{}}}"#,
    );
    check(
        r#"[{"id":1,"result":{"id":2}},{"method":"n","params":{"id":3}}]"#,
        r#"[{"id":1,"result":{}},{"method":"n","params":{}}]"#,
    );
    // An object inside a batch's element is no envelope.
    check(r#"[[{"id":1}]]"#, "[[{}]]");
}

#[test]
fn notifications_requests_and_errors_are_redacted_too() {
    for message in [
        r#"{"method":"notifications/message","params":{"data":{"email":"a@b.c"}}}"#,
        r#"{"id":"s1","method":"elicitation/create","params":{"message":"m","x":{"email":"a@b.c"}}}"#,
        r#"{"id":1,"error":{"code":1,"message":"no","data":{"email":"a@b.c"}}}"#,
        r#"{"id":1,"email":"a@b.c"}"#,
    ] {
        assert_eq!(redact(RedactMode::Mask, message).unwrap(), message.replace("a@b.c", "[redacted]"));
    }
}

#[test]
fn json_in_a_text_is_redacted() {
    check_text(r#"{"email":"a@b.c","n":1}"#, r#"{"email":"[redacted]","n":1}"#, r#"{"n":1}"#);
    check_text(
        "\n\t [ {\"email\" : 1} ]\r\n ",
        "\n\t [ {\"email\" : \"[redacted]\"} ]\r\n ",
        "\n\t [ {} ]\r\n ",
    );
    check_text("\u{feff}{\"email\":1}", "\u{feff}{\"email\":\"[redacted]\"}", "\u{feff}{}");
    check_text(
        "{\"a\":1,\"email\":2}\n{\"email\":3}\n",
        "{\"a\":1,\"email\":\"[redacted]\"}\n{\"email\":\"[redacted]\"}\n",
        "{\"a\":1}\n{}\n",
    );
}

#[test]
fn json_in_a_string_in_json_in_a_string_is_redacted() {
    let nest = |text: &str| json!({ "inner": text }).to_string();
    let (text, masked) = (r#"{"email":"a@b.c"}"#, r#"{"email":"[redacted]"}"#);
    check_text(&nest(text), &nest(masked), &nest("{}"));
    check_text(&nest(&nest(text)), &nest(&nest(masked)), &nest(&nest("{}")));
    check_text(&json!(text).to_string(), &json!(masked).to_string(), &json!("{}").to_string());
    let mut deep = text.to_owned();
    for _ in 0..5 {
        deep = nest(&deep);
    }
    fails(&format!(r#"{{"id":1,"result":{}}}"#, content(&deep)), "too_deep");
}

#[test]
fn json_in_a_blob_is_redacted() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let resource =
        |blob: &str| json!({"contents": [{"uri": "x://y", "mimeType": "application/json", "blob": blob}]});
    // With bytes that the two alphabets write differently, and lengths that want padding.
    let text = r#"{"n":"ÿÿ?~","email":"a@b.c"} "#;
    let masked = r#"{"n":"ÿÿ?~","email":"[redacted]"} "#;
    let removed = r#"{"n":"ÿÿ?~"} "#;
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE] {
        let wrap = |text: &str| resource(&engine.encode(text)).to_string();
        check(&wrap(text), &wrap(masked), &wrap(removed));
    }
    // Broken into lines, as MIME does.
    let folded: String = STANDARD
        .encode(text)
        .chars()
        .enumerate()
        .flat_map(|(i, c)| (i % 8 == 0).then_some('\n').into_iter().chain([c]))
        .collect();
    let wrapped = |blob: &str| resource(blob).to_string();
    check(&wrapped(&folded), &wrapped(&STANDARD.encode(masked)), &wrapped(&STANDARD.encode(removed)));
    // In any other string as well.
    let other = |text: &str| json!({"payload": STANDARD.encode(text)}).to_string();
    check(&other(text), &other(masked), &other(removed));
    let hidden = other(text).replace("eyJ", r"\u0065yJ");
    check(&hidden, &other(masked), &other(removed));
}

#[test]
fn a_blob_that_is_no_json_stays() {
    for blob in ["", "iVBORw0KGgo=", "JVBERi0xLjQ=", "aGVsbG8gd29ybGQ=", "not base64 at all", "W1syMDI2XV0="]
    {
        let result = json!({"contents": [{"blob": blob}]}).to_string();
        check(&result, &result, &result);
    }
    for text in ["Invalid request: nothing here", "Dear reader", "eyJhbGciOiJub25lIn0.e30.", "Confidential12"]
    {
        let result = json!({"data": text}).to_string();
        check(&result, &result, &result);
    }
}

#[test]
fn a_blob_that_begins_like_json_and_cannot_be_read_is_withheld() {
    // The last three are UTF-16: `{"` in either order, and a byte order mark.
    let blobs =
        ["eyJlbWFpbCI6!!!!", "eyL/////", "eyJlbWFpbCI6IuKCrCJ9eyJ*", "ewAiAGUA", "AHsAIgBl", "//57ACIA"];
    for blob in blobs {
        fails(&format!(r#"{{"result":{{"blob":"{blob}"}}}}"#), "broken_blob");
    }
}

#[test]
fn a_member_amid_other_text_is_masked() {
    let text =
        "Found it:\n```json\n{\"name\": \"Al\", \"email\" : {\"home\": \"a@b.c\"}, \"n\": 1}\n```\nDone.";
    let masked = "Found it:\n```json\n{\"name\": \"Al\", \"email\" : \"[redacted]\", \"n\": 1}\n```\nDone.";
    check_text(text, masked, masked);
    check_text(
        "{\"email\":1} trailing",
        "{\"email\":\"[redacted]\"} trailing",
        "{\"email\":\"[redacted]\"} trailing",
    );
    check_text(
        "\"email\": 1, \"email\": [2]",
        "\"email\": \"[redacted]\", \"email\": \"[redacted]\"",
        "\"email\": \"[redacted]\", \"email\": \"[redacted]\"",
    );
}

#[test]
fn a_member_whose_value_does_not_end_is_withheld() {
    for text in [
        r#"{"name":"Al","email":"a@b"#,
        r#"{"email": "#,
        r#"{"email": a@b.c}"#,
        r#"log: {"payload":"{\"email\":\"a@b.c\"}"} end"#,
        r#"x {\"email\": 1}"#,
    ] {
        fails(&format!(r#"{{"id":1,"result":{}}}"#, content(text)), "broken_text");
    }
}

#[test]
fn what_is_not_strict_json_is_withheld() {
    let cases = [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "{\"a\":1}x",
        "{}{}",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":nulll}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "\u{feff}{}",
        "{\"email\":[1,}",
        "{\"email\":\"x}",
        "/**/{}",
        "{\"a\":1e5x}",
        "\u{a0}{}",
        "event: x",
    ];
    for message in cases {
        fails(message, "not_json");
        assert!(serde_json::from_str::<serde_json::Value>(message).is_err(), "{message}");
    }
    let redactor = redactor(&[("email", RedactMode::Mask)]);
    for bytes in [
        b"{\"a\":\"\xff\"}".as_slice(),
        b"\xef\xbb\xbf{}",
        b"{\0\"\0a\0\"\0:\x001\0}\0",
        b"{\"a\":\"\xed\xa0\x80\"}",
    ] {
        assert!(matches!(redactor.redact(bytes), Err(RedactError::Json { .. })));
    }
}

#[test]
fn limits_withhold() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(redact(RedactMode::Mask, &nested(128)).is_ok());
    fails(&nested(129), "too_deep");
    fails(&"[".repeat(1_000_000), "too_deep");
    fails(&"{\"a\":".repeat(10_000), "too_deep");
    // Depth counts through strings.
    let inside = format!("{}\"\"{}", "[".repeat(70), "]".repeat(70));
    fails(&nested(70).replace("[]", &format!("[{}]", json!(inside))), "too_deep");

    let limits = RedactLimits { body_bytes_max: 10, ..RedactLimits::default() };
    let small = redactor(&[("a", RedactMode::Mask)]).within(limits);
    assert!(small.redact(b"[123456]  ").is_ok());
    assert_eq!(small.redact(b"[123456]   "), Err(RedactError::Large { bytes_max: 10 }));
}

#[test]
fn obligations_unite_and_removing_wins() {
    let fields = [
        ("a", RedactMode::Mask),
        ("a", RedactMode::Remove),
        ("a", RedactMode::Mask),
        ("b", RedactMode::Mask),
    ];
    let united = redactor(&fields);
    assert_eq!(
        &*united.redact(br#"{"result":{"a":1,"b":2,"c":3}}"#).unwrap(),
        br#"{"result":{"b":"[redacted]","c":3}}"#
    );
    let more = united.with(&[Obligation::redact_field("c", RedactMode::Mask)]).unwrap();
    assert_eq!(&*more.redact(br#"{"result":{"a":1,"c":3}}"#).unwrap(), br#"{"result":{"c":"[redacted]"}}"#);
}

#[test]
fn a_redactor_of_nothing_reads_nothing() {
    let nothing = Redactor::compile(&[], RedactLimits::default()).unwrap();
    assert!(nothing.is_empty());
    assert_eq!(&*nothing.redact(b"not json").unwrap(), b"not json");
}

#[test]
fn impossible_obligations_are_refused() {
    let redact = |field: String| Obligation::redact_field(field, RedactMode::Mask);
    let compile = |obligations: &[Obligation]| Redactor::compile(obligations, RedactLimits::default());
    assert!(compile(&[redact(String::new())]).is_err());
    assert!(compile(&[redact("a".repeat(257))]).is_err());
    assert!(compile(&(0..257).map(|n| redact(n.to_string())).collect::<Vec<_>>()).is_err());
}

#[test]
fn settings() {
    let build = |settings| Redactor::build(&Settings(settings)).map_err(|error| error.pointer);
    let redactor = build(json!({"fields": ["email", "phone"], "mode": "remove"})).unwrap();
    assert_eq!(&*redactor.redact(br#"{"result":{"email":1,"phone":2}}"#).unwrap(), br#"{"result":{}}"#);
    for (settings, pointer) in [
        (json!({}), "/fields"),
        (json!({"fields": []}), "/fields"),
        (json!({"fields": [""]}), "/fields/0"),
        (json!({"fields": ["a"], "mode": "blur"}), "/mode"),
        (json!({"pointers": ["a"]}), "/pointers/0"),
        (json!({"detectors": ["iban"]}), "/detectors/0"),
        (json!({}), "/fields"),
        (json!({"fields": ["a"], "filds": 1}), "/filds"),
    ] {
        assert_eq!(build(settings.clone()).unwrap_err(), pointer, "{settings}");
    }
}

#[test]
fn a_redactor_covers_what_it_redacts_as_strictly() {
    let of = |fields: &[(&str, RedactMode)]| {
        let redact =
            |(field, mode): &(&str, RedactMode)| Obligation::redact_field((*field).to_owned(), *mode);
        let obligations: Vec<_> = fields.iter().map(redact).collect();
        Redactor::compile(&obligations, RedactLimits::default()).unwrap()
    };
    let (mask, remove) = (RedactMode::Mask, RedactMode::Remove);
    let both = of(&[("a", mask), ("b", remove)]);
    for (other, covered) in [
        (of(&[]), true),
        (of(&[("a", mask)]), true),
        (of(&[("b", mask), ("a", mask)]), true),
        (of(&[("a", remove)]), false),
        (of(&[("c", mask)]), false),
    ] {
        assert_eq!(both.covers(&other), covered, "{other:?}");
    }
}
