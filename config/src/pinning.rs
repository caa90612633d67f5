//! `pinning:`: what happens when an upstream's tool is not as it was.

use std::path::PathBuf;

pub(crate) mod read;

/// What happens when an upstream's tool is not as it was, and where the approved definitions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinning {
    /// The file of approved definitions.
    pub lock_file: PathBuf,
    /// What holds for bindings that say nothing else. Each has its own in [`McpBinding::pinning`](crate::McpBinding::pinning).
    pub rules: PinRules,
}

/// What happens to tools that are not as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRules {
    /// A tool whose definition is not the approved one.
    pub on_change: Reaction,
    /// A tool that was never seen before.
    pub on_new: OnNew,
    /// A definition with control characters, ANSI escapes or invisible Unicode in its text.
    pub hidden_text: Reaction,
}

impl Default for PinRules {
    fn default() -> Self {
        Self { on_change: Reaction::Report, on_new: OnNew::Trust, hidden_text: Reaction::Hold }
    }
}

/// What happens to a tool that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is served, and reported.
    Report,
    /// It is withheld until it is approved.
    Hold,
}

/// What happens to a new tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNew {
    /// It is approved as it is first seen.
    Trust,
    /// It is withheld until it is approved.
    Hold,
}
