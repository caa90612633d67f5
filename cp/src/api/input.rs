//! Bodies and queries, strictly: unknown members are mistakes, named with the nearest name; nothing is guessed.

use http::{HeaderMap, header};
use mcpg_cp_api::{FieldError, ProblemCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::refused::Refused;
use crate::sign_in::token::hex;

/// The most items of a page.
pub const LIMIT_MAX: u16 = 200;
const LIMIT_DEFAULT: u16 = 50;
const CURSOR_BYTES_MAX: usize = 512;

/// Reads a JSON body.
///
/// # Errors
/// When it is not JSON (400), is not declared as JSON (415), or says what cannot be accepted (422).
pub fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refused> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence =
        media_type.and_then(|text| text.split(';').next()).map(|text| text.trim().to_ascii_lowercase());
    if essence.as_deref() != Some("application/json") {
        return Err(Refused::new(ProblemCode::MediaType, "the body must be `application/json`"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        let code = if inner.is_data() { ProblemCode::Invalid } else { ProblemCode::Malformed };
        Refused::field(code, pointer, reworded(&inner.to_string()))
    })?;
    reader.end().map_err(|error| Refused::field(ProblemCode::Malformed, "", reworded(&error.to_string())))?;
    Ok(value)
}

/// Reads a query string. Numbers and booleans are written as in JSON; every parameter at most once.
///
/// # Errors
/// When a parameter is unknown, is there twice, or has no such value (400).
pub fn query<T: DeserializeOwned>(text: Option<&str>) -> Result<T, Refused> {
    let mut members = Map::new();
    let mut texts: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        if members.insert(name.to_string(), scalar(&value)).is_some() {
            return Err(Refused::field(
                ProblemCode::Query,
                format!("?{name}"),
                "the parameter is there twice",
            ));
        }
        texts.push((name.into_owned(), value.into_owned()));
    }
    loop {
        let error = match serde_path_to_error::deserialize(Value::Object(members.clone())) {
            Ok(query) => return Ok(query),
            Err(error) => error,
        };
        // A text of digits is a text all the same: what is no number for its parameter is tried as text, each once.
        let name = error.path().to_string();
        let text =
            texts.iter().find(|(other, _)| *other == name).map(|(_, text)| Value::String(text.clone()));
        match (members.get_mut(&name), text) {
            (Some(member), Some(text)) if *member != text => *member = text,
            _ => {
                let pointer = if name == "." { "?".to_owned() } else { format!("?{name}") };
                return Err(Refused::field(
                    ProblemCode::Query,
                    pointer,
                    reworded(&error.inner().to_string()),
                ));
            }
        }
    }
}

fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // `007` is no number in JSON.
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

/// The limit of a page.
///
/// # Errors
/// When it is not between 1 and 200.
pub fn limit(limit: Option<u16>) -> Result<u32, Refused> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(u32::from(limit)),
        _ => Err(Refused::field(ProblemCode::Query, "?limit", "use 1 to 200")),
    }
}

/// A key of the store as a cursor: opaque for clients, and of one form.
pub fn cursor(key: &str) -> String {
    hex(key.as_bytes())
}

/// The key in a cursor.
///
/// # Errors
/// When it is none of ours.
pub fn key(cursor: Option<&str>) -> Result<Option<String>, Refused> {
    cursor.map(|cursor| decoded(cursor).ok_or_else(wrong_cursor)).transpose()
}

/// The refusal of a cursor that is not one of this list.
pub fn wrong_cursor() -> Refused {
    Refused::field(ProblemCode::Query, "?cursor", "use `next_cursor` of the page before, as it is")
}

/// Keys of the store are printable ASCII: what none has must not reach the database either.
fn decoded(cursor: &str) -> Option<String> {
    if cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX {
        return None;
    }
    let (pairs, []) = cursor.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| !digits.starts_with('+'))?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| (0x20..0x7f).contains(byte))?;
        (hex(&[byte]) == digits).then_some(char::from(byte))
    };
    pairs.iter().map(byte).collect()
}

/// A list of mistakes as one refusal.
pub fn invalid(errors: Vec<FieldError>) -> Refused {
    Refused { errors, ..Refused::bare(ProblemCode::Invalid) }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => "/?".to_owned(),
        })
        .collect()
}

