//! The pass itself: a cursor over the body that validates what it moves over.
//!
//! Nothing recurses: objects that the caller wants to look into are walked with
//! [`Scanner::open_object`] and [`Scanner::next_key`], everything else with [`Scanner::value`], which
//! keeps one bit for each level.

mod number;
mod string;

use super::keys::{Added, Keys};
use super::{Fault, JsonError, Span, Text};
use crate::Limits;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Object,
    Array,
    /// `escaped`: the content has at least one escape.
    String {
        escaped: bool,
    },
    /// `integer`: no fraction and no exponent.
    Number {
        integer: bool,
    },
    Bool,
    Null,
}

/// A value that was moved over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: ValueKind,
    /// The value's bytes, a string's quotes included.
    pub(crate) span: Span,
}

/// An object that is being walked.
#[derive(Debug)]
pub(crate) struct Object {
    first: bool,
}

/// An array that is being walked.
#[derive(Debug)]
pub(crate) struct Array {
    first: bool,
}

/// A cursor over a body that is already known to be UTF-8.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: u32,
    depth: u32,
    depth_max: u32,
    values_left: usize,
    object_keys_max: usize,
    keys: Keys<'a>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, limits: &Limits) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            depth_max: limits.depth_max.min(Limits::DEPTH_CEILING),
            values_left: limits.values_max,
            object_keys_max: limits.object_keys_max,
            keys: Keys::new(text.as_bytes()),
        }
    }

    /// How many objects and arrays are open.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// The next byte that is not white space.
    pub(crate) fn peek_value(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Where the cursor stands.
    pub(crate) fn offset(&self) -> u32 {
        self.at
    }

    /// Moves into an object. Call at a `{`.
    pub(crate) fn open_object(&mut self) -> Result<Object, Fault> {
        self.enter()?;
        self.keys.open();
        Ok(Object { first: true })
    }

    /// Moves to the next key and over its colon; `None` and out of the object when there is none.
    #[inline]
    pub(crate) fn next_key(&mut self, object: &mut Object) -> Result<Option<Text>, Fault> {
        let first = std::mem::replace(&mut object.first, false);
        self.key(first)
    }

    /// Moves into an array. Call at a `[`.
    pub(crate) fn open_array(&mut self) -> Result<Array, Fault> {
        self.enter()?;
        Ok(Array { first: true })
    }

    /// Moves to the next element; `false` and out of the array when there is none.
    pub(crate) fn next_element(&mut self, array: &mut Array) -> Result<bool, Fault> {
        let first = std::mem::replace(&mut array.first, false);
        self.element(first)
    }

    /// Moves over one value of any kind.
    pub(crate) fn value(&mut self) -> Result<Value, Fault> {
        let first = self.peek_value();
        let start = self.at;
        let kind = match first {
            Some(b'{') | Some(b'[') => self.container(first == Some(b'{'))?,
            _ => self.scalar()?,
        };
        Ok(Value { kind, span: Span { start, end: self.at } })
    }

    /// Refuses anything but white space up to the end.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        match self.peek_value() {
            None => Ok(()),
            Some(_) => Err(self.fault(JsonError::TrailingBytes)),
        }
    }

    /// Moves over an object or array with all that is in it.
    fn container(&mut self, object: bool) -> Result<ValueKind, Fault> {
        // One bit for each level opened here, the innermost lowest: set for an object.
        // INVARIANT: `enter` holds the depth at or below `DEPTH_CEILING`, the bits of a u128.
        let outside = self.depth;
        let mut objects = 0_u128;
        let mut more = self.begin(&mut objects)?;
        loop {
            while !more {
                objects >>= 1;
                if self.depth == outside {
                    return Ok(if object { ValueKind::Object } else { ValueKind::Array });
                }
                more = self.advance(objects & 1 == 1, false)?;
            }
            more = match self.peek_value() {
                Some(b'{' | b'[') => self.begin(&mut objects)?,
                _ => {
                    self.scalar()?;
                    self.advance(objects & 1 == 1, false)?
                }
            };
        }
    }

    /// Opens the container at the cursor. Answers whether it has a first value.
    fn begin(&mut self, objects: &mut u128) -> Result<bool, Fault> {
        let object = self.peek() == Some(b'{');
        *objects = *objects << 1 | u128::from(object);
        self.enter()?;
        if object {
            self.keys.open();
        }
        self.advance(object, true)
    }

    /// Moves to the next value of the innermost container; `false` and out of it when there is none.
    #[inline]
    fn advance(&mut self, object: bool, first: bool) -> Result<bool, Fault> {
        if object { Ok(self.key(first)?.is_some()) } else { self.element(first) }
    }

    fn key(&mut self, first: bool) -> Result<Option<Text>, Fault> {
        match self.peek_value() {
            Some(b'"') if first => {}
            Some(b',') if !first => {
                self.at += 1;
                self.peek_value();
            }
            Some(b'}') => {
                self.leave();
                return match self.keys.close() {
                    Ok(()) => Ok(None),
                    Err(offset) => Err(Fault { error: JsonError::DuplicateKey, offset }),
                };
            }
            _ => return Err(self.unexpected()),
        }
        let key = self.string()?;
        self.check_key(key)?;
        if self.peek_value() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(Some(key))
    }

    fn element(&mut self, first: bool) -> Result<bool, Fault> {
        match self.peek_value() {
            Some(b']') => {
                self.leave();
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(self.unexpected()),
        }
    }

    fn scalar(&mut self) -> Result<ValueKind, Fault> {
        self.count_value()?;
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                Ok(ValueKind::String { escaped: text.escaped })
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", ValueKind::Bool),
            Some(b'f') => self.literal(b"false", ValueKind::Bool),
            Some(b'n') => self.literal(b"null", ValueKind::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn literal<const N: usize>(&mut self, literal: &[u8; N], kind: ValueKind) -> Result<ValueKind, Fault> {
        if self.rest().first_chunk() != Some(literal) {
            return Err(self.unexpected());
        }
        self.at += if N == 4 { 4 } else { 5 };
        Ok(kind)
    }

    #[inline]
    fn check_key(&mut self, key: Text) -> Result<(), Fault> {
        let fault = |error| Err(Fault { error, offset: key.span.start });
        if key.nul {
            return fault(JsonError::NulInKey);
        }
        match self.keys.add(key) {
            Added::Duplicate => fault(JsonError::DuplicateKey),
            Added::Fresh(count) if count as usize > self.object_keys_max => fault(JsonError::TooManyKeys),
            Added::Fresh(_) => Ok(()),
        }
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.count_value()?;
        if self.depth == self.depth_max {
            return Err(self.fault(JsonError::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn count_value(&mut self) -> Result<(), Fault> {
        match self.values_left.checked_sub(1) {
            Some(left) => self.values_left = left,
            None => return Err(self.fault(JsonError::TooManyValues)),
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at as usize).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at as usize..).unwrap_or_default()
    }

    fn unexpected(&self) -> Fault {
        let end = self.at as usize >= self.bytes.len();
        self.fault(if end { JsonError::UnexpectedEnd } else { JsonError::UnexpectedByte })
    }

    fn fault(&self, error: JsonError) -> Fault {
        Fault { error, offset: self.at }
    }
}
