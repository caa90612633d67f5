//! `mode: remote`: an OPA elsewhere decides, by its REST API (`POST /v1/data/PATH`).
//!
//! INVARIANT: whatever is not a well-formed permit of that OPA denies: no answer, a late one, another status, a body that is too
//! long or no JSON, an undefined result, a builtin that fails. An OPA that does not answer is left alone for a moment, so that calls
//! are denied at once and do not wait for it one after the other. One whose policies fail has answered: a caller who finds
//! arguments that they fail about keeps nobody else from being decided.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use mcpg_sdk::policy::{Asked, EngineDecision, EngineError, Names, ReadSet};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::answer::Reader;
use super::{OpaError, OpaSettings, RemoteSettings, reads};
use crate::net::{Bounds, ClientTls, HttpClient, HttpUrl, Request, Target};
use crate::registry::BuildContext;

/// Without it a builtin that fails is undefined, and `not` makes it true.
const STRICT: &str = "strict-builtin-errors=true";
/// Failures in a row after which it is left alone.
const FAILURES_MAX: u32 = 5;
/// How long it is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// Longer codes of errors are none of OPA's.
const CODE_BYTES_MAX: usize = 64;
/// Decisions that are kept.
const KEPT_MAX: usize = 4096;
/// Longer inputs are not worth keeping.
const KEPT_BYTES_MAX: usize = 8 << 10;

/// An OPA elsewhere.
pub(super) struct Remote(Arc<Inner>);

struct Inner {
    http: HttpClient,
    target: Target,
    authorization: Option<HeaderValue>,
    bounds: Bounds,
    turns: Semaphore,
    health: Mutex<Health>,
    keep: Option<Duration>,
    kept: Mutex<HashMap<Vec<u8>, (EngineDecision, Instant)>>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    paused_until: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Value>,
}

/// What OPA answers instead, with 500: its own trouble, or an evaluation that fails.
#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
}

impl Remote {
    /// What is asked, and what its policies read.
    pub(super) fn build(
        settings: &OpaSettings,
        context: &BuildContext<'_>,
    ) -> Result<(Self, ReadSet), OpaError> {
        let wrong = |pointer, message: String| OpaError::Setting { pointer, message };
        let Some(remote) = &settings.remote else {
            return Err(wrong("/remote", "`mode: remote` needs `remote: { url: … }`".to_owned()));
        };
        let path = settings.decision.split('.').skip(1).collect::<Vec<_>>().join("/");
        let url: HttpUrl = format!("{}/v1/data/{path}?{STRICT}", remote.url.trim_end_matches('/'))
            .parse()
            .map_err(|error: crate::net::UrlError| wrong("/remote/url", error.to_string()))?;
        let tls = ClientTls::system().map_err(|error| wrong("/remote/url", error.to_string()))?;
        let limit = Duration::from_millis(settings.limits.evaluation_ms_max);
        let inner = Inner {
            http: context.shared.http.clone(),
            target: Target::configured(url, &remote.allow_addresses, tls),
            authorization: authorization(remote, context)?,
            bounds: Bounds {
                // Before the chain gives up, so that it is known why.
                total: limit - limit / 10,
                connect: limit,
                response_bytes_max: remote.response_bytes_max,
                redirects_max: 0,
            },
            turns: Semaphore::new(remote.concurrency_max.clamp(1, 4096)),
            health: Mutex::default(),
            keep: remote.cache.then(|| Duration::from_millis(remote.cache_ms.min(3_600_000))),
            kept: Mutex::default(),
        };
        let mut read = ReadSet::default();
        for path in remote.reads.iter().flatten() {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            if path.is_empty() || !reads::note(&mut read, &names) {
                return Err(wrong("/remote/reads", format!("the input has no `{path}`")));
            }
        }
        if remote.reads.is_none() {
            read = ReadSet::everything();
        }
        if remote.cache && matches!(read.arguments, Names::All) && read.time {
            let message = "`cache: true` needs `reads`: with the time in it no input comes twice".to_owned();
            return Err(wrong("/remote/cache", message));
        }
        Ok((Self(Arc::new(inner)), read))
    }

