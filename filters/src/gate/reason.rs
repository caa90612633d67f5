//! Why somebody approves or denies, in their own words: for the audit log, those who were asked, and the caller.

use std::fmt;
use std::str::FromStr;

/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// A reason: one line, not too long, in which nothing moves the cursor or turns text around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(Box<str>);

/// What is wrong with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReason {
    /// It says nothing.
    #[error("a reason says something")]
    Empty,
    /// It is over [`REASON_BYTES_MAX`].
    #[error("a reason has {REASON_BYTES_MAX} bytes at most")]
    TooLong,
    /// It has a character that is no text.
    #[error("a reason is one line of text, without U+{0:04X}")]
    Character(u32),
}

impl Reason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = BadReason;

    fn from_str(text: &str) -> Result<Self, BadReason> {
        if text.len() > REASON_BYTES_MAX {
            return Err(BadReason::TooLong);
        }
        if let Some(char) = text.chars().find(|char| !is_text(*char)) {
            return Err(BadReason::Character(u32::from(char)));
        }
        match text.trim() {
            "" => Err(BadReason::Empty),
            text => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No control character, no end of a line, nothing that changes the order of text.
fn is_text(char: char) -> bool {
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !char.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line_of_text() {
        let long = "ä".repeat(REASON_BYTES_MAX / 2);
        for (text, expected) in [
            ("ticket 4711", Ok("ticket 4711")),
            ("  spaced  ", Ok("spaced")),
            ("nicht am Freitag 👍\u{fe0f}", Ok("nicht am Freitag 👍\u{fe0f}")),
            (&long, Ok(long.as_str())),
            (&format!("{long}a"), Err(BadReason::TooLong)),
            ("", Err(BadReason::Empty)),
            ("   ", Err(BadReason::Empty)),
            ("a\nb", Err(BadReason::Character(0x0a))),
            ("a\tb", Err(BadReason::Character(0x09))),
            ("\u{1b}[2J", Err(BadReason::Character(0x1b))),
            ("a\0", Err(BadReason::Character(0))),
            ("a\u{85}b", Err(BadReason::Character(0x85))),
            ("a\u{202e}b", Err(BadReason::Character(0x202e))),
            ("a\u{2066}b", Err(BadReason::Character(0x2066))),
        ] {
            let read = text.parse::<Reason>();
            assert_eq!(read.as_ref().map(Reason::as_str).map_err(|error| *error), expected, "{text:?}");
        }
        assert_eq!(BadReason::Character(0x1b).to_string(), "a reason is one line of text, without U+001B");
    }
}
