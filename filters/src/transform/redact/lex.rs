//! The pieces of JSON text (RFC 8259): strings, numbers, words and the space between.
//!
//! Strict: no leading zeros, bare control characters, lone surrogates or other words.

use super::{RedactError, escape};

/// A place in a text.
pub(super) struct Lexer<'i> {
    pub(super) input: &'i str,
    pub(super) at: usize,
}

/// The inside of a scanned string.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) escaped: bool,
    /// Some escape stands for a quote, as in all JSON with members.
    pub(super) quoted: bool,
}

impl<'i> Lexer<'i> {
    /// A string, from quote to quote.
    pub(super) fn string(&mut self) -> Result<Span, RedactError> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut quoted) = (false, false);
        loop {
            let rest = self.input.as_bytes().get(self.at..).unwrap_or_default();
            let Some(offset) = escape::special(rest) else { return Err(self.malformed()) };
            self.at += offset;
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Span { start, end, escaped, quoted });
                }
                Some(b'\\') => {
                    escaped = true;
                    quoted |= self.escape()?;
                }
                _ => return Err(self.malformed()),
            }
        }
    }

    /// One escape. Whether it stands for a quote.
    fn escape(&mut self) -> Result<bool, RedactError> {
        self.at += 1;
        let kind = self.peek();
        match kind {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(kind == Some(b'"'))
            }
            Some(b'u') => {
                let unit = self.unit()?;
                match unit {
                    0xd800..=0xdbff => {
                        let low = self.peek() == Some(b'\\') && {
                            self.at += 1;
                            self.peek() == Some(b'u') && matches!(self.unit()?, 0xdc00..=0xdfff)
                        };
                        if low { Ok(false) } else { Err(self.malformed()) }
                    }
                    0xdc00..=0xdfff => Err(self.malformed()),
                    _ => Ok(unit == u16::from(b'"')),
                }
            }
            _ => Err(self.malformed()),
        }
    }

    /// `u` and four hex digits.
    fn unit(&mut self) -> Result<u16, RedactError> {
        let digits = self.input.as_bytes().get(self.at + 1..self.at + 5).unwrap_or_default();
        let mut unit = 0;
        for digit in digits {
            let Some(value) = char::from(*digit).to_digit(16) else { return Err(self.malformed()) };
            unit = unit << 4 | value;
        }
        if digits.len() < 4 {
            return Err(self.malformed());
        }
        self.at += 5;
        u16::try_from(unit).map_err(|_| self.malformed())
    }

    pub(super) fn number(&mut self) -> Result<(), RedactError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // Between values of a sequence nothing else parts `0` from `1`.
        if matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'"' | b'.' | b'+' | b'-')) {
            return Err(self.malformed());
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), RedactError> {
        if self.skip_while(|byte| byte.is_ascii_digit()) { Ok(()) } else { Err(self.malformed()) }
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<(), RedactError> {
        if !self.input.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn space(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// Skips bytes of a kind. Whether there was any.
    pub(super) fn skip_while(&mut self, is_kind: impl Fn(u8) -> bool) -> bool {
        let start = self.at;
        while self.peek().is_some_and(&is_kind) {
            self.at += 1;
        }
        self.at > start
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.as_bytes().get(self.at).copied()
    }

    pub(super) fn between(&self, start: usize, end: usize) -> &'i str {
        self.input.get(start..end).unwrap_or_default()
    }

    pub(super) fn malformed(&self) -> RedactError {
        RedactError::Json { at: self.at }
    }
}
