//! The admin listener: `/livez`, `/readyz`, `/metrics`, `/revision`. Loopback by default; it shows no secret and changes
//! nothing.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;
use serde_json::json;

use crate::audit::AuditHealth;
use crate::drain::Drain;
use crate::gateway::Gateway;
use crate::metrics;

/// What the admin listener answers with.
pub struct Admin {
    gateway: Arc<Gateway>,
    drain: Drain,
}

impl Admin {
    /// Answers about a gateway.
    pub fn new(gateway: Arc<Gateway>, drain: Drain) -> Self {
        Self { gateway, drain }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Vec<u8>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => with_type(StatusCode::OK, metrics::CONTENT_TYPE, self.gateway.metrics.render()),
            "/revision" => {
                let standing = serde_json::to_vec_pretty(&self.revision()).unwrap_or_default();
                with_type(StatusCode::OK, "application/json", standing)
            }
            _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics or /revision\n"),
        }
    }

    /// What is in force, and what of control planes it goes by.
    fn revision(&self) -> serde_json::Value {
        let mut body = json!(self.gateway.revisions.standing());
        if let (Some(standing), Some(body)) = (self.gateway.control_plane.get(), body.as_object_mut()) {
            body.insert("control_plane".to_owned(), json!(standing.shown()));
        }
        body
    }

    /// Ready means: a call sent now would be served.
    fn ready(&self) -> Response<Vec<u8>> {
        let draining = self.drain.is_draining();
        let audit = match self.gateway.audit.health() {
            AuditHealth::Accepting => "accepting",
            AuditHealth::Failed => "failed",
            AuditHealth::Closed => "closed",
        };
        let started = self.gateway.startup.is_complete();
        let is_configured = self.gateway.revisions.peek(|generation| !generation.scopes.is_empty());
        let ready = started && !draining && audit == "accepting" && is_configured;
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut body = json!({"ready": ready, "started": started, "draining": draining, "audit": audit});
        if let (false, Some(standing), Some(body)) =
            (is_configured, self.gateway.control_plane.get(), body.as_object_mut())
        {
            body.insert("waits_for".to_owned(), json!(standing.waits_for()));
        }
        with_type(status, "application/json", body.to_string().into_bytes())
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let head_only = head.method == Method::HEAD;
        let mut response = self.answer(&head.method, head.uri.path());
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if head_only {
            response.body_mut().clear();
        }
        response
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Vec<u8>> {
    with_type(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn with_type(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
