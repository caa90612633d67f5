//! The names to redact, compared with every key of a message: most differ in length already.

use mcpg_sdk::RedactMode;

use super::escape;

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    entries: Vec<(Box<str>, RedactMode)>,
    /// Bit n: some name has n bytes (the last bit: that or more).
    lengths: u64,
}

impl Names {
    pub(super) fn insert(&mut self, name: &str, mode: RedactMode) {
        match self.entries.iter_mut().find(|(other, _)| **other == *name) {
            Some((_, before)) => *before = mode.max(*before),
            None => {
                self.entries.push((name.into(), mode));
                self.lengths |= length_bit(name.len());
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.entries.iter().all(|(name, mode)| self.mode_of(name).is_some_and(|ours| ours >= *mode))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, RedactMode)> {
        self.entries.iter().map(|(name, mode)| (&**name, *mode))
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = RedactMode> {
        self.entries.iter().map(|(_, mode)| *mode)
    }

    /// What is to be done with members of this name.
    pub(super) fn mode_of(&self, name: &str) -> Option<RedactMode> {
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        self.entries.iter().find(|(other, _)| **other == *name).map(|(_, mode)| *mode)
    }

    /// Where a name stands between quotes in a text: start and end without the quotes.
    pub(super) fn mentions(text: &str, name: &str, mut found: impl FnMut(usize, usize)) {
        let escaped = escape::escaped(name);
        for start in memchr::memmem::find_iter(text.as_bytes(), escaped.as_bytes()) {
            if text.as_bytes().get(start.wrapping_sub(1)) == Some(&b'"') {
                found(start, start + escaped.len());
            }
        }
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}
