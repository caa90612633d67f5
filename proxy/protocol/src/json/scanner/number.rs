//! Numbers: those of RFC 8259 6, as far as a double reaches.

use super::super::{Fault, JsonError, Span};
use super::{Scanner, ValueKind};

impl Scanner<'_> {
    pub(super) fn number(&mut self) -> Result<ValueKind, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(Fault { error: JsonError::MalformedNumber, offset: start });
        }
        let fraction = self.peek() == Some(b'.');
        if fraction {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if exponent || digits > 300 {
            self.check_range(start)?;
        }
        Ok(ValueKind::Number { integer: !fraction && !exponent })
    }

    /// Moves over at least one digit.
    fn digits(&mut self) -> Result<u32, Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let count = self.at - start;
        match (count, self.peek()) {
            (0, None) => Err(self.fault(JsonError::UnexpectedEnd)),
            (0, Some(_)) => Err(self.fault(JsonError::MalformedNumber)),
            _ => Ok(count),
        }
    }

    fn check_range(&self, start: u32) -> Result<(), Fault> {
        let text =
            self.bytes.get(Span { start, end: self.at }.range()).and_then(|bytes| str::from_utf8(bytes).ok());
        match text.and_then(|text| text.parse::<f64>().ok()) {
            Some(number) if number.is_finite() => Ok(()),
            _ => Err(Fault { error: JsonError::NumberOutOfRange, offset: start }),
        }
    }
}
