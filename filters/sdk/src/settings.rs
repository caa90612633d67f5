//! A filter's settings as configured, and secrets by reference.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

/// The `config:` of one plugin entry: parsed by the filter it is for, never interpreted before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(pub Value);

impl Settings {
    /// Parses the settings into the filter's own type. An absent `config:` is an empty map.
    ///
    /// # Errors
    /// What is wrong and where, as a JSON pointer below `config:`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let empty = Value::Object(serde_json::Map::new());
        let value = if self.0.is_null() { &empty } else { &self.0 };
        serde_path_to_error::deserialize(value).map_err(|error| {
            let mut pointer = String::new();
            for segment in error.path() {
                match segment {
                    serde_path_to_error::Segment::Map { key } => {
                        pointer.push('/');
                        pointer += &key.replace('~', "~0").replace('/', "~1");
                    }
                    serde_path_to_error::Segment::Seq { index } => pointer += &format!("/{index}"),
                    _ => {}
                }
            }
            SettingsError { pointer, message: error.inner().to_string() }
        })
    }
}

/// What is wrong in a filter's settings. The configuration loader turns the pointer into a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    /// A JSON pointer below the entry's `config:` (RFC 6901; empty for the whole).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl SettingsError {
    /// An error at a place.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// A reference to a secret: `$secret://env/NAME`, `$secret://file/PATH`, `$secret://vault/MOUNT/data/PATH#FIELD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable of the gateway.
    Env(String),
    /// A file; a relative path is below the configuration's folder. One trailing newline is dropped.
    File(String),
    /// A field of a Vault secret.
    Vault {
        /// Mount and path, such as `kv/data/mcpg/api-keys/prod`.
        path: String,
        /// The field after `#`.
        field: String,
    },
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("$secret://").ok_or(SecretRefError::NotAReference)?;
        let (provider, path) = rest.split_once('/').ok_or(SecretRefError::NoPath)?;
        if path.is_empty() {
            return Err(SecretRefError::NoPath);
        }
        match provider {
            "env" => Ok(Self::Env(path.to_owned())),
            // `file/etc/key` is relative, `file//etc/key` absolute.
            "file" => Ok(Self::File(path.to_owned())),
            "vault" => {
                let (path, field) = path.split_once('#').ok_or(SecretRefError::NoField)?;
                Ok(Self::Vault { path: path.to_owned(), field: field.to_owned() })
            }
            other => Err(SecretRefError::Provider(other.to_owned())),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "$secret://env/{name}"),
            Self::File(path) => write!(f, "$secret://file/{path}"),
            Self::Vault { path, field } => write!(f, "$secret://vault/{path}#{field}"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of `Value`: serde's own message for a wrong type would repeat what may be a secret.
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map_err(D::Error::custom),
            _ => Err(D::Error::custom(SecretRefError::NotAReference)),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no secret reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefError {
    /// Another text: perhaps a secret itself, so it is not repeated.
    #[error("a secret must be a reference such as `$secret://env/NAME`, not a value in the configuration")]
    NotAReference,
    /// Nothing after the provider.
    #[error("a secret reference needs a path: `$secret://env/NAME` or `$secret://file/PATH`")]
    NoPath,
    /// A Vault reference without a field.
    #[error("a Vault reference names a field: `$secret://vault/MOUNT/data/PATH#FIELD`")]
    NoField,
    /// No such provider.
    #[error("no secret provider is called `{0}`: use `env`, `file` or `vault`")]
    Provider(String),
}

/// A secret value. Wiped when dropped; `Debug` and logs never show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that uses them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_references_parse_and_print() {
        for text in
            ["$secret://env/KEY", "$secret://file//etc/mcpg/key", "$secret://vault/kv/data/mcpg/prod#token"]
        {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
        for text in ["hunter2", "$secret://env", "$secret://env/", "$secret://vault/kv", "$secret://aws/x"] {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_value_in_place_of_a_reference_is_refused_without_repeating_it() {
        let reference: SecretRef = serde_json::from_str(r#""$secret://env/KEY""#).unwrap();
        assert_eq!(reference, SecretRef::Env("KEY".to_owned()));
        assert_eq!(serde_json::to_string(&reference).unwrap(), r#""$secret://env/KEY""#);
        for text in [r#""hunter2""#, "72072", "[72072]", r#"{"token": "hunter2"}"#] {
            let error = serde_json::from_str::<SecretRef>(text).unwrap_err().to_string();
            assert!(error.contains("$secret://env/NAME"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("72072"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(..)");
    }

    #[test]
    fn settings_errors_point_at_their_place() {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Inner {
            n: u8,
        }
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Outer {
            list: Vec<Inner>,
        }
        let settings = Settings(serde_json::json!({"list": [{"n": 1}, {"n": "x"}]}));
        assert_eq!(settings.parse::<Outer>().unwrap_err().pointer, "/list/1/n");
    }
}
