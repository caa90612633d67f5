//! What policy requires beside a permit, and the one text form that it has everywhere: in audit rows, in columns of policies, in
//! strings of Rego and on the command line.
//!
//! INVARIANT: an [`Obligation`] that was read from text writes the same text again, and means the same to every engine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The forms, for errors.
const FORMS: &str = "`redact:FIELD`, `remove:FIELD`, `hash:FIELD`, `redact:pointer=/a/b`, `redact:detector=email|phone|card|secret`, \
     `approval`, `approval:GATE`, `rate:CLASS` or `note:TEXT`";

const FIELD_BYTES_MAX: usize = 256;
const POINTER_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 64;
const NOTE_BYTES_MAX: usize = 256;

/// The segment of a pointer that stands for every member or element.
pub const POINTER_ANY: &str = "*";

/// What must be done about a permitted call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Obligation {
    /// Keep something of the answer from the client.
    Redact {
        /// What.
        what: Redacted,
        /// What takes its place.
        mode: RedactMode,
    },
    /// Let a person approve the call before it is made.
    RequireApproval {
        /// The gate that asks; none for whichever covers the call.
        gate: Option<String>,
    },
    /// Charge the call to a class of the rate limit.
    RateClass {
        /// Its name in `reliability.rate-limit`.
        class: String,
    },
    /// Say this in the audit row.
    Note {
        /// What to say.
        text: String,
    },
}

/// What of an answer is redacted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Redacted {
    /// Every member of this name, at any depth, compared after unescaping.
    Field(String),
    /// What a JSON pointer (RFC 6901) leads to from `result`. A segment `*` stands for every member or element.
    Pointer(String),
    /// Every text that looks like one of a kind.
    Detector(Detector),
}

/// A kind of text that is found by its look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Keys, tokens and passwords.
    Secret,
}

/// What takes a redacted value's place, from the least to the most strict: a hash still tells which values are equal, and a removed
/// member not even that it was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedactMode {
    /// A short keyed hash, the same for the same value.
    Hash,
    /// The string `[redacted]`.
    #[default]
    Mask,
    /// Nothing: the member goes too.
    Remove,
}

/// Why a text is no obligation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObligationError {
    /// It has none of the forms.
    #[error("`{0}` is no obligation: write {FORMS}")]
    Form(String),
    /// A field is empty, too long or has a control character.
    #[error("a field is a member's name of 1 to {FIELD_BYTES_MAX} bytes")]
    Field,
    /// A field that looks like a path would be looked for as a member's name, and never be found.
    #[error(
        "`{0}` looks like a path: a field is a member's name, redacted at any depth; write `pointer=/a/b` for a place, or `field={0}` \
         if the name is really that"
    )]
    Path(String),
    /// No pointer.
    #[error("`{0}` is no JSON pointer (RFC 6901) from `result`, such as `/structuredContent/rows/*/email`")]
    Pointer(String),
    /// There is no such detector.
    #[error("there is no detector `{0}`: use `email`, `phone`, `card` or `secret`")]
    Detector(String),
    /// There is no such mode.
    #[error("there is no mode `{0}`: use `mask`, `hash` or `remove`")]
    Mode(String),
    /// The name of a gate or class.
    #[error("`{0}` is no name: use 1 to {NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`")]
    Name(String),
    /// A note that does not fit a row.
    #[error("a note is 1 to {NOTE_BYTES_MAX} bytes of text without control characters")]
    Note,
}

impl Obligation {
    /// Redacts something.
    pub fn redact(what: Redacted, mode: RedactMode) -> Self {
        Self::Redact { what, mode }
    }

    /// Redacts every member of a name.
    pub fn redact_field(name: impl Into<String>, mode: RedactMode) -> Self {
        Self::Redact { what: Redacted::Field(name.into()), mode }
    }

    /// Requires the approval of a person.
    ///
    /// # Errors
    /// When the gate's name is none.
    pub fn approval(gate: Option<&str>) -> Result<Self, ObligationError> {
        Ok(Self::RequireApproval { gate: gate.map(name).transpose()? })
    }

    /// Charges a class of the rate limit.
    ///
    /// # Errors
    /// When the class's name is none.
    pub fn rate_class(class: &str) -> Result<Self, ObligationError> {
        Ok(Self::RateClass { class: name(class)? })
    }

    /// Notes a text.
    ///
    /// # Errors
    /// When it does not fit a row.
    pub fn note(text: &str) -> Result<Self, ObligationError> {
        let text = text.trim();
        if text.is_empty() || text.len() > NOTE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(ObligationError::Note);
        }
        Ok(Self::Note { text: text.to_owned() })
    }

    /// Sorted, without duplicates. Of several ways to redact the same thing the strictest stays; an approval of some gate is there
    /// already where that of a certain one is required.
    pub fn unite(mut obligations: Vec<Self>) -> Vec<Self> {
        obligations.sort_unstable();
        obligations.dedup();
        let mut united: Vec<Self> = Vec::with_capacity(obligations.len());
        for obligation in obligations {
            match (united.last_mut(), &obligation) {
                // The same things stand in a row, the stricter mode later.
                (Some(Self::Redact { what: last, mode: before }), Self::Redact { what, mode })
                    if last == what =>
                {
                    *before = *mode;
                }
                (Some(last @ Self::RequireApproval { gate: None }), Self::RequireApproval { .. }) => {
                    *last = obligation;
                }
                _ => united.push(obligation),
            }
        }
        united
    }

    /// How many bytes its texts have.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Redact { what: Redacted::Field(text) | Redacted::Pointer(text), .. }
            | Self::RequireApproval { gate: Some(text) }
            | Self::RateClass { class: text }
            | Self::Note { text } => text.len(),
            Self::Redact { what: Redacted::Detector(_), .. } | Self::RequireApproval { gate: None } => 0,
        }
    }
}

