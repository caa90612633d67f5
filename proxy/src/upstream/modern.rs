//! A request to an upstream of the modern era: it stands alone, and says in its headers what is in its body.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http`, "Request Metadata".

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_protocol::{Revision, encode_header_value};

use super::{OnBehalf, Outgoing, Reply, UpstreamError};
use crate::revision::Route;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LISTEN: &str = "subscriptions/listen";

/// A request to an upstream of the modern era.
#[derive(Debug, Clone)]
pub struct ModernRequest<'a> {
    /// What is asked: `method` of the body.
    pub method: &'a str,
    /// The upstream's own name of the target, where the method has one: `params.name`, `params.uri` or `params.taskId`.
    pub name: Option<&'a str>,
    /// The message.
    pub body: Bytes,
    /// Further headers, such as `Mcp-Param-*`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether sending it twice does no more than sending it once.
    pub repeatable: bool,
}

impl Route {
    /// Sends a request of the modern era. `subscriptions/listen` may last; everything else keeps within `calls.deadline`.
    ///
    /// # Errors
    /// As [`Route::exchange`].
    pub async fn modern(
        &self,
        on_behalf: &OnBehalf<'_>,
        request: ModernRequest<'_>,
    ) -> Result<Reply, UpstreamError> {
        let malformed = |_| UpstreamError::Invalid("a method that no header can carry".into());
        let mut outgoing = Outgoing::post(request.body, request.repeatable)
            .header(PROTOCOL_VERSION, HeaderValue::from_static(Revision::V2026_07_28.as_str()))
            .header(METHOD, HeaderValue::from_str(request.method).map_err(malformed)?);
        if let Some(name) = request.name {
            let value = HeaderValue::from_str(&encode_header_value(name)).map_err(malformed)?;
            outgoing = outgoing.header(NAME, value);
        }
        outgoing.headers.extend(request.headers);
        outgoing.lasting = request.method == LISTEN;
        self.exchange(on_behalf, outgoing).await
    }
}
