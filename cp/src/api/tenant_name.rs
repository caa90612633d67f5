//! For whom a request is: the path, the host's subdomain and the tenant header, which must agree.
//!
//! Pure text: whether what is named exists is for the store. Nothing is guessed: an unknown host below the service's own
//! domain, a trailing dot, a second label, the domain in the middle of another name are refused.

use http::{HeaderMap, header};
use mcpg_cp_api::{ProblemCode, Slug, Subdomain};

use super::refused::Refused;

/// The tenant header.
pub const TENANT_HEADER: &str = "x-mcpg-tenant";

/// Where the service is reached.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// The domain below which organizations have subdomains: `mcpg.dev`.
    pub domain: Option<String>,
    /// Further names of the service itself.
    pub names: Vec<String>,
}

/// The organization that a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantName {
    /// By the path or the header.
    pub slug: Option<Slug>,
    /// By the host.
    pub subdomain: Option<Subdomain>,
}

impl TenantName {
    /// What a request says: `path` are the slugs of its path, from the organization on.
    ///
    /// # Errors
    /// When the host is none of the service's (421), or the header is malformed or contradicts the path (400).
    pub fn of(
        headers: &HeaderMap,
        authority: Option<&str>,
        path: &[&str],
        hosts: &Hosts,
    ) -> Result<Self, Refused> {
        let subdomain = subdomain(headers, authority, hosts)?;
        let wrong = |detail: &str| Refused::field(ProblemCode::Header, TENANT_HEADER, detail);
        let mut values = headers.get_all(TENANT_HEADER).iter();
        let header = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => {
                Some(value.to_str().map_err(|_| wrong("use `org` or `org/workspace/env`"))?)
            }
            (Some(_), Some(_)) => return Err(wrong("the header is there twice")),
        };
        let mut slug = path.first().and_then(|slug| slug.parse().ok());
        if let Some(header) = header {
            let parts: Vec<&str> = header.split('/').collect();
            if parts.len() > 3 || parts.iter().any(|part| part.parse::<Slug>().is_err()) {
                return Err(wrong("use `org` or `org/workspace/env`"));
            }
            if parts.iter().zip(path).any(|(said, named)| said != named) {
                return Err(wrong("the header names another tenant than the path"));
            }
            slug = slug.or_else(|| parts.first().and_then(|part| part.parse().ok()));
        }
        Ok(Self { slug, subdomain })
    }
}

fn subdomain(
    headers: &HeaderMap,
    authority: Option<&str>,
    hosts: &Hosts,
) -> Result<Option<Subdomain>, Refused> {
    let Some(domain) = &hosts.domain else { return Ok(None) };
    let misdirected = || Refused::new(ProblemCode::Misdirected, "this host is not served here");
    let mut values = headers.get_all(header::HOST).iter();
    let host = match (authority, values.next(), values.next()) {
        (Some(authority), _, _) => authority,
        (None, Some(value), None) => value.to_str().map_err(|_| misdirected())?,
        _ => return Err(misdirected()),
    };
    let host = without_port(host).to_ascii_lowercase();
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok()
        || host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|rest| rest.parse::<std::net::Ipv6Addr>().is_ok());
    if is_address || host == *domain || host == "localhost" || hosts.names.contains(&host) {
        return Ok(None);
    }
    let label = host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
    label.and_then(|label| label.parse().ok()).map(Some).ok_or_else(misdirected)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, header: Option<&str>, path: &[&str]) -> Result<TenantName, u16> {
        let hosts = Hosts { domain: Some("mcpg.dev".to_owned()), names: vec!["cp.internal".to_owned()] };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(header) = header {
            headers.insert(TENANT_HEADER, header.parse().unwrap());
        }
        TenantName::of(&headers, None, path, &hosts).map_err(|refused| refused.code.status())
    }

    fn named(slug: Option<&str>, subdomain: Option<&str>) -> Result<TenantName, u16> {
        Ok(TenantName {
            slug: slug.map(|slug| slug.parse().unwrap()),
            subdomain: subdomain.map(|label| label.parse().unwrap()),
        })
    }

    #[test]
    fn hosts_are_exact() {
        for (host, expected) in [
            ("mcpg.dev", named(None, None)),
            ("127.0.0.1:9400", named(None, None)),
            ("[::1]:9400", named(None, None)),
            ("localhost:9400", named(None, None)),
            ("cp.internal", named(None, None)),
            ("acme.mcpg.dev", named(None, Some("acme"))),
            ("ACME.mcpg.dev:443", named(None, Some("acme"))),
            ("acme.mcpg.dev.", Err(421)),
            ("acme.mcpg.dev.evil", Err(421)),
            ("a.acme.mcpg.dev", Err(421)),
            (".mcpg.dev", Err(421)),
            ("acmemcpg.dev", Err(421)),
            ("xn--acme.mcpg.dev", Err(421)),
            ("acme%2emcpg.dev", Err(421)),
            ("evil.example", Err(421)),
            ("", Err(421)),
        ] {
            assert_eq!(name(host, None, &[]), expected, "{host}");
        }
    }

    #[test]
    fn the_header_agrees_with_the_path() {
        for (header, path, expected) in [
            ("acme", &["acme"][..], named(Some("acme"), None)),
            ("acme", &[], named(Some("acme"), None)),
            ("acme/team/prod", &["acme"], named(Some("acme"), None)),
            ("acme", &["acme", "team"], named(Some("acme"), None)),
            ("acme/other", &["acme", "team"], Err(400)),
            ("evil", &["acme"], Err(400)),
            ("acme/", &["acme"], Err(400)),
            ("ACME", &["acme"], Err(400)),
            ("", &["acme"], Err(400)),
            ("acme/team/prod/x", &["acme"], Err(400)),
        ] {
            assert_eq!(name("mcpg.dev", Some(header), path), expected, "{header} {path:?}");
        }
    }

    #[test]
    fn two_headers_and_two_hosts_are_refused() {
        let mut headers = HeaderMap::new();
        for value in ["acme", "acme"] {
            headers.append(TENANT_HEADER, value.parse().unwrap());
        }
        assert!(TenantName::of(&headers, None, &["acme"], &Hosts::default()).is_err());
        let mut headers = HeaderMap::new();
        for value in ["acme.mcpg.dev", "evil.mcpg.dev"] {
            headers.append(header::HOST, value.parse().unwrap());
        }
        let hosts = Hosts { domain: Some("mcpg.dev".to_owned()), names: Vec::new() };
        assert!(TenantName::of(&headers, None, &[], &hosts).is_err());
    }
}
