//! A server's result in the other era.

use super::ask::InputRequests;
use super::object::{Json, Object, Writer, free_meta};
use super::{BridgeError, Impossible};
use crate::{Limits, Method, Revision};

/// What a modern server's result is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModernResult<'a> {
    /// The end.
    Complete,
    /// The server wants to know something first.
    InputRequired {
        /// What.
        requests: InputRequests<'a>,
        /// `requestState`: the raw text of a string, to be sent back exactly.
        state: Option<&'a str>,
    },
}

impl<'a> ModernResult<'a> {
    /// Reads what kind of result it is.
    ///
    /// # Errors
    /// For a kind that is neither of the two, for `input_required` where the method has none, and where it asks nothing
    /// and has no state.
    pub fn read(result: &Object<'a>, method: &Method<'_>, limits: &Limits) -> Result<Self, BridgeError> {
        let kind = match result.get("resultType") {
            None => return Ok(Self::Complete),
            Some(kind) => kind.text().ok_or(BridgeError::Shape("result.resultType"))?,
        };
        match kind.as_ref() {
            "complete" => return Ok(Self::Complete),
            "input_required" => {}
            _ => return Err(Impossible::ResultType.into()),
        }
        if !matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead) {
            return Err(BridgeError::Shape("result.resultType"));
        }
        let requests = match result.get("inputRequests") {
            None => InputRequests::default(),
            Some(requests) => InputRequests::parse(requests, limits)?,
        };
        let state = match result.get("requestState") {
            None => None,
            Some(state) if state.text().is_some() => Some(state.raw()),
            Some(_) => return Err(BridgeError::Shape("result.requestState")),
        };
        if requests.is_empty() && state.is_none() {
            return Err(BridgeError::Shape("result.inputRequests"));
        }
        Ok(Self::InputRequired { requests, state })
    }
}

/// A legacy server's result as the answer to a modern request. `id` is raw JSON text, `server_info` that of an object.
///
/// What the modern revision requires and the legacy one has not is added so that nothing is assumed: nothing may be
/// cached, nor shared.
pub fn result_to_modern(
    id: &str,
    method: &Method<'_>,
    result: &Object<'_>,
    server_info: Option<&str>,
    limits: &Limits,
) -> Vec<u8> {
    let mut writer = Writer::new(1024);
    for member in result.iter() {
        // In a legacy result they are no more than a server's own members; here they would mean something.
        if !matches!(
            member.key.as_ref(),
            "resultType" | "ttlMs" | "cacheScope" | "inputRequests" | "requestState" | "_meta"
        ) {
            writer.copy(member);
        }
    }
    writer.string("resultType", "complete");
    if is_cacheable(method) {
        writer.raw("ttlMs", "0");
        writer.string("cacheScope", "private");
    }
    let mut meta = free_meta(result.get("_meta"), &[], limits);
    if let Some(info) = server_info {
        meta.raw("io.modelcontextprotocol/serverInfo", info);
    }
    writer.unless_empty("_meta", meta);
    response(id, &writer.finish())
}

/// A modern server's complete result as the answer to a legacy request. `id` is raw JSON text.
pub fn result_to_legacy(
    id: &str,
    method: &Method<'_>,
    result: &Object<'_>,
    client: Revision,
    limits: &Limits,
) -> Vec<u8> {
    let mut writer = Writer::new(1024);
    for member in result.iter() {
        match member.key.as_ref() {
            "resultType" | "_meta" => {}
            "ttlMs" | "cacheScope" if is_cacheable(method) => {}
            // Any value in the modern revision, an object in the legacy ones; the text beside it says the same.
            "structuredContent" if *method == Method::ToolsCall && !member.value.is_object() => {}
            "content" if *method == Method::ToolsCall && client == Revision::V2025_03_26 => {
                writer.bytes("content", &without_links(member.value, limits));
            }
            "messages" if *method == Method::PromptsGet && client == Revision::V2025_03_26 => {
                writer.bytes("messages", &messages_without_links(member.value, limits));
            }
            _ => writer.copy(member),
        }
    }
    let meta = free_meta(result.get("_meta"), &[], limits);
    writer.unless_empty("_meta", meta);
    response(id, &writer.finish())
}

/// The methods whose modern results say how long they hold, and for whom.
fn is_cacheable(method: &Method<'_>) -> bool {
    matches!(
        method,
        Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::ResourcesTemplatesList
            | Method::ResourcesRead
            | Method::ServerDiscover
    )
}

fn response(id: &str, result: &[u8]) -> Vec<u8> {
    let mut message = Writer::message(result.len() + id.len() + 64);
    message.raw("id", id);
    message.bytes("result", result);
    message.finish()
}

/// Content for 2025-03-26, which has no links to resources: their addresses as text.
fn without_links(content: Json<'_>, limits: &Limits) -> Vec<u8> {
    let Some(blocks) = content.array(limits) else { return content.raw().as_bytes().to_vec() };
    let mut out = vec![b'['];
    for (index, block) in blocks.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&without_link(block, limits));
    }
    out.push(b']');
    out
}

fn messages_without_links(messages: Json<'_>, limits: &Limits) -> Vec<u8> {
    let Some(all) = messages.array(limits) else { return messages.raw().as_bytes().to_vec() };
    let mut out = vec![b'['];
    for (index, message) in all.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let Some(object) = message.object(limits) else {
            out.extend_from_slice(message.raw().as_bytes());
            continue;
        };
        let mut writer = Writer::new(message.raw().len());
        for member in object.iter() {
            match member.key.as_ref() {
                "content" => writer.bytes("content", &without_link(member.value, limits)),
                _ => writer.copy(member),
            }
        }
        out.extend_from_slice(&writer.finish());
    }
    out.push(b']');
    out
}

fn without_link(block: Json<'_>, limits: &Limits) -> Vec<u8> {
    let object = block.object(limits).unwrap_or_default();
    let text = |key: &str| object.get(key).and_then(Json::text).unwrap_or_default();
    if text("type") != "resource_link" {
        return block.raw().as_bytes().to_vec();
    }
    let mut writer = Writer::new(block.raw().len() + 32);
    writer.string("type", "text");
    writer.string("text", &format!("{}: {}", text("name"), text("uri")));
    writer.finish()
}
