//! A modern upstream, as a bridged call uses it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_protocol::Method;
use mcpg_protocol::bridge::{Json, Request};

use crate::revision::Route;
use crate::upstream::{Behalf, ModernRequest, Reply, UpstreamError};

/// Something that takes modern requests.
#[async_trait]
pub(in crate::bridge) trait ModernPeer: Send + Sync {
    /// Sends what became of a client's request.
    async fn call(
        &self,
        request: &Request<'_>,
        body: Bytes,
        repeatable: bool,
    ) -> Result<Reply, UpstreamError>;
}

/// The upstream of a binding.
pub(in crate::bridge) struct Single {
    route: Arc<Route>,
    behalf: Behalf,
}

impl Single {
    pub(in crate::bridge) fn new(route: Arc<Route>, behalf: Behalf) -> Self {
        Self { route, behalf }
    }

    /// The `Mcp-Param-*` headers that the tool's definition asks for.
    async fn mirrored(&self, _request: &Request<'_>) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }
}

#[async_trait]
impl ModernPeer for Single {
    async fn call(
        &self,
        request: &Request<'_>,
        body: Bytes,
        repeatable: bool,
    ) -> Result<Reply, UpstreamError> {
        let name = name_of(request);
        let headers = self.mirrored(request).await;
        let request = ModernRequest {
            method: request.method().as_str(),
            name: name.as_deref(),
            body,
            headers,
            repeatable,
        };
        self.route.modern(&self.behalf.borrow(), request).await
    }
}

/// What `Mcp-Name` says of a request.
pub(in crate::bridge) fn name_of<'a>(request: &Request<'a>) -> Option<std::borrow::Cow<'a, str>> {
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
