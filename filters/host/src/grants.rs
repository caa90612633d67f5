//! What the operator grants to each plugin, and the check of a manifest against it.

use std::collections::{BTreeMap, BTreeSet};

use mcpg_sdk::Capability;

use crate::{Manifest, PluginId};

/// `plugins.capability_grants` of the configuration: plugin id to capabilities. A plugin that is not in it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeMap<PluginId, BTreeSet<Capability>>);

/// The capabilities that a plugin holds: those that it requires, all of them granted.
///
/// What was granted but not required is not held: a plugin gets what its manifest shows and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    plugin: PluginId,
    capabilities: BTreeSet<Capability>,
}

impl Grants {
    /// Grants as configured.
    pub fn new(grants: BTreeMap<PluginId, BTreeSet<Capability>>) -> Self {
        Self(grants)
    }

    /// Checks what a plugin requires against what it was granted.
    ///
    /// # Errors
    /// Every capability that is missing, so that one look at the error mends the configuration.
    pub fn check(&self, manifest: &Manifest) -> Result<Granted, MissingCapabilities> {
        let none = BTreeSet::new();
        let granted = self.0.get(&manifest.id).unwrap_or(&none);
        let missing: Vec<Capability> = manifest.required_capabilities.difference(granted).copied().collect();
        if !missing.is_empty() {
            return Err(MissingCapabilities { plugin: manifest.id.clone(), missing });
        }
        Ok(Granted { plugin: manifest.id.clone(), capabilities: manifest.required_capabilities.clone() })
    }
}

impl Granted {
    /// The plugin that holds them.
    pub fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    /// Whether the plugin may use a capability: asked again at each host call.
    pub fn allow(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// A plugin requires what the operator did not grant. The gateway does not start with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "plugin `{plugin}` requires {}: grant it in `plugins.capability_grants.{plugin}` or remove the plugin",
    quoted(missing)
)]
pub struct MissingCapabilities {
    /// The plugin.
    pub plugin: PluginId,
    /// What it lacks, in the order of the reference.
    pub missing: Vec<Capability>,
}

fn quoted(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|capability| format!("`{capability}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(id: &str, required: &[Capability]) -> Manifest {
        let names: Vec<&str> = required.iter().map(|capability| capability.as_str()).collect();
        let json = serde_json::json!({"id": id, "required_capabilities": names});
        Manifest::parse(json.to_string().as_bytes()).unwrap()
    }

    fn grants(id: &str, granted: &[Capability]) -> Grants {
        Grants::new([(id.parse().unwrap(), granted.iter().copied().collect())].into())
    }

    #[test]
    fn a_plugin_holds_what_it_requires_and_no_more() {
        use Capability::{Environment, MetricsEmit, OutboundHttp};
        let grants = grants("redact-emails", &[OutboundHttp, MetricsEmit, Environment]);
        let granted = grants.check(&manifest("redact-emails", &[OutboundHttp, MetricsEmit])).unwrap();
        assert_eq!(granted.plugin().as_str(), "redact-emails");
        for capability in Capability::ALL {
            let expected = [OutboundHttp, MetricsEmit].contains(capability);
            assert_eq!(granted.allow(*capability), expected, "{capability}");
        }
    }

    #[test]
    fn every_missing_capability_is_named() {
        use Capability::{FilesystemRead, MetricsEmit, OutboundHttp};
        let check = |grants: &Grants, expected: &str| {
            let error =
                grants.check(&manifest("redact-emails", &[FilesystemRead, MetricsEmit, OutboundHttp]));
            assert_eq!(error.unwrap_err().to_string(), expected);
        };
        check(
            &grants("redact-emails", &[MetricsEmit]),
            "plugin `redact-emails` requires `cap.host.outbound_http`, `cap.host.filesystem_read`: \
             grant it in `plugins.capability_grants.redact-emails` or remove the plugin",
        );
        let all = "plugin `redact-emails` requires `cap.host.outbound_http`, `cap.host.filesystem_read`, \
                   `cap.host.metrics_emit`: \
                   grant it in `plugins.capability_grants.redact-emails` or remove the plugin";
        check(&Grants::default(), all);
        check(&grants("other-plugin", Capability::ALL), all);
    }

    #[test]
    fn a_plugin_that_requires_nothing_needs_no_grant() {
        let granted = Grants::default().check(&manifest("pure", &[])).unwrap();
        assert!(Capability::ALL.iter().all(|capability| !granted.allow(*capability)));
    }
}
