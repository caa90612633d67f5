//! The Model Context Protocol as bytes: what a message says, whether its headers agree with it,
//! how a refusal is written, and how an event stream is split. No sockets, clocks or globals.
//!
//! Invariants:
//! - A body that [`Envelope::parse`] accepts has one reading: two conforming JSON parsers, strict or
//!   lenient about case, give the same method, name, arguments and metadata.
//! - Everything is bounded by [`Limits`] and nothing recurses.
//! - A usual request (some KB, no escapes in its names) is read without allocating.
//!
//! Sources: RFC 8259, JSON-RPC 2.0, the MCP specification of 2025-03-26 to 2026-07-28
//! (`modelcontextprotocol/modelcontextprotocol: docs/specification`), the WHATWG HTML standard,
//! "Server-sent events".

pub mod bridge;
pub mod catalogue;
pub mod definition;
mod envelope;
mod error;
mod headers;
mod json;
mod limits;
mod method;
pub mod raw;
mod revision;
pub mod sse;
pub mod streams;

pub use envelope::{
    Envelope, EnvelopeError, EnvelopeErrorKind, Message, Meta, Outcome, Spans, Target, TargetKind,
};
pub use error::{Datum, RpcError, write_error};
pub use headers::{Accept, Agreement, Field, Header, HeaderError, RequestHeaders, encode_header_value};
pub use json::{JsonError, write_string};
pub use limits::Limits;
pub use method::Method;
pub use revision::{Era, Revision, UnknownRevision};
