//! Asking an upstream what it speaks.
//!
//! | answer to `server/discover` | means |
//! | --- | --- |
//! | a result whose `supportedVersions` name 2026-07-28 | modern |
//! | -32020, -32021, or -32022 that supports 2026-07-28 | modern |
//! | 401, 403, 429, 502 to 504, no connection | nothing: an error |
//! | anything else, nothing at all in time | not known: `initialize` is tried |
//!
//! | answer to `initialize` | means |
//! | --- | --- |
//! | a result with a revision known here | legacy |
//! | one of the modern errors above | modern |
//! | anything else | an error |

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use mcpg_protocol::{Era, Revision};
use serde::Deserialize;
use tokio::time::timeout;

use super::{LegacyStanding, Standing};
use crate::revision::{Route, Transport};
use crate::upstream::session::refused;
use crate::upstream::{ClientProfile, ModernRequest, OnBehalf, UpstreamError, UpstreamSession};

/// A server of the legacy era may leave a request that it does not know without an answer.
const DISCOVER_TIME_MAX: Duration = Duration::from_secs(5);
const INITIALIZE_TIME_MAX: Duration = Duration::from_secs(10);
/// Some processes load themselves over the network when they are started.
const PROCESS_START_TIME: Duration = Duration::from_secs(30);
const DISCOVER_ID: &str = r#""mcpg-discover""#;
const MODERN: Standing = Standing { modern: true, legacy: None };

/// What an answer to `server/discover` tells.
#[derive(Clone, Copy)]
enum Told {
    Modern,
    /// Nothing for sure.
    Unclear,
}

impl Route {
    /// Asks the upstream what it speaks.
    pub(super) async fn detect(
        self: &Arc<Self>,
        on_behalf: &OnBehalf<'_>,
    ) -> Result<Standing, UpstreamError> {
        let asks_modern = self.eras.pinned.is_none_or(|pinned| pinned.era() == Era::Modern);
        if asks_modern {
            match timeout(self.patience(DISCOVER_TIME_MAX), self.discover(on_behalf)).await {
                Ok(Ok(Told::Modern)) => return Ok(MODERN),
                Ok(Err(error)) if !matches!(error, UpstreamError::Timeout { sent: true }) => {
                    return Err(error);
                }
                Ok(Ok(Told::Unclear)) | Ok(Err(_)) | Err(_) => {}
            }
            if self.eras.pinned.is_some() {
                return Ok(MODERN);
            }
        }
        match self.initialize(on_behalf).await {
            Ok(legacy) => Ok(Standing { modern: false, legacy: Some(legacy) }),
            Err(UpstreamError::Refused(failure)) if failure.is_modern() => Ok(MODERN),
            Err(error) => Err(error),
        }
    }

    /// Asks an upstream of the modern era whether it speaks the legacy one too.
    pub(super) async fn detect_legacy_beside_modern(
        self: &Arc<Self>,
        on_behalf: &OnBehalf<'_>,
    ) -> Result<Option<LegacyStanding>, UpstreamError> {
        if self.eras.pinned.is_some() {
            return Ok(None);
        }
        match self.initialize(on_behalf).await {
            Ok(legacy) => Ok(Some(legacy)),
            // It answered, but not as one that knows sessions.
            Err(UpstreamError::Refused(_) | UpstreamError::Invalid(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How long to wait: longer for a process, which may have to be started for the question.
    fn patience(&self, usual: Duration) -> Duration {
        match &self.transport {
            Transport::Http(_) => usual,
            Transport::Stdio(_) => usual + PROCESS_START_TIME,
        }
    }

    async fn discover(&self, on_behalf: &OnBehalf<'_>) -> Result<Told, UpstreamError> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{DISCOVER_ID},"method":"server/discover","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#,
            Revision::V2026_07_28,
            ClientProfile::own(Revision::V2026_07_28).info,
        );
        let request = ModernRequest {
            method: "server/discover",
            name: None,
            body: Bytes::from(body),
            headers: Vec::new(),
            repeatable: true,
        };
        let mut reply = self.modern(on_behalf, request).await?;
        if is_no_evidence(reply.status) {
            return Err(refused(reply.status));
        }
        let message = match reply.answer(DISCOVER_ID).await {
            Ok(Some(message)) => message,
            // What is no answer in the modern era may be what the legacy one has to say.
            Ok(None) | Err(UpstreamError::Invalid(_)) => return Ok(Told::Unclear),
            Err(error) => return Err(error),
        };
        let incoming = message.incoming()?;
        if let Some(result) = incoming.result {
            let is_modern = supported(result.get()).iter().any(|text| text == Revision::V2026_07_28.as_str());
            return Ok(if is_modern { Told::Modern } else { Told::Unclear });
        }
        Ok(match incoming.failure() {
            Some(failure) if failure.is_modern() => Told::Modern,
            _ => Told::Unclear,
        })
    }

    /// Begins a session and ends it.
    async fn initialize(self: &Arc<Self>, on_behalf: &OnBehalf<'_>) -> Result<LegacyStanding, UpstreamError> {
        let profile = ClientProfile::own(self.eras.pinned.unwrap_or(Revision::V2025_11_25));
        let ask = async {
            let (session, initialized) = UpstreamSession::open(self, on_behalf, &profile).await?;
            let has_session_ids = !session.id().is_empty();
            if let Err(error) = session.close(on_behalf).await {
                tracing::debug!(binding = self.id, %error, "a session was not ended");
            }
            Ok(LegacyStanding { protocol: initialized.protocol, has_session_ids })
        };
        let standing = timeout(self.patience(INITIALIZE_TIME_MAX), ask).await;
        let standing = standing.unwrap_or(Err(UpstreamError::Timeout { sent: true }))?;
        match self.eras.pinned {
            Some(pinned) if pinned != standing.protocol => Err(UpstreamError::Invalid(
                format!("`protocol` says {pinned}, the upstream {}", standing.protocol).into(),
            )),
            _ => Ok(standing),
        }
    }
}

/// Whether a status says nothing of the era.
fn is_no_evidence(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `supportedVersions` of a result.
fn supported(result: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Supported {
        #[serde(default)]
        supported_versions: Vec<String>,
    }
    serde_json::from_str::<Supported>(result).map(|result| result.supported_versions).unwrap_or_default()
}
