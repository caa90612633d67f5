//! One pass over JSON text (RFC 8259) that notes what to cut out and what to put in its place.
//!
//! Strict: no leading zeros, bare control characters, lone surrogates, trailing commas or trailing bytes.

use mcpg_sdk::RedactMode;

use super::names::Names;
use super::{MASK, RedactError, RedactLimits, escape, text};

/// Members that belong to JSON-RPC itself.
const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "result", "params", "error"];

/// What a text is scanned for, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Context<'n> {
    names: &'n Names,
    limits: &'n RedactLimits,
    depth: u32,
    /// How many strings the text is inside of.
    level: u32,
}

impl<'n> Context<'n> {
    /// A whole message's.
    pub(super) fn new(names: &'n Names, limits: &'n RedactLimits) -> Self {
        Self { names, limits, depth: 0, level: 0 }
    }

    /// That of the text in a string here.
    pub(super) fn inner(self) -> Result<Self, RedactError> {
        let embedded_max = self.limits.embedded_max;
        if self.level >= embedded_max {
            return Err(RedactError::Embedded { embedded_max });
        }
        Ok(Self { level: self.level + 1, ..self })
    }
}

pub(super) struct Scanner<'i, 'n> {
    input: &'i str,
    at: usize,
    context: Context<'n>,
    /// Inside a value that goes as a whole: only its syntax matters.
    muted: bool,
    output: Vec<u8>,
    /// How much of the input is in the output, or cut.
    copied: usize,
}

/// What an object is, which decides which of its members are the protocol's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    Envelope,
    Error,
    Data,
}

/// The inside of a scanned string.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    escaped: bool,
    /// Some escape stands for a quote, as in all JSON with members.
    quoted: bool,
}

impl<'i, 'n> Scanner<'i, 'n> {
    pub(super) fn new(input: &'i str, context: Context<'n>) -> Self {
        Self { input, at: 0, context, muted: false, output: Vec::new(), copied: 0 }
    }

