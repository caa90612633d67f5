//! Why a body is refused as a message, and what the client is told.

use crate::{JsonError, RpcError};

/// A refused body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct EnvelopeError<'a> {
    /// What is wrong.
    pub kind: EnvelopeErrorKind,
    /// The raw id of the message, if it has a valid one that was read before the fault.
    pub id: Option<&'a str>,
    /// Where in the body: the first byte that cannot stand, or where the faulty part begins.
    pub offset: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeErrorKind {
    /// The body is larger than allowed.
    #[error("body is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The body begins with a byte order mark.
    #[error("byte order mark")]
    ByteOrderMark,
    /// The body is not UTF-8.
    #[error("invalid UTF-8")]
    NotUtf8,
    /// The body is not strict JSON, or beyond a limit.
    #[error("{0}")]
    Json(JsonError),
    /// The body is an array.
    #[error("batches are not supported")]
    Batch,
    /// The body is a scalar.
    #[error("a message is an object")]
    NotAnObject,
    /// A key differs from one that the gateway decides on in case or Unicode folding only.
    #[error("key is a variant of `{of}`")]
    KeyVariant {
        /// The key that a lenient parser would take it for.
        of: &'static str,
    },
    /// `jsonrpc` is missing or not `"2.0"`.
    #[error("`jsonrpc` is not `2.0`")]
    Version,
    /// `id` is neither a string nor an integer that every parser represents exactly.
    #[error("`id` is not a string or an integer within ±(2^53-1)")]
    Id,
    /// Neither `method` nor `result` nor `error`.
    #[error("neither a request, a notification nor a response")]
    Shapeless,
    /// Parts of a request and of a response, or both `result` and `error`.
    #[error("more than one of a request, a result and an error")]
    Mixed,
    /// A request or response without `id`.
    #[error("`id` is missing")]
    IdMissing,
    /// A notification with `id`.
    #[error("a notification has no `id`")]
    IdUnexpected,
    /// A part that the method needs is missing.
    #[error("`{part}` is missing")]
    Missing {
        /// Its path.
        part: &'static str,
    },
    /// A part is of another type than the protocol gives it.
    #[error("`{part}` is not {expected}")]
    WrongType {
        /// Its path.
        part: &'static str,
        /// The type, with its article.
        expected: &'static str,
    },
    /// A part is longer than allowed.
    #[error("`{part}` is longer than {max} bytes")]
    TooLong {
        /// Its path.
        part: &'static str,
        /// The limit.
        max: usize,
    },
}

impl EnvelopeErrorKind {
    /// The error that the client gets.
    pub fn rpc_error(&self) -> RpcError {
        match self {
            Self::TooLarge { .. } => RpcError::PayloadTooLarge,
            Self::ByteOrderMark | Self::NotUtf8 => RpcError::ParseError,
            Self::Json(
                JsonError::DuplicateKey
                | JsonError::NulInKey
                | JsonError::TooDeep
                | JsonError::TooManyValues
                | JsonError::TooManyKeys,
            ) => RpcError::InvalidRequest,
            Self::Json(_) => RpcError::ParseError,
            Self::Missing { part } | Self::WrongType { part, .. } if part.starts_with("params") => {
                RpcError::InvalidParams
            }
            _ => RpcError::InvalidRequest,
        }
    }

    /// A stable word for machines, finer than the reason of [`EnvelopeErrorKind::rpc_error`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "body_too_large",
            Self::ByteOrderMark => "byte_order_mark",
            Self::NotUtf8 => "not_utf8",
            Self::Json(error) => error.word(),
            Self::Batch => "batch",
            Self::NotAnObject => "not_an_object",
            Self::KeyVariant { .. } => "key_variant",
            Self::Version => "jsonrpc_version",
            Self::Id => "id",
            Self::Shapeless => "shapeless",
            Self::Mixed => "mixed",
            Self::IdMissing => "id_missing",
            Self::IdUnexpected => "id_unexpected",
            Self::Missing { .. } => "missing",
            Self::WrongType { .. } => "wrong_type",
            Self::TooLong { .. } => "too_long",
        }
    }
}
