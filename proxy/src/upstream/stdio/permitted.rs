//! A process within the limits of its binding (`calls`).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::super::gate::{Gate, Outcome, Permit};
use super::super::{Message, MessageStream, OnBehalf, Outgoing, Reply, UpstreamError};
use super::StdioUpstream;

impl StdioUpstream {
    /// One exchange within `calls`. It is not sent again: what a process does not take now it does not take in a moment.
    pub(in super::super) async fn permitted(
        &self,
        gate: &Arc<Gate>,
        on_behalf: &OnBehalf<'_>,
        outgoing: &Outgoing,
    ) -> Result<Reply, UpstreamError> {
        let deadline = Instant::now() + gate.calls().deadline;
        let permit = if outgoing.aside {
            gate.aside()?
        } else {
            let permit = timeout_at(deadline, gate.permit()).await;
            permit.unwrap_or(Err(UpstreamError::Timeout { sent: false }))?
        };
        let until = (!outgoing.lasting).then_some(deadline);
        let exchanged = timeout_at(deadline, self.exchange(on_behalf.caller, outgoing, until)).await;
        match exchanged.unwrap_or(Err(UpstreamError::Timeout { sent: true })) {
            // A stream that lasts takes no place from calls.
            Ok(reply) if outgoing.lasting => {
                permit.outcome(Outcome::Answered);
                Ok(reply)
            }
            Ok(reply) => {
                let messages = Box::new(Permitted { messages: reply.messages, permit: Some(permit) });
                Ok(Reply { messages, ..reply })
            }
            Err(error) => {
                permit.outcome(error.outcome());
                Err(error)
            }
        }
    }
}

/// The messages of an answer that holds a place until it has been read.
struct Permitted {
    messages: Box<dyn MessageStream>,
    permit: Option<Permit>,
}

#[async_trait]
impl MessageStream for Permitted {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        let next = self.messages.next().await;
        let outcome = match &next {
            Ok(Some(_)) => return next,
            Ok(None) => Outcome::Answered,
            Err(error) => error.outcome(),
        };
        if let Some(permit) = self.permit.take() {
            permit.outcome(outcome);
        }
        next
    }

    fn outlast(&mut self) {
        self.messages.outlast();
        if let Some(permit) = self.permit.take() {
            permit.outcome(Outcome::Answered);
        }
    }
}
