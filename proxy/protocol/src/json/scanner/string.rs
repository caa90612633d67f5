//! Strings: those of RFC 8259 7, without lone surrogates (RFC 8259 8.2).

use super::super::{Fault, JsonError, Span, Text};
use super::Scanner;

impl Scanner<'_> {
    #[inline]
    pub(super) fn string(&mut self) -> Result<Text, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        let start = self.at;
        self.at += plain_run(self.rest());
        if self.peek() == Some(b'"') {
            let span = Span { start, end: self.at };
            self.at += 1;
            return Ok(Text { span, escaped: false, nul: false });
        }
        self.rest_of_string(start)
    }

    /// Moves over the rest of a string from the first byte on that is not plain.
    #[inline(never)]
    fn rest_of_string(&mut self, start: u32) -> Result<Text, Fault> {
        let mut nul = false;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    nul |= self.escape()? == Some(0);
                }
                Some(_) => return Err(self.fault(JsonError::ControlCharacter)),
                None => return Err(self.fault(JsonError::UnexpectedEnd)),
            }
            self.at += plain_run(self.rest());
        }
        let span = Span { start, end: self.at };
        self.at += 1;
        Ok(Text { span, escaped, nul })
    }

    /// Moves over one escape, a surrogate pair being one. Answers with the code unit of a `\u`.
    fn escape(&mut self) -> Result<Option<u16>, Fault> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b'u') => self.at += 1,
            Some(_) => return Err(Fault { error: JsonError::MalformedEscape, offset: start }),
            None => return Err(self.fault(JsonError::UnexpectedEnd)),
        }
        let unit = self.code_unit(start)?;
        match unit {
            0xd800..=0xdbff => {
                let lone = Fault { error: JsonError::LoneSurrogate, offset: start };
                if !self.rest().starts_with(b"\\u") {
                    return Err(lone);
                }
                self.at += 2;
                match self.code_unit(start)? {
                    0xdc00..=0xdfff => Ok(Some(unit)),
                    _ => Err(lone),
                }
            }
            0xdc00..=0xdfff => Err(Fault { error: JsonError::LoneSurrogate, offset: start }),
            _ => Ok(Some(unit)),
        }
    }

    fn code_unit(&mut self, escape: u32) -> Result<u16, Fault> {
        let Some((digits, _)) = self.rest().split_first_chunk::<4>() else {
            return Err(self.fault(JsonError::UnexpectedEnd));
        };
        let mut unit = 0_u16;
        for &digit in digits {
            let Some(nibble) = hex(digit) else {
                return Err(Fault { error: JsonError::MalformedEscape, offset: escape });
            };
            unit = unit << 4 | u16::from(nibble);
        }
        self.at += 4;
        Ok(unit)
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// How many bytes come before the next quote, backslash or control character; eight at a time.
#[inline]
fn plain_run(bytes: &[u8]) -> u32 {
    let mut rest = bytes;
    let mut run = 0;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return run + stops.trailing_zeros() / 8;
        }
        run += 8;
        rest = tail;
    }
    for &byte in rest {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        run += 1;
    }
    run
}

/// The high bit of each byte that ends a plain run. Borrows only spread to higher bytes, so the
/// lowest bit that is set is exact, and that is the only one which is used.
fn stops(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let quote = quote.wrapping_sub(LOW) & !quote;
    let backslash = backslash.wrapping_sub(LOW) & !backslash;
    (control | quote | backslash) & HIGH
}
