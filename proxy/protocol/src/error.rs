//! The errors that a client gets: one table of JSON-RPC code, HTTP status and reason.
//!
//! The codes from -32768 to -32000 are the specification's, with its meanings. Ours lie outside: the
//! HTTP status times 100 and a number. Codes and reasons are stable; a golden test holds them.
//!
//! Source: MCP 2026-07-28 `basic/index`, "Error Codes".

use crate::write_string;

/// A refusal or failure as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RpcError {
    /// The body is no JSON.
    ParseError,
    /// The body is no message, or one beyond a limit.
    InvalidRequest,
    /// The method is not known.
    MethodNotFound,
    /// The method's parameters or required metadata are missing or malformed.
    InvalidParams,
    /// The gateway failed.
    InternalError,
    /// Headers and body do not agree, or a required header is missing or malformed.
    HeaderMismatch,
    /// The client did not declare a capability that the request needs.
    MissingClientCapability,
    /// The revision is not supported.
    UnsupportedVersion,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// The client accepts no answer that can be given.
    NotAcceptable,
    /// No valid credentials.
    Unauthenticated,
    /// The caller may not do this.
    Denied,
    /// Present and foreign `Origin`.
    ForeignOrigin,
    /// The credentials are valid but carry too small a scope.
    InsufficientScope,
    /// No such binding.
    UnknownBinding,
    /// No such session, or not the caller's.
    UnknownSession,
    /// The HTTP method is not one of this address.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is too large.
    PayloadTooLarge,
    /// The host is not one that is served here.
    Misdirected,
    /// Over a rate, quota or concurrency limit.
    RateLimited,
    /// The answer was withheld because an obligation could not be applied to it.
    ObligationNotApplicable,
    /// The upstream cannot be reached.
    UpstreamUnavailable,
    /// The upstream's answer is no answer.
    UpstreamInvalid,
    /// The decision cannot be recorded.
    AuditUnavailable,
    /// The gateway is shutting down.
    Draining,
    /// The gateway is at its limit.
    Overloaded,
    /// The credentials cannot be judged now.
    IdentityUnavailable,
    /// The gateway has no configuration yet: it waits for its control plane.
    NotConfigured,
    /// The upstream took too long.
    UpstreamTimeout,
    /// What is asked or answered has no form in the other protocol revision.
    BridgeImpossible,
    /// What a repeated request answers is not waiting here: it is over, or another instance has it.
    InputStateUnknown,
    /// The client did not comply with what the server asked, and the server cannot be told.
    ClientInputRefused,
    /// The client did not answer what the server asked in time.
    ClientInputTimeout,
}

/// A further member of `error.data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datum<'a> {
    /// A string.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// An array of strings.
    List(&'a [&'a str]),
    /// JSON text.
    Raw(&'a str),
}