impl Redacted {
    /// Members of a name, which must not look like a path.
    ///
    /// # Errors
    /// When it is no name or looks like a path.
    pub fn field(name: &str) -> Result<Self, ObligationError> {
        if name.starts_with(['/', '$']) || name.contains(['.', '*', '[', ']']) {
            return Err(ObligationError::Path(name.to_owned()));
        }
        Self::any_field(name)
    }

    /// Members of a name, whatever it looks like.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn any_field(name: &str) -> Result<Self, ObligationError> {
        let fits = !name.is_empty() && name.len() <= FIELD_BYTES_MAX && !name.chars().any(char::is_control);
        if fits { Ok(Self::Field(name.to_owned())) } else { Err(ObligationError::Field) }
    }

    /// A place, by its JSON pointer (RFC 6901 section 3) from `result`.
    ///
    /// # Errors
    /// When it is none, or is `result` as a whole.
    pub fn pointer(pointer: &str) -> Result<Self, ObligationError> {
        let tildes = || pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let fits = pointer.len() > 1
            && pointer.len() <= POINTER_BYTES_MAX
            && pointer.starts_with('/')
            && !pointer.chars().any(char::is_control)
            && tildes();
        if fits {
            Ok(Self::Pointer(pointer.to_owned()))
        } else {
            Err(ObligationError::Pointer(pointer.to_owned()))
        }
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redact { what, mode: RedactMode::Mask } => write!(f, "redact:{what}"),
            Self::Redact { what, mode } => write!(f, "{}:{what}", mode.as_str()),
            Self::RequireApproval { gate: None } => f.write_str("approval"),
            Self::RequireApproval { gate: Some(gate) } => write!(f, "approval:{gate}"),
            Self::RateClass { class } => write!(f, "rate:{class}"),
            Self::Note { text } => write!(f, "note:{text}"),
        }
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A name that would be read as something else says that it is one.
            Self::Field(name) if name.parse::<Self>().as_ref() != Ok(self) => write!(f, "field={name}"),
            Self::Field(name) => f.write_str(name),
            Self::Pointer(pointer) => write!(f, "pointer={pointer}"),
            Self::Detector(detector) => write!(f, "detector={}", detector.as_str()),
        }
    }
}

impl FromStr for Obligation {
    type Err = ObligationError;

    fn from_str(text: &str) -> Result<Self, ObligationError> {
        let text = text.trim_start();
        let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        match (kind, rest) {
            ("redact", Some(what)) => Ok(Self::redact(what.parse()?, RedactMode::Mask)),
            ("hash", Some(what)) => Ok(Self::redact(what.parse()?, RedactMode::Hash)),
            ("remove", Some(what)) => Ok(Self::redact(what.parse()?, RedactMode::Remove)),
            ("approval", gate) => Self::approval(gate),
            ("rate", Some(class)) => Self::rate_class(class),
            ("note", Some(text)) => Self::note(text),
            _ => Err(ObligationError::Form(text.to_owned())),
        }
    }
}

impl FromStr for Redacted {
    type Err = ObligationError;

    fn from_str(text: &str) -> Result<Self, ObligationError> {
        match text.split_once('=') {
            Some(("field", name)) => Self::any_field(name),
            Some(("pointer", pointer)) => Self::pointer(pointer),
            Some(("detector", name)) => Ok(Self::Detector(name.parse()?)),
            _ if text != text.trim() => Err(ObligationError::Field),
            _ => Self::field(text),
        }
    }
}

impl Detector {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Email, Self::Phone, Self::Card, Self::Secret];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Secret => "secret",
        }
    }
}

impl FromStr for Detector {
    type Err = ObligationError;

    fn from_str(text: &str) -> Result<Self, ObligationError> {
        let found = Self::ALL.into_iter().find(|detector| detector.as_str() == text);
        found.ok_or_else(|| ObligationError::Detector(text.to_owned()))
    }
}

impl RedactMode {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Mask => "mask",
            Self::Remove => "remove",
        }
    }
}

impl FromStr for RedactMode {
    type Err = ObligationError;

    fn from_str(text: &str) -> Result<Self, ObligationError> {
        let found = [Self::Hash, Self::Mask, Self::Remove].into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| ObligationError::Mode(text.to_owned()))
    }
}

impl From<Obligation> for String {
    fn from(obligation: Obligation) -> Self {
        obligation.to_string()
    }
}

impl TryFrom<String> for Obligation {
    type Error = ObligationError;

    fn try_from(text: String) -> Result<Self, ObligationError> {
        text.parse()
    }
}

/// The name of a gate or class.
fn name(text: &str) -> Result<String, ObligationError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_name) {
        Ok(text.to_owned())
    } else {
        Err(ObligationError::Name(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
