//! Canonical JSON: members in order of name, no space. Equal content has equal bytes, and so an equal digest, in every build.

use serde::Serialize;
use serde_json::Value;

/// The value with its members in order of name, whatever the map of this build keeps.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

/// The canonical bytes of a value.
///
/// # Errors
/// When it has no form in JSON.
pub fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&sorted(serde_json::to_value(value)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_space_do_not_count() {
        let one: Value = serde_json::from_str(r#"{"b": [{"d": 1, "c": 2}], "a": null}"#).unwrap();
        assert_eq!(bytes(&one).unwrap(), br#"{"a":null,"b":[{"c":2,"d":1}]}"#);
        assert_eq!(bytes(&json!({ "a": null, "b": [{ "c": 2, "d": 1 }] })).unwrap(), bytes(&one).unwrap());
        assert_ne!(
            bytes(&json!([1, 2])).unwrap(),
            bytes(&json!([2, 1])).unwrap(),
            "the order of a list counts"
        );
    }
}
