//! A binding's upstream as the source of its lists, in either era.
//!
//! An upstream that tells callers apart is asked as its caller, every other as the gateway itself.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use mcpg_protocol::catalogue::ListKind;
use mcpg_protocol::{Era, Revision as Protocol, raw};
use mcpg_sdk::{AuthMethod, Caller};

use super::{FetchError, Listing, Requester, Source};
use crate::revision::Route;
use crate::upstream::{ClientProfile, Lease, ModernRequest, Reply, UpstreamError};

/// The raw id of the gateway's own requests.
const ID: &str = r#""mcpg-list""#;

/// A binding's upstream.
pub(crate) struct RouteSource {
    route: Arc<Route>,
}

struct Modern {
    route: Arc<Route>,
    requester: Requester,
}

struct Legacy {
    /// The session; none once it is given back.
    lease: Option<Lease>,
    requester: Requester,
    /// Every request was answered, so the session is as it was.
    is_sound: bool,
}

impl RouteSource {
    /// The upstream of a route.
    pub(crate) fn new(route: &Arc<Route>) -> Self {
        Self { route: Arc::clone(route) }
    }
}

#[async_trait]
impl Source for RouteSource {
    async fn listing(&self, requester: &Requester) -> Result<Box<dyn Listing>, FetchError> {
        let mut requester = requester.clone();
        if !self.is_per_caller() {
            requester.caller = Arc::clone(gateway());
            requester.bearer = None;
        }
        let route = Arc::clone(&self.route);
        if route.era_for(&requester.on_behalf(), Era::Modern).await? == Era::Modern {
            return Ok(Box::new(Modern { route, requester }));
        }
        let profile = ClientProfile {
            capabilities: requester.class.capabilities().into(),
            ..ClientProfile::own(Protocol::V2025_11_25)
        };
        let lease = route.lease(&requester.on_behalf(), &profile).await?;
        Ok(Box::new(Legacy { lease: Some(lease), requester, is_sound: true }))
    }

    fn is_per_caller(&self) -> bool {
        self.route.is_per_caller()
    }
}

#[async_trait]
impl Listing for Modern {
    fn era(&self) -> Era {
        Era::Modern
    }

    async fn about(&mut self) -> Result<Box<str>, FetchError> {
        let answer = self.ask("server/discover", None).await?;
        result(&answer)
    }

    async fn page(&mut self, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, FetchError> {
        self.ask(kind.method(), cursor).await
    }
}

impl Modern {
    async fn ask(&self, method: &str, cursor: Option<&str>) -> Result<Bytes, FetchError> {
        let profile = ClientProfile::own(Protocol::V2026_07_28);
        let meta = format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{}}}"#,
            profile.protocol,
            profile.info,
            self.requester.class.capabilities()
        );
        let body = request(method, cursor, Some(&meta));
        let asked = ModernRequest { method, name: None, body, headers: Vec::new(), repeatable: true };
        let reply = self.route.modern(&self.requester.on_behalf(), asked).await?;
        answer(reply).await
    }
}

#[async_trait]
impl Listing for Legacy {
    fn era(&self) -> Era {
        Era::Legacy
    }

    async fn about(&mut self) -> Result<Box<str>, FetchError> {
        let lease = self.lease.as_ref().ok_or(UpstreamError::SessionLost)?;
        Ok(lease.initialized().result.clone())
    }

    async fn page(&mut self, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, FetchError> {
        self.is_sound = false;
        let body = request(kind.method(), cursor, None);
        let behalf = self.requester.on_behalf();
        let lease = self.lease.as_mut().ok_or(UpstreamError::SessionLost)?;
        let reply = match lease.request(&behalf, body.clone(), true).await {
            // A cursor of a session that is gone is gone with it.
            Err(UpstreamError::SessionLost) if cursor.is_none() => {
                lease.replace().await?;
                lease.request(&behalf, body, true).await?
            }
            reply => reply?,
        };
        let answer = answer(reply).await?;
        self.is_sound = true;
        Ok(answer)
    }
}

impl Drop for Legacy {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take().filter(|_| self.is_sound) {
            lease.keep();
        }
    }
}

/// A request of the gateway's own.
fn request(method: &str, cursor: Option<&str>, meta: Option<&str>) -> Bytes {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{}"#, raw::string(cursor)));
    let params: Vec<&str> = cursor.as_deref().into_iter().chain(meta).collect();
    let params = params.join(",");
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{ID},"method":"{method}","params":{{{params}}}}}"#))
}

/// The response in a reply.
async fn answer(mut reply: Reply) -> Result<Bytes, FetchError> {
    match reply.answer(ID).await? {
        Some(message) => Ok(message.json),
        None => Err(FetchError::Upstream(crate::upstream::refused(reply.status))),
    }
}

/// The result of a response.
fn result(answer: &[u8]) -> Result<Box<str>, FetchError> {
    let text = str::from_utf8(answer).map_err(|_| FetchError::NoResponse)?;
    match super::error::Response::read(text, &mcpg_protocol::Limits::default())? {
        super::error::Response::Result(result) => Ok(result.into()),
        super::error::Response::Error(code) => Err(FetchError::Refused { code }),
    }
}

/// Who asks where the upstream does not tell callers apart.
fn gateway() -> &'static Arc<Caller> {
    static GATEWAY: OnceLock<Arc<Caller>> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        Arc::new(Caller {
            subject: "gateway".to_owned(),
            audience: None,
            attributes: HashMap::new(),
            auth_method: AuthMethod::Anonymous,
        })
    })
}
