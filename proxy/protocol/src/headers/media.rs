//! `Content-Type` and `Accept`, as far as a message needs them (RFC 9110 8.3 and 12.5.1).

use super::{Field, Header, HeaderError};

/// What the client says that it can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub event_stream: bool,
}

impl Accept {
    /// From the values of all `Accept` fields. None at all means that everything is accepted.
    pub fn from_values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Self::default();
        }
        let mut accept = Self { json: false, event_stream: false };
        for range in values.flat_map(|value| value.split(|&byte| byte == b',')) {
            let (media, parameters) = split_parameters(range);
            if is_refused(parameters) {
                continue;
            }
            let is = |other: &[u8]| media.eq_ignore_ascii_case(other);
            accept.json |= is(b"application/json") || is(b"application/*") || is(b"*/*");
            accept.event_stream |= is(b"text/event-stream") || is(b"text/*") || is(b"*/*");
        }
        accept
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self { json: true, event_stream: true }
    }
}

/// Refuses a body that is not `application/json` in UTF-8. A browser cannot send that type across
/// origins without asking first, so this also keeps simple cross-site requests out.
pub(super) fn check_content_type(field: Field<'_>) -> Result<(), HeaderError> {
    let value = super::agree::single(field, Header::ContentType)?;
    let (media, parameters) = split_parameters(value.ok_or(HeaderError::MediaType)?);
    if !media.eq_ignore_ascii_case(b"application/json") {
        return Err(HeaderError::MediaType);
    }
    let charset = parameter(parameters, b"charset").map(unquoted);
    match charset {
        Some(charset)
            if !charset.eq_ignore_ascii_case(b"utf-8") && !charset.eq_ignore_ascii_case(b"utf8") =>
        {
            Err(HeaderError::MediaType)
        }
        _ => Ok(()),
    }
}

fn split_parameters(value: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b';', value) {
        Some(at) => {
            let (media, parameters) = value.split_at(at);
            (media.trim_ascii(), parameters)
        }
        None => (value.trim_ascii(), &[]),
    }
}

/// Whether a media range has a weight of zero.
fn is_refused(parameters: &[u8]) -> bool {
    parameter(parameters, b"q").is_some_and(|weight| {
        weight.first() == Some(&b'0') && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

fn parameter<'a>(parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    parameters.split(|&byte| byte == b';').find_map(|parameter| {
        let at = memchr::memchr(b'=', parameter)?;
        let (key, value) = parameter.split_at(at);
        key.trim_ascii().eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}
