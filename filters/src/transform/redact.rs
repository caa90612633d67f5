//! `transform.redact`, and the redaction that policy obliges to: members by name, out of JSON-RPC messages.
//!
//! Every member with one of the names goes, at any depth of `result`, `params` and `error`, all duplicates of it,
//! however its name is escaped: its value becomes `"[redacted]"`, or the member is cut out. Applied to each JSON
//! body and each SSE event's data. The bytes around it stay as they are.
//!
//! Strings are looked into, since tools answer with JSON inside text content:
//! - a string that is JSON (or several JSON values in a row) is redacted the same way and escaped again, to a
//!   bounded number of levels; so is JSON in base64 (a resource's `blob`);
//! - in other text, `"name": <JSON value>` is masked where it stands; where what follows the colon is no whole JSON
//!   value, or the mention is itself escaped, the message fails.
//!
//! A masked value is a string whatever it was: a tool that declares an output schema may want `remove`.
//!
//! Out of reach, because there is no member to find: values under other names, prose (`email: a@b.c`), other
//! notations (YAML, XML, a Python repr), base64 amid other text (data URLs), signed tokens, images, compressed
//! data. Members of the JSON-RPC envelope itself (`id`, `result`, an error's `code`) are never touched;
//! members of MCP's own structures are.
//!
//! INVARIANT: what is not strict JSON in UTF-8, too long, too deep or nested in too many strings is an error, and
//! the caller withholds the message. Linear in the length of the message, in one pass, never a re-serialisation.

mod escape;
mod lex;
mod names;
mod scan;
mod text;

use std::borrow::Cow;

use mcpg_sdk::{Obligation, RedactMode, Redacted, Settings, SettingsError};
use serde::Deserialize;

use names::Names;
use scan::{Context, Scanner};

/// The built-in's id.
pub const ID: &str = "transform.redact";

/// What takes a masked value's place.
pub const MASK: &str = "[redacted]";

const FIELDS_MAX: usize = 256;
const FIELD_BYTES_MAX: usize = 256;

/// The `config:` of `transform.redact`: what is redacted from every response of the scope, whatever policy says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactSettings {
    /// The names of the members.
    pub fields: Vec<String>,
    /// What takes their place.
    #[serde(default)]
    pub mode: Mode,
}

/// What takes a redacted value's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The string `[redacted]`.
    #[default]
    Mask,
    /// Nothing: the member goes too.
    Remove,
}

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

/// Redacts a set of names; by default none. Cheap to make, but meant to be made once per decision or revision.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    names: Names,
    limits: RedactLimits,
}

impl Redactor {
    /// Builds the redactor of `transform.redact`.
    ///
    /// # Errors
    /// When the settings do not parse or name no field.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let settings: RedactSettings = settings.parse()?;
        if settings.fields.is_empty() {
            return Err(SettingsError::at("/fields", "no field is named: nothing would be redacted"));
        }
        let mode = match settings.mode {
            Mode::Mask => RedactMode::Mask,
            Mode::Remove => RedactMode::Remove,
        };
        let obligations: Vec<_> =
            settings.fields.into_iter().map(|field| Obligation::redact_field(field, mode)).collect();
        Self::compile(&obligations, RedactLimits::default())
            .map_err(|error| SettingsError::at("/fields", error.to_string()))
    }

    /// Compiles obligations. Where two of them differ on a name, removing wins over masking.
    ///
    /// # Errors
    /// When an obligation is none that a redactor can fulfil.
    pub fn compile(obligations: &[Obligation], limits: RedactLimits) -> Result<Self, RedactError> {
        Self { names: Names::default(), limits }.with(obligations)
    }

    /// This redactor and further obligations: what `transform.redact` says and what policy says.
    ///
    /// # Errors
    /// When an obligation is none that a redactor can fulfil.
    pub fn with(&self, obligations: &[Obligation]) -> Result<Self, RedactError> {
        let mut redactor = self.clone();
        for obligation in obligations {
            match obligation {
                Obligation::Redact { mode: RedactMode::Hash, .. } => return Err(RedactError::Obligation),
                Obligation::Redact { what: Redacted::Field(field), mode } => {
                    if field.is_empty() || field.len() > FIELD_BYTES_MAX {
                        return Err(RedactError::Field);
                    }
                    redactor.names.insert(field, *mode);
                }
                // Carried out before the call, or in its row.
                Obligation::RequireApproval { .. }
                | Obligation::RateClass { .. }
                | Obligation::Note { .. } => {}
                _ => return Err(RedactError::Obligation),
            }
        }
        if redactor.names.len() > FIELDS_MAX { Err(RedactError::Field) } else { Ok(redactor) }
    }

    /// Whether it redacts all that `other` does, as strictly.
    pub fn covers(&self, other: &Self) -> bool {
        self.names.covers(&other.names)
    }

    /// The same names within other limits.
    pub fn within(self, limits: RedactLimits) -> Self {
        Self { limits, ..self }
    }

    /// Whether there is nothing to redact: responses may pass through unread.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Redacts one JSON-RPC message (or a batch of them): a body, or the data of one SSE event.
    ///
    /// # Errors
    /// When the message cannot be redacted with certainty: it must be withheld.
    pub fn redact<'a>(&self, message: &'a [u8]) -> Result<Cow<'a, [u8]>, RedactError> {
        if self.names.is_empty() {
            return Ok(Cow::Borrowed(message));
        }
        if message.len() > self.limits.body_bytes_max {
            return Err(RedactError::Large { bytes_max: self.limits.body_bytes_max });
        }
        let text =
            std::str::from_utf8(message).map_err(|error| RedactError::Json { at: error.valid_up_to() })?;
        Ok(match Scanner::new(text, Context::new(&self.names, &self.limits)).message()? {
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
    /// A `blob` that begins like JSON and cannot be read.
    #[error("a blob in the message begins like JSON but is not base64 of UTF-8")]
    Blob,
    /// A field name that is empty or too long, or too many of them.
    #[error("a redaction names 1 to 256 fields of 1 to 256 bytes")]
    Field,
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
            Self::Field | Self::Obligation => "obligation",
        }
    }
}

#[cfg(test)]
mod tests;
