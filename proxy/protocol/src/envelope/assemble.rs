//! What a sound text means as a message: its shape, the types of its parts, its target.
//!
//! Sources: MCP `basic/index` ("Messages"), `server/tools`, `server/prompts`, `server/resources`,
//! `server/utilities/completion`, SEP-2663 (Tasks).

use std::borrow::Cow;
use std::ops::Range;

use super::parts::{Parts, is_exact_id};
use super::{Envelope, EnvelopeErrorKind as Kind, Message, Meta, Outcome, Spans, Target, TargetKind};
use crate::json::{Span, Value, ValueKind, unescape};
use crate::{Limits, Method, Revision};

/// What is wrong, and where.
type Refusal = (Kind, usize);

/// Makes an envelope of the parts of `text`.
pub(super) fn assemble<'a>(text: &'a str, parts: &Parts, limits: &Limits) -> Result<Envelope<'a>, Refusal> {
    let source = Source { text, limits };
    source.check_version(parts)?;
    let message = source.message(parts)?;
    let used = match &message {
        Message::Request { method, .. } | Message::Notification { method } => source.used(method, parts)?,
        Message::Response { .. } => Used::default(),
    };
    Ok(Envelope {
        message,
        target: used.target,
        arguments: used.arguments,
        meta: used.meta,
        requested_version: used.requested_version,
        request_state: used.request_state,
        spans: Spans {
            id: span(&parts.id),
            method: span(&parts.method),
            name: used.name,
            params: span(&parts.params),
            arguments: used.arguments.and(span(&parts.arguments)),
            meta: span(&parts.meta),
        },
    })
}

/// What a method uses of its parameters.
#[derive(Default)]
struct Used<'a> {
    target: Option<Target<'a>>,
    name: Option<Range<usize>>,
    arguments: Option<&'a str>,
    meta: Meta<'a>,
    requested_version: Option<Cow<'a, str>>,
    request_state: Option<Cow<'a, str>>,
}

/// A part that names a target.
struct Part<'p> {
    kind: TargetKind,
    path: &'static str,
    value: &'p Option<Value>,
}

struct Source<'a, 'l> {
    text: &'a str,
    limits: &'l Limits,
}

