//! How a request is answered once the pipeline has had its say.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use mcpg_cp_api::trace_context::Hex;
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;

use super::body::{SessionExchange, drain_small};
use super::{Context, Gateway};
use crate::dispatch;
use crate::guard::Rest;
use crate::metrics::Metrics;
use crate::pipeline::{self, Authorized};
use crate::refusal::Refusal;
use crate::resource_metadata;
use crate::serve::{self, Way};

impl Gateway {
    /// Answers a refused request and counts it, for its scope where it named one.
    pub(super) async fn refuse(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        refusal: &Refusal,
        metrics: Option<&Arc<Metrics>>,
    ) -> Result<()> {
        let of_scope = || context.authorized.as_ref().map(|authorized| &authorized.revision().scope.metrics);
        metrics.or_else(of_scope).unwrap_or(&self.metrics).refused(refusal.reason);
        tracing::info!(
            request_id = %Hex(&context.request_id),
            trace_id = %Hex(&context.trace.trace_id),
            status = refusal.status(),
            reason = refusal.reason,
            detail = %refusal.detail,
            "request refused"
        );
        context.status = refusal.status();
        write_refusal(session, refusal).await
    }

    /// Sends an authorized request on its way. Says what is left of it, where it lasts.
    pub(super) async fn pass(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        authorized: Authorized,
    ) -> Result<Option<Rest>> {
        context.join_trace(authorized.traceparent());
        context.authorized = Some(authorized);
        let bearer = serve::bearer(session.req_header());
        match serve::choose(context, &self.shared, bearer).await {
            Ok(Way::Direct) => {
                if let Err(refusal) = context.enter().await {
                    return self.refuse(session, context, &refusal, None).await.map(|()| None);
                }
                let over = serve::over(session, context, self);
                Box::pin(dispatch::exchange(session, context, over)).await.map(|()| None)
            }
            Ok(Way::Served) => Box::pin(serve::run(session, context, self)).await,
            Err(refusal) => self.refuse(session, context, &refusal, None).await.map(|()| None),
        }
    }

    /// Answers with what an endpoint is as an OAuth resource.
    pub(super) async fn describe(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        path: &str,
    ) -> Result<()> {
        let described = pipeline::describe(&context.generation, &SessionExchange::new(session), path);
        match described {
            Ok(document) => {
                context.status = resource_metadata::answer(session, document).await?;
                Ok(())
            }
            Err(refusal) => self.refuse(session, context, &refusal, None).await,
        }
    }
}

/// Writes a refusal as the answer of a session.
pub(super) async fn write_refusal(session: &mut ServerSession, refusal: &Refusal) -> Result<()> {
    let mut head = ResponseHeader::build(refusal.status(), Some(4))?;
    head.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    head.insert_header(http::header::CONTENT_LENGTH, refusal.body.len())?;
    if let Some(seconds) = refusal.retry_after {
        head.insert_header(RETRY_AFTER, seconds)?;
    }
    for challenge in &refusal.challenges {
        head.append_header(WWW_AUTHENTICATE, challenge)?;
    }
    if refusal.close && !drain_small(session).await {
        session.set_keepalive(None);
    }
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(Bytes::copy_from_slice(&refusal.body), true).await
}
