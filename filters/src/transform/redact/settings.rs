//! The `config:` of `transform.redact`.

use mcpg_sdk::{Detector, Obligation, ObligationError, RedactMode, Redacted, SettingsError};
use serde::Deserialize;

/// The `config:` of `transform.redact`: what is redacted from every response of the scope, whatever policy says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactSettings {
    /// The names of members, redacted at any depth.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Places in the result, as JSON pointers: `/structuredContent/rows/*/email`. `*` stands for every member or element.
    #[serde(default)]
    pub pointers: Vec<String>,
    /// What is found by its look in any text.
    #[serde(default)]
    pub detectors: Vec<Found>,
    /// What takes their place.
    #[serde(default)]
    pub mode: Mode,
}

/// A kind of text that is found by its look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Keys, tokens and passwords.
    Secret,
}

/// What takes a redacted value's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The string `[redacted]`.
    #[default]
    Mask,
    /// A short keyed hash, the same for the same value.
    Hash,
    /// Nothing: the member goes too.
    Remove,
}

impl RedactSettings {
    /// What the settings oblige to.
    ///
    /// # Errors
    /// When they name nothing, or something that cannot be redacted.
    pub(super) fn obligations(self) -> Result<Vec<Obligation>, SettingsError> {
        let mode = match self.mode {
            Mode::Mask => RedactMode::Mask,
            Mode::Hash => RedactMode::Hash,
            Mode::Remove => RedactMode::Remove,
        };
        let at = |list: &str, index: usize| {
            let pointer = format!("/{list}/{index}");
            move |error: ObligationError| SettingsError::at(pointer, error.to_string())
        };
        let mut redacted = Vec::new();
        for (index, field) in self.fields.iter().enumerate() {
            redacted.push(Redacted::any_field(field).map_err(at("fields", index))?);
        }
        for (index, pointer) in self.pointers.iter().enumerate() {
            redacted.push(Redacted::pointer(pointer).map_err(at("pointers", index))?);
        }
        redacted.extend(self.detectors.into_iter().map(|found| Redacted::Detector(found.detector())));
        if redacted.is_empty() {
            let message = "no field, pointer or detector is named: nothing would be redacted";
            return Err(SettingsError::at("/fields", message));
        }
        Ok(redacted.into_iter().map(|what| Obligation::redact(what, mode)).collect())
    }
}

impl Found {
    fn detector(self) -> Detector {
        match self {
            Self::Email => Detector::Email,
            Self::Phone => Detector::Phone,
            Self::Card => Detector::Card,
            Self::Secret => Detector::Secret,
        }
    }
}
