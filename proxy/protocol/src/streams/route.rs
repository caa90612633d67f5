//! Ids that find their way back: several upstreams share one client, and no instance remembers who asked it what.
//!
//! A request of an upstream to the client goes out under the id `"<binding>:<the raw JSON of its own id>"`, and its progress
//! token likewise. Whatever the client sends in answer says by that where it belongs, and gets the upstream's own back.

use std::borrow::Cow;

use crate::raw::{self, Raw};
use crate::{JsonError, Limits};

use super::is_binding;

/// The id or progress token of an upstream's request, as it lies in the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedId {
    /// Whose it is.
    pub binding: Box<str>,
    /// The upstream's own, as raw JSON.
    pub raw: Box<str>,
}

impl RoutedId {
    /// The raw JSON for the client; none if it would be longer than an id may be.
    pub fn encode(binding: &str, raw: &str, limits: &Limits) -> Option<String> {
        let id = raw::string(&format!("{binding}:{raw}"));
        (is_binding(binding) && id.len() <= limits.id_bytes_max).then_some(id)
    }

    /// Reads what a client sends back, as raw JSON; none if it is nothing of ours.
    pub fn parse(raw: &str, limits: &Limits) -> Option<Self> {
        let [id] = raw::find(raw, [&[]], limits).ok()?;
        let text = id?.as_str()?;
        let (binding, own) = text.split_once(':')?;
        // What is spliced into a message must be one id and nothing else.
        let [own] = raw::find(own, [&[]], limits).ok()?;
        let own = own.filter(Raw::is_id)?;
        is_binding(binding).then(|| Self { binding: binding.into(), raw: own.text.into() })
    }
}

/// Why a message cannot go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutwardError {
    /// It is not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Its id leaves no room for the binding's.
    #[error("the id of a request is too long to be passed on")]
    IdTooLong,
}

/// A client's answer, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The binding that asked.
    pub binding: Box<str>,
    /// The answer as that upstream understands it.
    pub message: String,
}

/// A message of a session's stream for a client that several bindings share: ids of requests and progress tokens become routed
/// ones.
///
/// # Errors
/// If it cannot go out.
pub fn outward<'a>(message: &'a str, binding: &str, limits: &Limits) -> Result<Cow<'a, str>, OutwardError> {
    let paths: [&[&str]; 4] =
        [&["id"], &["method"], &["params", "_meta", "progressToken"], &["params", "requestId"]];
    let [id, method, progress, cancelled] = raw::find(message, paths, limits)?;
    let Some(method) = method.as_ref().and_then(Raw::as_str) else { return Ok(message.into()) };
    let ids = match (id, method.as_ref()) {
        (Some(id), _) => [Some(id), progress],
        (None, "notifications/cancelled") => [cancelled, None],
        _ => [None, None],
    };
    let mut edits = Vec::new();
    for id in ids.into_iter().flatten().filter(Raw::is_id) {
        let routed = RoutedId::encode(binding, id.text, limits).ok_or(OutwardError::IdTooLong)?;
        edits.push((id.span, routed));
    }
    Ok(if edits.is_empty() { message.into() } else { raw::splice_all(message, edits).into() })
}

/// What a client says to one of the upstreams that share it: the answer to a request, or progress on it. None if it names none
/// of them.
///
/// # Errors
/// If it is not strict JSON.
pub fn inward(message: &str, limits: &Limits) -> Result<Option<Routed>, JsonError> {
    let paths: [&[&str]; 3] = [&["id"], &["method"], &["params", "progressToken"]];
    let [id, method, progress] = raw::find(message, paths, limits)?;
    let place = match method.as_ref().map(Raw::as_str) {
        None => id,
        Some(Some(method)) if method == "notifications/progress" && id.is_none() => progress,
        Some(_) => None,
    };
    Ok(place.and_then(|place| {
        let routed = RoutedId::parse(place.text, limits)?;
        let message = raw::splice(message, place.span, &routed.raw);
        Some(Routed { binding: routed.binding, message })
    }))
}

#[cfg(test)]
mod tests;