/// What serde says, with the nearest name where it lists names, and without a position in the text.
fn reworded(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let Some((unknown, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    if !unknown.starts_with("unknown ") {
        return message.to_owned();
    }
    let name = unknown.split('`').nth(1).unwrap_or_default();
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let near =
        near.filter(|(edits, _)| *edits <= (name.len() / 3).clamp(1, 3)).min_by_key(|(edits, _)| *edits);
    match near {
        Some((_, known)) => format!("{unknown}: did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mcpg_cp_api::{AuditQuery, CreateWorkspace, PageQuery, PluginSetSpec};

    use super::*;

    fn json() -> HeaderMap {
        [(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap())].into_iter().collect()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Refused>) -> (u16, String, String) {
        let refused = result.unwrap_err();
        let first = refused.errors.first().cloned();
        let (pointer, detail) = first.map(|error| (error.pointer, error.detail)).unwrap_or_default();
        (refused.code.status(), pointer, detail)
    }

    #[test]
    fn a_mistake_in_a_body_is_named_with_its_place() {
        let check = |text: &str, expected: (u16, &str, &str)| {
            let (status, pointer, detail) = refused(body::<PluginSetSpec>(&json(), text.as_bytes()));
            assert_eq!((status, pointer.as_str(), detail.as_str()), expected, "{text}");
        };
        check(
            r#"{"plugins": [{"id": "policy.cedar", "confg": {}}]}"#,
            (422, "/plugins/0/confg", "unknown field `confg`: did you mean `config`?"),
        );
        check(r#"{"plugins": 1}"#, (422, "/plugins", "invalid type: integer `1`, expected a sequence"));
        check(r#"{"plugins": ["#, (400, "/plugins", "EOF while parsing a list"));
        check(r#"{"plugins": []} x"#, (400, "", "trailing characters"));
        check(r#"{"plugins": [], "plugins": []}"#, (422, "", "duplicate field `plugins`"));
        assert_eq!(refused(body::<PluginSetSpec>(&HeaderMap::new(), b"{}")).0, 415);
    }

    #[test]
    fn deep_bodies_are_refused() {
        let deep = format!(r#"{{"plugins": [{{"id": "ab", "config": {{"a": {}"#, "[".repeat(100_000));
        assert_eq!(refused(body::<PluginSetSpec>(&json(), deep.as_bytes())).0, 400);
    }

    #[test]
    fn queries_are_read_by_name() {
        let page = |text: &str| query::<PageQuery>(Some(text));
        assert_eq!(page("limit=5").unwrap().limit, Some(5));
        assert_eq!(page("cursor=123").unwrap().cursor.as_deref(), Some("123"));
        assert_eq!(page("cursor=true").unwrap().cursor.as_deref(), Some("true"));
        for wrong in ["", "6", "6g", "+1", "61 ", "6A", "0a", "7f", "ff"] {
            assert!(key(Some(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(query::<PageQuery>(None).unwrap(), PageQuery::default());
        for (text, pointer) in [
            ("limt=5", "?limt"),
            ("limit=5&limit=6", "?limit"),
            ("limit=five", "?limit"),
            ("limit=-1", "?limit"),
            ("limit=70000", "?limit"),
            ("limit=", "?limit"),
        ] {
            let (status, found, _) = refused(page(text));
            assert_eq!((status, found.as_str()), (400, pointer), "{text}");
        }
        let (_, _, detail) = refused(page("limt=5"));
        assert_eq!(detail, "unknown field `limt`: did you mean `limit`?");
        let digits =
            query::<AuditQuery>(Some("cursor=30&kind=0&subject=1&verdict=true&limit=1&newest_first=true"))
                .unwrap();
        assert_eq!((digits.cursor.as_deref(), digits.limit), (Some("30"), Some(1)));
        assert!(query::<AuditQuery>(Some("since=2026-11-22T10:00:00Z")).unwrap().since.is_some());
    }

    #[test]
    fn pages_are_bounded() {
        for (asked, expected) in
            [(None, Some(50)), (Some(1), Some(1)), (Some(200), Some(200)), (Some(0), None), (Some(201), None)]
        {
            assert_eq!(limit(asked).ok(), expected, "{asked:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cursors_come_back(text in "[ -~]{1,80}") {
            proptest::prop_assert_eq!(key(Some(&cursor(&text))).unwrap(), Some(text));
        }

        #[test]
        fn nothing_else_is_a_cursor_and_nothing_panics(text in ".{0,40}") {
            let _ = key(Some(&text));
            let _ = query::<PageQuery>(Some(&text));
            let _ = body::<CreateWorkspace>(&json(), text.as_bytes());
        }
    }
}
