//! A message of an upstream, or of a client to it: which of the four it is, its parts as raw text.
//!
//! Stricter than a reader of one peer's messages has to be: a text that two readers could take for different messages is
//! none. Both `result` and `error`, or a `method` beside either, is such a text.

use std::borrow::Cow;

use super::BridgeError;
use super::object::{Json, Object};
use crate::{Limits, Method};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Wants an answer.
    Request {
        /// A string or a number.
        id: Json<'a>,
        /// What is asked.
        method: Method<'a>,
        /// Of what; empty where there are none.
        params: Object<'a>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Method<'a>,
        /// Of what; empty where there are none.
        params: Object<'a>,
    },
    /// An answer.
    Result {
        /// To what.
        id: Json<'a>,
        /// An object.
        result: Object<'a>,
    },
    /// An answer that failed.
    Error {
        /// To what; absent only where the peer could not read it.
        id: Option<Json<'a>>,
        /// An object with an integer `code` and a string `message`.
        error: Object<'a>,
    },
}

impl<'a> Packet<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// For what is no single JSON-RPC 2.0 message.
    pub fn parse(json: &'a [u8], limits: &Limits) -> Result<Self, BridgeError> {
        let message = Object::parse_bytes(json, limits)?;
        if message.get("jsonrpc").and_then(Json::text).as_deref() != Some("2.0") {
            return Err(BridgeError::Shape("jsonrpc"));
        }
        let id = message.get("id").filter(|id| id.raw() != "null");
        if id.is_some_and(|id| !id.is_token()) {
            return Err(BridgeError::Shape("id"));
        }
        match (message.get("method"), message.get("result"), message.get("error")) {
            (Some(method), None, None) => {
                let method = method.text().ok_or(BridgeError::Shape("method"))?;
                Self::call(id, Method::parse(method), object("params", message.get("params"), limits)?)
            }
            (None, Some(result), None) => Ok(Self::Result {
                id: id.ok_or(BridgeError::Shape("id"))?,
                result: object("result", Some(result), limits)?,
            }),
            (None, None, Some(error)) => Self::error(id, object("error", Some(error), limits)?),
            _ => Err(BridgeError::Shape("message")),
        }
    }

    fn call(id: Option<Json<'a>>, method: Method<'a>, params: Object<'a>) -> Result<Self, BridgeError> {
        match id {
            Some(_) if method.is_notification() => Err(BridgeError::Shape("id")),
            Some(id) => Ok(Self::Request { id, method, params }),
            None => Ok(Self::Notification { method, params }),
        }
    }

    fn error(id: Option<Json<'a>>, error: Object<'a>) -> Result<Self, BridgeError> {
        if !error.get("code").is_some_and(Json::is_integer) {
            return Err(BridgeError::Shape("error.code"));
        }
        match error.get("message").and_then(Json::text) {
            Some(_) => Ok(Self::Error { id, error }),
            None => Err(BridgeError::Shape("error.message")),
        }
    }

    /// The id of what it answers.
    pub fn answers(&self) -> Option<Json<'a>> {
        match self {
            Self::Result { id, .. } => Some(*id),
            Self::Error { id, .. } => *id,
            Self::Request { .. } | Self::Notification { .. } => None,
        }
    }

    /// The code and message of an error.
    pub fn failure(&self) -> Option<(i64, Cow<'a, str>)> {
        let Self::Error { error, .. } = self else { return None };
        let code = error.get("code")?.raw().parse().ok()?;
        Some((code, error.get("message")?.text()?))
    }
}

/// The members of a part that is an object, if there at all.
fn object<'a>(
    part: &'static str,
    value: Option<Json<'a>>,
    limits: &Limits,
) -> Result<Object<'a>, BridgeError> {
    match value {
        None => Ok(Object::default()),
        Some(value) => value.object(limits).ok_or(BridgeError::Shape(part)),
    }
}
