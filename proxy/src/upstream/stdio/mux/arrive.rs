//! What the process says: whose it is, with the caller's own id and token in place of ours.

use bytes::Bytes;
use mcpg_protocol::raw::{self, Raw};
use mcpg_protocol::streams::SUBSCRIPTION_ID;
use mcpg_protocol::{JsonError, Method};

use super::{Audience, Mux, framed, method_of};

/// What is to be done with a message of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Arrived {
    /// It is a request's; with `last` nothing follows.
    Of {
        /// The request.
        number: u64,
        /// The message as the caller must read it.
        message: Bytes,
        /// Whether it ends the request.
        last: bool,
    },
    /// It is the one caller's, but no request's.
    OfCaller {
        /// The message.
        message: Bytes,
        /// Its id, if it wants an answer.
        asks: Option<Box<str>>,
        /// Whether it says that a list changed.
        list_changed: bool,
    },
    /// It concerns everybody: that a list or a resource changed.
    OfAll(Bytes),
    /// The gateway answers it: the line to write.
    Answered(Bytes),
    /// A log message, which is for the operator only.
    Log(Bytes),
    /// It is nobody's.
    Dropped(Stray),
}

/// Why a message is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Stray {
    /// No message.
    Invalid,
    /// An answer to what was never asked, or was answered before.
    Unasked,
    /// An answer to what nobody wants any more.
    Late,
    /// A notification of which it is not known whose it is.
    Unknown,
}

/// The parts of a message that tell whose it is.
struct Parts<'a> {
    id: Option<Raw<'a>>,
    method: Option<Raw<'a>>,
    result: bool,
    error: bool,
    /// `params.progressToken`
    token: Option<Raw<'a>>,
    /// `params.requestId`
    request: Option<Raw<'a>>,
    /// The tag of a subscription, in the parameters or in the result.
    tag: Option<Raw<'a>>,
}

impl<T> Mux<T> {
    /// Takes a line of the process: one message, or several (2025-03-26 has batches).
    pub(in super::super) fn arrived(&mut self, line: &Bytes) -> Vec<Arrived> {
        let Ok(text) = str::from_utf8(line) else { return vec![Arrived::Dropped(Stray::Invalid)] };
        if !text.trim_start().starts_with('[') {
            return vec![self.message(text)];
        }
        match raw::elements(text, &self.limits) {
            Ok(elements) if !elements.is_empty() => {
                elements.iter().map(|element| self.message(element.text)).collect()
            }
            _ => vec![Arrived::Dropped(Stray::Invalid)],
        }
    }

    fn message(&mut self, text: &str) -> Arrived {
        let Ok(parts) = self.parts(text) else { return Arrived::Dropped(Stray::Invalid) };
        match (&parts.method, &parts.id) {
            (Some(method), Some(id)) if id.is_id() => self.asked(text, method, id),
            (Some(method), None) => self.told(text, method, &parts),
            (None, Some(id)) if parts.result != parts.error => self.answered(text, id, &parts),
            _ => Arrived::Dropped(Stray::Invalid),
        }
    }

