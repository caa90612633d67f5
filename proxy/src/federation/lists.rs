//! Answers to `tools/list`, `prompts/list`, `resources/list` and `resources/templates/list`.
//!
//! A result is always `cacheScope: private`: what is in it depends on who may use what. It says in
//! `_meta` which bindings are missing from it (`mcpg/unavailable`).
//!
//! A cursor is good for as long as its version of the list is known to this instance or is still the current one; then it is an error
//! (-32602), and the client begins anew (MCP 2026-07-28, "Caching", "Interaction with Pagination").

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_protocol::catalogue::{CacheScope, ClientClass, ListKind, PageTail};
use mcpg_protocol::{Era, Method, RpcError, raw, write_error};

use super::cursor::Cursor;
use super::view::{Edition, Onlooker, View};
use super::{Bound, Federation, Gathered, Requester, bound};
use crate::revision::Naming;
use crate::serve::{Admitted, Client, ClientError};

/// How soon a list with missing parts should be asked for again.
const INCOMPLETE_TTL: Duration = Duration::from_secs(5);
/// Room for what is written around a page.
const ENVELOPE_BYTES: usize = 512;

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) kind: ListKind,
    pub(super) cursor: Option<&'a str>,
    pub(super) naming: Naming,
    pub(super) bound: &'a [Bound],
    pub(super) onlooker: Onlooker<'a>,
    pub(super) requester: &'a Requester,
}

