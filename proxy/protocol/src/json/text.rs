//! The inside of JSON strings: unescaping on the way in, escaping on the way out (RFC 8259, 7).

use std::borrow::Cow;
use std::str::Chars;

use super::Span;

/// A scanned string: where its content lies, without the quotes, and what was seen in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) span: Span,
    /// Has at least one escape.
    pub(crate) escaped: bool,
    /// Has an escaped U+0000 (a raw one is refused everywhere).
    pub(crate) nul: bool,
}

/// The characters that the content of a validated JSON string stands for.
#[derive(Debug, Clone)]
pub(crate) struct Unescaped<'a>(Chars<'a>);

impl<'a> Unescaped<'a> {
    pub(crate) fn new(content: &'a str) -> Self {
        Self(content.chars())
    }

    fn unit(&mut self) -> u32 {
        (0..4).fold(0, |unit, _| unit << 4 | self.0.next().and_then(|c| c.to_digit(16)).unwrap_or(0))
    }

    fn unicode(&mut self) -> Option<char> {
        let unit = self.unit();
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        self.0.next();
        self.0.next();
        let low = self.unit();
        char::from_u32(0x10000 + (unit - 0xd800) * 0x400 + low.wrapping_sub(0xdc00))
    }
}

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.0.next()?;
        if c != '\\' {
            return Some(c);
        }
        Some(match self.0.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            // INVARIANT: the scanner has refused malformed escapes and lone surrogates.
            'u' => self.unicode().unwrap_or(char::REPLACEMENT_CHARACTER),
            other => other,
        })
    }
}

/// The text that the content of a validated JSON string stands for; borrowed if it has no escape.
pub(crate) fn unescape(content: &str, escaped: bool) -> Cow<'_, str> {
    if escaped { Cow::Owned(Unescaped::new(content).collect()) } else { Cow::Borrowed(content) }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|&byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        if let Some((&byte, tail)) = tail.split_first() {
            write_escape(out, byte);
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            // Only control characters come here, so the second-last digit is 0 or 1.
            let high = b'0' + (byte >> 4);
            let low = byte & 0xf;
            let low = if low < 10 { b'0' + low } else { b'a' + low - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
