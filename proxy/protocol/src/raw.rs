//! Values in a JSON text by their paths, and splices: whatever is not replaced stays byte for byte as it is.
//!
//! For messages that the gateway passes on with a name, an id or a tag changed. The text is read strictly, to its end (RFC 8259,
//! no duplicate keys at any level), so what is found at a path is what every conforming parser finds there.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{Fault, Scanner, Span, Text, Value, ValueKind, unescape};
use crate::{JsonError, Limits, write_string};

/// A value where it lies in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Its bytes, a string's quotes included.
    pub text: &'a str,
    /// Where they lie.
    pub span: Range<usize>,
    kind: ValueKind,
}

impl<'a> Raw<'a> {
    /// What it says, if it is a string.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let ValueKind::String { escaped } = self.kind else { return None };
        let content = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, escaped))
    }

    /// What it says, if it is `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind == ValueKind::Bool).then_some(self.text == "true")
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.kind == ValueKind::Object
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.kind == ValueKind::Array
    }

    /// Whether it is a string or an integer, as ids and progress tokens are.
    pub fn is_id(&self) -> bool {
        matches!(self.kind, ValueKind::String { .. } | ValueKind::Number { integer: true })
    }

    /// The elements, if it is an array of strings.
    pub fn as_strings(&self, limits: &Limits) -> Option<Vec<Cow<'a, str>>> {
        let elements = if self.is_array() { elements(self.text, limits).ok()? } else { return None };
        elements.iter().map(Raw::as_str).collect()
    }
}

/// Finds what lies at each of `paths`, in one pass over the whole text. A path leads through objects only.
///
/// # Errors
/// If the text is not one strict JSON value.
pub fn find<'a, const N: usize>(
    text: &'a str,
    paths: [&[&str]; N],
    limits: &Limits,
) -> Result<[Option<Raw<'a>>; N], JsonError> {
    let mut finder = Finder { text, scanner: Scanner::new(text, limits), found: [const { None }; N] };
    finder.value(&paths.map(Some)).map_err(|fault| fault.error)?;
    finder.scanner.finish().map_err(|fault| fault.error)?;
    Ok(finder.found)
}

/// The elements of an array; none if the text is no array.
///
/// # Errors
/// If the text is not one strict JSON value.
pub fn elements<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Raw<'a>>, JsonError> {
    let mut scanner = Scanner::new(text, limits);
    read_elements(text, &mut scanner).map_err(|fault| fault.error)
}

/// The text with `value`, itself JSON, at `path`. Objects on the way that are missing are made; what is in the way and no object
/// is replaced by one.
///
/// # Errors
/// If the text is not one strict JSON value.
pub fn set(text: &str, path: &[&str], value: &str, limits: &Limits) -> Result<String, JsonError> {
    let place = seek(text, path, limits)?;
    if let Some(there) = place.value {
        return Ok(splice(text, there, &nested(place.missing, value)));
    }
    let comma = if place.is_empty { "" } else { "," };
    let member = members(place.missing, value) + comma;
    Ok(splice(text, place.inside..place.inside, &member))
}

/// The text without the member at `path`; as it is if there is none.
///
/// # Errors
/// If the text is not one strict JSON value.
pub fn remove(text: &str, path: &[&str], limits: &Limits) -> Result<String, JsonError> {
    let place = seek(text, path, limits)?;
    let is_there = place.value.is_some() && place.missing.is_empty();
    Ok(splice(text, if is_there { place.extent } else { 0..0 }, ""))
}

/// The text with what lies in `at` replaced.
pub fn splice(text: &str, at: Range<usize>, new: &str) -> String {
    let (head, tail) = (text.get(..at.start).unwrap_or_default(), text.get(at.end..).unwrap_or_default());
    [head, new, tail].concat()
}

