//! Names of scopes: slugs, subdomains and hosts, each of one scope (or organization) only.
//!
//! INVARIANT: in a validated configuration a host names at most one scope, and a label below the suffix at most one organization.

use std::collections::HashMap;

use mcpg_sdk::Scope;

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::{HostPattern, Hosts};
use crate::{Diagnostic, Tenancy};

/// What scopes beyond those with metrics of their own are counted as.
const RESERVED_ORGANIZATIONS: &[&str] = &["other"];

/// Reads `org/workspace/env`.
pub(crate) fn scope(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<Scope> {
    match text.parse::<Scope>() {
        Ok(scope) if RESERVED_ORGANIZATIONS.contains(&scope.organization()) => {
            let message = format!("the organization {} is reserved", quote(scope.organization()));
            report.error_with_help(place, message, "choose another slug");
            None
        }
        Ok(scope) => Some(scope),
        Err(error) => {
            report.error(place, error.to_string());
            None
        }
    }
}

/// The label that leads to a scope: as written, or its organization's slug.
pub(crate) fn subdomain(
    written: Option<&str>,
    scope: &Scope,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> String {
    let Some(written) = written else { return scope.organization().to_owned() };
    if !is_label(&written.to_ascii_lowercase()) {
        let help = "write one label: letters, digits and `-`, such as `acme` for `acme.mcpg.dev`";
        report.error_with_help(place, format!("{} is not a subdomain", quote(written)), help);
    }
    written.to_ascii_lowercase()
}

/// The hosts of a scope.
pub(crate) fn hosts(texts: &[String], place: &Place<'_>, report: &mut Report<'_>) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match HostPattern::parse(text) {
            Some(pattern) => patterns.push(pattern),
            None => {
                let help = "write a name or address as clients send it in `Host`, such as `mcp.acme.com`";
                report.error_with_help(&place.item(index), format!("{} is not a host", quote(text)), help);
            }
        }
    }
    patterns
}

/// One label of a name in DNS. Labels with `--` in the third and fourth place are reserved (RFC 5891 section 4.2.3.1): what they
/// show as is not what they are.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.get(2..4) != Some("--")
}

/// Where a name stands: for a complaint about the second that has it.
#[derive(Clone)]
pub(crate) struct Stands {
    pub(crate) file: String,
    pub(crate) place: Place<'static>,
}

impl Stands {
    pub(crate) fn at(file: &str, place: &Place<'_>) -> Self {
        let place = Place { node: None, position: place.position, path: place.path.clone() };
        Self { file: file.to_owned(), place }
    }

    pub(crate) fn diagnostic(&self, message: String, help: &str) -> Diagnostic {
        crate::place::diagnostic(&self.file, &self.place, message, Some(help.to_owned()))
    }

    fn shown(&self) -> String {
        format!("{}:{}:{}", self.file, self.place.position.line, self.place.position.column)
    }
}

/// The names of all scopes.
pub(crate) struct Names {
    suffix: Option<String>,
    scopes: HashMap<Scope, Stands>,
    labels: HashMap<String, (String, Stands)>,
    hosts: HashMap<String, Vec<(HostPattern, Scope, Stands)>>,
    pub(crate) errors: Vec<Diagnostic>,
}

impl Names {
    /// None so far, but for the hosts that are the gateway's own.
    pub(crate) fn new(suffix: Option<&str>) -> Self {
        let suffix = suffix.map(str::to_owned);
        Self {
            suffix,
            scopes: HashMap::new(),
            labels: HashMap::new(),
            hosts: HashMap::new(),
            errors: Vec::new(),
        }
    }

    /// Adds a scope, and complains of what is another's.
    pub(crate) fn add(&mut self, tenancy: &Tenancy, at: &Stands) {
        if let Some(first) = self.scopes.get(&tenancy.scope) {
            let message = format!("the scope `{}` stands here and in {}", tenancy.scope, first.shown());
            return self.errors.push(at.diagnostic(message, "keep one of the two"));
        }
        self.scopes.insert(tenancy.scope.clone(), at.clone());
        if self.suffix.is_some() {
            self.add_label(tenancy, at);
        }
        for host in &tenancy.hosts {
            self.add_host(host, tenancy, at);
        }
    }

    fn add_label(&mut self, tenancy: &Tenancy, at: &Stands) {
        let (label, organization) = (&tenancy.subdomain, tenancy.scope.organization());
        if label != organization && !is_label(label) {
            // Reported where it was written.
            return;
        }
        if !is_label(label) {
            let message = format!("the organization {} is no subdomain", quote(organization));
            let help =
                "name one in `subdomain`: letters, digits and `-`, none of them first, last or doubled";
            return self.errors.push(at.diagnostic(message, help));
        }
        match self.labels.get(label) {
            Some((other, first)) if other != organization => {
                let message = format!(
                    "the subdomain {} is that of the organization {} already, in {}",
                    quote(label),
                    quote(other),
                    first.shown()
                );
                self.errors.push(at.diagnostic(message, "give one of the two another `subdomain`"));
            }
            Some(_) => {}
            None => {
                self.labels.insert(label.clone(), (organization.to_owned(), at.clone()));
            }
        }
    }

    fn add_host(&mut self, host: &HostPattern, tenancy: &Tenancy, at: &Stands) {
        let known = self.hosts.entry(host.name().to_owned()).or_default();
        let overlaps = |other: &HostPattern| {
            other.port().is_none() || host.port().is_none() || other.port() == host.port()
        };
        if let Some((_, scope, first)) = known.iter().find(|(other, ..)| overlaps(other)) {
            let message = format!(
                "the host {} is that of the scope `{scope}` already, in {}",
                quote(host.name()),
                first.shown()
            );
            return self.errors.push(at.diagnostic(message, "a host names one scope: remove one of the two"));
        }
        known.push((host.clone(), tenancy.scope.clone(), at.clone()));
    }

    /// Complains of hosts that say one thing by their name and another by their subdomain.
    pub(crate) fn finish(mut self, own: &Hosts, server: &Stands) -> Vec<Diagnostic> {
        let Some(suffix) = self.suffix.take() else { return self.errors };
        let organization = |name: &str| {
            let label = name.strip_suffix(&suffix)?.strip_suffix('.')?;
            self.labels.get(label).map(|(organization, _)| organization)
        };
        for (host, scope, at) in self.hosts.values().flatten() {
            if let Some(other) = organization(host.name()).filter(|other| *other != scope.organization()) {
                let message = format!(
                    "the host {} is the subdomain of the organization {}",
                    quote(host.name()),
                    quote(other)
                );
                self.errors
                    .push(at.diagnostic(message, "remove it, or give that organization another `subdomain`"));
            }
        }
        if let Hosts::Listed(patterns) = own {
            for pattern in patterns {
                if let Some(other) = organization(pattern.name()) {
                    let message = format!(
                        "the host {} is the subdomain of the organization {}",
                        quote(pattern.name()),
                        quote(other)
                    );
                    let help = "subdomains need not be listed: remove it";
                    self.errors.push(server.diagnostic(message, help));
                }
            }
        }
        self.errors
    }
}
