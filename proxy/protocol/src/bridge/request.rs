//! A client's request in the other era.
//!
//! What the request is about stays as it is written. What changes: the id (ours towards the upstream), `_meta`, and the
//! parameters that mean something in one era only.

use std::borrow::Cow;

use super::object::{Json, Member, Object, RESERVED, Writer};
use super::{BridgeError, Impossible, LogLevel};
use crate::{Limits, Method, Revision};

/// A request of a client, already judged.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    id: Json<'a>,
    method: Method<'a>,
    params: Object<'a>,
    meta: Object<'a>,
    has_params: bool,
}

/// What a modern request says of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModernMeta<'a> {
    /// `clientCapabilities`: the raw text of an object, as modern revisions write it.
    pub capabilities: &'a str,
    /// `clientInfo`: the raw text of an object.
    pub info: &'a str,
    /// The least grave log messages that are wanted; none at all without.
    pub log_level: Option<LogLevel>,
}

/// What the repetition of a request brings to a modern server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry<'a> {
    /// `inputResponses`: the raw text of an object.
    pub input_responses: Option<&'a str>,
    /// `requestState`: the raw text of a string, exactly as the server wrote it.
    pub request_state: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// For what is no request; [`crate::Envelope::parse`] says better what is wrong.
    pub fn parse(body: &'a [u8], limits: &Limits) -> Result<Self, BridgeError> {
        let message = Object::parse_bytes(body, limits)?;
        let id = message.get("id").filter(|id| id.is_token()).ok_or(BridgeError::Shape("id"))?;
        let method = message.get("method").and_then(Json::text).ok_or(BridgeError::Shape("method"))?;
        let raw = message.get("params");
        let params = match raw {
            None => Object::default(),
            Some(params) => params.object(limits).ok_or(BridgeError::Shape("params"))?,
        };
        let meta = match params.get("_meta") {
            None => Object::default(),
            Some(meta) => meta.object(limits).ok_or(BridgeError::Shape("params._meta"))?,
        };
        Ok(Self { id, method: Method::parse(method), params, meta, has_params: raw.is_some() })
    }

    /// The id, exactly as received.
    pub fn id(&self) -> Json<'a> {
        self.id
    }

    /// The method.
    pub fn method(&self) -> &Method<'a> {
        &self.method
    }

    /// A parameter.
    pub fn param(&self, key: &str) -> Option<Json<'a>> {
        self.params.get(key)
    }

    /// The token that progress is reported under.
    pub fn progress_token(&self) -> Option<Json<'a>> {
        self.meta.get("progressToken").filter(|token| token.is_token())
    }

    /// `io.modelcontextprotocol/logLevel` of a modern request.
    ///
    /// # Errors
    /// For a level that there is not.
    pub fn log_level(&self) -> Result<Option<LogLevel>, BridgeError> {
        let wrong = BridgeError::Shape("params._meta.io.modelcontextprotocol/logLevel");
        let Some(level) = self.meta.get("io.modelcontextprotocol/logLevel") else { return Ok(None) };
        let text = level.text().ok_or(wrong)?;
        text.parse().map(Some).map_err(|_| wrong)
    }

    /// `io.modelcontextprotocol/clientInfo` of a modern request: the raw text of an object.
    pub fn client_info(&self) -> Option<&'a str> {
        self.meta.get("io.modelcontextprotocol/clientInfo").filter(|it| it.is_object()).map(Json::raw)
    }

    /// `io.modelcontextprotocol/clientCapabilities` of a modern request: the raw text of an object.
    pub fn client_capabilities(&self) -> Option<&'a str> {
        self.meta.get("io.modelcontextprotocol/clientCapabilities").filter(|it| it.is_object()).map(Json::raw)
    }

    /// `requestState` of a repetition, unescaped.
    pub fn request_state(&self) -> Option<Cow<'a, str>> {
        self.params.get("requestState").and_then(Json::text)
    }

    /// `inputResponses` of a repetition.
    ///
    /// # Errors
    /// If it is no object.
    pub fn input_responses(&self, limits: &Limits) -> Result<Object<'a>, BridgeError> {
        match self.params.get("inputResponses") {
            None => Ok(Object::default()),
            Some(responses) => responses.object(limits).ok_or(BridgeError::Shape("params.inputResponses")),
        }
    }

    /// What the request is about: its parameters without what differs when it is repeated.
    pub fn subject(&self) -> impl Iterator<Item = &Member<'a>> {
        self.params.iter().filter(|member| {
            !matches!(member.key.as_ref(), "_meta" | "inputResponses" | "requestState" | "task")
        })
    }

    /// Whether the other era has the method.
    ///
    /// # Errors
    /// If it has not, and why.
    pub fn is_bridged(&self, to: Revision) -> Result<(), Impossible> {
        match &self.method {
            Method::Other(_) => Err(Impossible::Extension),
            Method::TasksGet
            | Method::TasksResult
            | Method::TasksList
            | Method::TasksUpdate
            | Method::TasksCancel => Err(Impossible::Tasks),
            method if method.is_client_method(to) => Ok(()),
            _ => Err(Impossible::Method),
        }
    }

    /// The request for a legacy server. `id` is raw JSON text.
    pub fn to_legacy(&self, id: &str) -> Vec<u8> {
        let mut meta = Writer::new(64);
        self.meta.iter().filter(|member| !member.key.starts_with(RESERVED)).for_each(|it| meta.copy(it));
        let mut params = Writer::new(256);
        for member in self.params.iter() {
            match member.key.as_ref() {
                "inputResponses" | "requestState" | "task" | "_meta" => {}
                _ => params.copy(member),
            }
        }
        params.unless_empty("_meta", meta);
        self.write(id, params)
    }

    /// The request for a modern server. `id` is raw JSON text.
    pub fn to_modern(&self, id: &str, about: ModernMeta<'_>, retry: Option<Retry<'_>>) -> Vec<u8> {
        let mut params = Writer::new(512);
        for member in self.params.iter() {
            // A legacy client has no `inputResponses` or `requestState`: in its own, a server would find what nobody judged.
            if !matches!(member.key.as_ref(), "inputResponses" | "requestState" | "task" | "_meta") {
                params.copy(member);
            }
        }
        if let Some(responses) = retry.and_then(|retry| retry.input_responses) {
            params.raw("inputResponses", responses);
        }
        if let Some(state) = retry.and_then(|retry| retry.request_state) {
            params.raw("requestState", state);
        }
        params.bytes("_meta", &self.modern_meta(about));
        self.write(id, params)
    }

    fn modern_meta(&self, about: ModernMeta<'_>) -> Vec<u8> {
        let mut meta = Writer::new(256);
        self.meta.iter().filter(|member| !member.key.starts_with(RESERVED)).for_each(|it| meta.copy(it));
        meta.string("io.modelcontextprotocol/protocolVersion", Revision::V2026_07_28.as_str());
        meta.raw("io.modelcontextprotocol/clientInfo", about.info);
        meta.raw("io.modelcontextprotocol/clientCapabilities", about.capabilities);
        if let Some(level) = about.log_level {
            meta.string("io.modelcontextprotocol/logLevel", level.as_str());
        }
        meta.finish()
    }

    fn write(&self, id: &str, params: Writer) -> Vec<u8> {
        let mut message = Writer::message(512);
        message.raw("id", id);
        message.string("method", self.method.as_str());
        if self.has_params || !params.is_empty() {
            message.bytes("params", &params.finish());
        }
        message.finish()
    }
}
