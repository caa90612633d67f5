//! `pinning:` as it is written, and a binding's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when an upstream's tool is not as it was.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pinning {
    /// A tool whose definition is not the approved one.
    pub(crate) on_change: Reaction,
    /// A tool that was never seen before.
    pub(crate) on_new: OnNew,
    /// A definition with control characters, ANSI escapes or invisible Unicode in its text.
    pub(crate) hidden_text: Reaction,
    /// The file of approved definitions, below the folder of this file if relative. Default: `tools.lock` in `state.dir`.
    pub(crate) lock_file: Option<String>,
}

impl Default for Pinning {
    fn default() -> Self {
        Self {
            on_change: Reaction::Report,
            on_new: OnNew::Trust,
            hidden_text: Reaction::Hold,
            lock_file: None,
        }
    }
}

/// The same for one binding; what is absent is as in `pinning`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BindingPinning {
    /// A tool whose definition is not the approved one.
    pub(crate) on_change: Option<Reaction>,
    /// A tool that was never seen before.
    pub(crate) on_new: Option<OnNew>,
    /// A definition with control characters, ANSI escapes or invisible Unicode in its text.
    pub(crate) hidden_text: Option<Reaction>,
}

/// What happens to a tool that is not as it should be.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reaction {
    /// It is served, and reported.
    Report,
    /// It is withheld until `mcpg tools approve`.
    Hold,
}

/// What happens to a new tool.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnNew {
    /// It is approved as it is first seen.
    Trust,
    /// It is withheld until `mcpg tools approve`.
    Hold,
}
