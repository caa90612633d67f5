//! `transform.redact`, and the redaction that policy obliges to: out of JSON-RPC messages, members by name, places by JSON pointer, and
//! what detectors find in any text. docs/OBLIGATIONS.md says what each finds, and what is out of reach.
//!
//! Applied to each JSON body and each SSE event's data. The bytes around what is redacted stay as they are. Strings are looked into,
//! since tools answer with JSON inside text content:
//! - a string that is JSON (or several JSON values in a row) is redacted the same way and escaped again, to a
//!   bounded number of levels; so is JSON or text in base64 (a resource's `blob`, a data URL);
//! - in other text, `"name": <JSON value>` is masked where it stands; where what follows the colon is no whole JSON
//!   value, or the mention is itself escaped, the message fails.
//!
//! Members of the JSON-RPC envelope itself (`id`, `result`, an error's `code`) are never touched; members of MCP's own structures are.
//!
//! INVARIANT: what is not strict JSON in UTF-8, too long, too deep or nested in too many strings is an error, and
//! the caller withholds the message. Linear in the length of the message, in one pass, never a re-serialisation.

mod context;
mod detect;
mod escape;
mod hash;
mod lex;
mod names;
mod pointers;
mod rules;
mod scan;
mod settings;
mod text;

use std::borrow::Cow;

use mcpg_sdk::{Obligation, Redacted, Settings, SettingsError};

pub use hash::HashKey;
pub use settings::{Found, Mode, RedactSettings};

use context::Context;
use rules::Rules;
use scan::Scanner;

/// The built-in's id.
pub const ID: &str = "transform.redact";

/// What takes a masked value's place.
pub const MASK: &str = "[redacted]";

const FIELDS_MAX: usize = 256;
const FIELD_BYTES_MAX: usize = 256;

/// How much a redactor takes on. Beyond it, it fails and the message is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactLimits {
    /// The longest message.
    pub body_bytes_max: usize,
    /// The deepest nesting of objects and arrays, those inside strings included.
    pub depth_max: u32,
    /// How many strings inside each other may hold JSON.
    pub embedded_max: u32,
}

impl Default for RedactLimits {
    fn default() -> Self {
        Self { body_bytes_max: 8 * 1024 * 1024, depth_max: 128, embedded_max: 4 }
    }
}

/// Redacts by a set of rules; by default by none. Cheap to make, but meant to be made once per decision or revision.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    rules: Rules,
    limits: RedactLimits,
}

