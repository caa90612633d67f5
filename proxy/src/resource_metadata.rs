//! What the gateway says of its endpoints as OAuth resources: where to get tokens for them, and with which scopes.
//!
//! The document of `https://host/path` is at `https://host/.well-known/oauth-protected-resource/path`. Endpoints whose scope
//! has no `identity.oidc` have none. It is the same for everyone, so anyone may read it, from any web page.
//!
//! Source: RFC 9728.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use mcpg_filters::identity::{IdentityChain, Resource};
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use serde::Serialize;

/// Before the path of an endpoint.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The endpoint whose document is asked for; none if something else is.
pub fn asked_for(path: &str) -> Option<&str> {
    path.strip_prefix(WELL_KNOWN).filter(|endpoint| endpoint.starts_with('/'))
}

/// Where the document of a resource is. Empty if the resource has no name.
pub fn address(resource: Resource<'_>) -> String {
    if resource.authority.is_empty() {
        return String::new();
    }
    let path = format!("{WELL_KNOWN}{}", resource.path);
    Resource { path: &path, ..resource }.to_string()
}

/// The document of a resource; none if it is no OAuth resource.
pub fn document(identity: &IdentityChain, resource: Resource<'_>) -> Option<Vec<u8>> {
    let mut document = Document {
        resource: resource.to_string(),
        authorization_servers: Vec::new(),
        scopes_supported: Vec::new(),
        bearer_methods_supported: ["header"],
    };
    for oidc in identity.oidc() {
        document.authorization_servers.extend(oidc.issuers());
        for scope in oidc.scopes_supported() {
            if !document.scopes_supported.contains(&scope.as_str()) {
                document.scopes_supported.push(scope);
            }
        }
    }
    if document.authorization_servers.is_empty() { None } else { serde_json::to_vec(&document).ok() }
}

#[derive(Serialize)]
struct Document<'a> {
    resource: String,
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
}

/// Answers with a document, in the way that the method asks for. The status that was sent.
///
/// # Errors
/// When the client is gone.
pub async fn answer(session: &mut ServerSession, document: Vec<u8>) -> Result<u16> {
    let (status, body) = match session.req_header().method {
        Method::GET | Method::HEAD => (StatusCode::OK, document),
        Method::OPTIONS => (StatusCode::NO_CONTENT, Vec::new()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, Vec::new()),
    };
    let mut head = ResponseHeader::build(status, Some(8))?;
    let headers: &[(HeaderName, HeaderValue)] = match status {
        StatusCode::OK => &[
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ],
        StatusCode::NO_CONTENT => &[
            (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("MCP-Protocol-Version")),
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ],
        _ => &[(ALLOW, METHODS)],
    };
    for (name, value) in headers {
        head.insert_header(name, value)?;
    }
    head.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))?;
    if status != StatusCode::NO_CONTENT {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    let has_body = session.req_header().method == Method::GET && !body.is_empty();
    session.write_response_header(Box::new(head)).await?;
    if has_body {
        session.write_response_body(Bytes::from(body), true).await?;
    }
    Ok(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_asked_for_by_the_path_of_its_endpoint() {
        for (path, expected) in [
            ("/.well-known/oauth-protected-resource/mcp", Some("/mcp")),
            ("/.well-known/oauth-protected-resource/bindings/a/mcp", Some("/bindings/a/mcp")),
            ("/.well-known/oauth-protected-resource/t/acme/team/prod/mcp", Some("/t/acme/team/prod/mcp")),
            ("/.well-known/oauth-protected-resource/", Some("/")),
            ("/.well-known/oauth-protected-resource", None),
            ("/.well-known/oauth-protected-resourcex/mcp", None),
            ("/mcp/.well-known/oauth-protected-resource", None),
            ("/.WELL-KNOWN/oauth-protected-resource/mcp", None),
        ] {
            assert_eq!(asked_for(path), expected, "{path}");
        }
    }

    #[test]
    fn a_document_is_where_its_resource_says() {
        let resource = Resource { scheme: "https", authority: "mcp.acme.com:443", path: "/bindings/a/mcp" };
        let expected = "https://mcp.acme.com/.well-known/oauth-protected-resource/bindings/a/mcp";
        assert_eq!(address(resource), expected);
        assert_eq!(address(Resource::default()), "");
    }

    #[test]
    fn what_is_no_oauth_resource_has_no_document() {
        let resource = Resource { scheme: "https", authority: "a", path: "/mcp" };
        assert_eq!(document(&IdentityChain::default(), resource), None);
    }
}
