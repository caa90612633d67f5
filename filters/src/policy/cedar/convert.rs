//! JSON values as Cedar values, led by their types.
//!
//! Fail closed: `null`, a fraction, a number beyond 64 bits, a value of another type, a name that occurs twice or a member
//! that a closed record does not list is an error, never an absent value. Members that no policy reads are
//! skipped. The depth is that of the type.

use std::collections::BTreeMap;
use std::fmt;

use cedar_policy::RestrictedExpression;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::types::{Extension, Record, Type};

/// The Cedar value of a JSON value of this type.
pub(super) fn convert<'de, D: Deserializer<'de>>(
    of: &Type,
    value: D,
) -> Result<RestrictedExpression, D::Error> {
    Typed(of).deserialize(value)
}

/// The Cedar value of a JSON text of this type.
///
/// # Errors
/// What does not fit.
pub(super) fn convert_text(of: &Type, text: &str) -> Result<RestrictedExpression, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = convert(of, &mut deserializer).map_err(|error| shorten(&error))?;
    deserializer.end().map_err(|error| shorten(&error))?;
    Ok(value)
}

/// Without the position, which is that in one member's text.
fn shorten(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

struct Typed<'t>(&'t Type);

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = RestrictedExpression;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Typed<'_> {
    fn mismatch<E: Error>(&self, found: &str) -> E {
        E::custom(format_args!("is {found}, the policies take it for {}", self.0))
    }

    fn present<E: Error>(&self, found: &str) -> Result<RestrictedExpression, E> {
        match self.0 {
            Type::Present => Ok(RestrictedExpression::new_string(String::new())),
            _ => Err(self.mismatch(found)),
        }
    }

    fn entry<'de, A: MapAccess<'de>>(
        &self,
        record: &Record,
        name: &str,
        access: &mut A,
        members: &mut BTreeMap<String, RestrictedExpression>,
    ) -> Result<(), A::Error> {
        let Some(field) = record.fields.get(name) else {
            if record.closed {
                return Err(A::Error::custom(format_args!(
                    "has a member `{name}` that the policies do not know"
                )));
            }
            return access.next_value::<IgnoredAny>().map(|_| ());
        };
        let value = access
            .next_value_seed(Typed(&field.of))
            .map_err(|error| A::Error::custom(format_args!("member `{name}` {error}")))?;
        match members.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(A::Error::custom(format_args!("has the member `{name}` twice"))),
        }
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = RestrictedExpression;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.0 {
            Type::Bool => Ok(RestrictedExpression::new_bool(value)),
            _ => self.present("a Boolean"),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        match self.0 {
            Type::Long => Ok(RestrictedExpression::new_long(value)),
            _ => self.present("a number"),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match (self.0, i64::try_from(value)) {
            (Type::Long, Ok(value)) => Ok(RestrictedExpression::new_long(value)),
            (Type::Long, Err(_)) => Err(E::custom("is a number beyond 64 bits")),
            _ => self.present("a number"),
        }
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        match self.0 {
            Type::Long => Err(E::custom("is no whole number in plain digits")),
            _ => self.present("a number"),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match self.0 {
            Type::String => Ok(RestrictedExpression::new_string(value.to_owned())),
            Type::Extension(Extension::Ip) => Ok(RestrictedExpression::new_ip(value)),
            Type::Extension(Extension::Decimal) => Ok(RestrictedExpression::new_decimal(value)),
            Type::Extension(Extension::Datetime) => Ok(RestrictedExpression::new_datetime(value)),
            Type::Extension(Extension::Duration) => Ok(RestrictedExpression::new_duration(value)),
            _ => self.present("a string"),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Err(E::custom("is null, which Cedar cannot express"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        match self.0 {
            Type::Set(of) => {
                let mut items = Vec::new();
                while let Some(item) = access.next_element_seed(Typed(of))? {
                    items.push(item);
                }
                Ok(RestrictedExpression::new_set(items))
            }
            _ => {
                while access.next_element::<IgnoredAny>()?.is_some() {}
                self.present("a list")
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        match self.0 {
            Type::Record(record) => {
                let mut members = BTreeMap::new();
                while let Some(name) = access.next_key::<String>()? {
                    self.entry(record, &name, &mut access, &mut members)?;
                }
                RestrictedExpression::new_record(members).map_err(A::Error::custom)
            }
            _ => {
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.present("an object")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Field;
    use super::*;

    fn record(closed: bool, fields: &[(&str, Type)]) -> Type {
        let field = |of: &Type| Field { of: of.clone(), required: true };
        let fields = fields.iter().map(|(name, of)| ((*name).to_owned(), field(of))).collect();
        Type::Record(Record { fields, closed })
    }

    fn check(of: &Type, text: &str, expected: Result<&str, &str>) {
        let converted = convert_text(of, text).map(|value| value.as_ref().to_string());
        assert_eq!(converted, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn values_of_their_type_are_converted() {
        check(&Type::String, r#""a\n\"""#, Ok(r#""a\n\"""#));
        check(&Type::Long, "-9223372036854775808", Ok("(-9223372036854775808)"));
        check(&Type::Bool, "true", Ok("true"));
        check(&Type::Set(Box::new(Type::Long)), "[]", Ok("[]"));
        check(&Type::Extension(Extension::Ip), "\"10.0.0.1\"", Ok("ip(\"10.0.0.1\")"));
        check(&Type::Present, "{\"a\":[1,2.5]}", Ok("\"\""));
        let open = record(false, &[("a", Type::String)]);
        check(&open, r#"{"b":{"c":[null,1.5]},"a":"x"}"#, Ok(r#"{a: "x"}"#));
        check(&open, "{}", Ok("{}"));
    }

    #[test]
    fn what_has_no_faithful_form_is_refused() {
        let no_whole = Err("is no whole number in plain digits");
        for text in ["1.0", "1e2", "-0", "1e400", "18446744073709551616"] {
            let refused = convert_text(&Type::Long, text);
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
        check(&Type::Long, "2.5", no_whole);
        check(&Type::Long, "9223372036854775808", Err("is a number beyond 64 bits"));
        check(&Type::String, "null", Err("is null, which Cedar cannot express"));
        check(&Type::Present, "null", Err("is null, which Cedar cannot express"));
        check(&Type::String, "1", Err("is a number, the policies take it for String"));
        check(&Type::String, "[\"a\"]", Err("is a list, the policies take it for String"));
        check(&Type::String, "\"\\ud800\"", Err("unexpected end of hex escape"));
        check(&Type::Set(Box::new(Type::Long)), "[1,null]", Err("is null, which Cedar cannot express"));
        let closed = record(true, &[("a", Type::String)]);
        check(&closed, r#"{"a":"x","b":1}"#, Err("has a member `b` that the policies do not know"));
        check(&closed, r#"{"a":"x","\u0061":"y"}"#, Err("has the member `a` twice"));
        check(&closed, r#"{"a":null}"#, Err("member `a` is null, which Cedar cannot express"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check(&Type::String, &deep, Err("is a list, the policies take it for String"));
    }
}
