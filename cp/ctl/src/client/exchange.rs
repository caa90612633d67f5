//! One request, which can be sent more than once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use mcpg_cp_api::trace_context::TraceContext;
use serde::Serialize;

use super::Condition;
use super::error::ClientError;
use super::settings::Settings;

const AGENT: &str = concat!("mcpg-ctl/", env!("CARGO_PKG_VERSION"));

/// A request without what its connection adds.
#[derive(Debug)]
pub(super) struct Exchange {
    method: Method,
    target: String,
    accept: &'static str,
    body: Option<Bytes>,
    key: Option<String>,
    condition: Condition,
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

impl Exchange {
    pub(super) fn new(method: Method, target: String) -> Self {
        let accept = "application/json";
        Self { method, target, accept, body: None, key: None, condition: Condition::Nothing }
    }

    pub(super) fn with_body(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        self.body = Some(serde_json::to_vec(body).map_err(ClientError::request)?.into());
        Ok(self)
    }

    /// With a key by which the server knows repetitions.
    pub(super) fn with_key(mut self) -> Result<Self, ClientError> {
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(ClientError::request)?;
        self.key = Some(URL_SAFE_NO_PAD.encode(random));
        Ok(self)
    }

    pub(super) fn accepting(mut self, media: &'static str) -> Self {
        self.accept = media;
        self
    }

    pub(super) fn on(mut self, condition: &Condition) -> Self {
        self.condition = condition.clone();
        self
    }

    /// Whether a second time does nothing that the first has not done. The server remembers keys within an organization only.
    pub(super) fn can_be_repeated(&self) -> bool {
        self.method == Method::GET || (self.key.is_some() && self.target.starts_with("/v1/orgs/"))
    }

    pub(super) fn request(&self, settings: &Settings) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.target)
            .header(header::ACCEPT, self.accept)
            .header(header::USER_AGENT, AGENT);
        if let Some(traceparent) = traceparent(settings) {
            request = request.header("traceparent", traceparent);
        }
        if let Some(token) = &settings.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| ClientError::request("the token is no header's value"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        request = match &self.condition {
            Condition::Nothing => request,
            Condition::Exists => request.header(header::IF_MATCH, "*"),
            Condition::Is(etag) => request.header(header::IF_MATCH, format!("\"{etag}\"")),
            Condition::Absent => request.header(header::IF_NONE_MATCH, "*"),
        };
        request.body(Full::new(self.body.clone().unwrap_or_default())).map_err(ClientError::request)
    }
}

/// The place of one request in the trace. Repetitions have places of their own.
fn traceparent(settings: &Settings) -> Option<HeaderValue> {
    let mut span_id = [0; 8];
    getrandom::fill(&mut span_id).ok()?;
    let place = TraceContext { trace_id: settings.trace_id, parent: None, span_id, flags: 0 };
    HeaderValue::from_bytes(&place.traceparent()).ok()
}
