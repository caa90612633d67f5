//! The HTTP API: one table of endpoints, and what is made of it: the router, the OpenAPI document, the matrix of who may do what.

pub mod authenticate;
pub mod call;
pub mod conditions;
pub mod endpoint;
pub mod handlers;
pub mod idempotency;
pub mod input;
pub mod metrics;
pub mod openapi;
pub mod pipeline;
pub mod refused;
pub mod reply;
pub mod request_id;
pub mod service;
mod table;
pub mod tenant_name;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::routing::any;
use http::StatusCode;

pub use table::endpoints;

use self::endpoint::Endpoint;
use self::pipeline::Pipeline;
use self::reply::Reply;

/// The router of the API.
pub fn router(pipeline: Arc<Pipeline>) -> Router {
    let mut by_path: BTreeMap<&'static str, Vec<&'static Endpoint>> = BTreeMap::new();
    for endpoint in endpoints() {
        by_path.entry(endpoint.path).or_default().push(endpoint);
    }
    let mut router = Router::new();
    for (path, endpoints) in by_path {
        let (pipeline, endpoints) = (Arc::clone(&pipeline), Arc::<[_]>::from(endpoints));
        router = router.route(
            path,
            any(move |parameters: RawPathParams, request: Request| {
                let (pipeline, endpoints) = (Arc::clone(&pipeline), Arc::clone(&endpoints));
                async move {
                    let parameters =
                        parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                    pipeline.answer(&endpoints, parameters.collect(), request).await
                }
            }),
        );
    }
    let ready = Arc::clone(&pipeline);
    let nothing = pipeline;
    router
        .route("/livez", any(|| async { Reply::text("text/plain; charset=utf-8", "ok\n").into_response() }))
        .route(
            "/readyz",
            any(move || {
                let pipeline = Arc::clone(&ready);
                async move {
                    match pipeline.is_ready().await {
                        true => Reply::text("text/plain; charset=utf-8", "ok\n").into_response(),
                        false => Reply::empty(StatusCode::SERVICE_UNAVAILABLE).into_response(),
                    }
                }
            }),
        )
        .fallback(move |request: Request<Body>| {
            let pipeline = Arc::clone(&nothing);
            async move { pipeline.answer(&[], Vec::new(), request).await }
        })
}
