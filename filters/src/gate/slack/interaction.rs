//! What Slack sends when somebody presses a button.
//!
//! INVARIANT: only what was signed is read here, and of it only who pressed which button of which question. What the message says
//! of itself counts for nothing.
//!
//! Source: "Interaction payloads: block_actions" of Slack's documentation.

use serde::Deserialize;

use super::message::{APPROVE, DENY};
use crate::gate::CallbackError;
use crate::gate::question::{Answer, Answerer};

const ID_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: Named,
    team: Option<Named>,
    response_url: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    value: Option<String>,
}

/// Reads a callback, whose signature holds; none if it is about something else than our buttons.
pub(super) fn read(body: &[u8]) -> Result<Option<Answer>, CallbackError> {
    let mut payloads = url::form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
    let (Some((_, payload)), None) = (payloads.next(), payloads.next()) else {
        return Err(CallbackError::Malformed);
    };
    let payload: Payload = serde_json::from_str(&payload).map_err(|_| CallbackError::Malformed)?;
    if payload.kind != "block_actions" {
        return Ok(None);
    }
    let [action] = payload.actions.as_slice() else { return Ok(None) };
    let approve = match action.action_id.as_str() {
        APPROVE => true,
        DENY => false,
        _ => return Ok(None),
    };
    let is_id = |id: &str| {
        (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let id = action.value.as_deref().filter(|id| is_id(id)).ok_or(CallbackError::Malformed)?;
    let team = payload.team.map_or(String::new(), |team| team.id);
    if !is_id(&payload.user.id) || !(team.is_empty() || is_id(&team)) {
        return Err(CallbackError::Malformed);
    }
    let response_url = payload.response_url.map(Box::from);
    let by = Answerer::Slack { user: payload.user.id.into(), team: team.into(), response_url };
    Ok(Some(Answer { id: id.into(), approve, by, reason: None }))
}