    fn parts<'a>(&self, text: &'a str) -> Result<Parts<'a>, JsonError> {
        let paths: [&[&str]; 8] = [
            &["id"],
            &["method"],
            &["result"],
            &["error"],
            &["params", "progressToken"],
            &["params", "requestId"],
            &["params", "_meta", SUBSCRIPTION_ID],
            &["result", "_meta", SUBSCRIPTION_ID],
        ];
        let [id, method, result, error, token, request, tag, tag_of_result] =
            raw::find(text, paths, &self.limits)?;
        let (result, error) = (result.is_some(), error.is_some());
        Ok(Parts { id, method, result, error, token, request, tag: tag.or(tag_of_result) })
    }

    fn answered(&mut self, text: &str, id: &Raw<'_>, parts: &Parts<'_>) -> Arrived {
        let Some(number) = number(id) else { return Arrived::Dropped(Stray::Unasked) };
        let Some(call) = self.calls.get(&number) else {
            let late = self.forgotten.contains(&number);
            return Arrived::Dropped(if late { Stray::Late } else { Stray::Unasked });
        };
        let mut edits = vec![(id.span.clone(), call.id.to_string())];
        edits.extend(
            parts
                .tag
                .iter()
                .filter(|tag| tag.text == id.text)
                .map(|tag| (tag.span.clone(), call.id.to_string())),
        );
        Arrived::Of { number, message: raw::splice_all(text, edits).into(), last: true }
    }

    fn told(&mut self, text: &str, method: &Raw<'_>, parts: &Parts<'_>) -> Arrived {
        let Some(method) = method_of(method) else { return Arrived::Dropped(Stray::Invalid) };
        match (&method, &parts.tag, &parts.token, &parts.request) {
            (_, Some(tag), ..) => self.tagged(text, &method, tag, parts),
            (Method::Progress, _, Some(token), _) => self.progressed(text, token),
            (Method::Cancelled, .., Some(request)) if !self.in_session => self.torn_down(text, request),
            _ => self.unattributed(text, &method),
        }
    }

    /// A message on a subscription's stream.
    fn tagged(&self, text: &str, method: &Method<'_>, tag: &Raw<'_>, parts: &Parts<'_>) -> Arrived {
        let Some((number, call)) = number(tag).and_then(|number| self.calls.get_key_value(&number)) else {
            return Arrived::Dropped(Stray::Late);
        };
        let mut edits = vec![(tag.span.clone(), call.id.to_string())];
        let ends = *method == Method::Cancelled;
        let request = parts.request.iter().filter(|request| ends && request.text == tag.text);
        edits.extend(request.map(|request| (request.span.clone(), call.id.to_string())));
        Arrived::Of { number: *number, message: raw::splice_all(text, edits).into(), last: ends }
    }

    fn progressed(&self, text: &str, token: &Raw<'_>) -> Arrived {
        let call = number(token).and_then(|number| self.calls.get_key_value(&number));
        let Some((number, own)) = call.and_then(|(number, call)| Some((*number, call.token.as_ref()?)))
        else {
            return Arrived::Dropped(Stray::Late);
        };
        let message = raw::splice(text, token.span.clone(), own).into();
        Arrived::Of { number, message, last: false }
    }

    /// A subscription that the process ends.
    fn torn_down(&self, text: &str, request: &Raw<'_>) -> Arrived {
        let Some((number, call)) = number(request).and_then(|number| self.calls.get_key_value(&number))
        else {
            return Arrived::Dropped(Stray::Late);
        };
        let message = raw::splice(text, request.span.clone(), &call.id).into();
        Arrived::Of { number: *number, message, last: true }
    }

    fn unattributed(&self, text: &str, method: &Method<'_>) -> Arrived {
        let list_changed = matches!(
            method,
            Method::ToolsListChanged | Method::PromptsListChanged | Method::ResourcesListChanged
        );
        let message = || Bytes::copy_from_slice(text.as_bytes());
        match (self.audience, method) {
            (Audience::One, _) => Arrived::OfCaller { message: message(), asks: None, list_changed },
            (Audience::Many, Method::ResourcesUpdated) => Arrived::OfAll(message()),
            (Audience::Many, _) if list_changed => Arrived::OfAll(message()),
            // What is logged of one caller's request is not for the others.
            (Audience::Many, Method::LogMessage) => Arrived::Log(message()),
            (Audience::Many, _) => Arrived::Dropped(Stray::Unknown),
        }
    }

    /// The process asks. Only the client of a session can answer; `ping` the gateway answers itself.
    fn asked(&self, text: &str, method: &Raw<'_>, id: &Raw<'_>) -> Arrived {
        if method_of(method) == Some(Method::Ping) {
            return Arrived::Answered(framed(format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
                id.text
            )));
        }
        if self.audience == Audience::One && self.in_session {
            let message = Bytes::copy_from_slice(text.as_bytes());
            return Arrived::OfCaller { message, asks: Some(id.text.into()), list_changed: false };
        }
        Arrived::Answered(refusal(id.text))
    }
}

impl Stray {
    /// A stable word for metrics.
    pub(in super::super) const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unasked => "unasked",
            Self::Late => "late",
            Self::Unknown => "unknown",
        }
    }
}

/// The answer to what nobody can answer: no client of this process has the capability.
pub(in super::super) fn refusal(id: &str) -> Bytes {
    framed(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no client can be asked here"}}}}"#
    ))
}

/// A number of ours, exactly as we write it.
fn number(raw: &Raw<'_>) -> Option<u64> {
    let number = raw.text.parse::<u64>().ok()?;
    (number.to_string() == raw.text).then_some(number)
}
