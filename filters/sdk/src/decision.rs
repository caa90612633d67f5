//! What policy answers.

use serde::{Deserialize, Serialize};

/// The answer of a policy engine, or of the chain of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Go on.
    Permit,
    /// Go on, and do these on the way back. Not doing one is a failed call.
    PermitWithObligations(Vec<Obligation>),
    /// Stop.
    Deny(DenyReason),
}

/// What must be done to the response of a permitted call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Obligation {
    /// Remove or mask every member called `field`, at any depth of the result.
    Redact {
        /// The member's name, compared after unescaping.
        field: String,
        /// What takes the value's place.
        mode: RedactMode,
    },
}

/// What takes a redacted value's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedactMode {
    /// The string `[redacted]`.
    #[default]
    Mask,
    /// Nothing: the member goes too.
    Remove,
}

/// Why a call was denied: for the operator's log and the audit row. The client sees `code` only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenyReason {
    /// The engine's id, such as `policy.cedar`.
    pub engine: String,
    /// The policy that forbade it; none when nothing permitted it.
    pub policy: Option<String>,
    /// A stable, machine-readable word: `not_permitted`, `forbidden`, `policy_error`.
    pub code: String,
    /// For people.
    pub message: String,
}