impl<'a> Source<'a, '_> {
    fn check_version(&self, parts: &Parts) -> Result<(), Refusal> {
        match &parts.jsonrpc {
            Some(value) if self.content(value).as_deref() == Some("2.0") => Ok(()),
            _ => Err((Kind::Version, start(&parts.jsonrpc))),
        }
    }

    fn message(&self, parts: &Parts) -> Result<Message<'a>, Refusal> {
        let id = self.id(parts)?;
        let outcome = match (&parts.result, &parts.error) {
            (None, None) => None,
            (Some(_), None) => Some(Outcome::Result),
            (None, Some(_)) => Some(Outcome::Error),
            (Some(_), Some(error)) => return Err((Kind::Mixed, error.span.start as usize)),
        };
        match (&parts.method, outcome, id) {
            (None, None, _) => Err((Kind::Shapeless, 0)),
            (Some(method), Some(_), _) => Err((Kind::Mixed, method.span.start as usize)),
            (Some(value), None, id) => self.call(value, id),
            (None, Some(outcome), id) => self.response(parts, outcome, id),
        }
    }

    /// A request or notification.
    fn call(&self, value: &Value, id: Option<&'a str>) -> Result<Message<'a>, Refusal> {
        let max = self.limits.method_bytes_max;
        let method = Method::parse(self.bounded("method", value, max)?);
        match (id, method.is_notification()) {
            (Some(id), false) => Ok(Message::Request { id, method }),
            (Some(_), true) => Err((Kind::IdUnexpected, value.span.start as usize)),
            (None, true) => Ok(Message::Notification { method }),
            // Of an unknown method it is not known that it wants an answer.
            (None, false) if matches!(method, Method::Other(_)) => Ok(Message::Notification { method }),
            (None, false) => Err((Kind::IdMissing, value.span.start as usize)),
        }
    }

    fn response(&self, parts: &Parts, outcome: Outcome, id: Option<&'a str>) -> Result<Message<'a>, Refusal> {
        if let Some(params) = &parts.params {
            return Err((Kind::Mixed, params.span.start as usize));
        }
        match outcome {
            Outcome::Result if id.is_none() => return Err((Kind::IdMissing, 0)),
            Outcome::Result => self.object("result", &parts.result)?,
            Outcome::Error => self.object("error", &parts.error)?,
        };
        Ok(Message::Response { id, outcome })
    }

    fn id(&self, parts: &Parts) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = &parts.id else { return Ok(None) };
        let raw = self.raw(value.span);
        if !is_exact_id(value.kind, raw) {
            return Err((Kind::Id, value.span.start as usize));
        }
        let max = self.limits.id_bytes_max;
        if raw.len() > max {
            return Err((Kind::TooLong { part: "id", max }, value.span.start as usize));
        }
        Ok(Some(raw))
    }

    fn used(&self, method: &Method<'_>, parts: &Parts) -> Result<Used<'a>, Refusal> {
        self.object("params", &parts.params)?;
        let mut used = Used { meta: self.meta(parts)?, ..Used::default() };
        if let Some(Part { kind, path, value }) = self.target_part(method, parts)? {
            match value {
                Some(value) => {
                    let name = self.bounded(path, value, self.limits.name_bytes_max)?;
                    used.target = Some(Target { kind, name });
                    used.name = Some(value.span.range());
                }
                None if is_of_another_revision(method, &used.meta) => {}
                None => return Err((Kind::Missing { part: path }, start(&parts.params))),
            }
        }
        if matches!(method, Method::ToolsCall | Method::PromptsGet) {
            used.arguments = self.object("params.arguments", &parts.arguments)?;
        }
        if matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead) {
            used.request_state = self.string("params.requestState", &parts.request_state)?;
        }
        if *method == Method::Initialize {
            used.requested_version = self.string("params.protocolVersion", &parts.requested_version)?;
        }
        Ok(used)
    }

    /// The part that says what the method is applied to, if the method is applied to something.
    fn target_part<'p>(&self, method: &Method<'_>, parts: &'p Parts) -> Result<Option<Part<'p>>, Refusal> {
        if *method == Method::CompletionComplete {
            return self.reference(parts).map(Some);
        }
        Ok(method.target_kind().map(|kind| match kind {
            TargetKind::Tool | TargetKind::Prompt => Part { kind, path: "params.name", value: &parts.name },
            TargetKind::Resource => Part { kind, path: "params.uri", value: &parts.uri },
            TargetKind::Task => Part { kind, path: "params.taskId", value: &parts.task_id },
        }))
    }

    /// The part of `params.ref` that says what is completed.
    fn reference<'p>(&self, parts: &'p Parts) -> Result<Part<'p>, Refusal> {
        let missing = |part| (Kind::Missing { part }, start(&parts.params));
        self.object("params.ref", &parts.reference)?.ok_or_else(|| missing("params.ref"))?;
        let kind = self.string("params.ref.type", &parts.reference_type)?;
        match kind.as_deref() {
            Some("ref/prompt") => {
                Ok(Part { kind: TargetKind::Prompt, path: "params.ref.name", value: &parts.reference_name })
            }
            Some("ref/resource") => {
                Ok(Part { kind: TargetKind::Resource, path: "params.ref.uri", value: &parts.reference_uri })
            }
            Some(_) => {
                let expected = "`ref/prompt` or `ref/resource`";
                Err((Kind::WrongType { part: "params.ref.type", expected }, start(&parts.reference_type)))
            }
            None => Err(missing("params.ref.type")),
        }
    }

    fn meta(&self, parts: &Parts) -> Result<Meta<'a>, Refusal> {
        self.object("params._meta", &parts.meta)?;
        let tracing = |value: &Option<Value>| value.as_ref().and_then(|value| self.content(value));
        Ok(Meta {
            protocol_version: self
                .string("params._meta.io.modelcontextprotocol/protocolVersion", &parts.protocol_version)?,
            client_capabilities: self.object(
                "params._meta.io.modelcontextprotocol/clientCapabilities",
                &parts.client_capabilities,
            )?,
            progress_token: self.progress_token(parts)?,
            traceparent: tracing(&parts.traceparent),
            tracestate: tracing(&parts.tracestate),
        })
    }

    fn progress_token(&self, parts: &Parts) -> Result<Option<&'a str>, Refusal> {
        let part = "params._meta.progressToken";
        match &parts.progress_token {
            None => Ok(None),
            Some(value) if matches!(value.kind, ValueKind::String { .. } | ValueKind::Number { .. }) => {
                Ok(Some(self.raw(value.span)))
            }
            Some(value) => {
                Err((Kind::WrongType { part, expected: "a string or a number" }, value.span.start as usize))
            }
        }
    }

    /// The raw text of a part that is an object, if there at all.
    fn object(&self, part: &'static str, value: &Option<Value>) -> Result<Option<&'a str>, Refusal> {
        match value {
            None => Ok(None),
            Some(Value { kind: ValueKind::Object, span }) => Ok(Some(self.raw(*span))),
            Some(value) => Err((Kind::WrongType { part, expected: "an object" }, value.span.start as usize)),
        }
    }

    /// The unescaped text of a part that is a string, if there at all.
    fn string(&self, part: &'static str, value: &Option<Value>) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(value) = value else { return Ok(None) };
        match self.content(value) {
            Some(content) => Ok(Some(content)),
            None => Err((Kind::WrongType { part, expected: "a string" }, value.span.start as usize)),
        }
    }

    fn bounded(&self, part: &'static str, value: &Value, max: usize) -> Result<Cow<'a, str>, Refusal> {
        let wrong = || (Kind::WrongType { part, expected: "a string" }, value.span.start as usize);
        if value.span.range().len().saturating_sub(2) > max {
            return Err((Kind::TooLong { part, max }, value.span.start as usize));
        }
        self.content(value).ok_or_else(wrong)
    }

    fn content(&self, value: &Value) -> Option<Cow<'a, str>> {
        let ValueKind::String { escaped } = value.kind else { return None };
        let content = self.raw(value.span).strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, escaped))
    }

    /// INVARIANT: spans come from the scanner and lie on character boundaries of the text.
    fn raw(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

fn span(value: &Option<Value>) -> Option<Range<usize>> {
    value.map(|value| value.span.range())
}

/// Where a part begins, to point at; the whole message if it is missing.
fn start(value: &Option<Value>) -> usize {
    value.as_ref().map_or(0, |value| value.span.start as usize)
}

/// A method that the revision in `_meta` does not have is no method there: who calls it is told so, not that its
/// parameters are wrong.
fn is_of_another_revision(method: &Method<'_>, meta: &Meta<'_>) -> bool {
    let revision = meta.protocol_version.as_deref().and_then(|text| text.parse::<Revision>().ok());
    revision.is_some_and(|revision| !matches!(method, Method::Other(_)) && !method.is_client_method(revision))
}
