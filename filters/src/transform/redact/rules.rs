//! All that a redactor looks for, and what takes its place.

use mcpg_sdk::RedactMode;

use super::MASK;
use super::detect::Detectors;
use super::hash::HashKey;
use super::names::Names;
use super::pointers::Pointers;

#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) names: Names,
    pub(super) pointers: Pointers,
    pub(super) detectors: Detectors,
    pub(super) key: Option<HashKey>,
}

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.pointers.is_empty() && self.detectors.is_empty()
    }

    /// Whether these rules redact all that the others do, as strictly.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.names.covers(&other.names)
            && self.pointers.covers(&other.pointers)
            && self.detectors.covers(&other.detectors)
    }

    /// Whether some rule needs the key.
    pub(super) fn hashes(&self) -> bool {
        let mut modes = self.names.modes().chain(self.pointers.modes()).chain(self.detectors.modes());
        modes.any(|mode| mode == RedactMode::Hash)
    }

    /// What takes a value's place within a text.
    pub(super) fn replacement(&self, mode: RedactMode, value: &str) -> String {
        match (mode, &self.key) {
            (RedactMode::Hash, Some(key)) => key.mark(value.as_bytes()),
            (RedactMode::Remove, _) => String::new(),
            (RedactMode::Hash | RedactMode::Mask, _) => MASK.to_owned(),
        }
    }

    /// Where the names stand between quotes in a text that is no JSON, in order: start, end and what is done.
    pub(super) fn mentions(&self, text: &str) -> Vec<(usize, usize, RedactMode)> {
        let mut mentions = Vec::new();
        for (name, mode) in self.names.iter().chain(self.pointers.names()) {
            Names::mentions(text, name, |start, end| mentions.push((start, end, mode)));
        }
        mentions.sort_unstable();
        mentions
    }
}
