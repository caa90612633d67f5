//! Reads `tenancy:`.

use mcpg_sdk::Scope;

use crate::Tenancy;
use crate::place::{Place, Report};
use crate::server::hosts::is_dns_name;
use crate::wire;

/// Reads the section.
pub(crate) fn read(place: &Place<'_>, report: &mut Report<'_>) -> Option<Tenancy> {
    let read = report.read::<wire::tenancy::Tenancy>(place)?;
    let routing = place.child("subdomain_routing");
    if read.subdomain_routing.enabled {
        let help = "set `enabled: false`, and name the one scope in `tenancy.scope`";
        let message = "scopes by subdomain are not yet served by this gateway";
        report.error_with_help(&routing.child("enabled"), message, help);
    }
    if read.subdomain_routing.suffix.is_some_and(|suffix| !is_dns_name(&suffix)) {
        report.error(&routing.child("suffix"), "expected a domain such as `mcpg.dev`");
    }
    let scope = match read.scope.map(|text| text.parse::<Scope>()) {
        None => Scope::default(),
        Some(Ok(scope)) => scope,
        Some(Err(error)) => {
            report.error(&place.child("scope"), error.to_string());
            return None;
        }
    };
    Some(Tenancy { scope })
}
