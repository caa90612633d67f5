//! Strict JSON, read in one pass over the received bytes without building a tree (RFC 8259).
//!
//! Stricter than the RFC where parsers are known to differ: duplicate keys (compared after
//! unescaping), NUL in a key, lone surrogates and numbers beyond a double's range are refused.

mod keys;
mod scanner;
#[cfg(test)]
mod tests;
mod text;

use std::ops::Range;

pub(crate) use scanner::{Scanner, Value, ValueKind};
pub use text::write_string;
pub(crate) use text::{Text, Unescaped, unescape};

/// Why a text is refused as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text ends inside a value.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// A byte that cannot stand where it stands.
    #[error("unexpected byte")]
    UnexpectedByte,
    /// Bytes after the value.
    #[error("bytes after the message")]
    TrailingBytes,
    /// A number that is not one of RFC 8259.
    #[error("malformed number")]
    MalformedNumber,
    /// A number that overflows a double: parsers give infinity, an error or another number.
    #[error("number out of range")]
    NumberOutOfRange,
    /// A raw control character in a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// An escape that is not one of RFC 8259.
    #[error("malformed escape")]
    MalformedEscape,
    /// Half of a surrogate pair.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// A key that another key of the same object equals.
    #[error("duplicate key")]
    DuplicateKey,
    /// A key with U+0000 in it, which ends the key for some parsers.
    #[error("NUL in a key")]
    NulInKey,
    /// Nested deeper than allowed.
    #[error("nested too deep")]
    TooDeep,
    /// More values than allowed.
    #[error("too many values")]
    TooManyValues,
    /// An object has more members than allowed.
    #[error("too many keys in an object")]
    TooManyKeys,
}

impl JsonError {
    /// A stable word for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnexpectedEnd => "unexpected_end",
            Self::UnexpectedByte => "unexpected_byte",
            Self::TrailingBytes => "trailing_bytes",
            Self::MalformedNumber => "malformed_number",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::ControlCharacter => "control_character",
            Self::MalformedEscape => "malformed_escape",
            Self::LoneSurrogate => "lone_surrogate",
            Self::DuplicateKey => "duplicate_key",
            Self::NulInKey => "nul_in_key",
            Self::TooDeep => "too_deep",
            Self::TooManyValues => "too_many_values",
            Self::TooManyKeys => "too_many_keys",
        }
    }
}

/// A [`JsonError`] and the byte that it was found at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) error: JsonError,
    pub(crate) offset: u32,
}

/// A range of the body. Half the size of a `Range<usize>`: texts of 4 GiB and more are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
