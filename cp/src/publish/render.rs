//! The document of a revision, made of its parts: the environment's gateway configuration, the plugin set and the policies that it names, and
//! the secret references of the workspace.

use std::collections::BTreeMap;

use mcpg_cp_api::{
    EnvironmentPath, FileName, GatewayConfigSpec, PluginEntry, PluginSetSpec, PolicySpec, ScopeDocument,
    SecretUri, Slug,
};
use serde_json::{Map, Value, json};

/// Where a reference by name begins in a setting; the name follows.
const BY_NAME: &str = "$secret://ref/";

/// What a document is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The environment.
    pub environment: EnvironmentPath,
    /// The label below the domain of gateways that leads to the organization, if it has one of its own.
    pub subdomain: Option<String>,
    /// Its gateway configuration.
    pub config: GatewayConfigSpec,
    /// The plugin set that the configuration names.
    pub plugin_set: Option<PluginSetSpec>,
    /// The policies that it names.
    pub policies: BTreeMap<Slug, PolicySpec>,
    /// The workspace's secret references.
    pub secrets: BTreeMap<Slug, SecretUri>,
}

/// Why parts make no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A secret reference that is not there.
    #[error("`{BY_NAME}{name}`: the workspace has no secret reference of that name")]
    NoSecret {
        /// Its name.
        name: String,
    },
    /// A policy file whose path is too long below its policy's folder.
    #[error("the file `{file}` of the policy `{policy}` has no path of its own")]
    File {
        /// The policy.
        policy: Slug,
        /// The file.
        file: FileName,
    },
}

/// Makes the document.
///
/// # Errors
/// When a part names something that is not there.
pub fn render(parts: &Parts) -> Result<ScopeDocument, RenderError> {
    let mut scope = Map::new();
    let mut tenancy = json!({ "scope": parts.environment.to_string() });
    if let (Some(subdomain), Some(tenancy)) = (&parts.subdomain, tenancy.as_object_mut()) {
        tenancy.insert("subdomain".to_owned(), json!(subdomain));
    }
    scope.insert("tenancy".to_owned(), tenancy);
    if let Some(set) = &parts.plugin_set {
        scope.insert("plugins".to_owned(), plugins(set));
    }
    let bindings = parts.config.bindings.iter().cloned().map(Value::Object);
    scope.insert("bindings".to_owned(), bindings.collect());
    let sections = [
        ("federation", &parts.config.federation),
        ("sessions", &parts.config.sessions),
        ("pinning", &parts.config.pinning),
    ];
    for (name, section) in sections {
        if let Some(section) = section {
            scope.insert(name.to_owned(), Value::Object(section.clone()));
        }
    }
    for value in scope.values_mut() {
        resolve(value, &parts.secrets)?;
    }
    Ok(ScopeDocument { scope, files: files(&parts.policies)? })
}

fn plugins(set: &PluginSetSpec) -> Value {
    let mut plugins = Map::new();
    plugins.insert("load".to_owned(), set.plugins.iter().map(plugin).collect());
    plugins.insert("require_signed".to_owned(), json!(set.require_signed));
    if !set.trusted_keys.is_empty() {
        plugins.insert("trusted_keys".to_owned(), json!(set.trusted_keys));
    }
    if !set.capability_grants.is_empty() {
        plugins.insert("capability_grants".to_owned(), json!(set.capability_grants));
    }
    Value::Object(plugins)
}

/// An entry as a gateway's file has it: there a policy engine that decides nothing is `shadow: true`.
fn plugin(entry: &PluginEntry) -> Value {
    let mut plugin = Map::new();
    plugin.insert("id".to_owned(), json!(entry.id));
    if let Some(name) = &entry.name {
        plugin.insert("name".to_owned(), json!(name));
    }
    if let Some(source) = &entry.source {
        plugin.insert("source".to_owned(), json!(source));
    }
    if !entry.enforce {
        plugin.insert("shadow".to_owned(), json!(true));
    }
    if let Some(config) = &entry.config {
        plugin.insert("config".to_owned(), Value::Object(config.clone()));
    }
    Value::Object(plugin)
}

/// Puts the reference in the place of its name, wherever one stands.
fn resolve(value: &mut Value, secrets: &BTreeMap<Slug, SecretUri>) -> Result<(), RenderError> {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(BY_NAME) {
                let uri = secrets.get(name).ok_or_else(|| RenderError::NoSecret { name: name.to_owned() })?;
                *text = uri.to_string();
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, secrets)),
        Value::Object(members) => members.values_mut().try_for_each(|member| resolve(member, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn files(policies: &BTreeMap<Slug, PolicySpec>) -> Result<BTreeMap<FileName, String>, RenderError> {
    let mut files = BTreeMap::new();
    for (policy, spec) in policies {
        for (file, contents) in &spec.files {
            let path = format!("policies/{policy}/{file}");
            let path = path
                .parse::<FileName>()
                .map_err(|_| RenderError::File { policy: policy.clone(), file: file.clone() })?;
            files.insert(path, contents.clone());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        let set = json!({ "plugins": [
            { "id": "identity.api-key", "config": { "tokens": [{ "token": "$secret://ref/ci-key", "subject": "user:ci@acme.com" }] } },
            { "id": "policy.cedar", "config": { "bundle": "./policies/main" } },
            { "id": "policy.opa", "name": "trial", "enforce": false, "config": { "bundle": "./policies/trial" } },
        ] });
        let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": [
            { "id": "files", "type": "mcp", "url": "https://files.acme.com/mcp" } ], "federation": { "naming": "prefixed" } });
        let policy =
            json!({ "engine": "cedar", "files": { "all.cedar": "permit (principal, action, resource);" } });
        Parts {
            environment: "acme-corp/platform-team/prod".parse().unwrap(),
            subdomain: Some("acme".to_owned()),
            config: serde_json::from_value(config).unwrap(),
            plugin_set: Some(serde_json::from_value(set).unwrap()),
            policies: [("main".parse().unwrap(), serde_json::from_value(policy).unwrap())].into(),
            secrets: [("ci-key".parse().unwrap(), "$secret://env/ACME_CI_KEY".parse().unwrap())].into(),
        }
    }

    #[test]
    fn parts_make_one_document() {
        let document = render(&parts()).unwrap();
        let expected = json!({
            "scope": {
                "tenancy": { "scope": "acme-corp/platform-team/prod", "subdomain": "acme" },
                "plugins": { "require_signed": true, "load": [
                    { "id": "identity.api-key", "config": { "tokens": [{ "token": "$secret://env/ACME_CI_KEY", "subject": "user:ci@acme.com" }] } },
                    { "id": "policy.cedar", "config": { "bundle": "./policies/main" } },
                    { "id": "policy.opa", "name": "trial", "shadow": true, "config": { "bundle": "./policies/trial" } },
                ] },
                "bindings": [{ "id": "files", "type": "mcp", "url": "https://files.acme.com/mcp" }],
                "federation": { "naming": "prefixed" },
            },
            "files": { "policies/main/all.cedar": "permit (principal, action, resource);" },
        });
        assert_eq!(serde_json::to_value(&document).unwrap(), expected);
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            serde_json::to_string(&render(&parts()).unwrap()).unwrap()
        );
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let parts = Parts { secrets: BTreeMap::new(), ..parts() };
        let error = render(&parts).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`$secret://ref/ci-key`: the workspace has no secret reference of that name"
        );
    }
}
