//! The operator's own file, `$XDG_CONFIG_HOME/mcpg/ctl.yaml`: named contexts, each a server and how to prove oneself to it.
//!
//! INVARIANT: the file may have tokens, so it is made with mode 0600 and refused where others can read it. It is replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mcpg_config::Document;
use mcpg_cp_api::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::{Server, Token};
use crate::yaml;

const BYTES_MAX: u64 = 1024 * 1024;
const TOKEN_BYTES_MAX: u64 = 4096;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The context that is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ContextName>,
    /// The contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<ContextName, Context>,
}

/// A control plane, and who the operator is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The server.
    #[serde(with = "as_text")]
    pub server: Server,
    /// The authority to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether it is spoken to without TLS though it is elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_http: bool,
    /// The file that has the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The token itself: what signing in has left here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<KeptToken>,
}

/// A token in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptToken {
    /// The text.
    #[serde(with = "as_token")]
    pub text: Token,
    /// When it ends, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The name of a context: 1 to 63 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContextName(String);

impl Config {
    /// Where it is: below `XDG_CONFIG_HOME`, or else below `HOME`.
    pub fn path() -> Result<PathBuf, ConfigError> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        Ok(base.ok_or(ConfigError::Nowhere)?.join("mcpg/ctl.yaml"))
    }

    /// Reads the file; one that is not there says nothing.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or it says what is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = match secret_text(path, BYTES_MAX) {
            Ok(text) => text,
            Err(ConfigError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error),
        };
        let name = path.display().to_string();
        let wrong = |reason: String| ConfigError::Content { path: path.to_owned(), reason };
        let documents = Document::all(text.as_bytes(), &name).map_err(|error| wrong(error.to_string()))?;
        match documents.as_slice() {
            [] => Ok(Self::default()),
            [one] => serde_json::from_value(one.to_json()).map_err(|error| wrong(error.to_string())),
            _ => Err(wrong("there is more than one document".to_owned())),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let failed = |source: io::Error| ConfigError::Io { path: path.to_owned(), source };
        // Who keeps it elsewhere, behind a link, goes on doing so.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let value = serde_json::to_value(self).map_err(|error| failed(io::Error::other(error)))?;
        // Made with mode 0600, and the old one stays until the new one is whole.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(yaml::text(&value).as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Reads a token from a file of its own.
///
/// # Errors
/// When the file cannot be read, others can read it, or it has no token.
pub fn token_file(path: &Path) -> Result<Token, ConfigError> {
    let text = secret_text(path, TOKEN_BYTES_MAX)?;
    text.parse().map_err(|error: crate::client::TokenError| ConfigError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Reads a file that has a secret. What is no file, such as a pipe, has no others who could read it.
fn secret_text(path: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    use io::Read as _;
    let failed = |source: io::Error| ConfigError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if found.is_file() && found.mode() & 0o077 != 0 {
        return Err(ConfigError::Exposed { path: path.to_owned(), mode: found.mode() & 0o777 });
    }
    let mut text = String::new();
    file.take(bytes_max + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > bytes_max {
        let reason = format!("it has more than {bytes_max} bytes");
        return Err(ConfigError::Content { path: path.to_owned(), reason });
    }
    Ok(text)
}

impl FromStr for ContextName {
    type Err = ContextNameError;

    fn from_str(text: &str) -> Result<Self, ContextNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(ContextNameError) }
    }
}

impl TryFrom<String> for ContextName {
    type Error = ContextNameError;

    fn try_from(text: String) -> Result<Self, ContextNameError> {
        text.parse()
    }
}

impl From<ContextName> for String {
    fn from(name: ContextName) -> Self {
        name.0
    }
}

impl std::fmt::Display for ContextName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for KeptToken {
    fn eq(&self, other: &Self) -> bool {
        self.text.expose() == other.text.expose() && self.expires_at == other.expires_at
    }
}

impl Eq for KeptToken {}

/// A text that names no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a context has 1 to 63 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`")]
pub struct ContextNameError;

/// Why the operator's own files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No home.
    #[error("neither `XDG_CONFIG_HOME` nor `HOME` says where the settings are")]
    Nowhere,
    /// A file cannot be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read a secret.
    #[error("`{}` can be read by others (mode {mode:04o}), and it has a secret: say `chmod 600` to it", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file says what is not understood.
    #[error("`{}`: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No such context.
    #[error("there is no context `{name}`: see `mcpg-ctl context list`")]
    Unknown {
        /// As it was asked for.
        name: ContextName,
    },
}

/// A server as its URL.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::client::Server;

    pub(super) fn serialize<S: Serializer>(server: &Server, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(server)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Server, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A token as its text.
mod as_token {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::client::Token;

    pub(super) fn serialize<S: Serializer>(token: &Token, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(token.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Token, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
