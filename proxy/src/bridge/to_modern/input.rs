//! Asks a legacy client what a modern upstream requires.

use std::borrow::Cow;

use bytes::Bytes;
use mcpg_protocol::bridge::{Answer, AskKind, InputRequests, Packet, answer_to_input_response, cancelled};
use mcpg_protocol::{RpcError, raw};
use tokio::time::Instant;

use super::{Conversation, Stop};
use crate::bridge::failure::Failure;
use crate::bridge::outlet::Outlet;
use crate::serve::ClientError;
use crate::sessions::Asked;

/// A client's own words are repeated to it up to this length.
const REASON_BYTES_MAX: usize = 256;

/// A question that was sent.
struct Sent<'r> {
    key: &'r str,
    kind: AskKind,
    asked: Asked,
}

impl Conversation<'_> {
    /// Asks the client everything, and returns `inputResponses`: the raw text of an object.
    pub(super) async fn input(
        &mut self,
        requests: &InputRequests<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<String, Stop> {
        if self.orphaned_at.is_some() {
            return Err(Stop::Client(ClientError::Gone));
        }
        if let Some((_, ask)) =
            requests.iter().find(|(_, ask)| !self.prepared.declared.has(ask.kind.capability()))
        {
            tracing::warn!(
                binding = self.prepared.route.id,
                method = ask.kind.method(),
                "an upstream asks for what the client did not declare"
            );
            let message = "the upstream server asks for what the client did not declare";
            return Err(Failure::said(RpcError::UpstreamInvalid, "undeclared_capability", message).into());
        }
        if !outlet.can_stream() {
            let message = "the server has to ask the client, which does not accept `text/event-stream`";
            return Err(Failure::said(RpcError::NotAcceptable, "stream_required", message).into());
        }
        let mut sent = Vec::with_capacity(requests.len());
        let outcome = match self.send(requests, &mut sent, outlet).await {
            Ok(()) => self.collect(&mut sent, outlet).await,
            Err(stop) => Err(stop),
        };
        if matches!(outcome, Err(Stop::Failed(_))) {
            withdraw(&sent, outlet).await;
        }
        outcome
    }

    async fn send<'r>(
        &self,
        requests: &'r InputRequests<'_>,
        sent: &mut Vec<Sent<'r>>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Stop> {
        for (key, ask) in requests.iter() {
            let asked = self.prepared.local.ask().map_err(|error| {
                Failure::said(RpcError::Overloaded, "questions_waiting", error.to_string())
            })?;
            let id = raw::string(asked.id());
            let json = ask.to_request(&id, self.prepared.client, asked.id()).map_err(Failure::from)?;
            sent.push(Sent { key, kind: ask.kind, asked });
            outlet.notice(Bytes::from(json)).await.map_err(Stop::Client)?;
        }
        Ok(())
    }

    async fn collect(&mut self, sent: &mut [Sent<'_>], outlet: &mut Outlet<'_>) -> Result<String, Stop> {
        let limits = self.prepared.limits;
        let deadline = Instant::now() + self.prepared.input_timeout;
        let mut responses = String::from("{");
        for question in sent {
            let answer = tokio::select! {
                biased;
                () = self.running.cancelled() => return Err(Stop::Cancelled),
                // Whatever the client answers now, there is nobody to tell the result.
                () = outlet.gone() => return Err(Stop::Client(ClientError::Gone)),
                answer = tokio::time::timeout_at(deadline, question.asked.answer()) => answer,
            };
            let late = |_| {
                Failure::said(
                    RpcError::ClientInputTimeout,
                    RpcError::ClientInputTimeout.reason(),
                    RpcError::ClientInputTimeout.message(),
                )
            };
            let answer = answer.map_err(late)?.ok_or(Stop::Cancelled)?;
            let given = given(question.kind, &answer, &limits)?;
            if responses.len() > 1 {
                responses.push(',');
            }
            responses.push_str(&raw::string(question.key));
            responses.push(':');
            responses.push_str(&given);
        }
        responses.push('}');
        Ok(responses)
    }
}

/// The entry of `inputResponses` that a client's response is.
fn given(kind: AskKind, response: &[u8], limits: &mcpg_protocol::Limits) -> Result<String, Failure> {
    let malformed = |_| {
        let message = "the client's response does not answer what was asked";
        Failure::said(RpcError::ClientInputRefused, "malformed_response", message)
    };
    let packet = Packet::parse(response, limits).map_err(malformed)?;
    match answer_to_input_response(kind, &packet, limits).map_err(malformed)? {
        // INVARIANT: it was written from UTF-8.
        Answer::Given(entry) => Ok(String::from_utf8(entry).unwrap_or_default()),
        Answer::Refused { code, message } => {
            let message = format!("the client refused what the server asked: {} ({code})", short(&message));
            Err(Failure::said(RpcError::ClientInputRefused, RpcError::ClientInputRefused.reason(), message))
        }
    }
}

/// Takes back what is still open, so that no user is asked for nothing.
async fn withdraw(sent: &[Sent<'_>], outlet: &mut Outlet<'_>) {
    for question in sent.iter().filter(|question| question.asked.is_waiting()) {
        let json = cancelled(&raw::string(question.asked.id()), "the request is over");
        if outlet.notice(Bytes::from(json)).await.is_err() {
            return;
        }
    }
}

fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(REASON_BYTES_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(text.chars().take(end).collect()),
    }
}
