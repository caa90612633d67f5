//! What a text is scanned for, and how deep inside of others it is.

use super::rules::Rules;
use super::{RedactError, RedactLimits};

/// What a text is scanned for, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Context<'n> {
    pub(super) rules: &'n Rules,
    pub(super) limits: &'n RedactLimits,
    pub(super) depth: u32,
    /// How many strings the text is inside of.
    pub(super) level: u32,
}

impl<'n> Context<'n> {
    /// A whole message's.
    pub(super) fn new(rules: &'n Rules, limits: &'n RedactLimits) -> Self {
        Self { rules, limits, depth: 0, level: 0 }
    }

    /// That of the text in a string here.
    pub(super) fn inner(self) -> Result<Self, RedactError> {
        let embedded_max = self.limits.embedded_max;
        if self.level >= embedded_max {
            return Err(RedactError::Embedded { embedded_max });
        }
        Ok(Self { level: self.level + 1, ..self })
    }
}
