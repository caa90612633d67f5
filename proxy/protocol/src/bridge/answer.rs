//! What a client answers to a question: a response of its own in the era of sessions, an entry of `inputResponses` in the
//! modern one.
//!
//! The modern era has no way to say that a question could not be answered: the client just does not repeat its request.

use std::borrow::Cow;

use super::object::{Json, Object, Writer, free_meta};
use super::{AskKind, BridgeError, Packet};
use crate::{Limits, write_string};

/// A legacy client's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The entry of `inputResponses`: the raw text of an object.
    Given(Vec<u8>),
    /// The client could or would not answer, and says why.
    Refused {
        /// The error's code.
        code: i64,
        /// Its message.
        message: Cow<'a, str>,
    },
}

/// A legacy client's response as an entry of `inputResponses`.
///
/// # Errors
/// If it does not answer what was asked.
pub fn answer_to_input_response<'a>(
    kind: AskKind,
    response: &Packet<'a>,
    limits: &Limits,
) -> Result<Answer<'a>, BridgeError> {
    match response {
        Packet::Result { result, .. } => {
            check(kind, result)?;
            Ok(Answer::Given(shared(result, limits).finish()))
        }
        Packet::Error { .. } => {
            let (code, message) = response.failure().ok_or(BridgeError::Shape("error"))?;
            Ok(Answer::Refused { code, message })
        }
        _ => Err(BridgeError::Shape("response")),
    }
}

/// An entry of a modern client's `inputResponses` as the response to a legacy server's request. `id` is the raw text of that
/// request's id.
///
/// # Errors
/// If it does not answer what was asked.
pub fn input_response_to_answer(
    kind: AskKind,
    id: &str,
    entry: Json<'_>,
    limits: &Limits,
) -> Result<Vec<u8>, BridgeError> {
    let entry = entry.object(limits).ok_or(BridgeError::Shape("params.inputResponses"))?;
    check(kind, &entry)?;
    let mut message = Writer::message(256);
    message.raw("id", id);
    message.bytes("result", &shared(&entry, limits).finish());
    Ok(message.finish())
}

/// A refusal as the response to a legacy server's request.
pub fn error_response(id: &str, code: i64, text: &str) -> Vec<u8> {
    let mut error = format!("{{\"code\":{code},\"message\":").into_bytes();
    write_string(&mut error, text);
    error.push(b'}');
    let mut message = Writer::message(128);
    message.raw("id", id);
    message.bytes("error", &error);
    message.finish()
}

/// Whether the members are there that make an answer to this kind of question.
fn check(kind: AskKind, result: &Object<'_>) -> Result<(), BridgeError> {
    let text = |key: &str| result.get(key).and_then(Json::text);
    match kind {
        AskKind::Roots if result.get("roots").is_some_and(Json::is_array) => Ok(()),
        AskKind::Roots => Err(BridgeError::Shape("roots")),
        AskKind::Sampling { .. } => {
            let content = result.get("content").is_some_and(|it| it.is_object() || it.is_array());
            let sound = content && text("role").is_some() && text("model").is_some();
            sound.then_some(()).ok_or(BridgeError::Shape("content"))
        }
        AskKind::Form | AskKind::Url => match text("action").as_deref() {
            Some("accept" | "decline" | "cancel") => match result.get("content") {
                None => Ok(()),
                Some(content) if content.is_object() || content.raw() == "null" => Ok(()),
                Some(_) => Err(BridgeError::Shape("content")),
            },
            _ => Err(BridgeError::Shape("action")),
        },
    }
}

/// The members that both eras have.
fn shared(result: &Object<'_>, limits: &Limits) -> Writer {
    let mut writer = Writer::new(256);
    for member in result.iter() {
        match member.key.as_ref() {
            "resultType" => {}
            "_meta" => writer.unless_empty("_meta", free_meta(Some(member.value), &[], limits)),
            _ => writer.copy(member),
        }
    }
    writer
}
