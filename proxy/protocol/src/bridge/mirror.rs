//! The header fields that a modern request mirrors from its body.
//!
//! A client of the era of sessions sends none, so the gateway writes them in its place: `Mcp-Name`, and `Mcp-Param-*` for the
//! parameters that the tool's `inputSchema` marks with `x-mcp-header`.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http`, "Request Metadata".

use std::borrow::Cow;

use super::object::{Json, Object};
use crate::{Limits, encode_header_value};

/// How many parameters of a tool may be mirrored, and how deep they may lie.
const MIRRORED_MAX: usize = 64;
const DEPTH_MAX: usize = 16;
const MARK: &str = "x-mcp-header";

/// Why a tool's marks cannot be honoured: the definition is invalid, and clients must not use the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// The name is no part of a header's name.
    #[error("`x-mcp-header` is no header name")]
    Name,
    /// Two parameters have the same name.
    #[error("`x-mcp-header` is not unique")]
    Repeated,
    /// On something that is no integer, string or boolean.
    #[error("`x-mcp-header` marks something else than an integer, string or boolean")]
    Type,
    /// More of them, or deeper, than anybody needs.
    #[error("`x-mcp-header` is used too often or too deep")]
    TooMany,
}

/// Names and values of the `Mcp-Param-*` fields of a call with these `arguments` of a tool with this `inputSchema`.
///
/// # Errors
/// If the schema's marks are invalid.
pub fn param_headers(
    schema: &Object<'_>,
    arguments: &Object<'_>,
    limits: &Limits,
) -> Result<Vec<(String, String)>, MirrorError> {
    let mut marks = Vec::new();
    collect(schema, limits, &mut marks)?;
    let mut headers = Vec::new();
    for mark in &marks {
        if let Some(value) = find(arguments, &mark.path, limits).and_then(text_of) {
            headers.push((format!("Mcp-Param-{}", mark.name), encode_header_value(&value).into_owned()));
        }
    }
    Ok(headers)
}

struct Mark {
    path: Vec<String>,
    name: String,
}

/// The marks that are reached by `properties` alone.
fn collect(schema: &Object<'_>, limits: &Limits, marks: &mut Vec<Mark>) -> Result<(), MirrorError> {
    let mut open = vec![(schema.clone(), Vec::new())];
    while let Some((schema, path)) = open.pop() {
        let Some(properties) = schema.get("properties").and_then(|it| it.object(limits)) else { continue };
        for property in properties.iter() {
            let Some(inner) = property.value.object(limits) else { continue };
            let path: Vec<String> = path.iter().cloned().chain([property.key.to_string()]).collect();
            if let Some(mark) = inner.get(MARK) {
                add(marks, mark, &inner, &path)?;
            }
            if inner.get("properties").is_some() {
                if path.len() == DEPTH_MAX {
                    return Err(MirrorError::TooMany);
                }
                open.push((inner, path));
            }
        }
    }
    Ok(())
}

fn add(
    marks: &mut Vec<Mark>,
    name: Json<'_>,
    property: &Object<'_>,
    path: &[String],
) -> Result<(), MirrorError> {
    let name = name.text().filter(|name| is_token(name)).ok_or(MirrorError::Name)?;
    let kind = property.get("type").and_then(Json::text);
    if !matches!(kind.as_deref(), Some("integer" | "string" | "boolean")) {
        return Err(MirrorError::Type);
    }
    if marks.iter().any(|mark| mark.name.eq_ignore_ascii_case(&name)) {
        return Err(MirrorError::Repeated);
    }
    if marks.len() == MIRRORED_MAX {
        return Err(MirrorError::TooMany);
    }
    marks.push(Mark { path: path.to_vec(), name: name.into_owned() });
    Ok(())
}

/// RFC 9110 5.6.2, and short enough for a header.
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(token)
}

fn find<'a>(arguments: &Object<'a>, path: &[String], limits: &Limits) -> Option<Json<'a>> {
    let (last, parents) = path.split_last()?;
    let mut object = arguments.clone();
    for key in parents {
        object = object.get(key)?.object(limits)?;
    }
    object.get(last)
}

/// What a header says of a value; nothing for `null` and for what is no primitive.
fn text_of(value: Json<'_>) -> Option<Cow<'_, str>> {
    match value.text() {
        Some(text) => Some(text),
        None if value.is_token() || value.is_bool() => Some(Cow::Borrowed(value.raw())),
        None => None,
    }
}
