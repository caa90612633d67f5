//! JSON objects that every reader reads alike: UTF-8, no member twice at any level, a bounded depth, nothing behind.
//!
//! Source: RFC 8259 section 4 (names within an object should be unique), RFC 7515 section 4 and RFC 7519 section 4
//! (duplicate member names are refused), RFC 8725 section 2.6.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep objects and arrays may nest.
const DEPTH_MAX: usize = 16;

/// Reads a whole object.
///
/// # Errors
/// When the bytes are anything else. The error says what, and repeats nothing of it.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = reader.deserialize_map(Strict { depth: 0 }).map_err(JsonError)?;
    reader.end().map_err(JsonError)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError(serde_json::Error::custom("it is no object"))),
    }
}

/// Why bytes are no such object.
#[derive(Debug, thiserror::Error)]
#[error("no JSON object: {0}")]
pub struct JsonError(serde_json::Error);

/// Reads one value at a depth.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("it nests deeper than {DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("it has a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut map = Map::new();
        // Names are compared as they read after unescaping.
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(seed)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has a member twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: bool) {
        assert_eq!(object(text).is_ok(), expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn objects_are_read_whole() {
        check(br#"{}"#, true);
        check(br#" {"a":{"a":[1,-2,3.5,null,true,"x"]}} "#, true);
        let read = object(br#"{"a":[1,{"b":"\u00e9"}],"n":-1.5}"#).unwrap();
        assert_eq!(Value::Object(read), serde_json::json!({"a": [1, {"b": "é"}], "n": -1.5}));
    }

    #[test]
    fn what_readers_may_read_differently_is_refused() {
        for text in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"x":{"a":1,"a":1}}"#,
            br#"{"x":[{"a":1,"a":1}]}"#,
            br#"{"a":1}x"#,
            br#"{"a":1}{"a":2}"#,
            br#"{"a":1,}"#,
            br#"{"a":1e400}"#,
            br#"{"a":NaN}"#,
            br#"{"a":01}"#,
            br#"{'a':1}"#,
            br#"{"a":"\ud800"}"#,
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\x00\"}",
            b"\xef\xbb\xbf{}",
            b"[]",
            b"1",
            b"null",
            b"\"{}\"",
            b"",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        check(nested(DEPTH_MAX - 1).as_bytes(), true);
        check(nested(DEPTH_MAX).as_bytes(), false);
        check(nested(100_000).as_bytes(), false);
    }
}