impl Redactor {
    /// Builds the redactor of `transform.redact`.
    ///
    /// # Errors
    /// When the settings do not parse or name nothing.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let obligations = settings.parse::<RedactSettings>()?.obligations()?;
        // The key comes with the scope; until then what should be hashed is masked.
        Self::default().adding(&obligations).map_err(|error| SettingsError::at("", error.to_string()))
    }

    /// Compiles obligations. Where several are about the same thing, the strictest holds.
    ///
    /// # Errors
    /// When an obligation is none that a redactor can fulfil.
    pub fn compile(obligations: &[Obligation], limits: RedactLimits) -> Result<Self, RedactError> {
        Self { rules: Rules::default(), limits }.with(obligations)
    }

    /// The same rules, with the key that the mode `hash` takes.
    pub fn keyed(mut self, key: HashKey) -> Self {
        self.rules.key = Some(key);
        self
    }

    /// This redactor and further obligations: what `transform.redact` says and what policy says. Obligations that are not about the
    /// answer are left to others.
    ///
    /// # Errors
    /// When an obligation is none that a redactor can fulfil.
    pub fn with(&self, obligations: &[Obligation]) -> Result<Self, RedactError> {
        let redactor = self.adding(obligations)?;
        if redactor.rules.hashes() && redactor.rules.key.is_none() {
            return Err(RedactError::Unkeyed);
        }
        Ok(redactor)
    }

    fn adding(&self, obligations: &[Obligation]) -> Result<Self, RedactError> {
        let mut redactor = self.clone();
        let rules = &mut redactor.rules;
        for obligation in obligations {
            match obligation {
                Obligation::Redact { what: Redacted::Field(field), mode } => {
                    if field.is_empty() || field.len() > FIELD_BYTES_MAX {
                        return Err(RedactError::Field);
                    }
                    rules.names.insert(field, *mode);
                }
                Obligation::Redact { what: Redacted::Pointer(pointer), mode } => {
                    if !rules.pointers.insert(pointer, *mode) {
                        return Err(RedactError::Pointers);
                    }
                }
                Obligation::Redact { what: Redacted::Detector(detector), mode } => {
                    rules.detectors.insert(*detector, *mode);
                }
                // Carried out before the call, or in its row.
                Obligation::RequireApproval { .. }
                | Obligation::RateClass { .. }
                | Obligation::Note { .. } => {}
                _ => return Err(RedactError::Obligation),
            }
        }
        if rules.names.len() > FIELDS_MAX { Err(RedactError::Field) } else { Ok(redactor) }
    }

    /// Whether it redacts all that `other` does, as strictly.
    pub fn covers(&self, other: &Self) -> bool {
        self.rules.covers(&other.rules)
    }

    /// The same rules within other limits.
    pub fn within(self, limits: RedactLimits) -> Self {
        Self { limits, ..self }
    }

    /// Whether there is nothing to redact: responses may pass through unread.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Redacts one JSON-RPC message (or a batch of them): a body, or the data of one SSE event.
    ///
    /// # Errors
    /// When the message cannot be redacted with certainty: it must be withheld.
    pub fn redact<'a>(&self, message: &'a [u8]) -> Result<Cow<'a, [u8]>, RedactError> {
        if self.rules.is_empty() {
            return Ok(Cow::Borrowed(message));
        }
        if message.len() > self.limits.body_bytes_max {
            return Err(RedactError::Large { bytes_max: self.limits.body_bytes_max });
        }
        let text =
            std::str::from_utf8(message).map_err(|error| RedactError::Json { at: error.valid_up_to() })?;
        Ok(match Scanner::new(text, Context::new(&self.rules, &self.limits)).message()? {
            None => Cow::Borrowed(message),
            Some(redacted) => Cow::Owned(redacted),
        })
    }
}

/// Why a message could not be redacted. No variant holds any of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// Not strict JSON.
    #[error("the message is not valid JSON at byte {at}")]
    Json {
        /// Where.
        at: usize,
    },
    /// Over the limit.
    #[error("the message is over {bytes_max} bytes")]
    Large {
        /// The limit.
        bytes_max: usize,
    },
    /// Nested too deep.
    #[error("the message nests more than {depth_max} levels")]
    Deep {
        /// The limit.
        depth_max: u32,
    },
    /// JSON in a string in a string, and so on.
    #[error("the message nests JSON in more than {embedded_max} strings")]
    Embedded {
        /// The limit.
        embedded_max: u32,
    },
    /// A text names a field in a way that leaves open where its value ends.
    #[error("a text in the message names a redacted field in broken JSON")]
    Text,
    /// A `blob` that begins like JSON and cannot be read, or one of binary data in which a detector sees something.
    #[error(
        "a blob in the message holds what cannot be redacted in it: it begins like JSON, or a detector sees something, and is no text"
    )]
    Blob,
    /// A field name that is empty or too long, or too many of them.
    #[error("a redaction names 1 to 256 fields of 1 to 256 bytes")]
    Field,
    /// Too many pointers.
    #[error("the redactions have more than 256 segments of JSON pointers together")]
    Pointers,
    /// The mode `hash` without a key.
    #[error("a redaction hashes, and there is no key here to hash with")]
    Unkeyed,
    /// An obligation of another kind.
    #[error("an obligation is not one that this build can fulfil")]
    Obligation,
}

impl RedactError {
    /// The stable word for logs, metrics and audit rows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "not_json",
            Self::Large { .. } => "too_large",
            Self::Deep { .. } | Self::Embedded { .. } => "too_deep",
            Self::Text => "broken_text",
            Self::Blob => "broken_blob",
            Self::Field | Self::Pointers | Self::Unkeyed | Self::Obligation => "obligation",
        }
    }
}

#[cfg(test)]
mod tests;
