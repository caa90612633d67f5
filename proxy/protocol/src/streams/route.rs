//! Ids that find their way back: several upstreams share one client, and no instance remembers who asked it what.
//!
//! A request of an upstream to the client goes out under the id `"<binding>:<the raw JSON of its own id>"`, and its progress
//! token likewise. Whatever the client sends in answer says by that where it belongs, and gets the upstream's own back.

use std::borrow::Cow;
use std::ops::Range;

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

/// How the things of a binding are called at the client's endpoint.
pub struct Names<'a> {
    /// The binding's id.
    pub binding: &'a str,
    /// A resource, by the upstream's own URI.
    pub uri: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// A task, by the upstream's own id.
    pub task: &'a (dyn Fn(&str) -> String + Send + Sync),
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

const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// A message of a session's stream for a client that several bindings share: ids of requests, progress tokens, and the URIs and
/// task ids of notifications become those of the endpoint.
///
/// # Errors
/// If it cannot go out.
pub fn outward<'a>(
    message: &'a str,
    names: &Names<'_>,
    limits: &Limits,
) -> Result<Cow<'a, str>, OutwardError> {
    let paths: [&[&str]; 7] = [
        &["id"],
        &["method"],
        &["params", "_meta", "progressToken"],
        &["params", "requestId"],
        &["params", "uri"],
        &["params", "taskId"],
        &["params", "_meta", RELATED_TASK, "taskId"],
    ];
    let [id, method, progress, cancelled, uri, task, related] = raw::find(message, paths, limits)?;
    let Some(method) = method.as_ref().and_then(Raw::as_str) else { return Ok(message.into()) };
    let mut edits = Edits::default();
    if id.is_some() {
        for id in [id, progress].into_iter().flatten().filter(Raw::is_id) {
            edits.route(names.binding, &id, limits)?;
        }
    } else if let Some(id) = cancelled.filter(|id| method == "notifications/cancelled" && id.is_id()) {
        edits.route(names.binding, &id, limits)?;
    }
    edits.rename(uri.filter(|_| method == "notifications/resources/updated"), names.uri);
    edits.rename(task.filter(|_| method.starts_with("notifications/tasks")), names.task);
    edits.rename(related, names.task);
    Ok(edits.apply(message))
}

/// What a client says to one of the upstreams that share it: the answer to a request, or progress on it. None if it names none
/// of them.
///
/// # Errors
/// If it is not strict JSON.
pub fn inward(message: &str, prefixed: bool, limits: &Limits) -> Result<Option<Routed>, JsonError> {
    let paths: [&[&str]; 4] =
        [&["id"], &["method"], &["params", "progressToken"], &["result", "_meta", RELATED_TASK, "taskId"]];
    let [id, method, progress, related] = raw::find(message, paths, limits)?;
    let place = match method.as_ref().and_then(Raw::as_str) {
        None if method.is_none() => id,
        Some(method) if method == "notifications/progress" && id.is_none() => progress,
        _ => None,
    };
    let Some((place, routed)) =
        place.and_then(|place| Some((place.clone(), RoutedId::parse(place.text, limits)?)))
    else {
        return Ok(None);
    };
    let mut edits = Edits::default();
    edits.0.push((place.span, routed.raw.into()));
    let own = |task: &str| {
        let own = task.strip_prefix(&*routed.binding).and_then(|rest| rest.strip_prefix('.'));
        own.filter(|_| prefixed).unwrap_or(task).to_owned()
    };
    edits.rename(related, &own);
    let message = edits.apply(message).into_owned();
    Ok(Some(Routed { binding: routed.binding, message }))
}

/// What is to be replaced in a message.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn route(&mut self, binding: &str, id: &Raw<'_>, limits: &Limits) -> Result<(), OutwardError> {
        let routed = RoutedId::encode(binding, id.text, limits).ok_or(OutwardError::IdTooLong)?;
        self.0.push((id.span.clone(), routed));
        Ok(())
    }

    fn rename(&mut self, own: Option<Raw<'_>>, name: &dyn Fn(&str) -> String) {
        if let Some(own) = own
            && let Some(text) = own.as_str()
        {
            self.0.push((own.span, raw::string(&name(&text))));
        }
    }

    fn apply(self, message: &str) -> Cow<'_, str> {
        if self.0.is_empty() { Cow::Borrowed(message) } else { Cow::Owned(raw::splice_all(message, self.0)) }
    }
}

#[cfg(test)]
mod tests;
