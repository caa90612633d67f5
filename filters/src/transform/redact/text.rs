//! JSON inside strings: as it is, in a row, amid other text, or in base64.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::RedactError;
use super::context::Context;
use super::scan::Scanner;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Redacts a text. None if there is nothing to redact.
pub(super) fn redact(text: &str, context: Context<'_>) -> Result<Option<String>, RedactError> {
    // Without a quote there is no member, and no string either.
    if !text.contains('"') {
        return Ok(plain(text, context));
    }
    let (redacted, is_prose) = match Scanner::new(text, context).sequence() {
        Err(RedactError::Json { .. }) => (Scanner::new(text, context).prose()?, true),
        other => other?,
    };
    // Only whole characters are cut and put in.
    let redacted =
        redacted.map(|bytes| String::from_utf8(bytes).map_err(|_| RedactError::Text)).transpose()?;
    if !is_prose {
        return Ok(redacted);
    }
    Ok(plain(redacted.as_deref().unwrap_or(text), context).or(redacted))
}

/// What detectors find in a text that has no structure.
pub(super) fn plain(text: &str, context: Context<'_>) -> Option<String> {
    context.rules.detectors.apply(text, context.rules)
}

/// Redacts base64 in a data URL (RFC 2397), the one place where base64 amid other text is looked for.
pub(super) fn redact_data_url(content: &str, context: Context<'_>) -> Result<Option<String>, RedactError> {
    const MARK: &str = ";base64,";
    let Some((head, packed)) = content.split_once(MARK).filter(|_| content.starts_with("data:")) else {
        return Ok(None);
    };
    let packed = redact_base64(packed, Packed::Media, context)?;
    Ok(packed.map(|packed| format!("{head}{MARK}{packed}")))
}

/// How sure it is that a string is base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// The `blob` of a resource: it is.
    Blob,
    /// The `data` of an image or sound: it is, and usually of no text.
    Media,
    /// It begins as base64 of JSON does.
    Guess,
}

/// Redacts base64 of a text. In a `blob`, what begins like JSON must be readable; elsewhere a string may look so.
pub(super) fn redact_base64(
    content: &str,
    packed_as: Packed,
    context: Context<'_>,
) -> Result<Option<String>, RedactError> {
    let is_blob = packed_as == Packed::Blob;
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
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // In what is no text nothing can be cut out. What is seen in it keeps it from passing.
        Err(error)
            if packed_as != Packed::Guess && context.rules.detectors.sees_in_binary(error.as_bytes()) =>
        {
            return Err(RedactError::Blob);
        }
        Err(_) => return unreadable(),
    };
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
