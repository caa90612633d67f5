//! One pass over JSON text (RFC 8259) that notes what to cut out and what to put in its place.
//!
//! Strict: no trailing commas, no trailing bytes, and every piece as `lex` has it.

use mcpg_sdk::{Detector, RedactMode};

use super::context::Context;
use super::lex::{Lexer, Span};
use super::pointers::{States, Step};
use super::text::Packed;
use super::{MASK, RedactError, detect, escape, text};

/// Members that belong to JSON-RPC itself.
const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "result", "params", "error"];

/// Those of them whose values do too.
const ENVELOPE_VALUES: [&str; 3] = ["jsonrpc", "id", "method"];

/// Where pointers begin.
const RESULT: &str = "result";

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
            Some(b'{') => self.object(Object::Envelope, States::default())?,
            Some(b'[') => self.array(Object::Envelope, States::default())?,
            _ => self.value(Object::Data, States::default())?,
        }
        self.text.space();
        if self.text.at == self.text.input.len() { Ok(self.finish()) } else { Err(self.text.malformed()) }
    }

    /// Scans any number of JSON values in a row. Whether numbers stand by themselves in it, as in text that is no JSON.
    pub(super) fn sequence(mut self) -> Result<(Option<Vec<u8>>, bool), RedactError> {
        // Text in the message itself repeats its structured content.
        let states =
            if self.context.level == 1 { self.context.rules.pointers.mirror() } else { States::default() };
        let mut loose = false;
        if self.text.input.starts_with('\u{feff}') {
            self.text.at = '\u{feff}'.len_utf8();
        }
        self.text.space();
        while self.text.at < self.text.input.len() {
            loose |= matches!(self.text.peek(), Some(b'-' | b'0'..=b'9'));
            self.value(Object::Data, states)?;
            self.text.space();
        }
        Ok((self.finish(), loose))
    }

    /// Masks the values of mentions of a name in text that is not JSON.
    pub(super) fn prose(mut self) -> Result<Option<Vec<u8>>, RedactError> {
        for (start, end, mode) in self.context.rules.mentions(self.text.input) {
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
            self.value(Object::Data, States::default()).map_err(|_| RedactError::Text)?;
            self.muted = false;
            // Where a member begins and ends is not known here.
            self.replace(value, if mode == RedactMode::Remove { RedactMode::Mask } else { mode });
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

    fn value(&mut self, object: Object, states: States) -> Result<(), RedactError> {
        match self.text.peek() {
            Some(b'{') => self.object(object, states),
            Some(b'[') => self.array(Object::Data, states),
            Some(b'"') => {
                let span = self.text.string()?;
                self.look_into(span, "")
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.text.literal("true"),
            Some(b'f') => self.text.literal("false"),
            Some(b'n') => self.text.literal("null"),
            _ => Err(self.text.malformed()),
        }
    }

    fn number(&mut self) -> Result<(), RedactError> {
        let start = self.text.at;
        self.text.number()?;
        if !self.muted
            && let Some(mode) =
                self.context.rules.detectors.mode_of_number(self.text.between(start, self.text.at))
        {
            // An element of an array has no name to go with it.
            self.replace(start, if mode == RedactMode::Remove { RedactMode::Mask } else { mode });
        }
        Ok(())
    }

    fn array(&mut self, elements: Object, states: States) -> Result<(), RedactError> {
        self.enter()?;
        if self.text.peek() != Some(b']') {
            let mut index = 0;
            loop {
                let value = self.text.at;
                let (inner, mode) = self.step(states, Step::Element(index));
                index += 1;
                match mode {
                    None => self.value(elements, inner)?,
                    Some(mode) => {
                        self.skip()?;
                        // The elements after it would move up, and other pointers would lead to them.
                        self.replace(value, if mode == RedactMode::Remove { RedactMode::Mask } else { mode });
                    }
                }
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

    fn object(&mut self, object: Object, states: States) -> Result<(), RedactError> {
        self.enter()?;
        if self.text.peek() == Some(b'}') {
            return self.leave(b'}');
        }
        // The comma before the current member, once a member before it stays.
        let mut comma = None;
        loop {
            let member = self.text.at;
            let removed = self.member(object, states)?;
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
    fn member(&mut self, object: Object, states: States) -> Result<bool, RedactError> {
        if self.text.peek() != Some(b'"') {
            return Err(self.text.malformed());
        }
        let span = self.text.string()?;
        let raw = self.text.between(span.start, span.end);
        let unescaped = if span.escaped { escape::unescaped(raw) } else { None };
        let name = unescaped.as_deref().unwrap_or(raw);
        let protocol = is_protocol(object, name);
        let (inner, pointed) = self.below(states, name);
        let rules = self.context.rules;
        let named = if self.muted || protocol { None } else { rules.names.mode_of(name).max(pointed) };
        let removed = !self.muted && !protocol && named.is_none() && self.name(span, name);
        self.text.space();
        if self.text.peek() != Some(b':') {
            return Err(self.text.malformed());
        }
        self.text.at += 1;
        self.text.space();
        let value = self.text.at;
        if let Some(mode) = named {
            self.skip()?;
            if mode != RedactMode::Remove {
                self.replace(value, mode);
            }
            return Ok(mode == RedactMode::Remove);
        }
        if object == Object::Envelope && ENVELOPE_VALUES.contains(&name) {
            self.skip()?;
        } else if self.text.peek() == Some(b'"') {
            let span = self.text.string()?;
            self.look_into(span, name)?;
        } else {
            let is_error = object == Object::Envelope && name == "error";
            self.value(if is_error { Object::Error } else { Object::Data }, inner)?;
        }
        Ok(removed)
    }

    /// What is awaited in a member, and what is done with it.
    fn below(&self, states: States, name: &str) -> (States, Option<RedactMode>) {
        let (inner, mode) = self.step(states, Step::Member(name));
        // Also in a result within a message that tells of a task.
        let begins = self.context.level == 0 && name == RESULT;
        (if begins { inner.and(self.context.rules.pointers.starts()) } else { inner }, mode)
    }

    fn step(&self, states: States, step: Step<'_>) -> (States, Option<RedactMode>) {
        if self.muted || states.is_empty() {
            return (States::default(), None);
        }
        self.context.rules.pointers.step(states, step)
    }

    /// Redacts what detectors find in a member's name. Whether the member is to be cut out.
    fn name(&mut self, span: Span, name: &str) -> bool {
        let detectors = &self.context.rules.detectors;
        if detectors.is_empty() {
            return false;
        }
        if detectors.strictest_in(name) == Some(RedactMode::Remove) {
            return true;
        }
        if let Some(clean) = detectors.apply(name, self.context.rules) {
            self.splice(span.start, span.end, &escape::escaped(&clean));
        }
        false
    }

    /// Passes over a value without a look into it.
    fn skip(&mut self) -> Result<(), RedactError> {
        let muted = std::mem::replace(&mut self.muted, true);
        self.value(Object::Data, States::default())?;
        self.muted = muted;
        Ok(())
    }

    /// Redacts what a string holds: JSON, base64, or text.
    fn look_into(&mut self, span: Span, name: &str) -> Result<(), RedactError> {
        if self.muted {
            return Ok(());
        }
        let raw = self.text.between(span.start, span.end);
        let detecting = !self.context.rules.detectors.is_empty();
        let packed = match name {
            "blob" => Some(Packed::Blob),
            "data" if detecting => Some(Packed::Media),
            _ => (raw.starts_with("\\u") || text::may_be_base64(raw)).then_some(Packed::Guess),
        };
        if !span.quoted && packed.is_none() && !detecting {
            return Ok(());
        }
        let unescaped = if span.escaped { escape::unescaped(raw) } else { None };
        let content = unescaped.as_deref().unwrap_or(raw);
        if let Some(replaced) = self.redacted(content, span.quoted, packed, name)? {
            self.splice(span.start, span.end, &escape::escaped(&replaced));
        }
        Ok(())
    }

    fn redacted(
        &self,
        content: &str,
        quoted: bool,
        packed: Option<Packed>,
        name: &str,
    ) -> Result<Option<String>, RedactError> {
        let rules = self.context.rules;
        if quoted {
            return text::redact(content, self.context.inner()?);
        }
        if let Some(packed) = packed
            && let Some(replaced) = text::redact_base64(content, packed, self.context)?
        {
            return Ok(Some(replaced));
        }
        if rules.detectors.is_empty() {
            return Ok(None);
        }
        if let Some(mode) = rules.detectors.mode_of(Detector::Secret)
            && detect::is_secret_name(name)
            && detect::is_secret_value(content)
        {
            return Ok(Some(rules.replacement(mode, content)));
        }
        match text::redact_data_url(content, self.context)? {
            Some(replaced) => Ok(Some(replaced)),
            None => Ok(text::plain(content, self.context)),
        }
    }

    /// Puts a string in place of the value that begins there and ends here.
    fn replace(&mut self, value: usize, mode: RedactMode) {
        let raw = self.text.between(value, self.text.at);
        let replacement = match mode {
            RedactMode::Hash => {
                // Of a string the text, however it is escaped; of anything else how it is written.
                let content = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
                let unescaped = content.and_then(escape::unescaped);
                self.context.rules.replacement(mode, unescaped.as_deref().unwrap_or(raw))
            }
            RedactMode::Mask | RedactMode::Remove => MASK.to_owned(),
        };
        self.splice(value, self.text.at, &format!("\"{replacement}\""));
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
