//! A gateway's own file, as the plugin set, the policies and the gateway configuration of an environment.
//!
//! What belongs to the machine (`server`, `state`, `audit`, `telemetry`, `control_plane`) stays in the gateway's own file; that it was
//! left out is told. What the control plane keeps elsewhere, or cannot keep, is refused with its place.

use std::path::Path;

use mcpg_config::{Config, Diagnostic, Document};
use mcpg_cp_api::{
    EnvironmentPath, GatewayConfigSpec, PluginSetSpec, PolicyEngine, PolicySpec, Slug, WorkspacePath,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::folder::PolicyFolder;
use super::{Resource, Source};

/// The sections of the machine.
const MACHINE: &[&str] = &["server", "state", "audit", "telemetry", "control_plane"];
/// The sections of what it serves.
const SERVED: &[&str] = &["tenancy", "plugins", "bindings", "federation", "sessions", "pinning"];
/// Characters of a slug.
const SLUG_MAX: usize = 40;

type Mistakes = Vec<Diagnostic>;

/// Whether a document is a gateway's file and no manifest.
pub(super) fn is_one(document: &Document) -> bool {
    let is_manifest = document.has("apiVersion") || document.has("kind");
    !is_manifest && MACHINE.iter().chain(SERVED).any(|section| document.has(section))
}

/// Takes a gateway's file apart. The second list says what was left out.
pub(super) fn read(
    source: &Source,
    document: &Document,
    env: Option<&EnvironmentPath>,
) -> Result<(Vec<Resource>, Mistakes), Mistakes> {
    let Some(env) = env else {
        let help = "say which environment it is for: `--env ORG/WORKSPACE/ENV`";
        return Err(vec![document.fault("", "this is a gateway's configuration", Some(help.to_owned()))]);
    };
    let value = document.to_json();
    let mut file = File { source, document, env, policies: Vec::new(), mistakes: Vec::new() };
    file.refuse(&value);
    if file.mistakes.is_empty() {
        // What a gateway would not take is not sent on its way to one.
        if let Err(mistakes) = Config::from_yaml(&source.bytes, &source.name, &source.base) {
            return Err(mistakes.into_iter().collect());
        }
    }
    let set = file.plugin_set(value.get("plugins"));
    let config = file.config(&value);
    if !file.mistakes.is_empty() {
        return Err(file.mistakes);
    }
    let mut resources = file.policies;
    resources.extend(set);
    resources.extend(config);
    Ok((resources, left_out(document, &value)))
}

fn left_out(document: &Document, value: &Value) -> Mistakes {
    let note = |pointer: String, name: &str| {
        document.fault(&pointer, format!("`{name}` is left out: it belongs to the gateway's own file"), None)
    };
    let of_tenancy = ["subdomain", "subdomain_routing", "header"];
    let tenancy = of_tenancy.iter().filter(|key| value.pointer(&format!("/tenancy/{key}")).is_some());
    MACHINE
        .iter()
        .filter(|section| document.has(section))
        .map(|section| note(format!("/{section}"), section))
        .chain(tenancy.map(|key| note(format!("/tenancy/{key}"), &format!("tenancy.{key}"))))
        .collect()
}

struct File<'a> {
    source: &'a Source,
    document: &'a Document,
    env: &'a EnvironmentPath,
    policies: Vec<Resource>,
    mistakes: Mistakes,
}

