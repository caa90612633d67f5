//! The keys of every object that is open, so that a duplicate is found at any level.
//!
//! One stack serves all open objects. While an object has few keys each new one is compared with the
//! earlier ones; beyond that the keys are sorted when the object closes. There is no hash to flood:
//! n keys cost O(n log n) comparisons whatever they are, and memory is 16 bytes for each open key.

use std::cmp::Ordering;

use super::{Span, Text, Unescaped};

/// Up to here a new key is compared with each earlier one of its object.
const LINEAR_MAX: u32 = 16;
/// Open keys that need no allocation.
const INLINE: usize = 32;

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    start: u32,
    end: u32,
    /// The same for keys that are equal once unescaped, and seldom for others.
    tag: u32,
    escaped: bool,
}

/// The open keys, innermost object last. Each object begins with an entry that keeps the base of
/// the object around it in `start`.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    body: &'a [u8],
    inline: [Key; INLINE],
    /// How many keys there are, inline or spilled.
    len: u32,
    /// Holds everything once the inline part has overflowed.
    spill: Vec<Key>,
    /// Where the keys of the innermost object begin.
    base: u32,
}

/// What adding a key found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// Not a duplicate so far, and the object's how-manieth key.
    Fresh(u32),
    /// Equal to an earlier key.
    Duplicate,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, inline: [Key::default(); INLINE], len: 0, spill: Vec::new(), base: 0 }
    }

    pub(crate) fn open(&mut self) {
        self.push(Key { start: self.base, ..Key::default() });
        self.base = self.len;
    }

    #[inline]
    pub(crate) fn add(&mut self, text: Text) -> Added {
        let Span { start, end } = text.span;
        let mut key = Key { start, end, tag: 0, escaped: text.escaped };
        key.tag = if text.escaped { tag_of_escaped(self.body, key) } else { tag(content(self.body, key)) };
        let count = self.len - self.base;
        if count < LINEAR_MAX && self.is_in_frame(key) {
            return Added::Duplicate;
        }
        self.push(key);
        Added::Fresh(count + 1)
    }

    /// Closes the innermost object. Answers with where a duplicate key begins, if it has one.
    #[inline]
    pub(crate) fn close(&mut self) -> Result<(), u32> {
        let duplicate = if self.len - self.base > LINEAR_MAX { self.duplicate_in_frame() } else { None };
        let marker = self.base.saturating_sub(1);
        self.base = self.all().get(marker as usize).map_or(0, |key| key.start);
        self.truncate(marker);
        duplicate.map_or(Ok(()), Err)
    }

    #[inline]
    fn is_in_frame(&self, key: Key) -> bool {
        let frame = self.all().get(self.base as usize..).unwrap_or_default();
        frame.iter().any(|earlier| earlier.tag == key.tag && same(self.body, *earlier, key))
    }

    #[inline(never)]
    fn duplicate_in_frame(&mut self) -> Option<u32> {
        let (body, base) = (self.body, self.base as usize);
        let frame = self.all_mut().get_mut(base..)?;
        frame.sort_unstable_by(|a, b| order(body, *a, *b));
        let mut earlier: Option<Key> = None;
        for &key in frame.iter() {
            if let Some(earlier) = earlier
                && order(body, earlier, key) == Ordering::Equal
            {
                return Some(earlier.start.max(key.start));
            }
            earlier = Some(key);
        }
        None
    }

    fn all(&self) -> &[Key] {
        if self.spill.is_empty() {
            self.inline.get(..self.len as usize).unwrap_or_default()
        } else {
            &self.spill
        }
    }

    fn all_mut(&mut self) -> &mut [Key] {
        if self.spill.is_empty() {
            self.inline.get_mut(..self.len as usize).unwrap_or_default()
        } else {
            &mut self.spill
        }
    }

    #[inline]
    fn push(&mut self, key: Key) {
        match self.inline.get_mut(self.len as usize) {
            Some(free) if self.spill.is_empty() => *free = key,
            _ => self.push_to_spill(key),
        }
        self.len += 1;
    }

    #[inline(never)]
    fn push_to_spill(&mut self, key: Key) {
        if self.spill.is_empty() {
            self.spill.extend_from_slice(&self.inline);
        }
        self.spill.push(key);
    }

    /// An emptied spill means "inline" again.
    fn truncate(&mut self, len: u32) {
        self.spill.truncate(len as usize);
        self.len = len;
    }
}

/// Mixes the first and the last four bytes, or takes the few that there are.
#[inline]
fn tag(content: &[u8]) -> u32 {
    match (content.first_chunk::<4>(), content.last_chunk::<4>()) {
        (Some(first), Some(last)) => mix(u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        _ => content.iter().fold(0, |tag, &byte| tag << 8 | u32::from(byte)),
    }
}

/// The tag of what an escaped key stands for.
#[inline(never)]
fn tag_of_escaped(body: &[u8], key: Key) -> u32 {
    let (mut first, mut last, mut all, mut count) = (0, 0, 0, 0_u32);
    let mut buffer = [0; 4];
    for c in characters(body, key) {
        for &byte in c.encode_utf8(&mut buffer).as_bytes() {
            let byte = u32::from(byte);
            if count < 4 {
                first |= byte << (8 * count);
                all = all << 8 | byte;
            }
            last = last >> 8 | byte << 24;
            count += 1;
        }
    }
    if count < 4 { all } else { mix(first, last) }
}

fn mix(first: u32, last: u32) -> u32 {
    first.rotate_left(1) ^ last
}

fn same(body: &[u8], a: Key, b: Key) -> bool {
    if a.escaped || b.escaped {
        return order(body, a, b) == Ordering::Equal;
    }
    content(body, a) == content(body, b)
}

fn order(body: &[u8], a: Key, b: Key) -> Ordering {
    if a.escaped || b.escaped {
        return characters(body, a).cmp(characters(body, b));
    }
    content(body, a).cmp(content(body, b))
}

fn characters(body: &[u8], key: Key) -> Unescaped<'_> {
    // INVARIANT: the body is valid UTF-8 and a key lies between two quotes. An unescaped key has no
    // backslash, so unescaping leaves it as it is.
    Unescaped::new(str::from_utf8(content(body, key)).unwrap_or_default())
}

fn content(body: &[u8], key: Key) -> &[u8] {
    body.get(key.start as usize..key.end as usize).unwrap_or_default()
}
