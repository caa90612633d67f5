//! What a server asks its client: a request of its own in the era of sessions, an entry of `inputRequests` in the modern one.
//!
//! The parameters are the same but for these: `task` and a progress token belong to a request; a URL elicitation has an
//! `elicitationId` in 2025-11-25 and none later. 2025-06-18 has forms only, and no tools in sampling; 2025-03-26 has no
//! elicitation at all: those are not asked (`Capabilities`).
//!
//! Sources: MCP 2026-07-28 `basic/patterns/mrtr`, `client/*`; 2025-11-25 `client/*`.

use std::borrow::Cow;

use super::object::{Json, Object, Writer, free_meta};
use super::{BridgeError, Capability, Impossible, Packet};
use crate::{Limits, Method, Revision};

/// How much one answer of a server may ask.
const QUESTIONS_MAX: usize = 64;
/// A key of `inputRequests` longer than this is nobody's.
const KEY_BYTES_MAX: usize = 256;

/// A question of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// What is asked.
    pub kind: AskKind,
    params: Object<'a>,
    limits: Limits,
}

/// The kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// `roots/list`.
    Roots,
    /// `sampling/createMessage`.
    Sampling {
        /// Whether with tools.
        tools: bool,
    },
    /// `elicitation/create` with a form.
    Form,
    /// `elicitation/create` with a URL.
    Url,
}

/// The entries of `inputRequests`, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InputRequests<'a> {
    entries: Vec<(Cow<'a, str>, Ask<'a>)>,
}

impl AskKind {
    /// What the client must have declared.
    pub const fn capability(self) -> Capability {
        match self {
            Self::Roots => Capability::Roots,
            Self::Sampling { tools: false } => Capability::Sampling,
            Self::Sampling { tools: true } => Capability::SamplingTools,
            Self::Form => Capability::ElicitationForm,
            Self::Url => Capability::ElicitationUrl,
        }
    }

    /// The method as the wire writes it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Roots => "roots/list",
            Self::Sampling { .. } => "sampling/createMessage",
            Self::Form | Self::Url => "elicitation/create",
        }
    }
}

impl<'a> Ask<'a> {
    /// Reads a question.
    ///
    /// # Errors
    /// For methods that ask the client nothing, and for parameters without what the question is about.
    pub fn read(method: &Method<'_>, params: Object<'a>, limits: &Limits) -> Result<Self, BridgeError> {
        let kind = match method {
            Method::RootsList => AskKind::Roots,
            Method::SamplingCreateMessage => sampling(&params)?,
            Method::ElicitationCreate => elicitation(&params)?,
            _ => return Err(Impossible::Question.into()),
        };
        Ok(Self { kind, params, limits: *limits })
    }

    /// Reads a request of a legacy server.
    ///
    /// # Errors
    /// As [`Ask::read`], and for messages that are no requests.
    pub fn of_packet(packet: &Packet<'a>, limits: &Limits) -> Result<Self, BridgeError> {
        match packet {
            Packet::Request { method, params, .. } => Self::read(method, params.clone(), limits),
            _ => Err(BridgeError::Shape("method")),
        }
    }

    /// `elicitationId` of a legacy URL elicitation.
    pub fn elicitation_id(&self) -> Option<Cow<'a, str>> {
        self.params.get("elicitationId").and_then(Json::text)
    }

    /// The question as an entry of `inputRequests`: the raw text of an object.
    pub fn to_input_request(&self) -> Vec<u8> {
        let mut writer = Writer::new(256);
        writer.string("method", self.kind.method());
        let params = self.shared_params();
        if self.kind != AskKind::Roots || !params.is_empty() {
            writer.bytes("params", &params.finish());
        }
        writer.finish()
    }

    /// The question as a request of a legacy server. `id` is raw JSON text; `elicitation_id` tells URL elicitations apart.
    ///
    /// # Errors
    /// If the client's revision has no such question.
    pub fn to_request(
        &self,
        id: &str,
        client: Revision,
        elicitation_id: &str,
    ) -> Result<Vec<u8>, Impossible> {
        let since = match self.kind {
            AskKind::Roots | AskKind::Sampling { tools: false } => Revision::V2025_03_26,
            AskKind::Form => Revision::V2025_06_18,
            AskKind::Url | AskKind::Sampling { tools: true } => Revision::V2025_11_25,
        };
        if client < since {
            return Err(Impossible::Question);
        }
        let mut message = Writer::message(256);
        message.raw("id", id);
        message.string("method", self.kind.method());
        let mut params = self.shared_params();
        if self.kind == AskKind::Url {
            params.string("elicitationId", elicitation_id);
        }
        if !params.is_empty() {
            message.bytes("params", &params.finish());
        }
        Ok(message.finish())
    }

    /// The parameters that both eras have.
    fn shared_params(&self) -> Writer {
        let mut writer = Writer::new(256);
        for member in self.params.iter() {
            match member.key.as_ref() {
                "task" | "elicitationId" => {}
                "_meta" => {
                    let meta = free_meta(Some(member.value), &["progressToken"], &self.limits);
                    writer.unless_empty("_meta", meta);
                }
                _ => writer.copy(member),
            }
        }
        writer
    }
}

