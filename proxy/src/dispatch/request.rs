//! The request as it goes over the wire: its head from the client's, its body as it was judged.

use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue};
use pingora_core::{Error, ErrorType, OrErr as _, Result};
use pingora_http::RequestHeader;

use crate::gateway::Context;
use crate::pipeline::Ask;
use crate::upstream::http1::{Wire, field};
use crate::upstream::outbound::{Form, Outbound};

const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request of an authorized context.
///
/// # Errors
/// When it is not authorized: nothing is dispatched.
pub(super) fn outbound(client: &RequestHeader, context: &Context) -> Result<Outbound> {
    let upstream = context.http()?;
    let authorized = context
        .authorized
        .as_ref()
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "the request is not authorized"))?;
    let (body, path_and_query) = (authorized.body(), upstream.path_and_query.as_str());
    let form = if upstream.peer.speaks_http1() {
        let mut head = Wire::begin(client.method.as_str(), path_and_query, body);
        fill(&mut head, client, context)?;
        Form::Http1(Wire::end(head, body))
    } else {
        let (method, fields) = (client.method.as_str(), client.headers.len());
        let mut head = RequestHeader::build_no_case(method, path_and_query.as_bytes(), Some(fields))?;
        fill(&mut head, client, context)?;
        Form::Either { head: Box::new(head), body: body.clone() }
    };
    // The stream of a session may be silent for as long as it likes, and some upstreams send its head with its first event.
    let patience = (authorized.ask() != Ask::Stream).then_some(upstream.timeouts.read);
    Ok(Outbound { form, repeatable: authorized.is_idempotent(), patience })
}

/// A head that is being written.
trait Fields {
    fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()>;
    fn add_bytes(&mut self, name: &HeaderName, value: &[u8]) -> Result<()>;
}

impl Fields for Vec<u8> {
    fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
        self.add_bytes(name, value.as_bytes())
    }

    fn add_bytes(&mut self, name: &HeaderName, value: &[u8]) -> Result<()> {
        field(self, name.as_str(), value);
        Ok(())
    }
}

impl Fields for RequestHeader {
    fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
        self.append_header(name.clone(), value.clone()).map(|_| ())
    }

    fn add_bytes(&mut self, name: &HeaderName, value: &[u8]) -> Result<()> {
        let value = HeaderValue::from_bytes(value).or_err(ErrorType::InternalError, "a header of ours")?;
        self.append_header(name.clone(), value).map(|_| ())
    }
}

/// Every header but the body's length.
fn fill(head: &mut impl Fields, client: &RequestHeader, context: &Context) -> Result<()> {
    let upstream = context.http()?;
    head.add(&HOST, &upstream.authority)?;
    forward(head, client, context)?;
    for (name, value) in &upstream.headers {
        head.add(name, value)?;
    }
    if context.generation.propagate_trace {
        head.add_bytes(&TRACEPARENT, &context.trace.traceparent())?;
    }
    Ok(())
}

/// Copies the headers that may go on.
fn forward(head: &mut impl Fields, client: &RequestHeader, context: &Context) -> Result<()> {
    let of_this_hop = connection_options(client);
    let ours = context.http().map(|upstream| upstream.headers.as_slice()).unwrap_or_default();
    let reads_answer = context.must_read_answer();
    let replaces_trace = context.generation.propagate_trace;
    let keeps_state = !replaces_trace || context.trace.parent.is_some();
    for (name, value) in &client.headers {
        let text = name.as_str();
        let skip = !is_forwarded(text)
            || matches!(text, "host" | "content-length" | "transfer-encoding" | "mcp-session-id")
            || (text == "mcp-name" && context.direct.name.is_some())
            || (reads_answer && text == "accept-encoding")
            || (replaces_trace && text == "traceparent")
            || (!keeps_state && text == "tracestate")
            || ours.iter().any(|(our, _)| our == name)
            || of_this_hop.contains(name);
        if !skip {
            head.add(name, value)?;
        }
    }
    for (name, value) in [
        (&MCP_NAME, &context.direct.name),
        (&MCP_SESSION_ID, &context.direct.session),
        (&AUTHORIZATION, &context.direct.authorization),
    ] {
        if let Some(value) = value {
            head.add(name, value)?;
        }
    }
    Ok(())
}

/// Whether a client's header goes to the upstream. What does not: the client's credentials (MCP "Authorization", token
/// passthrough), what the gateway has judged itself, what belongs to one hop, and what could be taken for the word
/// of a trusted proxy.
fn is_forwarded(name: &str) -> bool {
    const FAMILIES: &[&str] = &[
        "x-forwarded-",
        "x-mcpg-",
        "mcpg-",
        "x-envoy-",
        "x-client-cert",
        "x-ssl-",
        "ssl-client-",
        "x-amzn-mtls-",
        "x-arr-clientcert",
    ];
    !matches!(
        name,
        "authorization"
            | "proxy-authorization"
            | "cookie"
            | "x-api-key"
            | "origin"
            | "expect"
            | "te"
            | "trailer"
            | "via"
            | "upgrade"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "forwarded"
            | "client-cert"
            | "client-cert-chain"
            | "x-real-ip"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-http-method-override"
    ) && !FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Headers that `Connection` names belong to this hop (RFC 9110 section 7.6.1), except those that make up the message: dropping
/// them is what an attacker would be after.
fn connection_options(client: &RequestHeader) -> Vec<HeaderName> {
    client
        .headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|option| option.trim().parse::<HeaderName>().ok())
        .filter(|name| {
            !matches!(name.as_str(), "host" | "content-length" | "content-type" | "transfer-encoding")
        })
        .filter(|name| !name.as_str().starts_with("mcp-"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut request = RequestHeader::build("POST", b"/mcp", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        let of_this_hop = connection_options(&request);
        let mut names: Vec<String> = request
            .headers
            .keys()
            .filter(|name| is_forwarded(name.as_str()) && !of_this_hop.contains(name))
            .map(ToString::to_string)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn credentials_and_forged_proxy_words_stay_here() {
        let left = forwarded(&[
            ("authorization", "Bearer x"),
            ("proxy-authorization", "Basic x"),
            ("cookie", "a=b"),
            ("x-api-key", "x"),
            ("origin", "https://a.example"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-client-cert", "By=spiffe://x"),
            ("x-real-ip", "1.2.3.4"),
            ("client-cert", ":x:"),
            ("client-cert-chain", ":x:"),
            ("ssl-client-cert", "x"),
            ("ssl-client-subject-dn", "CN=root"),
            ("x-amzn-mtls-clientcert", "x"),
            ("x-arr-clientcert", "x"),
            ("x-mcpg-tenant", "acme"),
            ("mcpg-subject", "root"),
            ("x-ssl-client-verify", "SUCCESS"),
            ("content-type", "application/json"),
            ("mcp-session-id", "s"),
            ("mcp-param-region", "eu"),
            ("x-anything-else", "y"),
        ]);
        assert_eq!(left, ["content-type", "mcp-param-region", "mcp-session-id", "x-anything-else"]);
    }

    #[test]
    fn connection_options_are_of_this_hop_but_cannot_strip_the_message() {
        let left = forwarded(&[
            ("connection", "close, x-hop, Mcp-Method, content-length, content-type"),
            ("x-hop", "1"),
            ("mcp-method", "tools/call"),
            ("content-length", "2"),
            ("content-type", "application/json"),
        ]);
        assert_eq!(left, ["content-length", "content-type", "mcp-method"]);
    }
}
