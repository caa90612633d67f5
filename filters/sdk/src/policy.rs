//! The contract of a policy engine: what it says it reads, what it is given, what it answers.
//!
//! An engine declares, per action, the parts of the input that its policies read ([`Reads`]). It is
//! given a [`PolicyInput`] that yields those parts and nothing else, so its answer is a function of
//! them, and a cached answer that is keyed by them cannot be unsound. An error is a denial.
//!
//! An engine never holds the thread that asks it for longer than it was told to: it stops by itself, or (an engine that
//! decides elsewhere) answers with a future.

use std::pin::Pin;
use std::time::Duration;

mod arguments;
mod input;
mod owned;
mod reads;

pub use arguments::{Arguments, ArgumentsError, Member};
pub use input::PolicyInput;
pub use owned::OwnedCall;
pub use reads::{ApprovalRead, ByAction, Kind, Names, ReadSet, Reads};

use crate::Obligation;

/// A policy engine with its policies compiled, such as `policy.cedar`.
pub trait PolicyEngine: Send + Sync {
    /// The plugin's id, as it stands in reasons, metrics and audit rows.
    fn id(&self) -> &str;

    /// What the policies read, per action. Fixed for the life of the engine.
    fn reads(&self) -> &Reads;

    /// What is allowed in its policies but probably not meant, for the operator.
    fn warnings(&self) -> &[String] {
        &[]
    }

    /// The tools that its policies name, as binding and tool, as far as it can tell: for warnings only.
    fn named_tools(&self) -> Vec<(String, String)> {
        self.reads().named_tools().map(|(binding, tool)| (binding.to_owned(), tool.to_owned())).collect()
    }

    /// Every obligation that a permit of its policies can carry; none if it cannot tell. An answer that may hold the results of
    /// calls decided before (a resumed stream, a task) is given under all of them.
    fn obligations(&self) -> Option<Vec<Obligation>> {
        None
    }

    /// How long one decision may take; one that takes longer denies.
    fn limit(&self) -> Duration;

    /// Decides one call. A function of the input alone, apart from the transient errors. Stops by itself when `within` is over.
    ///
    /// # Errors
    /// When the engine cannot tell. The chain denies the call.
    fn decide(&self, input: &PolicyInput<'_>, within: Duration) -> Result<EngineDecision, EngineError>;

    /// An engine that decides elsewhere: what it takes from the input, on its way. It is asked instead of [`Self::decide`], and
    /// is given up after [`Self::limit`]. None: the engine decides here.
    fn ask(&self, input: &PolicyInput<'_>) -> Option<Asked> {
        let _ = input;
        None
    }

    /// Whether it decides elsewhere.
    fn is_remote(&self) -> bool {
        false
    }

    /// Whether equal inputs have equal answers, so that they may be kept for as long as the engine lives. False for one that decides
    /// elsewhere by policies that it cannot see.
    fn is_pure(&self) -> bool {
        true
    }
}

/// An answer on its way.
pub type Asked = Pin<Box<dyn Future<Output = Result<EngineDecision, EngineError>> + Send>>;

/// The answer of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineDecision {
    /// The call may go on.
    Permit {
        /// Ids of the policies that permitted it.
        policies: Vec<String>,
        /// What they require on the way back.
        obligations: Vec<Obligation>,
    },
    /// The call stops: a policy forbade it.
    Forbid {
        /// The policy's id.
        policy: String,
        /// For people.
        message: String,
    },
    /// The call stops: nothing permitted it.
    NotPermitted {
        /// For people.
        message: String,
    },
}

/// Why an engine could not decide. Every variant denies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A part of the call that the policies read has no faithful form in the engine's language.
    #[error("{part}: {problem}")]
    Input {
        /// The part, as a policy author writes it (`context.arguments.limit`).
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A policy failed while it was evaluated.
    #[error("policy `{policy}` failed: {problem}")]
    Evaluation {
        /// The policy's id.
        policy: String,
        /// What went wrong.
        problem: String,
    },
    /// The evaluation took too long. Not a function of the input, so never cached.
    #[error("the evaluation took longer than {limit_ms} ms")]
    Deadline {
        /// The limit in force.
        limit_ms: u64,
    },
    /// The artifact that its policies come from must not run.
    #[error("its bundle is revoked: {problem}")]
    Revoked {
        /// The entry of the list that says so: it stands where another denial has its policy.
        entry: String,
        /// Which artifact, by which list, and why.
        problem: String,
    },
    /// Where the engine decides could not be asked, or its answer is none. Never cached.
    #[error("the policy service gave no answer: {problem}")]
    Unavailable {
        /// What went wrong.
        problem: String,
    },
}

impl EngineError {
    /// The stable, machine-readable word for [`crate::DenyReason::code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Input { .. } => "policy_input",
            Self::Evaluation { .. } => "policy_error",
            Self::Deadline { .. } => "policy_timeout",
            Self::Revoked { .. } => "policy_revoked",
            Self::Unavailable { .. } => "policy_unavailable",
        }
    }

    /// The policy that failed, where one did.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Evaluation { policy, .. } | Self::Revoked { entry: policy, .. } => Some(policy),
            Self::Input { .. } | Self::Deadline { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// Whether the same input could be decided differently the next time.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Unavailable { .. })
    }

    /// The evaluation took longer than `limit`.
    pub fn deadline(limit: Duration) -> Self {
        Self::Deadline { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }
}