    /// Its answer, on the way.
    pub(super) fn ask(&self, input: Result<Value, EngineError>, reader: &Reader, limit: Duration) -> Asked {
        let (inner, reader) = (Arc::clone(&self.0), reader.clone());
        Box::pin(async move {
            let body =
                serde_json::to_vec(&json!({ "input": input? })).map_err(|error| unavailable(&error))?;
            inner.decide(body, &reader, limit).await
        })
    }
}

fn authorization(
    remote: &RemoteSettings,
    context: &BuildContext<'_>,
) -> Result<Option<HeaderValue>, OpaError> {
    let wrong = |message: String| OpaError::Setting { pointer: "/remote/token", message };
    let Some(token) = &remote.token else { return Ok(None) };
    let secret = context.secrets.resolve(token).map_err(|error| wrong(error.to_string()))?;
    let text = std::str::from_utf8(secret.expose()).map_err(|_| wrong("is no text".to_owned()))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_| wrong("cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Inner {
    async fn decide(
        &self,
        body: Vec<u8>,
        reader: &Reader,
        limit: Duration,
    ) -> Result<EngineDecision, EngineError> {
        if let Some(decided) = self.find(&body) {
            return Ok(decided);
        }
        if self.is_paused() {
            return Err(unavailable(&"it has not answered for a while, and is left alone for a moment"));
        }
        let Ok(_turn) = self.turns.acquire().await else { return Err(EngineError::deadline(limit)) };
        let mut request = Request::post("application/json", body.clone());
        if let Some(authorization) = &self.authorization {
            request = request.with(AUTHORIZATION, authorization.clone());
        }
        let response = match self.http.fetch(&self.target, request, &self.bounds).await {
            Ok(response) => response,
            Err(error) => {
                self.note(false);
                return Err(unavailable(&error));
            }
        };
        let fault = fault(response.status, &response.body);
        self.note(fault.is_some() || !response.status.is_server_error());
        if let Some(fault) = fault {
            return Err(reader.problem(&format!("failed: {fault}")));
        }
        if response.status != StatusCode::OK {
            return Err(unavailable(&format!("it answered with status {}", response.status.as_u16())));
        }
        let answer: Answer = serde_json::from_slice(&response.body)
            .map_err(|_| unavailable(&"its answer is not that of an OPA"))?;
        let decided = reader.read(answer.result)?;
        self.keep(body, &decided);
        Ok(decided)
    }

    fn is_paused(&self) -> bool {
        self.health.lock().paused_until.is_some_and(|until| Instant::now() < until)
    }

    fn note(&self, answered: bool) {
        let mut health = self.health.lock();
        if answered {
            *health = Health::default();
            return;
        }
        health.failures = health.failures.saturating_add(1);
        if health.failures >= FAILURES_MAX {
            health.paused_until = Some(Instant::now() + PAUSE);
        }
    }

    fn find(&self, body: &[u8]) -> Option<EngineDecision> {
        self.keep?;
        let kept = self.kept.lock();
        kept.get(body).filter(|(_, until)| Instant::now() < *until).map(|(decided, _)| decided.clone())
    }

    fn keep(&self, body: Vec<u8>, decided: &EngineDecision) {
        let Some(keep) = self.keep.filter(|_| body.len() <= KEPT_BYTES_MAX) else { return };
        let now = Instant::now();
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (_, until)| now < *until);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(body, (decided.clone(), now + keep));
        }
    }
}

/// The kind of error that the evaluation ended with, if it did: `eval_builtin_error`, `eval_conflict_error`. What OPA says beside it may
/// quote arguments.
fn fault(status: StatusCode, body: &[u8]) -> Option<String> {
    if status != StatusCode::INTERNAL_SERVER_ERROR {
        return None;
    }
    let trouble: Trouble = serde_json::from_slice(body).ok()?;
    let Fault { code } = trouble.errors.into_iter().next()?;
    let is_fault = code.strip_prefix("eval_").is_some_and(|kind| kind != "cancel_error");
    (is_fault
        && code.len() <= CODE_BYTES_MAX
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    .then_some(code)
}

fn unavailable(problem: &dyn std::fmt::Display) -> EngineError {
    EngineError::Unavailable { problem: problem.to_string() }
}
