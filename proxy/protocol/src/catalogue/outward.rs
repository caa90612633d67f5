//! A server's messages on their way out of an endpoint of several bindings: URIs and task ids get their binding's prefix.
//!
//! Rewritten are the URIs of resource links, of embedded resources and of what was read, of `notifications/resources/updated`
//! and of acknowledged subscriptions; the ids of tasks wherever a task stands, and of the task that a message says it belongs
//! to. `structuredContent` and texts are the tool's own and stay. A message without any of them stays byte for byte as it is.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Prefix;
use super::prefix::splice;
use super::rules::{self, Spot};
use crate::json::{Fault, Scanner, Value, ValueKind, unescape};
use crate::{JsonError, Limits};

// Made once: to make a finder costs more than to search a short message with it.
/// Ends of the keys of resources and tasks; `taskId` begins `taskIds`, too.
static NAMED: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [&b"uri\""[..], b"taskId", b"resourceSubscriptions\""].map(Finder::new));
static RELATED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"related-task"));
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));

/// Why a message cannot be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutwardError {
    /// It is not UTF-8, or larger than 4 GiB.
    #[error("no text of a message")]
    NotText,
    /// It is not strict JSON, or beyond a limit.
    #[error("{error} at byte {offset}")]
    Json {
        /// What is wrong.
        error: JsonError,
        /// Where.
        offset: usize,
    },
}

impl From<Fault> for OutwardError {
    fn from(fault: Fault) -> Self {
        Self::Json { error: fault.error, offset: fault.offset as usize }
    }
}

/// Names resources and tasks in a message of a binding as the endpoint names them.
///
/// # Errors
/// If the message has any and is not strict JSON.
pub fn outward<'a>(
    message: &'a [u8],
    prefix: &Prefix,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, OutwardError> {
    if !may_have(message, &*NAMED) {
        return Ok(Cow::Borrowed(message));
    }
    let text = decode(message)?;
    let mut edits: Vec<(usize, &str)> = Vec::new();
    let mut told: Vec<usize> = Vec::new();
    let mut has_id = false;
    rules::walk(text, Scanner::new(text, limits), rules::MESSAGE, &mut |spot, value| {
        // Behind the quote.
        let at = value.span.start as usize + 1;
        match spot {
            Spot::Uri => edits.push((at, prefix.of_uris())),
            Spot::Task => edits.push((at, prefix.of_names())),
            Spot::TaskTold => told.push(at),
            Spot::Id => has_id = true,
            Spot::Method => {}
        }
    })?;
    if !has_id {
        edits.extend(told.into_iter().map(|at| (at, prefix.of_names())));
        edits.sort_unstable_by_key(|(at, _)| *at);
    }
    if edits.is_empty() {
        return Ok(Cow::Borrowed(message));
    }
    Ok(Cow::Owned(insert(message, &edits)))
}

/// Names the task that a client's message says it belongs to as its upstream names it. A message without one stays as it is, and so
/// does an id without this binding's prefix.
///
/// # Errors
/// If the message has one and is not strict JSON.
pub fn unrelate<'a>(
    message: &'a [u8],
    prefix: &Prefix,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, OutwardError> {
    if !may_have(message, std::slice::from_ref(&*RELATED)) {
        return Ok(Cow::Borrowed(message));
    }
    let text = decode(message)?;
    let mut found: Option<Value> = None;
    rules::walk(text, Scanner::new(text, limits), rules::ANSWER, &mut |_, value| found = Some(value))?;
    let own = found.and_then(|value| {
        let escaped = value.kind == ValueKind::String { escaped: true };
        let id = unescape(rules::content(text, value.span), escaped);
        let own = id.strip_prefix(prefix.of_names())?;
        splice(message, value.span.range(), own)
    });
    Ok(own.map_or(Cow::Borrowed(message), Cow::Owned))
}

/// Whether one of the keys' ends may stand in a text, however the text spells it: an escape of a letter may be any of them.
fn may_have(message: &[u8], keys: &[Finder<'_>]) -> bool {
    keys.iter().any(|key| key.find(message).is_some())
        || ESCAPE.find_iter(message).any(|at| matches!(message.get(at + 4), Some(b'2'..=b'7')))
}

fn decode(message: &[u8]) -> Result<&str, OutwardError> {
    if message.len() >= u32::MAX as usize {
        return Err(OutwardError::NotText);
    }
    simdutf8::basic::from_utf8(message).map_err(|_| OutwardError::NotText)
}

/// `message` with texts inserted at places in ascending order.
fn insert(message: &[u8], edits: &[(usize, &str)]) -> Vec<u8> {
    let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut out = Vec::with_capacity(message.len() + more);
    let mut copied = 0;
    for &(at, text) in edits {
        out.extend_from_slice(message.get(copied..at).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        copied = at;
    }
    out.extend_from_slice(message.get(copied..).unwrap_or_default());
    out
}
