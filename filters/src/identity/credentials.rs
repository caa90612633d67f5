//! What a request presents to prove its caller: borrowed from it, or kept for a request that lasts.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use mcpg_sdk::Secret;

use super::certificate::PeerCertificate;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What a request presents to prove its caller, borrowed from it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The values of `Authorization`.
    pub authorization: Presented<'a>,
    /// The values of `X-API-Key`.
    pub api_key: Presented<'a>,
    /// What the client has presented on this very connection.
    pub certificate: Option<&'a Arc<PeerCertificate>>,
    /// What the peer says that its own client has presented. Whether it may say so is for a provider to decide.
    pub forwarded: Forwarded<'a>,
    /// The other end of the connection. Never an address that somebody else tells of.
    pub peer: Option<IpAddr>,
    /// What the request is for.
    pub resource: Resource<'a>,
}

impl<'a> Credentials<'a> {
    /// Reads what is in a request's headers.
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        Self {
            authorization: presented(headers, AUTHORIZATION),
            api_key: presented(headers, X_API_KEY),
            forwarded: Forwarded { source: Some(Source::Headers(headers)) },
            ..Self::default()
        }
    }

    /// The same, on a connection with this peer.
    pub fn from_peer(self, peer: IpAddr, certificate: Option<&'a Arc<PeerCertificate>>) -> Self {
        Self { peer: Some(peer), certificate, ..self }
    }

    /// The same, for this resource.
    pub fn to_resource(self, resource: Resource<'a>) -> Self {
        Self { resource, ..self }
    }

    /// Whether the request's headers present no credential at all.
    pub fn is_empty(&self) -> bool {
        matches!((self.authorization, self.api_key), (Presented::Nothing, Presented::Nothing))
    }

    /// The same, of their own.
    pub fn to_kept(&self) -> KeptCredentials {
        KeptCredentials {
            authorization: self.authorization.into(),
            api_key: self.api_key.into(),
            certificate: self.certificate.cloned(),
            client_cert: self.forwarded.client_cert().into(),
            client_cert_chain: self.forwarded.client_cert_chain().into(),
            xfcc: self.forwarded.xfcc().into(),
            peer: self.peer,
            scheme: self.resource.scheme.into(),
            authority: self.resource.authority.into(),
            path: self.resource.path.into(),
        }
    }
}

/// [`Credentials`] of their own, for a request that lasts and is identified again.
#[derive(Clone, Default)]
pub struct KeptCredentials {
    authorization: Kept,
    api_key: Kept,
    certificate: Option<Arc<PeerCertificate>>,
    client_cert: Kept,
    client_cert_chain: Kept,
    xfcc: Kept,
    peer: Option<IpAddr>,
    scheme: Box<str>,
    authority: Box<str>,
    path: Box<str>,
}

impl KeptCredentials {
    /// The same, borrowed.
    pub fn borrow(&self) -> Credentials<'_> {
        Credentials {
            authorization: self.authorization.borrow(),
            api_key: self.api_key.borrow(),
            certificate: self.certificate.as_ref(),
            forwarded: Forwarded { source: Some(Source::Kept(self)) },
            peer: self.peer,
            resource: Resource { scheme: &self.scheme, authority: &self.authority, path: &self.path },
        }
    }
}

#[derive(Clone, Default)]
enum Kept {
    #[default]
    Nothing,
    Once(Secret),
    Repeated,
}

impl Kept {
    fn borrow(&self) -> Presented<'_> {
        match self {
            Self::Nothing => Presented::Nothing,
            Self::Once(value) => Presented::Once(value.expose()),
            Self::Repeated => Presented::Repeated,
        }
    }
}

impl From<Presented<'_>> for Kept {
    fn from(presented: Presented<'_>) -> Self {
        match presented {
            Presented::Nothing => Self::Nothing,
            Presented::Once(value) => Self::Once(Secret::new(value.to_vec())),
            Presented::Repeated => Self::Repeated,
        }
    }
}

/// What a peer says of the certificate of its own client, read only when somebody asks.
#[derive(Clone, Copy, Default)]
pub struct Forwarded<'a> {
    source: Option<Source<'a>>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Headers(&'a HeaderMap),
    Kept(&'a KeptCredentials),
}

impl<'a> Forwarded<'a> {
    /// `Client-Cert` (RFC 9440 section 2.2).
    pub fn client_cert(self) -> Presented<'a> {
        self.read(CLIENT_CERT, |kept| &kept.client_cert)
    }

    /// `Client-Cert-Chain` (RFC 9440 section 2.3).
    pub fn client_cert_chain(self) -> Presented<'a> {
        self.read(CLIENT_CERT_CHAIN, |kept| &kept.client_cert_chain)
    }

    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    pub fn xfcc(self) -> Presented<'a> {
        self.read(XFCC, |kept| &kept.xfcc)
    }

    fn read(self, name: HeaderName, kept: impl FnOnce(&KeptCredentials) -> &Kept) -> Presented<'a> {
        match self.source {
            None => Presented::Nothing,
            Some(Source::Headers(headers)) => presented(headers, name),
            Some(Source::Kept(all)) => kept(all).borrow(),
        }
    }
}

