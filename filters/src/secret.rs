//! Secrets: from a reference in the configuration to its value.
//!
//! Values are wiped when dropped and never appear in messages; an error names the reference only.

mod env;
pub(crate) mod file;

use mcpg_sdk::{Base, BoundsError, Secret, SecretRef, Settings, SettingsError};
use serde::Deserialize;

/// The ids of the built-in providers. Both are always there; naming them in `plugins:` changes nothing.
pub const IDS: [&str; 2] = ["secret.env", "secret.file"];

/// The longest secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The `config:` of `secret.env` and `secret.file`: empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSettings {}

impl SecretSettings {
    /// Parses the settings.
    ///
    /// # Errors
    /// When there is any.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        settings.parse()
    }
}

/// What messages say of a secret that is not asked for here.
const ELSEWHERE: &str = "is on the gateway's machine";

/// Whether a message says that something could not be built because its secret is elsewhere.
pub fn is_elsewhere(message: &str) -> bool {
    message.contains(ELSEWHERE)
}

/// Resolves references when a revision is built.
#[derive(Debug, Clone)]
pub struct SecretResolver {
    base: Base,
    is_elsewhere: bool,
}

impl SecretResolver {
    /// A resolver for the configuration in a folder.
    pub fn new(base: &Base) -> Self {
        Self { base: base.clone(), is_elsewhere: false }
    }

    /// A resolver where the secrets are not: it resolves nothing. What cannot be built without them fails with a message that [`is_elsewhere`] knows.
    pub fn elsewhere(base: &Base) -> Self {
        Self { base: base.clone(), is_elsewhere: true }
    }

    /// Reads the value behind a reference. One trailing line end is dropped; an empty value is an error.
    ///
    /// # Errors
    /// When there is no such value, or it may not be trusted. The message names the reference, never a value.
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let failed = |reason| SecretError { reference: reference.to_string(), reason };
        if self.is_elsewhere {
            return Err(failed(SecretErrorReason::Elsewhere));
        }
        let mut bytes = match reference {
            SecretRef::Env(name) => self
                .base
                .variable(name)
                .map_err(SecretErrorReason::Bounds)
                .and_then(|name| env::read(name, |name| std::env::var_os(name))),
            SecretRef::File(path) => self
                .base
                .secret_file(path)
                .map_err(SecretErrorReason::Bounds)
                .and_then(|path| file::read(&path, SECRET_BYTES_MAX).map_err(SecretErrorReason::File)),
            SecretRef::Vault { .. } => Err(SecretErrorReason::Vault),
        }
        .map_err(failed)?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        // From here on `Secret` wipes it.
        let secret = Secret::new(bytes);
        if secret.expose().is_empty() { Err(failed(SecretErrorReason::Empty)) } else { Ok(secret) }
    }
}

/// A secret that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the secret `{reference}` {reason}")]
pub struct SecretError {
    /// The reference as configured.
    pub reference: String,
    /// What failed.
    pub reason: SecretErrorReason,
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretErrorReason {
    /// No such environment variable.
    #[error("is not set: no such environment variable")]
    NotSet,
    /// The file cannot be read or is not trusted.
    #[error("cannot be read: {0}")]
    File(file::FileError),
    /// It may not be named.
    #[error("may not be named: {0}")]
    Bounds(BoundsError),
    /// It is not asked for here.
    #[error("{ELSEWHERE}")]
    Elsewhere,
    /// Over the limit.
    #[error("is over {SECRET_BYTES_MAX} bytes")]
    Large,
    /// There, and empty.
    #[error("is empty")]
    Empty,
    /// A provider that is not compiled in.
    #[error(
        "needs the secret provider `vault`, which is not in this build: use `$secret://env/NAME` or `$secret://file/PATH`"
    )]
    Vault,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(contents: &[u8], expected: Result<&[u8], &str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), contents).unwrap();
        let resolved = SecretResolver::new(&Base::trusted(folder.path()))
            .resolve(&"$secret://file/key".parse().unwrap());
        match (resolved, expected) {
            (Ok(secret), Ok(value)) => assert_eq!(secret.expose(), value),
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
            (resolved, expected) => panic!("{resolved:?} for {expected:?}"),
        }
    }

    #[test]
    fn one_trailing_line_end_is_dropped() {
        check(b"hunter2", Ok(b"hunter2"));
        check(b"hunter2\n", Ok(b"hunter2"));
        check(b"hunter2\r\n", Ok(b"hunter2"));
        check(b"hunter2\n\n", Ok(b"hunter2\n"));
        check(b" hunter2 ", Ok(b" hunter2 "));
        check(b"\x00\xff", Ok(b"\x00\xff"));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        check(b"", Err("the secret `$secret://file/key` is empty"));
        check(b"\n", Err("the secret `$secret://file/key` is empty"));
    }

    #[test]
    fn the_size_is_bounded() {
        check(&vec![b'a'; SECRET_BYTES_MAX], Ok(&vec![b'a'; SECRET_BYTES_MAX]));
        check(
            &vec![b'a'; SECRET_BYTES_MAX + 1],
            Err("the secret `$secret://file/key` cannot be read: it is over 65536 bytes"),
        );
    }

    #[test]
    fn an_absolute_path_leaves_the_folder_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hunter2").unwrap();
        let reference = format!("$secret://file/{}", path.display()).parse().unwrap();
        let secret = SecretResolver::new(&Base::trusted("elsewhere")).resolve(&reference).unwrap();
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn vault_says_what_to_use() {
        let reference = "$secret://vault/kv/data/mcpg#token".parse().unwrap();
        let error = SecretResolver::new(&Base::trusted(".")).resolve(&reference).unwrap_err().to_string();
        assert!(error.contains("not in this build") && error.contains("$secret://env/NAME"), "{error}");
    }
}
