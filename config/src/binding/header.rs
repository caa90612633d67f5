//! Reads a header that is added to every request to an upstream. No error repeats the value.

use mcpg_sdk::SecretRefError;

use crate::Text;
use crate::binding::Header;

/// Headers that frame the message, or that the gateway sets itself (RFC 9110 section 7.6.1 and MCP's transport).
const OWN: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "traceparent",
    "tracestate",
];
/// Headers that hold credentials.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
];

/// Reads a name and a value.
pub(super) fn parse(name: &str, value: &str) -> Result<Header, HeaderError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(HeaderError::Name);
    }
    let name = name.to_ascii_lowercase();
    if OWN.contains(&name.as_str()) || name.starts_with("mcp-") {
        return Err(HeaderError::Own);
    }
    if !is_printable(value) {
        return Err(HeaderError::Value);
    }
    let value = Text::parse(value)?;
    if matches!(value, Text::Plain(_)) && CREDENTIALS.contains(&name.as_str()) {
        return Err(HeaderError::Credential);
    }
    Ok(Header { name, value })
}

/// Whether a text is printable ASCII without surrounding blanks.
pub(super) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
}

/// Why a header cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// Not a token.
    #[error("this is not a header's name")]
    Name,
    /// The gateway's business.
    #[error("the gateway sets this header itself")]
    Own,
    /// Not printable.
    #[error("a header's value is printable ASCII without surrounding blanks")]
    Value,
    /// A credential in plain text.
    #[error(
        "a credential must be a reference, such as `Bearer $secret://env/NAME`, not a value in the configuration"
    )]
    Credential,
    /// A broken reference.
    #[error(transparent)]
    Reference(#[from] SecretRefError),
}

#[cfg(test)]
mod tests {
    use mcpg_sdk::SecretRef;

    use super::*;

    #[test]
    fn a_value_is_plain_or_ends_in_a_secret() {
        assert_eq!(parse("X-Tenant", "acme").unwrap().value, Text::Plain("acme".to_owned()));
        let header = parse("Authorization", "Bearer $secret://env/TOKEN").unwrap();
        assert_eq!(header.name, "authorization");
        let secret = SecretRef::Env("TOKEN".to_owned());
        assert_eq!(header.value, Text::Secret { prefix: "Bearer ".to_owned(), secret });
    }

    #[test]
    fn headers_that_frame_or_leak_are_refused() {
        for (name, value, error) in [
            ("", "x", HeaderError::Name),
            ("a b", "x", HeaderError::Name),
            ("Host", "evil", HeaderError::Own),
            ("Transfer-Encoding", "chunked", HeaderError::Own),
            ("Mcp-Session-Id", "x", HeaderError::Own),
            ("x-a", "a\r\nb: c", HeaderError::Value),
            ("x-a", " a", HeaderError::Value),
            ("authorization", "Bearer hunter2", HeaderError::Credential),
            ("authorization", "Bearer $secret://env/", HeaderError::Reference(SecretRefError::NoPath)),
        ] {
            assert_eq!(parse(name, value), Err(error), "{name}: {value}");
        }
    }
}
