//! A text of the configuration that may end in a secret.

use std::fmt;
use std::str::FromStr;

use mcpg_sdk::{SecretRef, SecretRefError};

/// A text, or a text with a secret's value after it.
#[derive(Clone, PartialEq)]
pub enum Text {
    /// As written.
    Plain(String),
    /// `Bearer $secret://…`: a text, which may be empty, and the secret's value after it.
    Secret {
        /// What stands before the secret.
        prefix: String,
        /// What to resolve.
        secret: SecretRef,
    },
}

impl Text {
    /// Everything from `$secret:` on is the reference.
    ///
    /// # Errors
    /// A broken reference. The text is not repeated.
    pub(crate) fn parse(text: &str) -> Result<Self, SecretRefError> {
        match text.find("$secret:") {
            Some(start) => {
                let (prefix, reference) = text.split_at(start);
                Ok(Self::Secret { prefix: prefix.to_owned(), secret: SecretRef::from_str(reference)? })
            }
            None => Ok(Self::Plain(text.to_owned())),
        }
    }

    /// The reference in it.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Plain(_) => None,
            Self::Secret { secret, .. } => Some(secret),
        }
    }
}

impl fmt::Debug for Text {
    /// Without the text: it may be a secret all the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::Secret { .. } => f.write_str("Secret(..)"),
        }
    }
}
