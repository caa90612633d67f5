//! Which of a server's notifications may travel with the answer to a request, and how they are written there.
//!
//! Only what belongs to the request: its progress, and log messages that the client wants. List changes, resource updates
//! and the like have streams of their own (`subscriptions/listen`, GET); `notifications/elicitation/complete` has no
//! counterpart in the modern era, where the client learns the outcome by repeating its request.

use super::object::{Json, Object, Writer, free_meta};
use super::{LogLevel, Packet};
use crate::{Limits, Method, write_string};

/// What a notification on the stream of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed<'a> {
    /// Progress of this request.
    Progress,
    /// A log message that is wanted.
    Log,
    /// The server withdraws a question.
    Withdrawn(Json<'a>),
    /// Something in the catalogue changed.
    ListChanged,
    /// Nothing for the client.
    Nothing,
}

/// Says what a notification is to a request that reports progress under `token` and wants log messages from `level` on.
pub fn relay<'a>(
    method: &Method<'_>,
    params: &Object<'a>,
    token: Option<Json<'_>>,
    level: Option<LogLevel>,
) -> Relayed<'a> {
    match method {
        Method::Progress => match (params.get("progressToken"), token) {
            (Some(told), Some(wanted)) if told.is_same_token(wanted) => Relayed::Progress,
            _ => Relayed::Nothing,
        },
        Method::LogMessage => {
            let told = params.get("level").and_then(Json::text).and_then(|text| text.parse().ok());
            match (told, level) {
                (Some(told), Some(wanted)) if LogLevel::ge(&told, &wanted) => Relayed::Log,
                _ => Relayed::Nothing,
            }
        }
        Method::Cancelled => params.get("requestId").map_or(Relayed::Nothing, Relayed::Withdrawn),
        Method::ToolsListChanged | Method::PromptsListChanged | Method::ResourcesListChanged => {
            Relayed::ListChanged
        }
        _ => Relayed::Nothing,
    }
}

/// Progress under the token of the request that it goes to now; nothing for other messages. `token` is raw JSON text.
pub fn progress_with_token(packet: &Packet<'_>, token: &str, limits: &Limits) -> Option<Vec<u8>> {
    let Packet::Notification { method: Method::Progress, params } = packet else { return None };
    let mut writer = Writer::new(128);
    for member in params.iter() {
        match member.key.as_ref() {
            "progressToken" => writer.raw("progressToken", token),
            "_meta" => writer.unless_empty("_meta", free_meta(Some(member.value), &[], limits)),
            _ => writer.copy(member),
        }
    }
    let mut message = Writer::message(192);
    message.string("method", "notifications/progress");
    message.bytes("params", &writer.finish());
    Some(message.finish())
}

/// `notifications/cancelled` for a request. `id` is raw JSON text.
pub fn cancelled(id: &str, reason: &str) -> Vec<u8> {
    let mut params = format!("{{\"requestId\":{id},\"reason\":").into_bytes();
    write_string(&mut params, reason);
    params.push(b'}');
    let mut message = Writer::message(128);
    message.string("method", "notifications/cancelled");
    message.bytes("params", &params);
    message.finish()
}