impl File<'_> {
    /// What has another place in the control plane.
    fn refuse(&mut self, value: &Value) {
        if value.pointer("/tenancy/scopes").is_some() {
            let help = "apply each as an environment of its own";
            self.wrong("/tenancy/scopes", "a gateway's file with further scopes cannot be taken apart", help);
        }
        let scope = value.pointer("/tenancy/scope").and_then(Value::as_str);
        if scope.is_some_and(|scope| *scope != self.env.to_string()) {
            let help = format!("`--env` says `{}`", self.env);
            self.wrong("/tenancy/scope", "the file is of another environment", &help);
        }
        if value.pointer("/plugins/revocation_list").is_some() {
            let help = "apply it as an `MCPGRevocationList`";
            self.wrong("/plugins/revocation_list", "revocation lists are the organization's", help);
        }
    }

    fn plugin_set(&mut self, plugins: Option<&Value>) -> Option<Resource> {
        let (load, at) = match plugins {
            None => return None,
            Some(list @ Value::Array(_)) => (Some(list), "/plugins"),
            Some(map) => (map.get("load"), "/plugins/load"),
        };
        let entries = load.and_then(Value::as_array).into_iter().flatten().enumerate();
        let entries: Vec<Value> =
            entries.map(|(index, entry)| self.entry(entry, &format!("{at}/{index}"))).collect();
        let mut set = Map::from_iter([("plugins".to_owned(), Value::Array(entries))]);
        for key in ["require_signed", "trusted_keys", "capability_grants"] {
            if let Some(value) = plugins.and_then(|plugins| plugins.get(key)) {
                set.insert(key.to_owned(), value.clone());
            }
        }
        let spec: PluginSetSpec = self.parsed(Value::Object(set), "/plugins")?;
        Some(Resource::PluginSet { workspace: self.workspace(), name: self.env.environment.clone(), spec })
    }

    /// An entry as plugin sets have it: `enforce: false` is `shadow: true` there, and a bundle is a policy of the workspace.
    fn entry(&mut self, entry: &Value, at: &str) -> Value {
        let Value::Object(entry) = entry else { return json!({ "id": entry }) };
        let mut entry = entry.clone();
        if let Some(shadow) = entry.remove("shadow") {
            entry.insert("enforce".to_owned(), json!(shadow != json!(true)));
        }
        let engine = match entry.get("id").and_then(Value::as_str) {
            Some("policy.cedar") => PolicyEngine::Cedar,
            Some("policy.opa") => PolicyEngine::Opa,
            Some("policy.casbin") => PolicyEngine::Casbin,
            _ => return Value::Object(entry),
        };
        let bundle = entry.get_mut("config").and_then(|config| config.get_mut("bundle"));
        if let Some(Value::String(bundle)) = bundle
            && !bundle.contains("://")
            && let Some(name) = self.policy(bundle, engine, &format!("{at}/config/bundle"))
        {
            *bundle = format!("./policies/{name}");
        }
        Value::Object(entry)
    }

    /// The policy that a bundle beside the file becomes. Two entries with one bundle share it.
    fn policy(&mut self, bundle: &str, engine: PolicyEngine, at: &str) -> Option<Slug> {
        let files = match (PolicyFolder { base: &self.source.base, path: bundle }).read() {
            Ok(files) => files,
            Err(error) => {
                self.wrong(
                    at,
                    &error.to_string(),
                    "a bundle becomes a policy of the workspace, file by file",
                );
                return None;
            }
        };
        let folder = Path::new(bundle).file_name().map(|name| name.to_string_lossy().to_lowercase());
        let kept = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name = format!("{}-{}", self.env.environment, folder.unwrap_or_default());
        let name: String = name.chars().map(kept).take(SLUG_MAX).collect();
        let name: Slug = self.parsed(json!(name), at)?;
        let policy = Resource::Policy {
            workspace: self.workspace(),
            name: name.clone(),
            spec: PolicySpec { engine, files },
        };
        match self.policies.iter().find(|other| other.identity() == policy.identity()) {
            None => self.policies.push(policy),
            Some(same) if *same == policy => {}
            Some(_) => {
                let help = "give the folders of bundles different names";
                self.wrong(at, &format!("two bundles would be the policy `{name}`"), help);
            }
        }
        Some(name)
    }

    fn config(&mut self, value: &Value) -> Option<Resource> {
        let mut config = Map::new();
        for section in ["bindings", "federation", "sessions", "pinning"] {
            if let Some(value) = value.get(section) {
                config.insert(section.to_owned(), value.clone());
            }
        }
        if value.get("plugins").is_some() {
            config.insert("plugin_set".to_owned(), json!(self.env.environment));
        }
        let policies: Vec<&str> = self.policies.iter().map(Resource::name).collect();
        config.insert("policies".to_owned(), json!(policies));
        let spec: GatewayConfigSpec = self.parsed(Value::Object(config), "")?;
        let name = self.parsed(json!(self.env.environment), "")?;
        Some(Resource::GatewayConfig { environment: self.env.clone(), name, spec })
    }

    fn workspace(&self) -> WorkspacePath {
        let EnvironmentPath { organization, workspace, .. } = self.env.clone();
        WorkspacePath { organization, workspace }
    }

    fn parsed<T: DeserializeOwned>(&mut self, value: Value, at: &str) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.mistakes.push(self.document.fault(at, error.to_string(), None));
                None
            }
        }
    }

    fn wrong(&mut self, at: &str, message: &str, help: &str) {
        self.mistakes.push(self.document.fault(at, message, Some(help.to_owned())));
    }
}