impl RpcError {
    /// All of them, in the order of the table.
    pub const ALL: &'static [Self] = &[
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::InternalError,
        Self::HeaderMismatch,
        Self::MissingClientCapability,
        Self::UnsupportedVersion,
        Self::UnsupportedMediaType,
        Self::NotAcceptable,
        Self::Unauthenticated,
        Self::Denied,
        Self::ForeignOrigin,
        Self::InsufficientScope,
        Self::UnknownBinding,
        Self::UnknownSession,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::Misdirected,
        Self::RateLimited,
        Self::ObligationNotApplicable,
        Self::UpstreamUnavailable,
        Self::UpstreamInvalid,
        Self::AuditUnavailable,
        Self::Draining,
        Self::Overloaded,
        Self::IdentityUnavailable,
        Self::NotConfigured,
        Self::UpstreamTimeout,
        Self::BridgeImpossible,
        Self::InputStateUnknown,
        Self::ClientInputRefused,
        Self::ClientInputTimeout,
    ];

    /// The JSON-RPC error code.
    pub const fn code(self) -> i32 {
        self.row().0
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The stable word in `error.data.reason`.
    pub const fn reason(self) -> &'static str {
        self.row().2
    }

    /// A message for where there is nothing more precise to say.
    pub const fn message(self) -> &'static str {
        self.row().3
    }

    const fn row(self) -> (i32, u16, &'static str, &'static str) {
        match self {
            Self::ParseError => (-32700, 400, "parse_error", "the body is not valid JSON"),
            Self::InvalidRequest => (-32600, 400, "invalid_request", "the body is not a valid message"),
            Self::MethodNotFound => (-32601, 404, "method_not_found", "method not found"),
            Self::InvalidParams => (-32602, 400, "invalid_params", "invalid parameters"),
            Self::InternalError => (-32603, 500, "internal_error", "internal error"),
            Self::HeaderMismatch => (-32020, 400, "header_mismatch", "headers and body do not agree"),
            Self::MissingClientCapability => {
                (-32021, 400, "missing_client_capability", "a required client capability is not declared")
            }
            Self::UnsupportedVersion => (-32022, 400, "unsupported_version", "unsupported protocol version"),
            Self::UnsupportedMediaType => {
                (41501, 415, "unsupported_media_type", "the body is not `application/json`")
            }
            Self::NotAcceptable => (
                40601,
                406,
                "not_acceptable",
                "`Accept` allows neither `application/json` nor `text/event-stream`",
            ),
            Self::Unauthenticated => (40101, 401, "unauthenticated", "valid credentials are required"),
            Self::Denied => (40301, 403, "denied", "denied by policy"),
            Self::ForeignOrigin => (40302, 403, "foreign_origin", "the origin is not allowed"),
            Self::UnknownBinding => (40401, 404, "unknown_binding", "there is nothing at this address"),
            Self::UnknownSession => (40402, 404, "unknown_session", "there is no such session"),
            Self::PayloadTooLarge => (41301, 413, "payload_too_large", "the body is too large"),
            Self::RateLimited => (42901, 429, "rate_limited", "too many requests"),
            Self::ObligationNotApplicable => {
                (50001, 500, "obligation_not_applicable", "the answer was withheld")
            }
            Self::UpstreamUnavailable => {
                (50201, 502, "upstream_unavailable", "the upstream server is unavailable")
            }
            Self::UpstreamInvalid => {
                (50202, 502, "upstream_invalid", "the upstream server's answer is invalid")
            }
            Self::AuditUnavailable => (50301, 503, "audit_unavailable", "the call cannot be recorded"),
            Self::Draining => (50302, 503, "draining", "the gateway is shutting down"),
            Self::InsufficientScope => (40303, 403, "insufficient_scope", "a wider scope is required"),
            Self::MethodNotAllowed => {
                (40501, 405, "method_not_allowed", "the HTTP method is not allowed here")
            }
            Self::RequestTimeout => (40801, 408, "request_timeout", "the request did not arrive in time"),
            Self::Misdirected => (42101, 421, "misdirected", "the host is not served here"),
            Self::Overloaded => (50303, 503, "overloaded", "the gateway is at its limit"),
            Self::IdentityUnavailable => {
                (50304, 503, "identity_unavailable", "the credentials cannot be judged at present")
            }
            Self::NotConfigured => {
                (50305, 503, "not_configured", "the gateway waits for its first configuration")
            }
            Self::UpstreamTimeout => (50401, 504, "upstream_timeout", "the upstream server took too long"),
            Self::BridgeImpossible => (
                50101,
                501,
                "bridge_impossible",
                "this cannot be translated between the client's and the server's protocol revisions",
            ),
            Self::InputStateUnknown => {
                (40901, 409, "input_state_unknown", "the request that this answers is not waiting here")
            }
            Self::ClientInputRefused => {
                (42201, 422, "client_input_refused", "the client did not comply with what the server asked")
            }
            Self::ClientInputTimeout => (
                40802,
                408,
                "client_input_timeout",
                "the client did not answer what the server asked in time",
            ),
        }
    }
}

