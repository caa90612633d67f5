//! The trace of a request: the caller's, joined, or one that begins here; and the span that everything stands in that the log says of the
//! request.
//!
//! Source: W3C Trace Context level 1, section 3.2. What is no `traceparent`, and two of them, begin a new trace. `tracestate` is not read: nothing
//! is passed on that it would go with.

use http::{HeaderMap, Method};
use mcpg_cp_api::trace_context::{Hex, TraceContext};
use tracing::Span;
use tracing::field::Empty;

use super::super::call::{Caller, Tenant};
use super::super::endpoint::Endpoint;
use super::super::refused::Refused;
use super::super::request_id::RequestId;
use crate::store::Gateway;

/// The span of a request. It names the route and never what stands in its place, and is there at every level of the log, since errors want it.
pub(super) fn span(
    headers: &HeaderMap,
    fresh: [[u8; 16]; 2],
    id: &RequestId,
    (method, endpoint): (&Method, Option<&Endpoint>),
) -> Span {
    let mut random = [0; 24];
    for (byte, fresh) in random.iter_mut().zip(fresh.as_flattened()) {
        *byte = *fresh;
    }
    let trace = TraceContext::join(traceparent(headers), random);
    tracing::error_span!(
        "request",
        trace_id = %Hex(&trace.trace_id),
        span_id = %Hex(&trace.span_id),
        parent_id = trace.parent.map(|parent| Hex(&parent).to_string()),
        request_id = %id,
        operation = endpoint.map_or("none", |endpoint| endpoint.operation),
        %method,
        route = endpoint.map(|endpoint| endpoint.path),
        actor = Empty,
        org = Empty,
    )
}

/// Says who it is that asks.
pub(super) fn is_from(caller: &Caller) {
    Span::current().record("actor", tracing::field::display(&caller.actor));
}

/// Says which organization it is about. Only for a caller who has a place in it.
pub(super) fn is_about(tenant: &Tenant) {
    Span::current().record("org", tenant.slug.as_str());
}

/// Says which gateway it is that asks. Its organization is known by its id.
pub(super) fn is_from_gateway(gateway: &Gateway) {
    let span = Span::current();
    span.record("actor", tracing::field::display(format_args!("gateway:{}", gateway.id)));
    span.record("org", gateway.org_id.as_str());
}

/// Says why it is not done.
pub(super) fn is_refused(refused: &Refused) {
    let code = refused.code.as_str();
    let cause = refused.cause.as_deref().unwrap_or_default();
    if refused.code.status() >= 500 {
        tracing::error!(code, cause, "a request failed");
    } else {
        tracing::debug!(code, cause, "a request was refused");
    }
}

/// The one header that there may be.
fn traceparent(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all("traceparent").iter();
    let (first, second) = (values.next()?, values.next());
    second.is_none().then(|| first.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn one_traceparent_is_one() {
        let headers = |values: &[&str]| {
            let named = values.iter().map(|value| ("traceparent".parse().unwrap(), value.parse().unwrap()));
            named.collect::<HeaderMap>()
        };
        let joined =
            |values: &[&str]| TraceContext::join(traceparent(&headers(values)), [7; 24]).parent.is_some();
        assert!(joined(&[VALID]));
        assert!(!joined(&[]));
        assert!(!joined(&[VALID, VALID]));
        assert!(!joined(&["evil"]));
    }
}
