//! What a legacy client asks of a modern upstream that only the gateway can answer: the modern era has no such methods.

use mcpg_protocol::bridge::{Impossible, Json, Request};
use mcpg_protocol::{Method, Revision as Protocol, RpcError};

use super::Prepared;
use crate::bridge::failure::Failure;

/// The answer, if it is the gateway's to give.
pub(super) fn answer(prepared: &Prepared<'_>, request: &Request<'_>) -> Option<Result<Vec<u8>, Failure>> {
    let answered = match request.method() {
        // The upstream is asked whenever there is something to ask it.
        Method::Ping => Ok(()),
        Method::LoggingSetLevel => set_level(prepared, request),
        Method::ResourcesSubscribe => subscribe(prepared, request),
        Method::ResourcesUnsubscribe => uri(request).map(|uri| {
            prepared.local.unsubscribe(&prepared.route.id, &uri);
        }),
        _ => match request.is_bridged(Protocol::V2026_07_28) {
            Ok(()) => return None,
            Err(impossible) => Err(refused(impossible)),
        },
    };
    Some(answered.map(|()| empty(request)))
}

fn set_level(prepared: &Prepared<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let level = request.param("level").and_then(Json::text);
    let level = level.and_then(|level| level.parse::<mcpg_protocol::bridge::LogLevel>().ok());
    let level = level.ok_or_else(|| invalid("`level` is none of the specification's"))?;
    prepared.local.set_log_level(level);
    Ok(())
}

/// The subscription is part of the next `subscriptions/listen`.
fn subscribe(prepared: &Prepared<'_>, request: &Request<'_>) -> Result<(), Failure> {
    let uri = uri(request)?;
    match prepared.local.subscribe(&prepared.route.id, &uri) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(Failure::said(RpcError::InvalidRequest, "too_many_subscriptions", error.to_string()))
        }
    }
}

fn uri(request: &Request<'_>) -> Result<String, Failure> {
    let uri = request.param("uri").and_then(Json::text);
    uri.map(std::borrow::Cow::into_owned).ok_or_else(|| invalid("`uri` is missing"))
}

fn refused(impossible: Impossible) -> Failure {
    Failure::Impossible(impossible)
}

fn invalid(message: &'static str) -> Failure {
    Failure::said(RpcError::InvalidParams, "invalid_params", message)
}

fn empty(request: &Request<'_>) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, request.id().raw()).into_bytes()
}
