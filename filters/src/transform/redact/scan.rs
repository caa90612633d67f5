//! One pass over JSON text (RFC 8259) that notes what to cut out and what to put in its place.
//!
//! Strict: no trailing commas, no trailing bytes, and every piece as `lex` has it.

use mcpg_sdk::RedactMode;

use super::lex::{Lexer, Span};
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
    text: Lexer<'i>,
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

impl<'i, 'n> Scanner<'i, 'n> {
    pub(super) fn new(input: &'i str, context: Context<'n>) -> Self {
        Self { text: Lexer { input, at: 0 }, context, muted: false, output: Vec::new(), copied: 0 }
    }

    /// Scans a JSON-RPC message or a batch. The redacted text, if it differs.
    pub(super) fn message(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        self.text.space();
        match self.text.peek() {
            Some(b'{') => self.object(Object::Envelope)?,
            Some(b'[') => self.array(Object::Envelope)?,
            _ => self.value(Object::Data)?,
        }
        self.text.space();
        if self.text.at == self.text.input.len() { Ok(self.finish()) } else { Err(self.text.malformed()) }
    }

    /// Scans any number of JSON values in a row.
    pub(super) fn sequence(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        if self.text.input.starts_with('\u{feff}') {
            self.text.at = '\u{feff}'.len_utf8();
        }
        self.text.space();
        while self.text.at < self.text.input.len() {
            self.value(Object::Data)?;
            self.text.space();
        }
        Ok(self.finish())
    }

    /// Masks the values of mentions of a name in text that is not JSON.
    pub(super) fn prose(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        for (start, end) in self.context.names.mentions(self.text.input) {
            if start < self.text.at {
                continue;
            }
            self.text.at = end;
            let escaped = self.text.skip_while(|byte| byte == b'\\');
            if self.text.peek() != Some(b'"') {
                continue;
            }
            self.text.at += 1;
            self.text.space();
            if self.text.peek() != Some(b':') {
                continue;
            }
            if escaped {
                return Err(RedactError::Text);
            }
            self.text.at += 1;
            self.text.space();
            let value = self.text.at;
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
        self.output.extend_from_slice(self.text.between(self.copied, self.text.input.len()).as_bytes());
        Some(self.output)
    }

    fn value(&mut self, object: Object) -> Result<(), RedactError> {
        match self.text.peek() {
            Some(b'{') => self.object(object),
            Some(b'[') => self.array(Object::Data),
            Some(b'"') => {
                let span = self.text.string()?;
                self.look_into(span, false)
            }
            Some(b'-' | b'0'..=b'9') => self.text.number(),
            Some(b't') => self.text.literal("true"),
            Some(b'f') => self.text.literal("false"),
            Some(b'n') => self.text.literal("null"),
            _ => Err(self.text.malformed()),
        }
    }

    fn array(&mut self, elements: Object) -> Result<(), RedactError> {
        self.enter()?;
        if self.text.peek() != Some(b']') {
            loop {
                self.value(elements)?;
                self.text.space();
                if self.text.peek() != Some(b',') {
                    break;
                }
                self.text.at += 1;
                self.text.space();
            }
        }
        self.leave(b']')
    }

    fn object(&mut self, object: Object) -> Result<(), RedactError> {
        self.enter()?;
        if self.text.peek() == Some(b'}') {
            return self.leave(b'}');
        }
        // The comma before the current member, once a member before it stays.
        let mut comma = None;
        loop {
            let member = self.text.at;
            let removed = self.member(object)?;
            let end = self.text.at;
            self.text.space();
            let next_comma = self.text.at;
            let more = self.text.peek() == Some(b',');
            if more {
                self.text.at += 1;
                self.text.space();
            }
            match (removed, comma) {
                (false, _) => comma = Some(next_comma),
                (true, Some(before)) => {
                    self.splice(before, end, "");
                    comma = Some(next_comma);
                }
                // None before it stays, so the comma after it goes too.
                (true, None) => self.splice(member, if more { self.text.at } else { end }, ""),
            }
            if !more {
                return self.leave(b'}');
            }
        }
    }

    /// One member, from its name to the end of its value. Whether it is to be cut out.
    fn member(&mut self, object: Object) -> Result<bool, RedactError> {
        if self.text.peek() != Some(b'"') {
            return Err(self.text.malformed());
        }
        let span = self.text.string()?;
        let raw = self.text.between(span.start, span.end);
        let unescaped = if span.escaped { escape::unescaped(raw) } else { None };
        let name = unescaped.as_deref().unwrap_or(raw);
        let mode =
            if self.muted || is_protocol(object, name) { None } else { self.context.names.mode_of(name) };
        let is_error = object == Object::Envelope && name == "error";
        let is_blob = name == "blob";
        self.text.space();
        if self.text.peek() != Some(b':') {
            return Err(self.text.malformed());
        }
        self.text.at += 1;
        self.text.space();
        let value = self.text.at;
        let Some(mode) = mode else {
            if is_blob && self.text.peek() == Some(b'"') {
                let span = self.text.string()?;
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
        let raw = self.text.between(span.start, span.end);
        let candidate = span.quoted || is_blob || raw.starts_with("\\u") || text::may_be_base64(raw);
        if self.muted || !candidate {
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
        self.splice(value, self.text.at, &format!("\"{MASK}\""));
    }

    fn splice(&mut self, start: usize, end: usize, replacement: &str) {
        if self.output.capacity() == 0 {
            self.output.reserve(self.text.input.len());
        }
        let input = self.text.input;
        self.output.extend_from_slice(input.get(self.copied..start).unwrap_or_default().as_bytes());
        self.output.extend_from_slice(replacement.as_bytes());
        self.copied = end;
    }

    fn enter(&mut self) -> Result<(), RedactError> {
        let depth_max = self.context.limits.depth_max;
        if self.context.depth >= depth_max {
            return Err(RedactError::Deep { depth_max });
        }
        self.context.depth += 1;
        self.text.at += 1;
        self.text.space();
        Ok(())
    }

    fn leave(&mut self, bracket: u8) -> Result<(), RedactError> {
        if self.text.peek() != Some(bracket) {
            return Err(self.text.malformed());
        }
        self.context.depth -= 1;
        self.text.at += 1;
        Ok(())
    }
}

fn is_protocol(object: Object, name: &str) -> bool {
    match object {
        Object::Envelope => ENVELOPE.contains(&name),
        Object::Error => name == "code",
        Object::Data => false,
    }
}
