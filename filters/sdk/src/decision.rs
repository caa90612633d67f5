//! What policy answers.

use serde::{Deserialize, Serialize};

use crate::Obligation;

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
