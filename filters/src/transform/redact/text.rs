//! JSON inside strings: as it is, in a row, amid other text, or in base64.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::RedactError;
use super::scan::{Context, Scanner};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Redacts a text. None if there is nothing to redact.
pub(super) fn redact(text: &str, context: Context<'_>) -> Result<Option<String>, RedactError> {
    let redacted = match Scanner::new(text, context).sequence() {
        Err(RedactError::Json { .. }) => Scanner::new(text, context).prose()?,
        other => other?,
    };
    // Only whole characters are cut and put in.
    redacted.map(|bytes| String::from_utf8(bytes).map_err(|_| RedactError::Text)).transpose()
}

/// Redacts base64 of a text. In a `blob`, what begins like JSON must be readable; elsewhere a string may look so.
pub(super) fn redact_base64(
    content: &str,
    is_blob: bool,
    context: Context<'_>,
) -> Result<Option<String>, RedactError> {
    let unreadable = || if is_blob && may_be_base64(content) { Err(RedactError::Blob) } else { Ok(None) };
    let mut packed = content.to_owned();
    if is_blob {
        packed.retain(|char| !char.is_ascii_whitespace());
    }
    let engine = if packed.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let Ok(bytes) = engine.decode(&packed) else { return unreadable() };
    if is_blob && is_utf16(&bytes) {
        return Err(RedactError::Blob);
    }
    let Ok(text) = String::from_utf8(bytes) else { return unreadable() };
    if !text.contains('"') {
        return Ok(None);
    }
    let redacted = redact(&text, context.inner()?)?;
    Ok(redacted.map(|text| {
        let mut packed = engine.encode(text);
        if !content.ends_with('=') && !content.len().is_multiple_of(4) {
            packed.truncate(packed.trim_end_matches('=').len());
        }
        packed
    }))
}

/// Whether bytes begin as text of two bytes a character does, which readers of JSON take too (RFC 4627 section 3).
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[' | b'"', 0, ..] | [0, b'{' | b'[' | b'"', ..]
    )
}

/// Whether a string begins as base64 of JSON does: `{`, `[`, `"`, white space or a byte order mark.
pub(super) fn may_be_base64(content: &str) -> bool {
    content.len() >= 8 && matches!(content.as_bytes().first(), Some(b'e' | b'W' | b'I' | b'C' | b'D' | b'7'))
}
