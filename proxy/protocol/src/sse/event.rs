//! One event: its bytes, and the fields that they spell.

use std::borrow::Cow;

/// A piece of an event stream: an event, comments, or blank lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    raw: &'a [u8],
    content: &'a [u8],
}

/// A line of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Part of the data.
    Data(&'a [u8]),
    /// `event`, `id` or `retry`, as it stands.
    Known { line: &'a [u8], name: &'a [u8], value: &'a [u8] },
    /// A comment, as it stands.
    Comment(&'a [u8]),
    /// A field that clients ignore.
    Unknown,
}

impl<'a> Event<'a> {
    /// `raw` may have bytes before its `content` that no client sees.
    pub(super) fn new(raw: &'a [u8], content: &'a [u8]) -> Self {
        Self { raw, content }
    }

    /// The bytes as received, with the blank line that ends the event.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The data, its lines joined by LF. `None` if there is no data line, so that clients see no event.
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        let mut lines = self.lines().filter_map(|line| match line {
            Line::Data(data) => Some(data),
            _ => None,
        });
        let mut data = Cow::Borrowed(lines.next()?);
        for line in lines {
            let data = data.to_mut();
            data.push(b'\n');
            data.extend_from_slice(line);
        }
        Some(data)
    }

    /// The event's type, if it names one.
    pub fn name(&self) -> Option<&'a [u8]> {
        self.field(b"event")
    }

    /// The event's id, if it has one.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.field(b"id")
    }

    /// How long a client waits before it connects again, in milliseconds, if the event says so.
    pub fn retry_ms(&self) -> Option<u64> {
        let digits = self.field(b"retry").filter(|value| value.iter().all(u8::is_ascii_digit))?;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let mut rest = self.content;
        std::iter::from_fn(move || {
            let (line, tail) = split_line(rest)?;
            rest = tail;
            Some(line)
        })
        .filter(|line| !line.is_empty())
        .map(parse_line)
    }

    /// The value of the last field of that name: each replaces the one before it.
    fn field(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        let mut found = None;
        for line in self.lines() {
            if let Line::Known { name, value, .. } = line
                && name == wanted
            {
                found = Some(value);
            }
        }
        found
    }
}

fn parse_line(line: &[u8]) -> Line<'_> {
    let (name, value) = match memchr::memchr(b':', line) {
        Some(0) => return Line::Comment(line),
        Some(colon) => {
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default();
            (name, value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, &[][..]),
    };
    match name {
        b"data" => Line::Data(value),
        b"event" | b"id" | b"retry" => Line::Known { line, name, value },
        _ => Line::Unknown,
    }
}

/// The first line of `bytes` without its end, and what follows.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else { return Some((bytes, &[])) };
    let (line, tail) = bytes.split_at(end);
    let tail = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    Some((line, tail))
}
