//! A modern upstream, as a bridged call uses it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_protocol::bridge::{Json, Object, Request, param_headers};
use mcpg_protocol::catalogue::{ClientClass, ListKind};
use mcpg_protocol::{Limits, Method};

use crate::bridge::failure::Failure;
use crate::federation::Requester;
use crate::revision::{Revision, Route};
use crate::serve::Admitted;
use crate::upstream::{ModernRequest, Reply};

/// The upstream of a binding.
pub(super) struct Upstream {
    route: Arc<Route>,
    revision: Arc<Revision>,
    requester: Requester,
}

impl Upstream {
    pub(super) fn new(admitted: &Admitted, route: &Arc<Route>) -> Self {
        let limits = &admitted.revision.message;
        let declared = admitted.session.as_ref().map_or("{}", |token| &*token.client.capabilities);
        Self {
            route: Arc::clone(route),
            revision: Arc::clone(&admitted.revision),
            requester: admitted.requester(ClientClass::of(declared, limits)),
        }
    }

    /// The `Mcp-Param-*` headers that the tool's definition asks for. A process reads none.
    async fn mirrored(&self, request: &Request<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        if *request.method() != Method::ToolsCall || self.route.http().is_none() {
            return Ok(Vec::new());
        }
        let Some(name) = request.param("name").and_then(Json::text) else { return Ok(Vec::new()) };
        // An upstream whose list cannot be had is called without: it says so if it wants more.
        match self.revision.federation.tool(&self.route, &self.requester, &name).await {
            Some(definition) => mirrored(&definition, request, &self.revision.message),
            None => Ok(Vec::new()),
        }
    }

    /// Sends what became of a client's request.
    pub(super) async fn call(
        &self,
        request: &Request<'_>,
        body: Bytes,
        repeatable: bool,
    ) -> Result<Reply, Failure> {
        let headers = self.mirrored(request).await?;
        let name = name_of(request);
        let asked = ModernRequest {
            method: request.method().as_str(),
            name: name.as_deref(),
            body,
            headers,
            repeatable,
        };
        Ok(self.route.modern(&self.requester.on_behalf(), asked).await?)
    }

    /// The upstream missed headers, or found too many: whether it is worth another try after the definitions that say which
    /// there must be have been asked for again.
    pub(super) fn refresh(&self, request: &Request<'_>) -> bool {
        self.route.catalogues.changed(ListKind::Tools);
        *request.method() == Method::ToolsCall && self.route.http().is_some()
    }
}

/// What `Mcp-Name` says of a request.
pub(in crate::bridge) fn name_of<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    if !request.method().needs_name_header() {
        return None;
    }
    let key = match request.method() {
        Method::ResourcesRead => "uri",
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => "taskId",
        _ => "name",
    };
    request.param(key).and_then(Json::text)
}

/// The headers for a call of a tool of this definition.
fn mirrored(
    definition: &str,
    request: &Request<'_>,
    limits: &Limits,
) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let definition = Object::parse(definition, limits)?;
    let schema = object(definition.get("inputSchema"), limits);
    let fields = param_headers(&schema, &object(request.param("arguments"), limits), limits);
    let fields = fields.map_err(|error| {
        tracing::warn!(%error, "a tool's definition is invalid");
        Failure::invalid("a tool whose definition is invalid")
    })?;
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        Some((name, HeaderValue::try_from(value.as_str()).ok()?))
    };
    fields
        .iter()
        .map(header)
        .collect::<Option<_>>()
        .ok_or(Failure::invalid("a parameter that no header can carry"))
}

fn object<'a>(value: Option<Json<'a>>, limits: &Limits) -> Object<'a> {
    value.and_then(|value| value.object(limits)).unwrap_or_default()
}
