//! A server's error in the other era, and the HTTP status that goes with one.
//!
//! The codes from -32020 to -32099 are the modern specification's and mean nothing in the legacy one; -32002 and -32042
//! are the legacy specification's and may not appear in the modern one. A code that would be taken for something else
//! becomes an internal error; where it had no `data`, that says which code it was.
//!
//! Source: MCP 2026-07-28 `basic/index`, "Error Codes".

use super::object::{Json, Object, Writer};
use crate::Method;

/// "Resource not found" before 2026-07-28.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// "URL elicitation required" of 2025-11-25.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;

const HEADER_MISMATCH: i64 = -32020;
const MISSING_CLIENT_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// The codes that the modern specification has defined or may define.
const MODERN: std::ops::RangeInclusive<i64> = -32099..=HEADER_MISMATCH;

/// A legacy server's error as the answer to a modern request, with its code. `id` is raw JSON text.
pub fn error_to_modern(id: &str, method: &Method<'_>, error: &Object<'_>) -> (i64, Vec<u8>) {
    translate(id, error, |code| match code {
        RESOURCE_NOT_FOUND if *method == Method::ResourcesRead => INVALID_PARAMS,
        RESOURCE_NOT_FOUND => INTERNAL_ERROR,
        code if MODERN.contains(&code) => INTERNAL_ERROR,
        code => code,
    })
}

/// A modern server's error as the answer to a legacy request, with its code. `id` is raw JSON text.
pub fn error_to_legacy(id: &str, error: &Object<'_>) -> (i64, Vec<u8>) {
    translate(id, error, |code| match code {
        // The client's request is not one that the server can serve to this client.
        MISSING_CLIENT_CAPABILITY => INVALID_REQUEST,
        // Revision and headers are ours: that they do not suit the server is no fault of the client's. -32042 would make
        // a client of 2025-11-25 open pages on the word of a server that has another way to ask for it.
        HEADER_MISMATCH | UNSUPPORTED_VERSION => INTERNAL_ERROR,
        code if MODERN.contains(&code) => INTERNAL_ERROR,
        code => code,
    })
}

/// The HTTP status of a modern answer that fails with this code: the transport names some, the others are answers like
/// any other.
pub const fn modern_status(code: i64) -> u16 {
    match code {
        METHOD_NOT_FOUND => 404,
        HEADER_MISMATCH | MISSING_CLIENT_CAPABILITY | UNSUPPORTED_VERSION => 400,
        _ => 200,
    }
}

fn translate(id: &str, error: &Object<'_>, map: impl Fn(i64) -> i64) -> (i64, Vec<u8>) {
    let original = error.get("code").and_then(|code| code.raw().parse().ok()).unwrap_or(INTERNAL_ERROR);
    let code = map(original);
    let mut inner = Writer::new(128);
    inner.raw("code", &code.to_string());
    match error.get("message") {
        Some(message) if message.text().is_some() => inner.raw("message", message.raw()),
        _ => inner.string("message", "the upstream server failed"),
    }
    match error.get("data") {
        Some(data) => inner.raw("data", Json::raw(data)),
        None if code != original => inner.raw("data", &format!("{{\"upstreamCode\":{original}}}")),
        None => {}
    }
    let mut message = Writer::message(192);
    message.raw("id", id);
    message.bytes("error", &inner.finish());
    (code, message.finish())
}
