//! Reads `tenancy:`, but for its further scopes.

use mcpg_sdk::Scope;

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::is_dns_name;
use crate::tenancy::names;
use crate::{Tenancy, wire};

/// Headers that say something else already.
const TAKEN_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Reads the section. `has_proxies`: somebody may be believed.
pub(crate) fn read(place: &Place<'_>, has_proxies: bool, report: &mut Report<'_>) -> Option<Tenancy> {
    let read = report.read::<wire::tenancy::Tenancy>(place)?;
    let routing = place.child("subdomain_routing");
    let suffix = suffix(&read.subdomain_routing, &routing, report);
    let header = read.header.and_then(|name| header(&name, &place.child("header"), has_proxies, report));
    let scope = match read.scope {
        None => Scope::default(),
        Some(text) => names::scope(&text, &place.child("scope"), report)?,
    };
    let subdomain = names::subdomain(read.subdomain.as_deref(), &scope, &place.child("subdomain"), report);
    let top_organization = scope.organization().to_owned();
    Some(Tenancy {
        scope,
        subdomain,
        hosts: Vec::new(),
        tls: None,
        is_top_level: true,
        top_organization,
        suffix,
        header,
    })
}

fn suffix(
    routing: &wire::tenancy::SubdomainRouting,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Option<String> {
    let at = place.child("suffix");
    match &routing.suffix {
        Some(suffix) if !is_dns_name(suffix) || !suffix.contains('.') => {
            report.error(&at, "expected a domain such as `mcpg.dev`");
            None
        }
        Some(suffix) => routing.enabled.then(|| suffix.to_ascii_lowercase()),
        None if routing.enabled => {
            let help = "name the domain below which the subdomains are, such as `suffix: mcpg.dev`";
            report.error_with_help(&at, "`suffix` is missing", help);
            None
        }
        None => None,
    }
}

fn header(name: &str, place: &Place<'_>, has_proxies: bool, report: &mut Report<'_>) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || !lower.bytes().all(is_token) {
        report.error(place, format!("{} is no header name", quote(name)));
        return None;
    }
    if TAKEN_HEADERS.contains(&lower.as_str()) {
        let help = "take a name of its own, such as `x-mcpg-tenant`";
        report.error_with_help(
            place,
            format!("the header {} says something else already", quote(name)),
            help,
        );
        return None;
    }
    if !has_proxies {
        let help = "name the proxies that set it in `server.trusted_proxies`";
        report.error_with_help(place, format!("nobody is believed who sends {}", quote(name)), help);
    }
    Some(lower)
}