/// Appends the JSON-RPC error response to `buf`.
///
/// `id` is the raw text of a valid id, as [`crate::Envelope::id`] or [`crate::EnvelopeError::id`] has
/// it; without one the response has `"id":null`. `data` are members beside `reason`; their names are
/// ours, never the client's.
pub fn write_error(
    buf: &mut Vec<u8>,
    id: Option<&str>,
    error: RpcError,
    message: &str,
    data: &[(&str, Datum<'_>)],
) {
    buf.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    buf.extend_from_slice(id.unwrap_or("null").as_bytes());
    buf.extend_from_slice(br#","error":{"code":"#);
    buf.extend_from_slice(error.code().to_string().as_bytes());
    buf.extend_from_slice(br#","message":"#);
    write_string(buf, message);
    buf.extend_from_slice(br#","data":{"reason":"#);
    write_string(buf, error.reason());
    for (name, datum) in data {
        buf.push(b',');
        write_string(buf, name);
        buf.push(b':');
        write_datum(buf, *datum);
    }
    buf.extend_from_slice(b"}}}");
}

fn write_datum(buf: &mut Vec<u8>, datum: Datum<'_>) {
    match datum {
        Datum::Text(text) => write_string(buf, text),
        Datum::Raw(json) => buf.extend_from_slice(json.as_bytes()),
        Datum::Number(number) => buf.extend_from_slice(number.to_string().as_bytes()),
        Datum::List(items) => {
            buf.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    buf.push(b',');
                }
                write_string(buf, item);
            }
            buf.push(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: Option<&str>, message: &str, data: &[(&str, Datum<'_>)]) -> String {
        let mut buf = Vec::new();
        write_error(&mut buf, id, RpcError::Denied, message, data);
        String::from_utf8(buf).unwrap()
    }

    #[test]
    fn the_table_is_stable() {
        let table: String = RpcError::ALL
            .iter()
            .map(|error| {
                format!("{} {} {}: {}\n", error.code(), error.status(), error.reason(), error.message())
            })
            .collect();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn own_codes_lie_outside_the_reserved_range() {
        for error in RpcError::ALL {
            let code = error.code();
            let defined = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022].contains(&code);
            assert!(defined || !(-32768..=-32000).contains(&code), "{code}");
            assert!(defined || code / 100 == i32::from(error.status()), "{code}");
        }
    }

    #[test]
    fn codes_and_reasons_are_unique() {
        let mut codes: Vec<_> = RpcError::ALL.iter().map(|error| error.code()).collect();
        let mut reasons: Vec<_> = RpcError::ALL.iter().map(|error| error.reason()).collect();
        codes.sort_unstable();
        codes.dedup();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!((codes.len(), reasons.len()), (RpcError::ALL.len(), RpcError::ALL.len()));
    }

    #[test]
    fn an_error_is_written_with_its_id_and_data() {
        assert_eq!(
            written(
                Some(r#""a-1""#),
                "no",
                &[("supported", Datum::List(&["x", "y"])), ("n", Datum::Number(7))]
            ),
            concat!(
                r#"{"jsonrpc":"2.0","id":"a-1","error":{"code":40301,"message":"no","#,
                r#""data":{"reason":"denied","supported":["x","y"],"n":7}}}"#
            )
        );
        assert!(written(None, "no", &[]).starts_with(r#"{"jsonrpc":"2.0","id":null,"#));
    }

    #[test]
    fn text_cannot_leave_its_string() {
        let text: String = ('\0'..='\u{ff}').chain(['\u{2028}', '𝄞']).collect();
        let json: serde_json::Value =
            serde_json::from_str(&written(None, &text, &[("detail", Datum::Text(&text))])).unwrap();
        assert_eq!(json["error"]["message"], text);
        assert_eq!(json["error"]["data"]["detail"], text);
    }
}