/// A page of a merged list.
#[derive(Debug)]
pub(super) struct Listed {
    /// The result without its end.
    pub(super) page: Bytes,
    pub(super) ttl: Duration,
    pub(super) missing: Vec<(Box<str>, &'static str)>,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoList {
    /// The cursor leads nowhere, or not any more.
    Cursor,
    /// No binding's list can be had; the reason of the first.
    Unavailable(&'static str),
}

impl Federation {
    /// A page of a merged list.
    pub(super) async fn list(&self, ask: &Ask<'_>) -> Result<Listed, NoList> {
        let cursor = match ask.cursor.map(Cursor::read) {
            Some(None) => return Err(NoList::Cursor),
            cursor => cursor.flatten(),
        };
        let Gathered { parts, missing, left, is_private } =
            self.gather(ask.bound, ask.naming, ask.kind, ask.requester).await;
        if let Some((_, reason)) = missing.first()
            && parts.iter().all(|part| !part.is_listed)
        {
            return Err(NoList::Unavailable(reason));
        }
        let owner = is_private.then(|| ask.requester.digest());
        let bindings: Vec<&str> = ask.bound.iter().map(|bound| bound.catalogues.binding()).collect();
        let Onlooker { policy, scope, .. } = ask.onlooker;
        let edition = self.edition(ask.kind, ask.naming, &bindings, parts, policy, scope);
        let view = self.view(edition, &ask.onlooker, owner.as_ref()).await;
        let ttl = if missing.is_empty() { left } else { left.min(INCOMPLETE_TTL) };
        let Some(cursor) = cursor else {
            return view.page(0).map(|page| Listed { page, ttl, missing }).ok_or(NoList::Cursor);
        };
        let view = if cursor.tag == view.tag {
            Some(view)
        } else {
            // INVARIANT: a cursor of one list is not good for another, which policy has decided on its own.
            self.earlier(&cursor, &ask.onlooker, owner.as_ref()).filter(|view| view.kind() == ask.kind)
        };
        let page = view.and_then(|view| view.page(cursor.page)).ok_or(NoList::Cursor)?;
        Ok(Listed { page, ttl, missing })
    }

    /// What a caller sees of a list.
    async fn view(
        &self,
        edition: Arc<Edition>,
        onlooker: &Onlooker<'_>,
        owner: Option<&[u8; 32]>,
    ) -> Arc<View> {
        let class = edition.class(onlooker, owner);
        if let Some(view) = class.as_ref().and_then(|class| self.views.find(class)) {
            return view;
        }
        let view = View::of(edition, onlooker, self.settings.page_size).await;
        match class {
            Some(class) if view.settled => self.views.keep(class, view),
            _ => Arc::new(view),
        }
    }

    /// What a cursor was given for, if it is known and this caller is of a class that sees it.
    fn earlier(
        &self,
        cursor: &Cursor,
        onlooker: &Onlooker<'_>,
        owner: Option<&[u8; 32]>,
    ) -> Option<Arc<View>> {
        let view = self.views.tagged(&cursor.tag)?;
        let class = view.edition().class(onlooker, owner)?;
        self.views.find(&class).filter(|theirs| theirs.tag == cursor.tag)
    }
}

/// What a list request says.
struct Asked<'a> {
    id: &'a str,
    kind: ListKind,
    cursor: Option<Cow<'a, str>>,
    class: ClientClass,
}

impl<'a> Asked<'a> {
    fn read(admitted: &'a Admitted) -> Option<Self> {
        let limits = &admitted.revision.message;
        let text = str::from_utf8(&admitted.body).ok()?;
        let capabilities: &[&str] = &["params", "_meta", "io.modelcontextprotocol/clientCapabilities"];
        let [id, method, cursor, capabilities] =
            raw::find(text, [&["id"], &["method"], &["params", "cursor"], capabilities], limits).ok()?;
        let capabilities = match (&admitted.session, capabilities) {
            (_, Some(capabilities)) => capabilities.text,
            (Some(session), None) => &*session.client.capabilities,
            (None, None) => "{}",
        };
        Some(Self {
            id: id?.text,
            kind: ListKind::of(&Method::parse(method?.as_str()?))?,
            // A cursor that is no string is none of ours.
            cursor: cursor.map(|cursor| cursor.as_str().unwrap_or_default()),
            class: ClientClass::of(capabilities, limits),
        })
    }
}

/// Answers a list request from what is known of the bindings that it is admitted to.
///
/// # Errors
/// When the client cannot be told.
pub async fn serve_list(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let Some(asked) = Asked::read(admitted) else {
        return refuse(admitted, client, None, RpcError::InvalidRequest, "no list request").await;
    };
    let federation = &admitted.revision.federation;
    let bound = bound(&admitted.endpoint, &admitted.routes);
    let requester = admitted.requester(asked.class);
    let ask = Ask {
        kind: asked.kind,
        cursor: asked.cursor.as_deref(),
        naming: admitted.endpoint.naming,
        bound: &bound,
        onlooker: admitted.onlooker(),
        requester: &requester,
    };
    let listed = match federation.list(&ask).await {
        Ok(listed) => listed,
        Err(NoList::Cursor) => {
            let message = "the cursor is unknown or has expired: begin the list anew";
            return refuse(admitted, client, Some(asked.id), RpcError::InvalidParams, message).await;
        }
        Err(NoList::Unavailable(reason)) => {
            let error = unavailable(reason);
            return refuse(admitted, client, Some(asked.id), error, error.message()).await;
        }
    };
    let mut body = Vec::with_capacity(listed.page.len() + asked.id.len() + ENVELOPE_BYTES);
    body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    body.extend_from_slice(asked.id.as_bytes());
    body.extend_from_slice(br#","result":"#);
    body.extend_from_slice(&listed.page);
    let meta = Meta::new(admitted, &listed.missing);
    PageTail {
        era: admitted.protocol.era(),
        ttl_ms: u64::try_from(listed.ttl.as_millis()).unwrap_or(u64::MAX),
        scope: CacheScope::Private,
        meta: &meta.members(),
    }
    .write(&mut body);
    body.push(b'}');
    client.json(200, &[], Bytes::from(body)).await
}

/// `_meta` of what the gateway answers itself.
pub(super) struct Meta {
    server: Option<&'static str>,
    missing: String,
}

impl Meta {
    /// Says who answers, where that is the gateway, and which bindings are missing from the answer.
    pub(super) fn new(admitted: &Admitted, missing: &[(Box<str>, &'static str)]) -> Self {
        let is_own = admitted.protocol.era() == Era::Modern && !admitted.endpoint.is_transparent();
        let server = is_own.then_some(super::introduce::SERVER_INFO);
        let missing: Vec<String> = missing.iter().map(|(binding, _)| raw::string(binding)).collect();
        Self {
            server,
            missing: if missing.is_empty() { String::new() } else { format!("[{}]", missing.join(",")) },
        }
    }

    pub(super) fn members(&self) -> Vec<(&str, &str)> {
        let server = self.server.map(|info| ("io.modelcontextprotocol/serverInfo", info));
        let missing = (!self.missing.is_empty()).then_some(("mcpg/unavailable", &*self.missing));
        server.into_iter().chain(missing).collect()
    }
}

/// The error for a reason why no binding has what was asked for.
pub(crate) fn unavailable(reason: &str) -> RpcError {
    RpcError::ALL
        .iter()
        .copied()
        .find(|error| error.reason() == reason && error.status() >= 500)
        .unwrap_or(RpcError::UpstreamInvalid)
}

/// Answers with an error.
pub(super) async fn refuse(
    admitted: &Admitted,
    client: &mut dyn Client,
    id: Option<&str>,
    error: RpcError,
    message: &str,
) -> Result<(), ClientError> {
    let mut body = Vec::with_capacity(256);
    write_error(&mut body, id, error, message, &[]);
    // Transports of the legacy era know no status for what is wrong with a request's parameters.
    let is_params = error == RpcError::InvalidParams && admitted.protocol.era() == Era::Legacy;
    let status = if is_params { 200 } else { error.status() };
    client.json(status, &[], Bytes::from(body)).await
}
