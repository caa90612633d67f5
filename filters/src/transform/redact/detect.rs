//! Detectors: what is found by its look, in any text.
//!
//! Linear: one look at every byte says which detectors have anything to do; each of those goes forward from places that the SIMD
//! searches of `memchr` and `aho-corasick` find, and never looks at a byte more than a fixed number of times.

mod digits;
mod email;
mod secret;

use std::borrow::Cow;

use mcpg_sdk::{Detector, RedactMode};

use super::rules::Rules;
pub(super) use secret::{is_secret_name, is_secret_value};

/// The detectors that are on.
#[derive(Debug, Clone, Default)]
pub(super) struct Detectors([Option<RedactMode>; Detector::ALL.len()]);

/// Something that a detector found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) detector: Detector,
}

impl Detectors {
    pub(super) fn insert(&mut self, detector: Detector, mode: RedactMode) {
        if let Some(own) = self.0.get_mut(detector as usize) {
            *own = (*own).max(Some(mode));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own >= other)
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = RedactMode> {
        self.0.iter().copied().flatten()
    }

    pub(super) fn mode_of(&self, detector: Detector) -> Option<RedactMode> {
        self.0.get(detector as usize).copied().flatten()
    }

    /// The mode of what a text holds, if it holds anything.
    pub(super) fn strictest_in(&self, text: &str) -> Option<RedactMode> {
        let text = seen_through(text);
        self.find(&text).iter().filter_map(|found| self.mode_of(found.detector)).max()
    }

    /// The mode for a number of these digits.
    pub(super) fn mode_of_number(&self, digits: &str) -> Option<RedactMode> {
        self.mode_of(Detector::Card).filter(|_| digits::is_card_number(digits))
    }

    /// Whether bytes that are no text hold something, as far as can be seen. What looks so by chance is short.
    pub(super) fn sees_in_binary(&self, bytes: &[u8]) -> bool {
        const CHANCE_MAX: usize = 11;
        let text = String::from_utf8_lossy(bytes);
        self.find(&text).iter().any(|found| found.end - found.start > CHANCE_MAX)
    }

    /// Everything in a text, in order, without overlaps.
    fn find(&self, text: &str) -> Vec<Found> {
        let signs = Signs::of(text.as_bytes());
        let mut found = Vec::new();
        if signs.has_at && self.mode_of(Detector::Email).is_some() {
            email::find(text, &mut found);
        }
        let (phone, card) = (self.mode_of(Detector::Phone).is_some(), self.mode_of(Detector::Card).is_some());
        if (phone || card) && signs.digits >= digits::DIGITS_MIN {
            digits::find(text, phone, card, &mut found);
        }
        if self.mode_of(Detector::Secret).is_some() {
            secret::find(text, &mut found);
        }
        found.sort_unstable();
        found
    }

    /// The text without what the detectors find. None if they find nothing.
    pub(super) fn apply(&self, text: &str, rules: &Rules) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let text = seen_through(text);
        let found = self.find(&text);
        let mut clean = String::with_capacity(if found.is_empty() { 0 } else { text.len() });
        let mut copied = 0;
        let mut rest = found.iter().peekable();
        while let Some(first) = rest.next() {
            let mode_of = |found: &Found| self.mode_of(found.detector).unwrap_or(RedactMode::Remove);
            let (mut end, mut mode) = (first.end, mode_of(first));
            // What overlaps goes as one, as strictly as any of it.
            while let Some(next) = rest.next_if(|next| next.start < end) {
                end = end.max(next.end);
                mode = mode.max(mode_of(next));
            }
            // Places are between characters; were one not, less would be shown, not more.
            clean.push_str(text.get(copied..first.start).unwrap_or_default());
            let value = canonical(first.detector, text.get(first.start..end).unwrap_or_default());
            clean.push_str(&rules.replacement(mode, &value));
            copied = end;
        }
        if copied == 0 {
            return None;
        }
        clean.push_str(text.get(copied..).unwrap_or_default());
        Some(clean)
    }
}

/// What a hash is made of: two spellings of one address or number have one hash.
fn canonical(detector: Detector, value: &str) -> Cow<'_, str> {
    match detector {
        Detector::Email => email::canonical(value).into(),
        Detector::Phone | Detector::Card => {
            value.chars().filter(|char| char.is_ascii_digit() || *char == '+').collect::<String>().into()
        }
        Detector::Secret => value.into(),
    }
}

/// A text with the escapes of JSON in it undone where they hide what detectors look for: a text may quote JSON without being any.
fn seen_through(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memmem::find(text.as_bytes(), b"\\u00") else { return text.into() };
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut at) = (text, first);
    loop {
        let (before, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
        match escape.get(..6).and_then(|escape| hidden(escape.as_bytes())) {
            Some(char) => {
                // However often the escape was itself escaped.
                plain.push_str(before.trim_end_matches('\\'));
                plain.push(char);
                rest = escape.get(6..).unwrap_or_default();
            }
            None => {
                let (taken, left) = rest.split_at_checked(at + 2).unwrap_or((rest, ""));
                plain.push_str(taken);
                rest = left;
            }
        }
        match memchr::memmem::find(rest.as_bytes(), b"\\u00") {
            Some(next) => at = next,
            None => break,
        }
    }
    plain.push_str(rest);
    plain.into()
}

/// The character that `\u00XX` hides, where it may be part of something and needs no escape.
fn hidden(escape: &[u8]) -> Option<char> {
    let [_, _, _, _, high, low] = escape else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let char = digit(*high)? << 4 | digit(*low)?;
    ((char.is_ascii_graphic() || char == b' ') && !matches!(char, b'"' | b'\\')).then(|| char::from(char))
}

/// What there is in a text at all.
struct Signs {
    digits: usize,
    has_at: bool,
}

impl Signs {
    fn of(bytes: &[u8]) -> Self {
        let (mut digits, mut marks) = (0, 0);
        for byte in bytes {
            digits += usize::from(byte.is_ascii_digit());
            marks += usize::from(matches!(byte, b'@' | b'%' | b'&'));
        }
        Self { digits, has_at: marks > 0 }
    }
}

#[cfg(test)]
mod tests;
