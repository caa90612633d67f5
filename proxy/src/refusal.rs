//! What a client is told when its request goes no further, and what the operator is told.
//!
//! The two differ on purpose: the client gets the stable code, reason and message of
//! [`mcpg_protocol::RpcError`]; the detail goes to the log. Nothing here ever holds a secret or a
//! stack.

use std::borrow::Cow;

use http::HeaderValue;
use mcpg_filters::identity;
use mcpg_filters::reliability::rate_limit;
use mcpg_protocol::{Datum, EnvelopeError, Era, HeaderError, Revision, RpcError, write_error};

use crate::guard::HeadError;

/// When to try again where credentials cannot be judged.
const IDENTITY_RETRY_SECONDS: u64 = 5;

/// A request that goes no further.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the client sees.
    pub error: RpcError,
    /// The HTTP status, where it is not the error's own.
    status: Option<u16>,
    /// The stable, machine-readable word, finer than the error's own where there is one.
    pub reason: &'static str,
    /// For the operator.
    pub detail: Cow<'static, str>,
    /// The whole JSON body.
    pub body: Vec<u8>,
    /// Seconds after which a retry makes sense.
    pub retry_after: Option<u64>,
    /// How the client can come by credentials that will do (`WWW-Authenticate`).
    pub challenges: Vec<HeaderValue>,
    /// Whether the connection is closed because the rest of the request was not read.
    pub close: bool,
}

impl Refusal {
    /// A refusal with the error's own message.
    pub fn new(error: RpcError, id: Option<&str>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::worded(error, id, error.reason(), error.message(), detail)
    }

    /// A refusal that says more precisely what is wrong.
    pub fn worded(
        error: RpcError,
        id: Option<&str>,
        reason: &'static str,
        message: &str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut body = Vec::with_capacity(192);
        let data = [("detail", Datum::Text(reason))];
        let data = if reason == error.reason() { &[][..] } else { &data[..] };
        write_error(&mut body, id, error, message, data);
        let (detail, challenges) = (detail.into(), Vec::new());
        Self { error, status: None, reason, detail, body, retry_after: None, challenges, close: false }
    }

    /// No caller.
    pub fn identity(refusal: &identity::Refusal) -> Self {
        use identity::Refusal as Why;
        let detail = refusal.to_string();
        let this = match refusal {
            Why::Missing | Why::Invalid { .. } => Self::new(RpcError::Unauthenticated, None, detail),
            Why::Malformed { .. } => {
                let message = "the request's credentials are malformed";
                Self::worded(RpcError::InvalidRequest, None, "malformed_credentials", message, detail)
            }
            Why::Insufficient { .. } => Self::new(RpcError::InsufficientScope, None, detail),
            Why::Foreign { .. } => {
                let message = "the credentials are not for this tenant";
                Self::worded(RpcError::Denied, None, "foreign_tenant", message, detail)
            }
            Why::Unavailable { .. } => {
                let mut this = Self::new(RpcError::IdentityUnavailable, None, detail);
                this.retry_after = Some(IDENTITY_RETRY_SECONDS);
                this
            }
        };
        this.closing()
    }

    /// A body that is no message.
    pub fn envelope(error: &EnvelopeError<'_>) -> Self {
        let kind = &error.kind;
        Self::worded(kind.rpc_error(), error.id, kind.word(), &error.to_string(), error.to_string())
    }

    /// A method that says nothing of which of several bindings it is for.
    pub fn for_one_binding(era: Era, id: Option<&str>) -> Self {
        let message = "this endpoint has several servers, and the method says nothing of which it is for: \
                       ask at `/bindings/<binding>/mcp`";
        Self::worded(RpcError::MethodNotFound, id, "one_binding_only", message, message).in_era(era)
    }

    /// Headers that do not agree with the body.
    pub fn headers(error: &HeaderError, id: Option<&str>, served: &[Revision]) -> Self {
        let mut refusal = Self::new(error.rpc_error(), id, error.to_string());
        refusal.body.clear();
        error.write(&mut refusal.body, id, served);
        refusal
    }

    /// Over a rate limit.
    pub fn limited(verdict: rate_limit::Verdict, id: Option<&str>) -> Self {
        let mut refusal = Self::new(RpcError::RateLimited, id, "over `reliability.rate-limit`");
        refusal.retry_after = verdict.retry_after_seconds();
        refusal
    }

    /// A request head that the guard refused.
    pub fn head(error: HeadError) -> Self {
        let message = error.to_string();
        let mut refusal =
            Self::worded(RpcError::InvalidRequest, None, error.reason(), &message, message.clone());
        refusal.status = Some(error.status());
        refusal.close = true;
        refusal
    }

    /// The same refusal under another HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same refusal as a client of this era understands it: among sessions 404 says that the session is gone, and a client
    /// that asks for what does not exist would begin another (MCP 2025-11-25 `basic/transports`, "Session Management").
    pub fn in_era(self, era: Era) -> Self {
        match (self.error, era) {
            (RpcError::MethodNotFound, Era::Legacy) => self.with_status(200),
            _ => self,
        }
    }

    /// The same refusal, with what the client can do about it.
    pub fn challenging(mut self, challenges: Vec<HeaderValue>) -> Self {
        self.challenges = challenges;
        self
    }

    /// The same refusal, closing the connection.
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(self.error.status())
    }

    /// The refusal as a whole HTTP/1.1 response that closes the connection: for what is refused before
    /// there is a session to answer in.
    pub fn to_http1(&self) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status()).unwrap_or(http::StatusCode::BAD_REQUEST);
        let mut response = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error"),
            self.body.len()
        )
        .into_bytes();
        response.extend_from_slice(&self.body);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_refusal_is_a_whole_response() {
        let response = String::from_utf8(Refusal::head(HeadError::TwoFramings).to_http1()).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["data"]["detail"], "two_framings");
        assert_eq!(body["id"], serde_json::Value::Null);
    }

    #[test]
    fn the_operator_is_told_more_than_the_client() {
        let refusal = Refusal::new(RpcError::Denied, Some("7"), "policy `secret-project` forbids it");
        let body = String::from_utf8(refusal.body.clone()).unwrap();
        assert!(body.contains(r#""id":7"#) && !body.contains("secret-project"), "{body}");
        assert!(refusal.detail.contains("secret-project"));
    }
}
