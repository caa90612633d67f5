//! Bodies with which a request about a thing of one's own does something.

use mcpg_cp::api::endpoint::Endpoint;
use serde_json::{Value, json};

use super::tree::Thing;
use crate::world::World;

/// What goes in at an endpoint, if anything does. An endpoint that is not named here gets an empty object.
pub(crate) fn of(world: &World, endpoint: &Endpoint, thing: &Thing) -> Option<Value> {
    endpoint.body?;
    let org = thing.values.first().map(String::as_str).unwrap_or_default();
    let random: String = world.service.clock.random().iter().map(|byte| format!("{byte:02x}")).collect();
    let slug = format!("new-{}", &random[..12]);
    Some(match endpoint.operation {
        "updateOrganization" | "updateWorkspace" | "updateEnvironment" => {
            json!({ "display_name": "Renamed" })
        }
        "installLicense" => json!({ "license": world.license(org, "enterprise") }),
        "putRevocationList" => json!({ "spec": { "artifacts": [] } }),
        "createRoleBinding" => {
            json!({ "member": "new@acme.com", "role": "viewer", "on": format!("org/{org}") })
        }
        "createApiToken" => json!({ "name": "new", "role": "viewer", "on": format!("org/{org}") }),
        "createWorkspace" | "createEnvironment" => json!({ "slug": slug }),
        "setSubdomain" => json!({ "subdomain": slug }),
        "putPluginSet" => json!({ "spec": plugin_set("new") }),
        "putPolicy" => json!({ "spec": policy("new") }),
        "putGatewayConfig" => json!({ "spec": config(&[], &[]) }),
        "putSecretReference" => json!({ "reference": "$secret://env/NEW" }),
        _ => json!({}),
    })
}

/// A plugin set that says something of its own.
pub(crate) fn plugin_set(text: &str) -> Value {
    json!({ "plugins": [{ "id": "policy.cedar", "enforce": false, "config": { "bundle": format!("./{text}") } }] })
}

/// A policy that says something of its own.
pub(crate) fn policy(text: &str) -> Value {
    json!({ "engine": "cedar", "files": { "all.cedar": format!("// {text}\npermit (principal, action, resource);") } })
}

/// A gateway configuration that names others' work.
pub(crate) fn config(plugin_sets: &[&str], policies: &[&str]) -> Value {
    let mut config =
        json!({ "bindings": [{ "id": "demo", "type": "mcp", "url": "http://127.0.0.1:9/mcp" }] });
    if let Some(name) = plugin_sets.first() {
        config["plugin_set"] = json!(name);
    }
    if !policies.is_empty() {
        config["policies"] = json!(policies);
    }
    config
}
