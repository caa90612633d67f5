//! The types of the parts that have no fixed type: the caller's attributes and the arguments of tools.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

/// A Cedar type that has a form in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    String,
    Long,
    Bool,
    /// Any type, where only the presence matters. The value is not given to Cedar.
    Present,
    /// One of Cedar's extension types; a string in JSON.
    Extension(Extension),
    Set(Box<Type>),
    Record(Record),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    Ip,
    Decimal,
    Datetime,
    Duration,
}

/// A record: its members, and whether it may have others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) fields: BTreeMap<String, Field>,
    /// The record is compared as a whole, so a member that is not listed here would go unseen.
    pub(super) closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) of: Type,
    pub(super) required: bool,
}

impl Extension {
    pub(super) const ALL: [Self; 4] = [Self::Ip, Self::Decimal, Self::Datetime, Self::Duration];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ip => "ipaddr",
            Self::Decimal => "decimal",
            Self::Datetime => "datetime",
            Self::Duration => "duration",
        }
    }
}

impl Type {
    /// The type in Cedar's JSON schema format.
    pub(super) fn to_schema(&self) -> Value {
        match self {
            Self::String | Self::Present => json!({"type": "String"}),
            Self::Long => json!({"type": "Long"}),
            Self::Bool => json!({"type": "Boolean"}),
            Self::Extension(extension) => json!({"type": "Extension", "name": extension.name()}),
            Self::Set(element) => json!({"type": "Set", "element": element.to_schema()}),
            Self::Record(record) => record.to_schema(),
        }
    }
}

impl Record {
    /// The type in Cedar's JSON schema format.
    pub(super) fn to_schema(&self) -> Value {
        let mut attributes = Map::new();
        for (name, field) in &self.fields {
            let mut attribute = field.of.to_schema();
            if let Value::Object(attribute) = &mut attribute {
                attribute.insert("required".to_owned(), Value::Bool(field.required));
            }
            attributes.insert(name.clone(), attribute);
        }
        json!({"type": "Record", "attributes": attributes})
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("String"),
            Self::Long => f.write_str("Long"),
            Self::Bool => f.write_str("Bool"),
            Self::Present => f.write_str("any type"),
            Self::Extension(extension) => f.write_str(extension.name()),
            Self::Set(element) => write!(f, "Set<{element}>"),
            Self::Record(_) => f.write_str("a record"),
        }
    }
}
