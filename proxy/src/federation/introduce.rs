//! What an endpoint says of itself: `server/discover` of the modern era, `initialize` of the legacy one.
//!
//! Both unite what the bindings say (`mcpg_protocol::catalogue`): capabilities, and instructions under a heading for each binding.
//! An endpoint that is one binding under its own names says what that binding's server says.
//!
//! `initialize` opens a session with each binding that has sessions, all at once. One that does not answer in time is left out, and
//! the result says so; its session can be opened later.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_protocol::catalogue::{
    About, CacheScope, ClientClass, PageTail, Part, united_capabilities, united_instructions,
};
use mcpg_protocol::{Era, Limits, Revision as Protocol, RpcError, raw};
use tokio::time::timeout;

use super::lists::{Meta, refuse, unavailable};
use super::shelf::Supply;
use super::{Bound, Federation, FetchError, Introduction, Requester, bound, join};
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};
use crate::sessions::{SessionToken, UpstreamRef};
use crate::upstream::{ClientProfile, OnBehalf, UpstreamSession};

/// Who the gateway says that it is.
pub(super) const SERVER_INFO: &str =
    concat!(r#"{"name":"mcpg","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
/// How soon an endpoint of which parts are missing should be asked again.
const INCOMPLETE_TTL: Duration = Duration::from_secs(5);

/// What bindings say of themselves, as far as they do.
pub(super) struct Introductions {
    pub(super) present: Vec<(Box<str>, Arc<Introduction>)>,
    pub(super) missing: Vec<(Box<str>, &'static str)>,
    left: Duration,
}

/// What a binding says, and its session if it has sessions.
type Opened = (Arc<Introduction>, Option<UpstreamRef>);

/// A session as it begins.
#[derive(Debug)]
pub struct Introduced {
    /// The `result` of `initialize`.
    pub result: String,
    /// The session, with those behind it.
    pub token: SessionToken,
}

/// Why no session begins: no binding answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no binding answers: {}", .0.reason())]
pub struct NobodyAnswers(pub RpcError);

impl Federation {
    /// What these bindings say of themselves.
    pub(super) async fn introductions(&self, bound: &[Bound], requester: &Requester) -> Introductions {
        let patience = self.settings.initialize_timeout;
        let listed = || bound.iter().filter(|bound| bound.is_listed);
        let asked = listed().map(|bound| {
            let asked = bound.catalogues.introduction(&bound.source, requester, &self.settings.catalogue);
            Box::pin(async move { timeout(patience, asked).await.ok() }) as join::Boxed<'_, _>
        });
        let supplies = join::join_all(asked.collect()).await;
        let mut all = Introductions {
            present: Vec::with_capacity(supplies.len()),
            missing: Vec::new(),
            left: super::binding::TTL_MAX,
        };
        for (bound, supply) in listed().zip(supplies) {
            let binding: Box<str> = bound.catalogues.binding().into();
            match supply {
                Some((Supply::Held { value, left, .. }, _)) => {
                    all.left = all.left.min(left);
                    all.present.push((binding, value));
                }
                Some((Supply::Missing { error, .. }, _)) => all.missing.push((binding, error.reason())),
                None => all.missing.push((binding, FetchError::Timeout.reason())),
            }
        }
        all
    }

    /// The `result` of `initialize` at an endpoint, and the session with those of its bindings behind it. `token` is the session
    /// as the client begins it.
    ///
    /// # Errors
    /// When no binding answers.
    pub async fn initialize(
        &self,
        admitted: &Admitted,
        mut token: SessionToken,
    ) -> Result<Introduced, NobodyAnswers> {
        let limits = &admitted.revision.message;
        let requester = admitted.requester(ClientClass::of(&token.client.capabilities, limits));
        let patience = self.settings.initialize_timeout;
        let opened = admitted.routes.iter().map(|route| {
            let opened = self.open(route, admitted.on_behalf(), &token.client, &requester);
            Box::pin(async move { timeout(patience, opened).await.unwrap_or(Err(FetchError::Timeout)) })
                as join::Boxed<'_, _>
        });
        let opened: Vec<Result<Opened, FetchError>> = join::join_all(opened.collect()).await;
        let mut all = Introductions { present: Vec::new(), missing: Vec::new(), left: Duration::ZERO };
        for (route, opened) in admitted.routes.iter().zip(opened) {
            let binding: Box<str> = route.id.as_str().into();
            match opened {
                Ok((introduction, upstream)) => {
                    all.present.push((binding, introduction));
                    token.upstreams.extend(upstream);
                }
                Err(error) => {
                    tracing::warn!(binding = route.id, %error, "a binding is left out of a session");
                    all.missing.push((binding, error.reason()));
                }
            }
        }
        if all.present.is_empty() {
            let reason = all.missing.first().map_or("", |(_, reason)| reason);
            return Err(NobodyAnswers(unavailable(reason)));
        }
        let is_prefixed = admitted.endpoint.naming == crate::revision::Naming::Prefixed;
        let mut result = all.written(Era::Legacy, is_prefixed, limits).into_bytes();
        let version = format!(r#","protocolVersion":{}"#, raw::string(token.client.protocol.as_str()));
        result.extend_from_slice(version.as_bytes());
        let info = all.server_info(admitted.endpoint.is_transparent());
        result.extend_from_slice(format!(r#","serverInfo":{info}"#).as_bytes());
        let meta = Meta::new(admitted, &all.missing);
        let (era, scope) = (Era::Legacy, CacheScope::Private);
        PageTail { era, ttl_ms: 0, scope, meta: &meta.members() }.write(&mut result);
        Ok(Introduced { result: String::from_utf8(result).unwrap_or_default(), token })
    }

    /// Opens a session with a binding that has sessions; of one that has none, what it says of itself.
    async fn open(
        &self,
        route: &Arc<Route>,
        on_behalf: OnBehalf<'_>,
        profile: &ClientProfile,
        requester: &Requester,
    ) -> Result<Opened, FetchError> {
        if route.era_for(&on_behalf, Era::Legacy).await? == Era::Legacy {
            let (session, initialized) = UpstreamSession::open(route, &on_behalf, profile).await?;
            let about = About::parse(&initialized.result, &Limits::default())?;
            let upstream = UpstreamRef {
                binding: route.id.as_str().into(),
                id: session.id().into(),
                protocol: initialized.protocol,
            };
            return Ok((Arc::new(Introduction::new(&about, Era::Legacy)), Some(upstream)));
        }
        let source: Arc<dyn super::Source> = Arc::new(super::upstream::RouteSource::new(route));
        let (supply, _) = route.catalogues.introduction(&source, requester, &self.settings.catalogue).await;
        match supply {
            Supply::Held { value, .. } => Ok((value, None)),
            Supply::Missing { error, .. } => Err((*error).clone()),
        }
    }
}

impl Introductions {
    /// The members of a result that both eras have, without the end.
    fn written(&self, era: Era, is_prefixed: bool, limits: &Limits) -> String {
        let abouts: Vec<About<'_>> = self.present.iter().map(|(_, said)| said.about()).collect();
        let parts: Vec<Part<'_>> = self
            .present
            .iter()
            .zip(&abouts)
            .map(|((binding, said), about)| Part { binding, about, era: said.era })
            .collect();
        // What was read once can be read again.
        let capabilities =
            united_capabilities(&parts, era, is_prefixed, limits).unwrap_or_else(|_| "{}".to_owned());
        let instructions = united_instructions(&parts, is_prefixed)
            .map(|text| format!(r#","instructions":{}"#, raw::string(&text)))
            .unwrap_or_default();
        format!(r#"{{"capabilities":{capabilities}{instructions}"#)
    }

    /// The server's own name where the endpoint is that server, else ours.
    fn server_info(&self, is_transparent: bool) -> Cow<'_, str> {
        let own = self.present.first().and_then(|(_, said)| said.info.as_deref()).filter(|_| is_transparent);
        own.map_or(Cow::Borrowed(SERVER_INFO), Cow::Borrowed)
    }
}

/// Answers `server/discover`.
///
/// # Errors
/// When the client cannot be told.
pub async fn serve_discover(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let limits = &admitted.revision.message;
    let capabilities: &[&str] = &["params", "_meta", "io.modelcontextprotocol/clientCapabilities"];
    let text = str::from_utf8(&admitted.body).unwrap_or_default();
    let Ok([Some(id), capabilities]) = raw::find(text, [&["id"], capabilities], limits) else {
        return refuse(admitted, client, None, RpcError::InvalidRequest, "no request").await;
    };
    let class = ClientClass::of(capabilities.map_or("{}", |capabilities| capabilities.text), limits);
    let federation = &admitted.revision.federation;
    let bound = bound(&admitted.endpoint, &admitted.routes);
    let all = federation.introductions(&bound, &admitted.requester(class)).await;
    if all.present.is_empty() {
        let error = unavailable(all.missing.first().map_or("", |(_, reason)| reason));
        return refuse(admitted, client, Some(id.text), error, error.message()).await;
    }
    let is_prefixed = admitted.endpoint.naming == crate::revision::Naming::Prefixed;
    let mut body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":"#, id.text).into_bytes();
    body.extend_from_slice(all.written(Era::Modern, is_prefixed, limits).as_bytes());
    let versions: Vec<String> =
        Protocol::SUPPORTED.iter().map(|version| raw::string(version.as_str())).collect();
    body.extend_from_slice(format!(r#","supportedVersions":[{}]"#, versions.join(",")).as_bytes());
    let info = all.server_info(admitted.endpoint.is_transparent());
    let meta = Meta::new(admitted, &all.missing);
    let mut members = vec![("io.modelcontextprotocol/serverInfo", &*info)];
    members.extend(meta.members().into_iter().filter(|(name, _)| *name == "mcpg/unavailable"));
    let left = if all.missing.is_empty() { all.left } else { all.left.min(INCOMPLETE_TTL) };
    PageTail {
        era: Era::Modern,
        ttl_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        scope: CacheScope::Private,
        meta: &members,
    }
    .write(&mut body);
    body.push(b'}');
    client.json(200, &[], Bytes::from(body)).await
}