/// The text with each of these ranges replaced. What overlaps an earlier one in the text is left as it is.
pub fn splice_all(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_unstable_by_key(|(at, _)| at.start);
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = String::with_capacity(text.len() + grown);
    let mut done = 0;
    for (at, new) in &edits {
        if let Some(kept) = text.get(done..at.start) {
            out.push_str(kept);
            out.push_str(new);
            done = at.end;
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// `text` as a JSON string.
pub fn string(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write_string(&mut quoted, text);
    // INVARIANT: `write_string` turns UTF-8 into UTF-8.
    String::from_utf8(quoted).unwrap_or_default()
}

struct Finder<'a, const N: usize> {
    text: &'a str,
    scanner: Scanner<'a>,
    found: [Option<Raw<'a>>; N],
}

impl<'a, const N: usize> Finder<'a, N> {
    /// Reads the value at the cursor. `paths` are what is left of those that lead through it.
    fn value(&mut self, paths: &[Option<&[&str]>; N]) -> Result<(), Fault> {
        let leads_on = paths.iter().flatten().any(|path| !path.is_empty());
        let value = if leads_on && self.scanner.peek_value() == Some(b'{') {
            self.object(paths)?
        } else {
            self.scanner.value()?
        };
        for (found, path) in self.found.iter_mut().zip(paths) {
            if path.is_some_and(<[_]>::is_empty) {
                *found = Some(raw(self.text, value));
            }
        }
        Ok(())
    }

    fn object(&mut self, paths: &[Option<&[&str]>; N]) -> Result<Value, Fault> {
        let start = self.scanner.offset();
        let mut object = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut object)? {
            let name = key_text(self.text, key);
            let below = paths.map(|path| match path?.split_first() {
                Some((first, rest)) if *first == name => Some(rest),
                _ => None,
            });
            // INVARIANT: this recurses no deeper than the longest path has names.
            self.value(&below)?;
        }
        let span = Span { start, end: self.scanner.offset() };
        Ok(Value { kind: ValueKind::Object, span })
    }
}

/// Where a path leads.
struct Place<'p> {
    /// The value there, or the one in the way.
    value: Option<Range<usize>>,
    /// The member with its name and one comma, where the path leads all the way.
    extent: Range<usize>,
    /// The names that lead no further.
    missing: &'p [&'p str],
    /// Behind the `{` of the last object on the way.
    inside: usize,
    /// Whether that object has no member.
    is_empty: bool,
}

fn seek<'p>(text: &str, path: &'p [&'p str], limits: &Limits) -> Result<Place<'p>, JsonError> {
    let mut scanner = Scanner::new(text, limits);
    let place = seek_value(text, &mut scanner, path).map_err(|fault| fault.error)?;
    scanner.finish().map_err(|fault| fault.error)?;
    Ok(place)
}

fn seek_value<'p>(text: &str, scanner: &mut Scanner<'_>, path: &'p [&'p str]) -> Result<Place<'p>, Fault> {
    if let Some((name, rest)) = path.split_first()
        && scanner.peek_value() == Some(b'{')
    {
        return seek_member(text, scanner, path, name, rest);
    }
    let value = scanner.value()?.span.range();
    Ok(Place { extent: value.clone(), value: Some(value), missing: path, inside: 0, is_empty: false })
}

fn seek_member<'p>(
    text: &str,
    scanner: &mut Scanner<'_>,
    path: &'p [&'p str],
    name: &str,
    rest: &'p [&'p str],
) -> Result<Place<'p>, Fault> {
    let mut object = scanner.open_object()?;
    let inside = scanner.offset() as usize;
    let mut place = None;
    let mut end = None;
    let mut leads = false;
    while let Some(key) = scanner.next_key(&mut object)? {
        let begin = (key.span.start as usize).saturating_sub(1);
        if let Some(Place { extent, .. }) = place.as_mut().filter(|_| std::mem::take(&mut leads)) {
            // The first member goes with the comma behind it, every other with the one before.
            *extent = extent.start..begin;
        }
        if place.is_none() && key_text(text, key) == name {
            // INVARIANT: this recurses no deeper than the path has names.
            let mut found = seek_value(text, scanner, rest)?;
            if rest.is_empty() {
                leads = end.is_none();
                found.extent = end.unwrap_or(begin)..scanner.offset() as usize;
            }
            place = Some(found);
        } else {
            scanner.value()?;
        }
        end = Some(scanner.offset() as usize);
    }
    let is_empty = end.is_none();
    Ok(place.unwrap_or(Place { value: None, extent: inside..inside, missing: path, inside, is_empty }))
}

fn read_elements<'a>(text: &'a str, scanner: &mut Scanner<'a>) -> Result<Vec<Raw<'a>>, Fault> {
    let mut found = Vec::new();
    if scanner.peek_value() == Some(b'[') {
        let mut array = scanner.open_array()?;
        while scanner.next_element(&mut array)? {
            found.push(raw(text, scanner.value()?));
        }
    } else {
        scanner.value()?;
    }
    scanner.finish()?;
    Ok(found)
}

/// `value` inside objects of these names.
fn nested(names: &[&str], value: &str) -> String {
    if names.is_empty() { value.to_owned() } else { format!("{{{}}}", members(names, value)) }
}

/// The member of the first name, with `value` inside objects of the others.
fn members(names: &[&str], value: &str) -> String {
    match names.split_first() {
        Some((name, rest)) => format!("{}:{}", string(name), nested(rest, value)),
        None => String::new(),
    }
}

fn key_text<'a>(text: &'a str, key: Text) -> Cow<'a, str> {
    unescape(text.get(key.span.range()).unwrap_or_default(), key.escaped)
}

fn raw(text: &str, value: Value) -> Raw<'_> {
    let span = value.span.range();
    Raw { text: text.get(span.clone()).unwrap_or_default(), span, kind: value.kind }
}
