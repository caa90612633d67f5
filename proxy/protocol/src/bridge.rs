//! What a message of one era says in the other: requests, results, errors, notifications, and the questions that a server
//! asks its client.
//!
//! In the era of sessions a server asks with requests of its own; in the modern one it answers `input_required` and the
//! client repeats its request with `inputResponses`. Everything else differs in members that one era needs and the other
//! does not know.
//!
//! Invariants:
//! - What is not translated is copied as it is written: names, arguments, tokens and contents stay the same bytes.
//! - Nothing that means something in one era only reaches the other: not `task`, `inputResponses` or `requestState`, not
//!   a reserved key of `_meta`, not a result's type or an error code that the receiver would take for something else.
//! - What cannot be said in the other era is an [`Impossible`], never a guess.
//!
//! Sources: `schema/{2025-03-26,2025-06-18,2025-11-25,2026-07-28}/schema.ts`; MCP 2026-07-28 `basic/patterns/mrtr`,
//! `basic/index`, `basic/transports/streamable-http`; 2025-11-25 `client/elicitation`, `basic/utilities/tasks`.

mod answer;
mod ask;
mod capabilities;
mod failure;
mod log_level;
mod mirror;
mod notification;
mod object;
mod packet;
mod request;
mod result;
#[cfg(test)]
mod tests;

pub use answer::{Answer, answer_to_input_response, error_response, input_response_to_answer};
pub use ask::{Ask, AskKind, InputRequests, url_elicitations, write_input_required};
pub use capabilities::{Capabilities, Capability, capabilities_to_legacy, capabilities_to_modern};
pub use failure::{
    RESOURCE_NOT_FOUND, URL_ELICITATION_REQUIRED, error_to_legacy, error_to_modern, modern_status,
};
pub use log_level::LogLevel;
pub use mirror::{MirrorError, param_headers};
pub use notification::{Relayed, cancelled, progress_with_token, relay};
pub use object::{Json, Member, Object};
pub use packet::Packet;
pub use request::{ModernMeta, Request, Retry};
pub use result::{ModernResult, result_to_legacy, result_to_modern};

use crate::JsonError;

/// Why a message has no counterpart in the other era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// It is no sound JSON.
    #[error("malformed JSON: {0}")]
    Json(#[from] JsonError),
    /// It is sound JSON but not what it should be.
    #[error("`{0}` is missing or of the wrong type")]
    Shape(&'static str),
    /// It means something that the other era cannot say.
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// What one era has and the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Impossible {
    /// `tasks/*`: 2025-11-25 and the extension of 2026-07-28 are different protocols.
    #[error("tasks of one protocol revision cannot be handled in another")]
    Tasks,
    /// A method that neither era's specification has.
    #[error("an extension's method cannot be translated between protocol revisions")]
    Extension,
    /// A result of a type that the receiver cannot know.
    #[error("the result is of a type that the client's protocol revision does not have")]
    ResultType,
    /// A method that the receiver's era has no counterpart for.
    #[error("the method does not exist in the server's protocol revision")]
    Method,
    /// A question that the receiver's revision has no form for.
    #[error("the server asks for something that the client's protocol revision does not have")]
    Question,
}

impl Impossible {
    /// A stable word for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks_across_eras",
            Self::Extension => "extension_across_eras",
            Self::ResultType => "result_type_across_eras",
            Self::Method => "method_across_eras",
            Self::Question => "question_across_eras",
        }
    }
}