impl<'a> InputRequests<'a> {
    /// Reads `inputRequests`.
    ///
    /// # Errors
    /// For what is none, too many of them, and questions that there are not.
    pub fn parse(requests: Json<'a>, limits: &Limits) -> Result<Self, BridgeError> {
        let wrong = BridgeError::Shape("result.inputRequests");
        let object = requests.object(limits).ok_or(wrong)?;
        if object.len() > QUESTIONS_MAX {
            return Err(wrong);
        }
        let mut entries = Vec::with_capacity(object.len());
        for member in object.iter() {
            let request = member.value.object(limits).ok_or(wrong)?;
            let method = request.get("method").and_then(Json::text).ok_or(wrong)?;
            let params = match request.get("params") {
                None => Object::default(),
                Some(params) => params.object(limits).ok_or(wrong)?,
            };
            if member.key.len() > KEY_BYTES_MAX {
                return Err(wrong);
            }
            entries.push((member.key.clone(), Ask::read(&Method::parse(method), params, limits)?));
        }
        Ok(Self { entries })
    }

    /// Keys and questions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Ask<'a>)> {
        self.entries.iter().map(|(key, ask)| (key.as_ref(), ask))
    }

    /// How many questions there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The elicitations that -32042 of 2025-11-25 requires before the request can be repeated.
///
/// # Errors
/// If the error names none, or others than by URL.
pub fn url_elicitations<'a>(error: &Object<'a>, limits: &Limits) -> Result<Vec<Ask<'a>>, BridgeError> {
    let wrong = BridgeError::Shape("error.data.elicitations");
    let data = error.get("data").and_then(|data| data.object(limits)).ok_or(wrong)?;
    let listed = data.get("elicitations").and_then(|listed| listed.array(limits)).ok_or(wrong)?;
    if listed.is_empty() || listed.len() > QUESTIONS_MAX {
        return Err(wrong);
    }
    let ask = |params: Json<'a>| {
        let params = params.object(limits).ok_or(wrong)?;
        match Ask::read(&Method::ElicitationCreate, params, limits)? {
            ask if ask.kind == AskKind::Url => Ok(ask),
            _ => Err(wrong),
        }
    };
    listed.into_iter().map(ask).collect()
}

/// The answer `input_required` to a modern request. `id` is raw JSON text; `requests` are keys and what
/// [`Ask::to_input_request`] wrote.
pub fn write_input_required<'r>(
    id: &str,
    requests: impl IntoIterator<Item = (&'r str, &'r [u8])>,
    state: &str,
) -> Vec<u8> {
    let mut entries = Writer::new(256);
    requests.into_iter().for_each(|(key, request)| entries.bytes(key, request));
    let mut result = Writer::new(512);
    result.string("resultType", "input_required");
    if !entries.is_empty() {
        result.bytes("inputRequests", &entries.finish());
    }
    result.string("requestState", state);
    let mut message = Writer::message(512);
    message.raw("id", id);
    message.bytes("result", &result.finish());
    message.finish()
}

fn sampling(params: &Object<'_>) -> Result<AskKind, BridgeError> {
    if !params.get("messages").is_some_and(Json::is_array) {
        return Err(BridgeError::Shape("params.messages"));
    }
    Ok(AskKind::Sampling { tools: params.get("tools").is_some() || params.get("toolChoice").is_some() })
}

fn elicitation(params: &Object<'_>) -> Result<AskKind, BridgeError> {
    let mode = match params.get("mode") {
        None => None,
        Some(mode) => Some(mode.text().ok_or(BridgeError::Shape("params.mode"))?),
    };
    let has = |key: &'static str, found: bool| found.then_some(()).ok_or(BridgeError::Shape(key));
    has("params.message", params.get("message").and_then(Json::text).is_some())?;
    match mode.as_deref() {
        None | Some("form") => {
            has("params.requestedSchema", params.get("requestedSchema").is_some_and(Json::is_object))?;
            Ok(AskKind::Form)
        }
        Some("url") => {
            has("params.url", params.get("url").and_then(Json::text).is_some())?;
            Ok(AskKind::Url)
        }
        Some(_) => Err(Impossible::Question.into()),
    }
}
