//! The `config:` of `reliability.rate-limit`.

use std::collections::BTreeMap;
use std::time::Duration;

use mcpg_sdk::{Obligation, SettingsError};
use serde::{Deserialize, Deserializer};

use super::SHARDS;
use super::gcra::Rate;

const PER_MAX: Duration = Duration::from_secs(24 * 3600);
const REQUESTS_MAX: u32 = 10_000_000;
const KEYS_MAX: usize = 16 * 1024 * 1024;
const TOOLS_PER_CALLER_MAX: usize = 1024;

/// The `config:` of `reliability.rate-limit`. Without `per_caller`, `per_tool` and `classes`: 100 calls a second of
/// each caller, 200 at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// The limit of all calls of one caller.
    pub per_caller: Option<RateSettings>,
    /// The limits of one caller's calls of one tool.
    pub per_tool: Option<PerToolSettings>,
    /// The limits of one caller's calls that policy puts into a class (`@rate_class("bulk")`), by the class's name.
    #[serde(default)]
    pub classes: BTreeMap<String, RateSettings>,
    /// How many callers have a bucket of their own at a time. A caller takes about 100 bytes, and 16 for each tool
    /// it has used lately.
    #[serde(default = "default_keys_max")]
    pub keys_max: usize,
    /// How many tools of one caller have a bucket of their own at a time, besides those in `tools`.
    #[serde(default = "default_tools_per_caller_max")]
    pub tools_per_caller_max: usize,
}

/// Limits by tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerToolSettings {
    /// For each tool that `tools` does not name.
    pub default: Option<RateSettings>,
    /// By the tool's full name: `files.read`.
    #[serde(default)]
    pub tools: BTreeMap<String, RateSettings>,
}

/// An average rate, and how many calls at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// How many calls in the time `per`.
    pub requests: u32,
    /// `1s`, `10m`, `1h`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", regex(pattern = "^[1-9][0-9]*[smh]$"))]
    pub per: Duration,
    /// How many calls at once; as `requests` if absent.
    pub burst: Option<u32>,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self { requests: 100, per: Duration::from_secs(1), burst: Some(200) }
    }
}

impl RateSettings {
    pub(super) fn rate(self) -> Rate {
        Rate::new(self.requests, self.per, self.burst.unwrap_or(self.requests))
    }

    fn check(self, pointer: &str) -> Result<(), SettingsError> {
        for (name, value) in [("requests", Some(self.requests)), ("burst", self.burst)] {
            if value.is_some_and(|value| !(1..=REQUESTS_MAX).contains(&value)) {
                let message = format!("`{name}` is 1 to {REQUESTS_MAX}");
                return Err(SettingsError::at(format!("{pointer}/{name}"), message));
            }
        }
        Ok(())
    }
}

impl RateLimitSettings {
    /// Checks what the types cannot: ranges, and that a tool is one of a binding.
    pub(super) fn check(&self, bindings: &[&str]) -> Result<(), SettingsError> {
        if !(SHARDS..=KEYS_MAX).contains(&self.keys_max) {
            return Err(SettingsError::at("/keys_max", format!("`keys_max` is {SHARDS} to {KEYS_MAX}")));
        }
        if !(1..=TOOLS_PER_CALLER_MAX).contains(&self.tools_per_caller_max) {
            let message = format!("`tools_per_caller_max` is 1 to {TOOLS_PER_CALLER_MAX}");
            return Err(SettingsError::at("/tools_per_caller_max", message));
        }
        if let Some(rate) = self.per_caller {
            rate.check("/per_caller")?;
        }
        for (name, rate) in &self.classes {
            let pointer = format!("/classes/{}", name.replace('~', "~0").replace('/', "~1"));
            Obligation::rate_class(name).map_err(|error| SettingsError::at(&pointer, error.to_string()))?;
            rate.check(&pointer)?;
        }
        let Some(per_tool) = &self.per_tool else { return Ok(()) };
        if let Some(rate) = per_tool.default {
            rate.check("/per_tool/default")?;
        }
        for (name, rate) in &per_tool.tools {
            let pointer = format!("/per_tool/tools/{}", name.replace('~', "~0").replace('/', "~1"));
            let tool_of = |binding: &&str| name.strip_prefix(binding).and_then(|rest| rest.strip_prefix('.'));
            if !bindings.iter().filter_map(tool_of).any(|tool| !tool.is_empty()) {
                let message = format!("`{name}` is no tool of a binding: write `<binding>.<tool>`");
                return Err(SettingsError::at(pointer, message));
            }
            rate.check(&pointer)?;
        }
        Ok(())
    }
}

fn default_keys_max() -> usize {
    65_536
}

fn default_tools_per_caller_max() -> usize {
    32
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is no time from `1s` to `24h`: write `1s`, `10m` or `1h`"))
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let duration = Duration::from_secs(number.checked_mul(unit_seconds)?);
    (!duration.is_zero() && duration <= PER_MAX).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse() {
        for (text, seconds) in [("1s", 1), ("10m", 600), ("1h", 3600), ("24h", 86400), ("86400s", 86400)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "0s",
            "-1s",
            "+1s",
            "1.5s",
            "1d",
            "25h",
            "1 s",
            "1sé",
            "é",
            "99999999999999999999h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
