//! One JSON object as the raw texts of its members, and the way to write another.

use std::borrow::Cow;

use super::BridgeError;
use crate::json::{Scanner, Span, Value, ValueKind, unescape};
use crate::{JsonError, Limits, write_string};

/// A value: its kind and its text, exactly as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a> {
    kind: ValueKind,
    raw: &'a str,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The key as received, with its quotes.
    pub raw_key: &'a str,
    /// The value.
    pub value: Json<'a>,
}

/// An object, its members in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

impl<'a> Object<'a> {
    /// Reads an object, and nothing but an object.
    ///
    /// # Errors
    /// For any text that [`crate::Envelope::parse`] would not take as JSON, and for values of other kinds.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, BridgeError> {
        if text.len() >= u32::MAX as usize {
            return Err(BridgeError::Json(JsonError::TooManyValues));
        }
        let mut scanner = Scanner::new(text, limits);
        if scanner.peek_value() != Some(b'{') {
            return Err(BridgeError::Shape("object"));
        }
        let read = |fault: crate::json::Fault| BridgeError::Json(fault.error);
        let mut object = scanner.open_object().map_err(read)?;
        let mut members = Vec::new();
        while let Some(key) = scanner.next_key(&mut object).map_err(read)? {
            scanner.peek_value();
            let value = scanner.value().map_err(read)?;
            let quoted = Span { start: key.span.start.saturating_sub(1), end: key.span.end + 1 };
            members.push(Member {
                key: unescape(slice(text, key.span), key.escaped),
                raw_key: slice(text, quoted),
                value: Json::of(text, value),
            });
        }
        scanner.finish().map_err(read)?;
        Ok(Self { members })
    }

    /// The same for bytes.
    ///
    /// # Errors
    /// Also for what is not UTF-8.
    pub fn parse_bytes(bytes: &'a [u8], limits: &Limits) -> Result<Self, BridgeError> {
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| BridgeError::Shape("UTF-8"))?;
        Self::parse(text, limits)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Json<'a>> {
        self.members.iter().find(|member| member.key == key).map(|member| member.value)
    }

    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<'a> Json<'a> {
    /// Reads one value of any kind, and nothing else.
    ///
    /// # Errors
    /// For text that is no sound JSON.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, BridgeError> {
        let mut scanner = Scanner::new(text, limits);
        scanner.peek_value();
        let value = scanner.value().map_err(|fault| BridgeError::Json(fault.error))?;
        scanner.finish().map_err(|fault| BridgeError::Json(fault.error))?;
        Ok(Self::of(text, value))
    }

    fn of(text: &'a str, value: Value) -> Self {
        Self { kind: value.kind, raw: slice(text, value.span) }
    }

    /// The text, exactly as received.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// The text of a string, unescaped.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let ValueKind::String { escaped } = self.kind else { return None };
        let content = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, escaped))
    }

    /// The members of an object.
    pub fn object(self, limits: &Limits) -> Option<Object<'a>> {
        (self.kind == ValueKind::Object).then(|| Object::parse(self.raw, limits).ok())?
    }

    /// The elements of an array.
    pub fn array(self, limits: &Limits) -> Option<Vec<Json<'a>>> {
        if self.kind != ValueKind::Array {
            return None;
        }
        let mut scanner = Scanner::new(self.raw, limits);
        scanner.peek_value();
        let mut array = scanner.open_array().ok()?;
        let mut elements = Vec::new();
        while scanner.next_element(&mut array).ok()? {
            elements.push(Self::of(self.raw, scanner.value().ok()?));
        }
        Some(elements)
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.kind == ValueKind::Object
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.kind == ValueKind::Array
    }

    /// Whether it is an integer, written as one.
    pub fn is_integer(self) -> bool {
        self.kind == ValueKind::Number { integer: true }
    }

    /// Whether it is a boolean.
    pub fn is_bool(self) -> bool {
        self.kind == ValueKind::Bool
    }

    /// Whether it can be an id or a progress token: a string or a number.
    pub fn is_token(self) -> bool {
        matches!(self.kind, ValueKind::String { .. } | ValueKind::Number { .. })
    }

    /// Whether two tokens are the same: strings by what they say, numbers by how they are written.
    pub fn is_same_token(self, other: Json<'_>) -> bool {
        match (self.text(), other.text()) {
            (Some(left), Some(right)) => left == right,
            (None, None) => self.is_token() && other.is_token() && self.raw == other.raw,
            _ => false,
        }
    }
}

/// The prefix of the keys of `_meta` that the specification reserves. What they say holds in one era only.
pub(super) const RESERVED: &str = "io.modelcontextprotocol/";

/// `_meta` with the keys that the specification does not reserve, and without those of `left_out`.
pub(super) fn free_meta(meta: Option<Json<'_>>, left_out: &[&str], limits: &Limits) -> Writer {
    let mut writer = Writer::new(64);
    if let Some(meta) = meta.and_then(|meta| meta.object(limits)) {
        let free = |key: &str| !key.starts_with(RESERVED) && !left_out.contains(&key);
        meta.iter().filter(|member| free(&member.key)).for_each(|member| writer.copy(member));
    }
    writer
}

fn slice(text: &str, span: Span) -> &str {
    // INVARIANT: spans come from the scanner and lie on character boundaries of the text.
    text.get(span.range()).unwrap_or_default()
}

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    empty: bool,
}

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        Self { out, empty: true }
    }

    /// A message, up to its `id`.
    pub(super) fn message(capacity: usize) -> Self {
        let mut writer = Self::new(capacity);
        writer.raw("jsonrpc", "\"2.0\"");
        writer
    }

    /// A member as it was received.
    pub(super) fn copy(&mut self, member: &Member<'_>) {
        self.begin();
        self.out.extend_from_slice(member.raw_key.as_bytes());
        self.out.push(b':');
        self.out.extend_from_slice(member.value.raw.as_bytes());
    }

    /// A member whose value is JSON text already.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.bytes(key, value.as_bytes());
    }

    /// The same for bytes.
    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        self.begin();
        write_string(&mut self.out, key);
        self.out.push(b':');
        self.out.extend_from_slice(value);
    }

    /// A member whose value is a string.
    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.begin();
        write_string(&mut self.out, key);
        self.out.push(b':');
        write_string(&mut self.out, value);
    }

    /// A member whose value is another object, unless that is empty.
    pub(super) fn unless_empty(&mut self, key: &str, value: Writer) {
        if !value.empty {
            self.bytes(key, &value.finish());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
    }
}