impl std::fmt::Debug for Forwarded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded")
            .field("client_cert", &self.client_cert())
            .field("client_cert_chain", &self.client_cert_chain())
            .field("xfcc", &self.xfcc())
            .finish()
    }
}

/// What a request is for, as its client has addressed it: the `resource` of RFC 9728 and RFC 8707.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resource<'a> {
    /// `https`, or `http`.
    pub scheme: &'a str,
    /// The host, and the port if it was named.
    pub authority: &'a str,
    /// The path.
    pub path: &'a str,
}

impl Resource<'_> {
    /// Whether a URL names it. The scheme's own port may be named or not; a host's case does not matter (RFC 3986 section 6.2).
    pub fn is(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let split = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let path = if path.is_empty() { "/" } else { path };
        !self.authority.is_empty()
            && scheme.eq_ignore_ascii_case(self.scheme)
            && self.without_port(authority).eq_ignore_ascii_case(self.without_port(self.authority))
            && path == self.path
    }

    fn without_port<'t>(&self, authority: &'t str) -> &'t str {
        let port = if self.scheme == "https" { ":443" } else { ":80" };
        authority.strip_suffix(port).unwrap_or(authority)
    }
}

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.without_port(self.authority), self.path)
    }
}

/// The values of one header that may be there once.
#[derive(Clone, Copy, Default)]
pub enum Presented<'a> {
    /// The header is not there.
    #[default]
    Nothing,
    /// Its one value.
    Once(&'a [u8]),
    /// More than one value: which of them an upstream or a log would read is unknown.
    Repeated,
}

impl<'a> FromIterator<&'a [u8]> for Presented<'a> {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Once(_) => "Once(..)",
            Self::Repeated => "Repeated",
        })
    }
}

fn presented(headers: &HeaderMap, name: HeaderName) -> Presented<'_> {
    headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(resource: Resource<'_>, url: &str, expected: bool) {
        assert_eq!(resource.is(url), expected, "{resource} and {url}");
    }

    #[test]
    fn a_resource_is_named_by_its_url() {
        let resource = Resource { scheme: "https", authority: "mcp.acme.com", path: "/mcp" };
        check(resource, "https://mcp.acme.com/mcp", true);
        check(resource, "HTTPS://MCP.acme.com:443/mcp", true);
        for other in [
            "http://mcp.acme.com/mcp",
            "https://mcp.acme.com/mcp/",
            "https://mcp.acme.com/MCP",
            "https://mcp.acme.com",
            "https://mcp.acme.com:8443/mcp",
            "https://mcp.acme.com.evil/mcp",
            "https://x@mcp.acme.com/mcp",
            "https://mcp.acme.com/mcp?x",
            "mcp.acme.com/mcp",
            "",
        ] {
            check(resource, other, false);
        }
        check(Resource { authority: "mcp.acme.com:443", ..resource }, "https://mcp.acme.com/mcp", true);
        check(Resource { authority: "mcp.acme.com:80", ..resource }, "https://mcp.acme.com/mcp", false);
        check(Resource { path: "/", ..resource }, "https://mcp.acme.com", true);
        check(Resource::default(), ":///", false);
        assert_eq!(
            Resource { authority: "a.b:443", ..resource }.to_string(),
            "https://a.b/mcp",
            "the scheme's own port is not written"
        );
    }

    #[test]
    fn what_is_kept_is_what_was_presented() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        headers.insert(CLIENT_CERT, HeaderValue::from_static(":AA==:"));
        headers.append(XFCC, HeaderValue::from_static("URI=spiffe://a"));
        headers.append(XFCC, HeaderValue::from_static("URI=spiffe://b"));
        let certificate = Arc::new(PeerCertificate::from_der(b"leaf", []));
        let resource = Resource { scheme: "https", authority: "a", path: "/mcp" };
        let credentials = Credentials::from_headers(&headers)
            .from_peer([10, 0, 0, 1].into(), Some(&certificate))
            .to_resource(resource);
        let kept = credentials.to_kept();
        for credentials in [credentials, kept.borrow(), kept.borrow().to_kept().borrow()] {
            assert!(matches!(credentials.authorization, Presented::Once(b"Bearer x")));
            assert!(matches!(credentials.api_key, Presented::Nothing));
            assert!(matches!(credentials.forwarded.client_cert(), Presented::Once(b":AA==:")));
            assert!(matches!(credentials.forwarded.client_cert_chain(), Presented::Nothing));
            assert!(matches!(credentials.forwarded.xfcc(), Presented::Repeated));
            assert_eq!(credentials.certificate, Some(&certificate));
            assert_eq!(credentials.peer, Some([10, 0, 0, 1].into()));
            assert_eq!(credentials.resource, resource);
        }
    }

    #[test]
    fn nothing_presented_shows_in_a_log() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
        headers.insert(XFCC, HeaderValue::from_static("Cert=canary"));
        let shown = format!("{:?}", Credentials::from_headers(&headers));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
