//! A JSON-RPC message of an upstream, as far as the gateway has to understand it. Raw texts, nothing re-serialised.

use mcpg_protocol::Revision;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Message, UpstreamError};

/// A message of an upstream, borrowed from its text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(expecting = "a JSON-RPC message")]
pub struct Incoming<'a> {
    /// The raw id; none for a notification.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// What is asked or told; none for a response. The raw text of a string.
    #[serde(borrow, default)]
    pub method: Option<&'a RawValue>,
    /// `params`.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// `result`.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// `error`.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

/// `error` of a response.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct RpcFailure {
    /// What it is, for machines.
    pub code: i64,
    /// What it is, for people.
    #[serde(default)]
    pub message: String,
    /// `data.supported` of [`RpcFailure::UNSUPPORTED_VERSION`].
    #[serde(default, deserialize_with = "supported")]
    #[serde(rename = "data")]
    pub supported: Vec<String>,
}

impl<'a> Incoming<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none, or says something twice.
    pub fn parse(json: &'a [u8]) -> Result<Self, UpstreamError> {
        let none = || UpstreamError::Invalid("a message is no JSON-RPC message".into());
        // An array would be taken for the members in their order.
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(none());
        }
        serde_json::from_slice(json).map_err(|_| none())
    }

    /// Whether it answers the request of this id. Ids are compared as text, but for the white space and escapes that JSON
    /// leaves open.
    pub fn answers(&self, id: &str) -> bool {
        self.method.is_none() && self.id.is_some_and(|theirs| same_id(theirs.get(), id))
    }

    /// Whether it answers a request.
    pub fn is_response(&self) -> bool {
        self.method.is_none() && (self.result.is_some() || self.error.is_some())
    }

    /// The error, if it is one.
    pub fn failure(&self) -> Option<RpcFailure> {
        serde_json::from_str(self.error?.get()).ok()
    }
}

impl RpcFailure {
    /// Headers and body do not agree.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// A capability is needed that the client did not declare.
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// The revision is not spoken.
    pub const UNSUPPORTED_VERSION: i64 = -32022;

    /// Whether only a server of the modern era says this.
    pub fn is_modern(&self) -> bool {
        match self.code {
            Self::HEADER_MISMATCH | Self::MISSING_CAPABILITY => true,
            Self::UNSUPPORTED_VERSION => self.supports(Revision::V2026_07_28),
            _ => false,
        }
    }

    /// Whether it offers this revision.
    pub fn supports(&self, revision: Revision) -> bool {
        self.supported.iter().any(|text| text == revision.as_str())
    }
}

impl Message {
    /// What it says.
    ///
    /// # Errors
    /// When it is no JSON-RPC message.
    pub fn incoming(&self) -> Result<Incoming<'_>, UpstreamError> {
        Incoming::parse(&self.json)
    }
}

fn same_id(theirs: &str, ours: &str) -> bool {
    if theirs == ours {
        return true;
    }
    let read = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).ok();
    read(theirs).is_some_and(|theirs| read(ours) == Some(theirs))
}

fn supported<'de, D: serde::Deserializer<'de>>(data: D) -> Result<Vec<String>, D::Error> {
    let data = serde_json::Value::deserialize(data)?;
    let texts = data.get("supported").and_then(serde_json::Value::as_array);
    Ok(texts.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_one_request() {
        for (message, id, answers) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "1", true),
            (r#"{"jsonrpc":"2.0","id":"a\u0062","result":{}}"#, r#""ab""#, true),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, "1", false),
            (r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, "1", false),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, "1", false),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "1", false),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, "1", false),
        ] {
            assert_eq!(Incoming::parse(message.as_bytes()).unwrap().answers(id), answers, "{message}");
        }
    }

    #[test]
    fn what_is_said_twice_is_no_message() {
        for message in [r#"{"id":1,"id":2,"result":{}}"#, r#"{"id":1,"result":{},"result":{}}"#, "[]", "1"] {
            assert!(Incoming::parse(message.as_bytes()).is_err(), "{message}");
        }
    }

    #[test]
    fn modern_errors_are_told_from_others() {
        for (error, modern) in [
            (r#"{"code":-32020,"message":"x"}"#, true),
            (r#"{"code":-32021,"message":"x","data":null}"#, true),
            (r#"{"code":-32022,"message":"x","data":{"supported":["2026-07-28"]}}"#, true),
            (r#"{"code":-32022,"message":"x","data":{"supported":["2025-11-25"]}}"#, false),
            (r#"{"code":-32022,"message":"x"}"#, false),
            (r#"{"code":-32601,"message":"x","data":"supported"}"#, false),
            (r#"{"code":-32000}"#, false),
        ] {
            let message = format!(r#"{{"id":1,"error":{error}}}"#);
            let failure = Incoming::parse(message.as_bytes()).unwrap().failure().unwrap();
            assert_eq!(failure.is_modern(), modern, "{error}");
        }
    }
}
