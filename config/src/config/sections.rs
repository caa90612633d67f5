//! The sections that every scope has of its own.

use super::{Config, Digest, Source};
use mcpg_sdk::Base;

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::tenancy::scopes::Around;
use crate::{
    Binding, Diagnostic, Federation, Pinning, Plugins, RevocationList, Sessions, State, Tenancy, binding,
    federation, pinning, plugins, sessions,
};

/// What a scope has of its own.
pub(crate) struct Sections {
    plugins: Plugins,
    bindings: Vec<Binding>,
    federation: Federation,
    sessions: Sessions,
    pinning: Pinning,
}

impl Sections {
    /// Reads them from the root of a file, or from an item of `tenancy.scopes`.
    pub(crate) fn read(
        place: &Place<'_>,
        base: &Base,
        state: Option<&State>,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let plugins = plugins::read::read(&place.child("plugins"), report);
        let federation = federation::read::read(&place.child("federation"), report);
        let sessions = sessions::read::read(&place.child("sessions"), report);
        let pinning = pinning::read::read(&place.child("pinning"), base, state, report);
        let rules = pinning.as_ref().map(|pinning| pinning.rules).unwrap_or_default();
        let at = place.child("bindings");
        let bindings = binding::read::read(&at, base, rules, report);
        if at.node.is_some()
            && let Some(plugins) = &plugins
        {
            warn_of_missing_kinds(plugins, place, report);
        }
        Some(Self {
            plugins: plugins?,
            bindings,
            federation: federation?,
            sessions: sessions?,
            pinning: pinning?,
        })
    }

    /// They, where these artifacts must not run either.
    pub(crate) fn without(mut self, revoked: Option<&RevocationList>) -> Self {
        if let Some(revoked) = revoked {
            let list = std::mem::take(&mut self.plugins.revocation_list);
            self.plugins.revocation_list = list.joined(revoked);
        }
        self
    }

    /// They, with what is around them, as the configuration of a gateway.
    pub(crate) fn into_config(
        self,
        tenancy: Tenancy,
        state: State,
        around: &Around<'_>,
        digest: Digest,
        source: Source,
        warnings: Vec<Diagnostic>,
    ) -> Config {
        let Self { plugins, bindings, federation, sessions, pinning } = self;
        Config {
            server: around.server.clone(),
            tenancy,
            plugins,
            bindings,
            federation,
            sessions,
            pinning,
            state,
            audit: around.audit.clone(),
            telemetry: around.telemetry,
            control_plane: around.control_plane.cloned(),
            digest,
            scope_digest: digest,
            warnings,
            source,
            further: Vec::new(),
        }
    }
}

fn warn_of_missing_kinds(plugins: &Plugins, root: &Place<'_>, report: &mut Report<'_>) {
    for (kind, message, help) in [
        (
            "identity",
            "no identity plugin is loaded: every call will be refused as unauthenticated",
            "identity.api-key",
        ),
        ("policy", "no policy plugin is loaded: every call will be denied", "policy.cedar"),
    ] {
        if plugins.of_kind(kind).next().is_none() {
            report.warning(&root.key("plugins"), message, format!("load {} for example", quote(help)));
        }
    }
}
