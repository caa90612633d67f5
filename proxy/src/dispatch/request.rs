//! The request as it goes over the wire to an HTTP/1.1 upstream: its head written straight from the client's.

use http::HeaderName;
use http::header::CONNECTION;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;

use crate::gateway::Context;
use crate::upstream::http1::{Wire, field};

/// Writes the request of an authorized context.
///
/// # Errors
/// When it is not authorized: nothing is dispatched.
pub(super) fn write(client: &RequestHeader, context: &Context) -> Result<Wire> {
    let upstream = context.http()?;
    let body = context
        .authorized
        .as_ref()
        .map(|authorized| authorized.body().clone())
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "the request is not authorized"))?;
    let mut head = Wire::begin(client.method.as_str(), upstream.path_and_query.as_str(), &body);
    field(&mut head, "host", upstream.authority.as_bytes());
    forward(&mut head, client, context);
    for (name, value) in &upstream.headers {
        field(&mut head, name.as_str(), value.as_bytes());
    }
    if context.generation.propagate_trace {
        field(&mut head, "traceparent", &context.trace.traceparent());
    }
    Ok(Wire::end(head, &body))
}

/// Copies the headers that may go on.
fn forward(head: &mut Vec<u8>, client: &RequestHeader, context: &Context) {
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
            field(head, text, value.as_bytes());
        }
    }
    for (name, value) in [
        ("mcp-name", &context.direct.name),
        ("mcp-session-id", &context.direct.session),
        ("authorization", &context.direct.authorization),
    ] {
        if let Some(value) = value {
            field(head, name, value.as_bytes());
        }
    }
}

/// Whether a client's header goes to the upstream. What does not: the client's credentials (MCP "Authorization", token
/// passthrough), what the gateway has judged itself, what belongs to one hop, and what could be taken for the word
/// of a trusted proxy.
pub(crate) fn is_forwarded(name: &str) -> bool {
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
pub(crate) fn connection_options(client: &RequestHeader) -> Vec<HeaderName> {
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
