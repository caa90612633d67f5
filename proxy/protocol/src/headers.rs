//! Whether the HTTP headers of a message agree with its body, and which revision it speaks.
//!
//! A request is modern if its body names a revision in `_meta`, or its header names a modern one. The
//! body is the source of truth: headers are compared with it and never trusted in its place.
//!
//! | message | rule |
//! | --- | --- |
//! | modern request | `MCP-Protocol-Version`, `Mcp-Method` and, where the method has a name, `Mcp-Name` are required and equal the body |
//! | modern notification | the specification defines no header for it: those present equal the body |
//! | modern response | does not exist (answers travel in requests): refused |
//! | legacy message | `MCP-Protocol-Version` may be absent, else it is known; `Mcp-*` headers, if any, equal the body |
//!
//! An accepted notification or response is answered with 202 and no body.
//!
//! Sources: MCP 2026-07-28 `basic/transports/streamable-http` ("Request Metadata"), 2025-11-25
//! `basic/transports` ("Protocol Version Header"), SEP-2243, SEP-2663, RFC 9110 5.5 and 12.5.1.

mod agree;
mod encode;
mod media;
#[cfg(test)]
mod tests;

pub use encode::encode_header_value;
pub use media::Accept;

use crate::{Datum, Envelope, Era, Revision, RpcError};

/// A header field as received: how often, and its first value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Field<'a> {
    first: Option<&'a [u8]>,
    count: usize,
}

/// The header fields of a POST that say something of its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Field<'a>,
    /// `Mcp-Method`.
    pub method: Field<'a>,
    /// `Mcp-Name`.
    pub name: Field<'a>,
    /// `Content-Type`.
    pub content_type: Field<'a>,
    /// `Accept`, all fields of that name.
    pub accept: Accept,
}

/// What headers and body agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The revision that the message is in. For `initialize` it is the one that the client asks for,
    /// or the newest legacy one if that is unknown; the server's answer decides.
    pub revision: Revision,
    /// Its era.
    pub era: Era,
    /// What the client can read.
    pub accept: Accept,
}

/// The header fields of [`RequestHeaders`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// `MCP-Protocol-Version`.
    ProtocolVersion,
    /// `Mcp-Method`.
    Method,
    /// `Mcp-Name`.
    Name,
    /// `Content-Type`.
    ContentType,
}

/// Why headers and body do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that the message needs is missing.
    #[error("`{}` header is missing", .0.as_str())]
    Missing(Header),
    /// A header came more than once.
    #[error("`{}` header is repeated", .0.as_str())]
    Repeated(Header),
    /// A header's value has bytes or an encoding that it cannot have.
    #[error("`{}` header is malformed", .0.as_str())]
    Malformed(Header),
    /// A header says something else than the body.
    #[error("`{}` header does not match the body", .0.as_str())]
    Mismatch(Header),
    /// The revision is unknown, not served, or not one for requests without a session.
    #[error("unsupported protocol version")]
    UnsupportedVersion {
        /// What the client asked for.
        requested: String,
    },
    /// A modern request lacks a required key of `_meta`.
    #[error("`params._meta` lacks `{key}`")]
    MissingMeta {
        /// The key.
        key: &'static str,
    },
    /// A response where the revision has none.
    #[error("this protocol version has no client responses")]
    Response,
    /// The body is not JSON by its own header.
    #[error("`Content-Type` is not `application/json`")]
    MediaType,
    /// The client reads neither JSON nor event streams.
    #[error("`Accept` allows neither `application/json` nor `text/event-stream`")]
    NotAcceptable,
}

impl<'a> Field<'a> {
    /// A field from the values of all fields of its name.
    pub fn from_values(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        let first = values.next();
        Self { first, count: usize::from(first.is_some()) + values.count() }
    }
}

impl RequestHeaders<'_> {
    /// Checks the headers against the body. `served` are the revisions that the endpoint serves.
    ///
    /// # Errors
    /// For every disagreement; [`HeaderError::rpc_error`] says how to answer.
    pub fn agree(&self, envelope: &Envelope<'_>, served: &[Revision]) -> Result<Agreement, HeaderError> {
        agree::agree(self, envelope, served)
    }
}

impl Header {
    /// The field's name in its usual spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProtocolVersion => "MCP-Protocol-Version",
            Self::Method => "Mcp-Method",
            Self::Name => "Mcp-Name",
            Self::ContentType => "Content-Type",
        }
    }
}

impl HeaderError {
    /// The error that the client gets.
    pub fn rpc_error(&self) -> RpcError {
        match self {
            Self::Missing(Header::ContentType)
            | Self::Repeated(Header::ContentType)
            | Self::Malformed(Header::ContentType)
            | Self::Mismatch(Header::ContentType)
            | Self::MediaType => RpcError::UnsupportedMediaType,
            Self::Missing(_) | Self::Repeated(_) | Self::Malformed(_) | Self::Mismatch(_) => {
                RpcError::HeaderMismatch
            }
            Self::UnsupportedVersion { .. } => RpcError::UnsupportedVersion,
            Self::MissingMeta { .. } => RpcError::InvalidParams,
            Self::Response => RpcError::InvalidRequest,
            Self::NotAcceptable => RpcError::NotAcceptable,
        }
    }

    /// Appends the error response to `buf`. `served` as given to [`RequestHeaders::agree`]; a revision
    /// that was refused is never among those offered.
    pub fn write(&self, buf: &mut Vec<u8>, id: Option<&str>, served: &[Revision]) {
        let message = self.to_string();
        match self {
            Self::UnsupportedVersion { requested } => {
                let offered: Vec<&str> = served
                    .iter()
                    .map(|revision| revision.as_str())
                    .filter(|text| text != requested)
                    .collect();
                let data = [("supported", Datum::List(&offered)), ("requested", Datum::Text(requested))];
                crate::write_error(buf, id, self.rpc_error(), &message, &data);
            }
            _ => crate::write_error(buf, id, self.rpc_error(), &message, &[]),
        }
    }
}
