//! What the gateway asks of its control plane.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use mcpg_config::{TlsVersion, UpstreamTls};
use mcpg_cp_api::trace_context::TraceContext;
use mcpg_cp_api::{
    Acknowledgement, AuditAccepted, AuditUpload, EnrollGateway, Enrolled, Heartbeat, Problem, SignedRevision,
    SignedTerms,
};
use mcpg_filters::net::{
    AllowAddresses, Bounds, ClientIdentity, ClientTls, ClientTlsSettings, FetchError, HttpClient, HttpUrl,
    Request, Response, Roots, Stream, Target,
};
use mcpg_filters::secret::SecretResolver;
use mcpg_protocol::sse::Splitter;
use mcpg_sdk::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::AgentKey;

const JSON: &str = "application/json";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The time for a short request.
const TIME_MAX: Duration = Duration::from_secs(15);
/// A short answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What is shown of an answer that is no problem document.
const SHOWN_MAX: usize = 200;

/// A revision with its policies.
const EVENT_BYTES_MAX: usize = 64 << 20;
/// A stream without a sign of life is taken for dead; the control plane sends one every 10 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// Why the control plane did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It refuses.
    #[error("the control plane answers {status}: {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// It says something that is not understood.
    #[error("the control plane's answer cannot be read: {0}")]
    Answer(String),
    /// The gateway cannot ask.
    #[error("{0}")]
    Own(String),
}

impl ClientError {
    /// Whether asking again would get the same answer.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. })
            && !matches!(self, Self::Refused { status: 408 | 425 | 429, .. })
    }

    /// Whether the control plane does not believe who asks: for good, or for as long as a clock is wrong.
    pub(super) fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}

/// Which trace a request is part of (W3C Trace Context).
pub(super) type TraceId = [u8; 16];

/// A trace of one's own.
pub(super) fn new_trace() -> TraceId {
    let mut trace = [0; 16];
    fastrand::fill(&mut trace);
    trace
}

/// A control plane.
#[derive(Clone)]
pub(super) struct Client {
    http: HttpClient,
    base: Target,
    key: Arc<AgentKey>,
}

impl Client {
    /// The control plane of a configuration.
    pub(super) fn new(
        control_plane: &mcpg_config::ControlPlane,
        secrets: &SecretResolver,
        key: Arc<AgentKey>,
    ) -> anyhow::Result<Self> {
        let url = &control_plane.url;
        let scheme = if url.secure { "https" } else { "http" };
        let base: HttpUrl = format!("{scheme}://{}/", url.authority()).parse()?;
        let tls = match &control_plane.tls {
            None => ClientTls::system()?,
            Some(tls) => ClientTls::new(tls_settings(tls, secrets)?)?,
        };
        let allowed = AllowAddresses::from(control_plane.allow_addresses.as_slice());
        Ok(Self { http: HttpClient::default(), base: Target::configured(base, &allowed, tls), key })
    }

    /// Enrols with a token.
    pub(super) async fn enroll(&self, request: &EnrollGateway) -> Result<Enrolled, ClientError> {
        let response = self.post("/v1/agent/enroll", request, None, new_trace()).await?;
        read(&response)
    }

    /// Says what came of a revision, in the trace in which it was taken.
    pub(super) async fn acknowledge(
        &self,
        enrolled: &Enrolled,
        acknowledgement: &Acknowledgement,
        trace: TraceId,
    ) -> Result<(), ClientError> {
        self.post("/v1/agent/acknowledgements", acknowledgement, Some(enrolled), trace).await.map(drop)
    }

    /// Says how the gateway is, as it is after this was signed.
    pub(super) async fn heartbeat(
        &self,
        enrolled: &Enrolled,
        heartbeat: impl FnOnce() -> Heartbeat,
    ) -> Result<(), ClientError> {
        let path = "/v1/agent/heartbeat";
        // Signed first: a heartbeat never counts as newer than what it says.
        let authorization = self.authorization("POST", path, enrolled)?;
        self.post_as(path, &heartbeat(), Some(authorization), new_trace()).await.map(drop)
    }

    /// Sends audit rows; how far they are kept there.
    pub(super) async fn forward_audit(
        &self,
        enrolled: &Enrolled,
        upload: &AuditUpload,
    ) -> Result<AuditAccepted, ClientError> {
        let response = self.post("/v1/agent/audit", upload, Some(enrolled), new_trace()).await?;
        read(&response)
    }

