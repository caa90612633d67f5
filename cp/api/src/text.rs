//! Names that are strings on the wire: parsed once, printed as they were written, described by a pattern.

/// Gives a newtype over `String` with a `FromStr` its wire form and its JSON Schema.
macro_rules! wire_text {
    ($name:ident, $error:ty, $pattern:expr, $min:expr, $max:expr, $example:expr) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        crate::text::wire_schema!($name, $pattern, $min, $max, $example);
    };
}

/// The JSON Schema of a type that is a string on the wire.
macro_rules! wire_schema {
    ($name:ident, $pattern:expr, $min:expr, $max:expr, $example:expr) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "minLength": $min, "maxLength": $max,
                    "examples": [$example],
                })
            }
        }
    };
}

/// Gives a tuple struct over `String` an `as_str` and its `Display`.
macro_rules! text_access {
    ($name:ident) => {
        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use {text_access, wire_schema, wire_text};