    /// Scans a JSON-RPC message or a batch. The redacted text, if it differs.
    pub(super) fn message(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(Object::Envelope)?,
            Some(b'[') => self.array(Object::Envelope)?,
            _ => self.value(Object::Data)?,
        }
        self.space();
        if self.at == self.input.len() { Ok(self.finish()) } else { Err(self.malformed()) }
    }

    /// Scans any number of JSON values in a row.
    pub(super) fn sequence(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        if self.input.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        self.space();
        while self.at < self.input.len() {
            self.value(Object::Data)?;
            self.space();
        }
        Ok(self.finish())
    }

    /// Masks the values of mentions of a name in text that is not JSON.
    pub(super) fn prose(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        for (start, end) in self.context.names.mentions(self.input) {
            if start < self.at {
                continue;
            }
            self.at = end;
            let escaped = self.skip_while(|byte| byte == b'\\');
            if self.peek() != Some(b'"') {
                continue;
            }
            self.at += 1;
            self.space();
            if self.peek() != Some(b':') {
                continue;
            }
            if escaped {
                return Err(RedactError::Text);
            }
            self.at += 1;
            self.space();
            let value = self.at;
            self.muted = true;
            self.value(Object::Data).map_err(|_| RedactError::Text)?;
            self.muted = false;
            self.mask(value);
        }
        Ok(self.finish())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        self.output.extend_from_slice(self.between(self.copied, self.input.len()).as_bytes());
        Some(self.output)
    }

    fn value(&mut self, object: Object) -> Result<(), RedactError> {
        match self.peek() {
            Some(b'{') => self.object(object),
            Some(b'[') => self.array(Object::Data),
            Some(b'"') => {
                let span = self.string()?;
                self.look_into(span, false)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.malformed()),
        }
    }

    fn array(&mut self, elements: Object) -> Result<(), RedactError> {
        self.enter()?;
        if self.peek() != Some(b']') {
            loop {
                self.value(elements)?;
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
                self.space();
            }
        }
        self.leave(b']')
    }

    fn object(&mut self, object: Object) -> Result<(), RedactError> {
        self.enter()?;
        if self.peek() == Some(b'}') {
            return self.leave(b'}');
        }
        // The comma before the current member, once a member before it stays.
        let mut comma = None;
        loop {
            let member = self.at;
            let removed = self.member(object)?;
            let end = self.at;
            self.space();
            let next_comma = self.at;
            let more = self.peek() == Some(b',');
            if more {
                self.at += 1;
                self.space();
            }
            match (removed, comma) {
                (false, _) => comma = Some(next_comma),
                (true, Some(before)) => {
                    self.splice(before, end, "");
                    comma = Some(next_comma);
                }
                // None before it stays, so the comma after it goes too.
                (true, None) => self.splice(member, if more { self.at } else { end }, ""),
            }
            if !more {
                return self.leave(b'}');
            }
        }
    }

    /// One member, from its name to the end of its value. Whether it is to be cut out.
    fn member(&mut self, object: Object) -> Result<bool, RedactError> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        let span = self.string()?;
        let raw = self.between(span.start, span.end);
        let unescaped = if span.escaped { escape::unescaped(raw) } else { None };
        let name = unescaped.as_deref().unwrap_or(raw);
        let mode =
            if self.muted || is_protocol(object, name) { None } else { self.context.names.mode_of(name) };
        let is_error = object == Object::Envelope && name == "error";
        let is_blob = name == "blob";
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        self.space();
        let value = self.at;
        let Some(mode) = mode else {
            if is_blob && self.peek() == Some(b'"') {
                let span = self.string()?;
                self.look_into(span, true)?;
            } else {
                self.value(if is_error { Object::Error } else { Object::Data })?;
            }
            return Ok(false);
        };
        self.muted = true;
        self.value(Object::Data)?;
        self.muted = false;
        if mode == RedactMode::Mask {
            self.mask(value);
        }
        Ok(mode == RedactMode::Remove)
    }

    /// Redacts the JSON that a string holds.
    fn look_into(&mut self, span: Span, is_blob: bool) -> Result<(), RedactError> {
        let raw = self.between(span.start, span.end);
        if self.muted || !(span.quoted || is_blob || text::may_be_base64(raw)) {
            return Ok(());
        }
        let unescaped = if span.escaped { escape::unescaped(raw) } else { None };
        let content = unescaped.as_deref().unwrap_or(raw);
        let replaced = if span.quoted {
            text::redact(content, self.context.inner()?)?
        } else {
            text::redact_base64(content, is_blob, self.context)?
        };
        if let Some(replaced) = replaced {
            self.splice(span.start, span.end, &escape::escaped(&replaced));
        }
        Ok(())
    }

    fn mask(&mut self, value: usize) {
        self.splice(value, self.at, &format!("\"{MASK}\""));
    }

    fn splice(&mut self, start: usize, end: usize, replacement: &str) {
        if self.output.capacity() == 0 {
            self.output.reserve(self.input.len());
        }
        let input = self.input;
        self.output.extend_from_slice(input.get(self.copied..start).unwrap_or_default().as_bytes());
        self.output.extend_from_slice(replacement.as_bytes());
        self.copied = end;
    }

    /// A string, from quote to quote.
    fn string(&mut self) -> Result<Span, RedactError> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut quoted) = (false, false);
        loop {
            let rest = self.input.as_bytes().get(self.at..).unwrap_or_default();
            let Some(offset) = special(rest) else { return Err(self.malformed()) };
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

    fn number(&mut self) -> Result<(), RedactError> {
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

    fn literal(&mut self, word: &str) -> Result<(), RedactError> {
        if !self.input.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(())
    }

    fn enter(&mut self) -> Result<(), RedactError> {
        let depth_max = self.context.limits.depth_max;
        if self.context.depth >= depth_max {
            return Err(RedactError::Deep { depth_max });
        }
        self.context.depth += 1;
        self.at += 1;
        self.space();
        Ok(())
    }

    fn leave(&mut self, bracket: u8) -> Result<(), RedactError> {
        if self.peek() != Some(bracket) {
            return Err(self.malformed());
        }
        self.context.depth -= 1;
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// Skips bytes of a kind. Whether there was any.
    fn skip_while(&mut self, is_kind: impl Fn(u8) -> bool) -> bool {
        let start = self.at;
        while self.peek().is_some_and(&is_kind) {
            self.at += 1;
        }
        self.at > start
    }

    fn peek(&self) -> Option<u8> {
        self.input.as_bytes().get(self.at).copied()
    }

    fn between(&self, start: usize, end: usize) -> &'i str {
        self.input.get(start..end).unwrap_or_default()
    }

    fn malformed(&self) -> RedactError {
        RedactError::Json { at: self.at }
    }
}

fn is_protocol(object: Object, name: &str) -> bool {
    match object {
        Object::Envelope => ENVELOPE.contains(&name),
        Object::Error => name == "code",
        Object::Data => false,
    }
}

/// Where the first quote, backslash or control character is: eight bytes at a time.
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Sets the high bit of the lowest byte below a bound, and perhaps of bytes above it, never below.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let hits = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    tail.iter().position(is_special).map(|offset| chunks.len() * 8 + offset)
}
