//! One request from its head to its last byte.
//!
//! Pingora's sessions read and write HTTP; who does what when is here (docs/adr/0023).

use std::sync::Arc;

use http::HeaderValue;
use mcpg_cp_api::trace_context::{Hex, TraceContext};
use mcpg_ledger::Completion;
use mcpg_protocol::RpcError;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorSource, ErrorType, Result};

use super::answer::write_refusal;
use super::body::SessionExchange;
use super::{Context, Gateway, context, failure};
use crate::approvals;
use crate::guard::{Handled, Handler, Rest};
use crate::pipeline::{self, Admission};
use crate::refusal::Refusal;
use crate::resource_metadata;
use crate::serve::{self, Waited};

impl Handler for Gateway {
    async fn handle(self: &Arc<Self>, mut session: ServerSession) -> Handled {
        if !has_head(&mut session).await {
            return Handled::Over;
        }
        let mut context = Context::new(self.revisions.load());
        match self.serve(&mut session, &mut context).await {
            Ok(Some(rest)) => return Handled::Lasts(rest),
            Ok(None) => {}
            Err(error) => {
                self.fail(&mut session, &mut context, &error).await;
                context.finish(session.body_bytes_sent());
                return Handled::Over;
            }
        }
        context.finish(session.body_bytes_sent());
        drop(context);
        match session.finish().await {
            Ok(Some(reusable)) => Handled::Free(reusable.into_parts().0),
            Ok(None) | Err(_) => Handled::Over,
        }
    }
}

impl Gateway {
    /// Answers a request. Says what is left of it, where it lasts.
    async fn serve(
        self: &Arc<Self>,
        session: &mut ServerSession,
        context: &mut Context,
    ) -> Result<Option<Rest>> {
        let generation = Arc::clone(&context.generation);
        // The guard has set it for HTTP/1; a stream of HTTP/2 has it from here.
        session.set_write_timeout(Some(generation.guard.write_timeout));
        let traceparent = generation.propagate_trace.then(|| session.get_header("traceparent")).flatten();
        context.trace = TraceContext::join(traceparent.map(HeaderValue::as_bytes), context::fresh());
        if let Some(path) = resource_metadata::asked_for(session.req_header().uri.path()) {
            let path = path.to_owned();
            return self.describe(session, context, &path).await.map(|()| None);
        }
        let (refusal, metrics) = if approvals::is_ours(session.req_header().uri.path()) {
            match Box::pin(approvals::serve(session, context, self)).await? {
                Some(refusal) => (refusal, None),
                None => return Ok(None),
            }
        } else {
            let mut exchange = SessionExchange::new(session);
            let admitted =
                pipeline::admit(&generation, self, &mut exchange, context.request_id, self.arrival()).await;
            match admitted {
                Ok(Admission::Authorized(authorized)) => {
                    return self.pass(session, context, authorized).await;
                }
                Ok(Admission::Awaiting(awaiting)) => {
                    let metrics = Arc::clone(awaiting.metrics());
                    match Box::pin(serve::wait(session, context, self, awaiting)).await? {
                        Waited::Authorized(authorized) => {
                            return self.pass(session, context, *authorized).await;
                        }
                        Waited::Answered => return Ok(None),
                        Waited::Refused(refusal) => (refusal, Some(metrics)),
                    }
                }
                Err(refused) => (refused.refusal, refused.metrics),
            }
        };
        self.refuse(session, context, &refusal, metrics.as_ref()).await.map(|()| None)
    }

    /// Notes why a request was not answered, and says so to the client if it has heard nothing yet.
    async fn fail(&self, session: &mut ServerSession, context: &mut Context, error: &Error) {
        let failure = failure::classify(error);
        context.fail(error, failure);
        let of_upstream = failure.filter(|failure| *failure != RpcError::Denied);
        if let (Some(failure), Ok(route)) = (of_upstream, context.route()) {
            let metrics = context.revision().map_or(&self.metrics, |revision| &revision.scope.metrics);
            metrics.upstream_failed(&route.id, failure.reason());
            tracing::warn!(
                request_id = %Hex(&context.request_id),
                trace_id = %Hex(&context.trace.trace_id),
                binding = route.id,
                reason = failure.reason(),
                cause = %error.etype().as_str(),
                "upstream call failed"
            );
        }
        if let Some(failure) = failure
            && session.response_written().is_none()
        {
            let id = context.authorized.as_ref().and_then(|authorized| authorized.id());
            let refusal = Refusal::new(failure, id, "").closing();
            context.status = refusal.status();
            if write_refusal(session, &refusal).await.is_err() {
                context.completion = Some(Completion::ClientAborted);
            }
        }
        if context.completion.is_none() {
            let client = matches!(error.esource(), ErrorSource::Downstream);
            context.completion =
                Some(if client { Completion::ClientAborted } else { Completion::UpstreamError });
        }
    }
}

/// Reads the head of the request. False if there is none to serve.
async fn has_head(session: &mut ServerSession) -> bool {
    match session.read_request().await {
        Ok(has) => has,
        Err(error) => {
            // The guard has read it before: what is refused here is the parser's own business.
            if matches!(error.etype(), ErrorType::InvalidHTTPHeader) {
                // Whoever is gone does not hear it.
                let _ = session.respond_error(400).await;
            }
            session.shutdown().await;
            false
        }
    }
}
