//! The rules of the table in the parent module.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Agreement, Field, Header, HeaderError, RequestHeaders, media};
use crate::{Envelope, Era, Message, Method, Revision};

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

pub(super) fn agree(
    headers: &RequestHeaders<'_>,
    envelope: &Envelope<'_>,
    served: &[Revision],
) -> Result<Agreement, HeaderError> {
    media::check_content_type(headers.content_type)?;
    if !headers.accept.json && !headers.accept.event_stream {
        return Err(HeaderError::NotAcceptable);
    }
    let revision = match (&envelope.meta.protocol_version, version_header(headers)?) {
        (Some(body), header) => modern_version(body, header, served)?,
        (None, Some(header)) => header_version(header, envelope, served)?,
        (None, None) => assumed_version(envelope, served)?,
    };
    let era = revision.era();
    check_mirrors(headers, envelope, era)?;
    Ok(Agreement { revision, era, accept: headers.accept })
}

/// The value of a field that may come once, without the white space around it (RFC 9110 5.5).
pub(super) fn single(field: Field<'_>, header: Header) -> Result<Option<&[u8]>, HeaderError> {
    match field {
        Field { first: None, .. } => Ok(None),
        Field { first: Some(value), count: 1 } => {
            let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
            let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
            Ok(Some(value.get(start..end).unwrap_or_default()))
        }
        Field { first: Some(_), .. } => Err(HeaderError::Repeated(header)),
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The value of a field that mirrors the body: visible ASCII, blanks inside allowed.
fn mirror(field: Field<'_>, header: Header) -> Result<Option<&str>, HeaderError> {
    let Some(value) = single(field, header)? else { return Ok(None) };
    let clean = !value.is_empty() && value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    match str::from_utf8(value) {
        Ok(value) if clean => Ok(Some(value)),
        _ => Err(HeaderError::Malformed(header)),
    }
}

fn version_header<'a>(headers: &RequestHeaders<'a>) -> Result<Option<&'a str>, HeaderError> {
    let value = mirror(headers.protocol_version, Header::ProtocolVersion)?;
    match value {
        Some(value) if value.bytes().any(|byte| is_blank(&byte)) => {
            Err(HeaderError::Malformed(Header::ProtocolVersion))
        }
        value => Ok(value),
    }
}

/// The body names a revision: the header must name the same, and it must be a served modern one.
fn modern_version(body: &str, header: Option<&str>, served: &[Revision]) -> Result<Revision, HeaderError> {
    match header {
        None => return Err(HeaderError::Missing(Header::ProtocolVersion)),
        Some(header) if header != body => return Err(HeaderError::Mismatch(Header::ProtocolVersion)),
        Some(_) => {}
    }
    let revision = served_version(body, served)?;
    match revision.era() {
        Era::Modern => Ok(revision),
        // Known, but there only within a session, which this form of request has not.
        Era::Legacy => Err(unsupported(body)),
    }
}

/// Only the header names a revision.
fn header_version(
    header: &str,
    envelope: &Envelope<'_>,
    served: &[Revision],
) -> Result<Revision, HeaderError> {
    let revision = served_version(header, served)?;
    match (revision.era(), &envelope.message) {
        (Era::Legacy, _) if envelope.method() == Some(&Method::Initialize) => {
            assumed_version(envelope, served)
        }
        (Era::Legacy, _) => Ok(revision),
        (Era::Modern, Message::Request { .. }) => Err(HeaderError::MissingMeta { key: PROTOCOL_VERSION }),
        (Era::Modern, Message::Notification { .. }) => Ok(revision),
        (Era::Modern, Message::Response { .. }) => Err(HeaderError::Response),
    }
}

/// Nobody names a revision: a handshake, or a client of the time before the header.
fn assumed_version(envelope: &Envelope<'_>, served: &[Revision]) -> Result<Revision, HeaderError> {
    if envelope.method().is_some_and(is_modern_only) {
        return Err(HeaderError::MissingMeta { key: PROTOCOL_VERSION });
    }
    let legacy = |revision: &Revision| revision.era() == Era::Legacy && served.contains(revision);
    let newest = served.iter().copied().filter(legacy).max();
    let assumed = if envelope.method() == Some(&Method::Initialize) {
        let requested = envelope.requested_version.as_deref().and_then(|text| text.parse().ok());
        requested.filter(legacy).or(newest)
    } else {
        Some(Revision::V2025_03_26).filter(legacy)
    };
    // An endpoint without sessions wants the header, which says so best.
    assumed.ok_or(HeaderError::Missing(Header::ProtocolVersion))
}

/// Whether the method can only be meant in the modern form, whatever else the request lacks.
fn is_modern_only(method: &Method<'_>) -> bool {
    matches!(method, Method::ServerDiscover | Method::SubscriptionsListen | Method::TasksUpdate)
}

fn served_version(text: &str, served: &[Revision]) -> Result<Revision, HeaderError> {
    match text.parse() {
        Ok(revision) if served.contains(&revision) => Ok(revision),
        _ => Err(unsupported(text)),
    }
}

fn unsupported(requested: &str) -> HeaderError {
    HeaderError::UnsupportedVersion { requested: requested.to_owned() }
}

/// Compares `Mcp-Method` and `Mcp-Name` with the body.
fn check_mirrors(headers: &RequestHeaders<'_>, envelope: &Envelope<'_>, era: Era) -> Result<(), HeaderError> {
    let method = mirror(headers.method, Header::Method)?;
    let name = mirror(headers.name, Header::Name)?;
    let required = era == Era::Modern && matches!(envelope.message, Message::Request { .. });
    if required && envelope.meta.client_capabilities.is_none() {
        return Err(HeaderError::MissingMeta { key: CLIENT_CAPABILITIES });
    }
    match (method, envelope.method()) {
        (Some(header), Some(body)) if header == body.as_str() => {}
        (Some(_), _) => return Err(HeaderError::Mismatch(Header::Method)),
        (None, _) if required => return Err(HeaderError::Missing(Header::Method)),
        (None, _) => {}
    }
    let named = envelope.method().is_some_and(Method::needs_name_header);
    match (name, &envelope.target) {
        (Some(header), Some(target)) => check_name(header, &target.name),
        // A name for what has none: some intermediary may have routed by it.
        (Some(_), None) => Err(HeaderError::Mismatch(Header::Name)),
        (None, _) if required && named => Err(HeaderError::Missing(Header::Name)),
        (None, _) => Ok(()),
    }
}

fn check_name(header: &str, body: &str) -> Result<(), HeaderError> {
    let encoded = header.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let matches = match encoded {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| HeaderError::Malformed(Header::Name))? == body.as_bytes()
        }
        None => header == body,
    };
    if matches { Ok(()) } else { Err(HeaderError::Mismatch(Header::Name)) }
}
