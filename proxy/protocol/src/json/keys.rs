//! The keys of every object that is open, so that a duplicate is found at any level.
//!
//! One stack serves all open objects. While an object has few keys each new one is compared with the
//! earlier ones; beyond that the keys are sorted when the object closes. There is no hash to flood:
//! n keys cost O(n log n) comparisons whatever they are, and memory is 12 bytes for each open key.

use std::cmp::Ordering;

use super::{Text, Unescaped};

/// Up to here a new key is compared with each earlier one of its object.
const LINEAR_MAX: usize = 16;
/// Open keys that need no allocation.
const INLINE: usize = 32;

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    start: u32,
    len: u32,
    escaped: bool,
}

/// The open keys, innermost object last. Each object begins with an entry that keeps the base of
/// the object around it in `start`.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    body: &'a [u8],
    inline: [Key; INLINE],
    inline_len: usize,
    /// Holds everything once the inline part has overflowed.
    spill: Vec<Key>,
    /// Where the keys of the innermost object begin.
    base: usize,
}

/// What adding a key found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// Not a duplicate so far, and the object's how-manieth key.
    Fresh(usize),
    /// Equal to an earlier key.
    Duplicate,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, inline: [Key::default(); INLINE], inline_len: 0, spill: Vec::new(), base: 0 }
    }

    pub(crate) fn open(&mut self) {
        self.push(Key { start: narrow(self.base), len: 0, escaped: false });
        self.base = self.all().len();
    }

    pub(crate) fn add(&mut self, text: &Text) -> Added {
        let key = Key { start: narrow(text.span.start), len: narrow(text.span.len()), escaped: text.escaped };
        let frame = self.frame();
        let count = frame.len();
        if count < LINEAR_MAX && frame.iter().any(|earlier| same(self.body, *earlier, key)) {
            return Added::Duplicate;
        }
        self.push(key);
        Added::Fresh(count + 1)
    }

    /// Closes the innermost object. Answers with where a duplicate key begins, if it has one.
    pub(crate) fn close(&mut self) -> Result<(), usize> {
        let (base, body) = (self.base, self.body);
        let all = self.all_mut();
        let result = match all.get_mut(base..) {
            Some(frame) if frame.len() > LINEAR_MAX => check_sorted(body, frame),
            _ => Ok(()),
        };
        let marker = base.saturating_sub(1);
        let outer = all.get(marker).map_or(0, |key| key.start as usize);
        self.truncate(marker);
        self.base = outer;
        result
    }

    fn frame(&self) -> &[Key] {
        self.all().get(self.base..).unwrap_or_default()
    }

    fn all(&self) -> &[Key] {
        if self.spill.is_empty() {
            self.inline.get(..self.inline_len).unwrap_or_default()
        } else {
            &self.spill
        }
    }

    fn all_mut(&mut self) -> &mut [Key] {
        if self.spill.is_empty() {
            self.inline.get_mut(..self.inline_len).unwrap_or_default()
        } else {
            &mut self.spill
        }
    }

    fn push(&mut self, key: Key) {
        if self.spill.is_empty() {
            if let Some(free) = self.inline.get_mut(self.inline_len) {
                *free = key;
                self.inline_len += 1;
                return;
            }
            self.spill.extend_from_slice(&self.inline);
        }
        self.spill.push(key);
    }

    fn truncate(&mut self, len: usize) {
        if self.spill.is_empty() {
            self.inline_len = len;
        } else {
            self.spill.truncate(len);
            // An emptied spill means "inline" again.
            if self.spill.is_empty() {
                self.inline_len = 0;
            }
        }
    }
}

fn check_sorted(body: &[u8], frame: &mut [Key]) -> Result<(), usize> {
    frame.sort_unstable_by(|a, b| order(body, *a, *b));
    let mut earlier: Option<Key> = None;
    for &key in frame.iter() {
        if let Some(earlier) = earlier
            && order(body, earlier, key) == Ordering::Equal
        {
            return Err(earlier.start.max(key.start) as usize);
        }
        earlier = Some(key);
    }
    Ok(())
}

fn same(body: &[u8], a: Key, b: Key) -> bool {
    if a.escaped || b.escaped {
        return order(body, a, b) == Ordering::Equal;
    }
    a.len == b.len && content(body, a) == content(body, b)
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
    let start = key.start as usize;
    body.get(start..start + key.len as usize).unwrap_or_default()
}

/// INVARIANT: the envelope refuses bodies of 4 GiB and more before it scans them.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
