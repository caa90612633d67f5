//! Where a private key is: in a file or with a secret provider, never in the configuration.

use std::path::PathBuf;
use std::str::FromStr;

use mcpg_sdk::{Base, BoundsError, SecretRef, SecretRefError};

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A PEM file.
    File(PathBuf),
    /// A secret that holds the PEM text.
    Secret(SecretRef),
}

impl KeySource {
    /// Reads a `$secret://…` reference or a path, which is taken below `base` if it is relative.
    ///
    /// # Errors
    /// When the text is a key itself, or a broken reference. The text is not repeated.
    pub(crate) fn parse(text: &str, base: &Base) -> Result<Self, KeySourceError> {
        if text.contains("-----BEGIN") || text.contains('\n') {
            return Err(KeySourceError::Inline);
        }
        if text.starts_with("$secret:") {
            return Ok(Self::Secret(SecretRef::from_str(text)?));
        }
        if text.is_empty() {
            return Err(KeySourceError::Empty);
        }
        Ok(Self::File(base.file(text)?))
    }
}

/// Why a text names no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySourceError {
    /// The key itself.
    #[error("a private key must not be in the configuration")]
    Inline,
    /// Nothing.
    #[error("the path is empty")]
    Empty,
    /// A file that may not be named.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A broken reference.
    #[error(transparent)]
    Reference(#[from] SecretRefError),
}
