//! `observability.traces`: spans and W3C trace context. It has no settings yet, and refuses any.

use mcpg_sdk::{Settings, SettingsError};
use serde::Deserialize;

/// The built-in's id.
pub const ID: &str = "observability.traces";

/// The `config:` of `observability.traces`: empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracesSettings {}

impl TracesSettings {
    /// Parses the settings.
    ///
    /// # Errors
    /// When there is any.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        settings.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        assert!(TracesSettings::build(&Settings::default()).is_ok());
        let settings = Settings(serde_json::json!({"endpoint": "x"}));
        assert!(TracesSettings::build(&settings).unwrap_err().message.contains("endpoint"));
    }
}