    /// Follows the revisions after one.
    pub(super) async fn revisions(&self, enrolled: &Enrolled, after: u64) -> Result<Revisions, ClientError> {
        let path = format!("/v1/agent/revisions?after={after}");
        let authorization = self.authorization("GET", &path, enrolled)?;
        let request = traced(Request::get().with(ACCEPT, EVENTS), new_trace());
        let request = request.with(AUTHORIZATION, authorization);
        let bounds = Bounds { total: TIME_MAX, ..Bounds::default() };
        let mut stream = self.http.open(&self.target(&path)?, &request, &bounds).await?;
        if stream.status.is_success() {
            return Ok(Revisions { stream, splitter: Splitter::new(EVENT_BYTES_MAX) });
        }
        let mut body = Vec::new();
        while let Ok(Some(piece)) = stream.next(TIME_MAX).await {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        Err(refused(stream.status.as_u16(), &body))
    }

    async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        enrolled: Option<&Enrolled>,
        trace: TraceId,
    ) -> Result<Response, ClientError> {
        let authorization =
            enrolled.map(|enrolled| self.authorization("POST", path, enrolled)).transpose()?;
        self.post_as(path, body, authorization, trace).await
    }

    async fn post_as(
        &self,
        path: &str,
        body: &impl Serialize,
        authorization: Option<HeaderValue>,
        trace: TraceId,
    ) -> Result<Response, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Own(error.to_string()))?;
        let mut request = traced(Request::post(JSON, body), trace);
        if let Some(authorization) = authorization {
            request = request.with(AUTHORIZATION, authorization);
        }
        let bounds = Bounds { total: TIME_MAX, response_bytes_max: ANSWER_BYTES_MAX, ..Bounds::default() };
        let response = self.http.fetch(&self.target(path)?, request, &bounds).await?;
        if response.status.is_success() {
            Ok(response)
        } else {
            Err(refused(response.status.as_u16(), &response.body))
        }
    }

    fn authorization(
        &self,
        method: &str,
        path: &str,
        enrolled: &Enrolled,
    ) -> Result<HeaderValue, ClientError> {
        let assertion = self.key.assertion(enrolled, (method, path), SystemTime::now());
        let assertion = assertion.map_err(|error| ClientError::Own(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {assertion}"))
            .map_err(|error| ClientError::Own(error.to_string()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn target(&self, path: &str) -> Result<Target, ClientError> {
        let url = self.base.url.join(path).map_err(|error| ClientError::Own(error.to_string()))?;
        Ok(self.base.naming(url))
    }
}

/// What a control plane sends.
#[derive(Debug)]
pub(super) enum Event {
    /// Its organization's terms.
    Terms(SignedTerms),
    /// A revision.
    Revision(SignedRevision),
}

/// A stream of terms and revisions.
pub(super) struct Revisions {
    stream: Stream,
    splitter: Splitter,
}

impl Revisions {
    /// What comes next, as it was sent; none at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            let unreadable = |error: &dyn std::error::Error| ClientError::Answer(error.to_string());
            while let Some(event) = self.splitter.next_event().map_err(|error| unreadable(&error))? {
                let event = match (event.name(), event.data()) {
                    (Some(b"revision"), Some(data)) => serde_json::from_slice(&data).map(Event::Revision),
                    (Some(b"terms"), Some(data)) => serde_json::from_slice(&data).map(Event::Terms),
                    _ => continue,
                };
                return event.map(Some).map_err(|error| unreadable(&error));
            }
            match self.stream.next(SILENCE_MAX).await {
                Ok(Some(piece)) => self.splitter.push(&piece),
                Ok(None) => return Ok(None),
                Err(problem) => return Err(ClientError::Answer(problem.to_string())),
            }
        }
    }
}

/// Says which trace a request is part of.
fn traced(request: Request, trace_id: TraceId) -> Request {
    let mut span_id = [0; 8];
    fastrand::fill(&mut span_id);
    let place = TraceContext { trace_id, parent: None, span_id, flags: 0 };
    match HeaderValue::from_bytes(&place.traceparent()) {
        Ok(value) => request.with(TRACEPARENT, value),
        Err(_) => request,
    }
}

fn tls_settings(tls: &UpstreamTls, secrets: &SecretResolver) -> anyhow::Result<ClientTlsSettings> {
    let roots = match &tls.ca {
        None => Roots::System,
        Some(path) => Roots::Pem(fs::read(path)?),
    };
    let identity = match &tls.client {
        None => None,
        Some(client) => Some(ClientIdentity {
            certificate: fs::read(&client.certificate)?,
            private_key: match &client.key {
                mcpg_config::KeySource::File(path) => Secret::new(fs::read(path)?),
                mcpg_config::KeySource::Secret(reference) => secrets.resolve(reference)?,
            },
        }),
    };
    Ok(ClientTlsSettings {
        roots,
        server_name: Some(tls.server_name.clone()),
        pins: tls.pins.clone(),
        spki_pins: tls.spki_pins.clone(),
        identity,
        tls13_only: tls.min_version == TlsVersion::Tls13,
    })
}

fn read<T: DeserializeOwned>(response: &Response) -> Result<T, ClientError> {
    serde_json::from_slice(&response.body).map_err(|error| ClientError::Answer(error.to_string()))
}

/// A refusal, in the control plane's own words if it has some (RFC 9457).
fn refused(status: u16, body: &[u8]) -> ClientError {
    let detail = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail.unwrap_or(problem.title),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(SHOWN_MAX).collect();
            text.escape_debug().to_string()
        }
    };
    ClientError::Refused { status, detail }
}
