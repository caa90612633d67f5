//! Values of `Mcp-Name` and `Mcp-Param-*`.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http`, "Value Encoding".

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A text as the value of a header: as it is, or `=?base64?…?=` where a header could not carry it or it would be taken for such.
pub fn encode_header_value(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    if plain && !padded && !encoded && !text.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_cannot_carry_is_encoded() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("Hello, \u{4e16}\u{754c}", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("", "=?base64??="),
            ("tab\t", "=?base64?dGFiCQ==?="),
        ] {
            assert_eq!(encode_header_value(text), value, "{text:?}");
        }
    }
}
