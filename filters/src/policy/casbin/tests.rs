//! Behaviour of `policy.casbin`: what loads, and what it decides.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mcpg_sdk::policy::Kind;
use mcpg_sdk::{AuthMethod, Call, Caller, Scope, Target};
use serde_json::{Value, json};

use super::*;

mod decisions;
mod loading;

const REQUEST: &str = "[request_definition]\nr = sub, obj, act\n";
const ALLOW: &str = "[policy_effect]\ne = some(where (p.eft == allow))\n";
const RBAC: &str = "[policy_definition]\np = sub, obj, act\n[role_definition]\ng = _, _\n\
    [matchers]\nm = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act\n";

fn model(rest: &str) -> String {
    format!("{REQUEST}{ALLOW}{rest}")
}

/// A model with these columns and this matcher.
fn matching(columns: &str, matcher: &str) -> String {
    model(&format!("[policy_definition]\np = {columns}\n[matchers]\nm = {matcher}\n"))
}

fn load_with(model: &str, policy: &str, more: &Value) -> Result<CasbinEngine, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.conf"), model).unwrap();
    fs::write(folder.path().join("policy.csv"), policy).unwrap();
    let mut settings = json!({"bundle": "."});
    settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let settings: CasbinSettings = serde_json::from_value(settings).unwrap();
    CasbinEngine::load(&settings, &Base::trusted(folder.path()), &FetchedBundles::default())
        .map_err(|error| error.to_string())
}

fn load(model: &str, policy: &str) -> CasbinEngine {
    load_with(model, policy, &json!({})).unwrap()
}

/// A request, owned.
#[derive(Debug, Clone)]
struct Ask {
    caller: Caller,
    scope: Scope,
    binding: &'static str,
    method: &'static str,
    name: Option<String>,
    arguments: Option<String>,
    token: Option<&'static str>,
}

impl Ask {
    fn tool(subject: &str, tool: &str) -> Self {
        Self {
            caller: Caller {
                subject: subject.to_owned(),
                audience: None,
                attributes: [("groups".to_owned(), json!(["dev"])), ("level".to_owned(), json!(3))].into(),
                auth_method: AuthMethod::Oidc,
            },
            scope: Scope::new("acme-corp", "platform-team", "prod").unwrap(),
            binding: "files",
            method: "tools/call",
            name: Some(tool.to_owned()),
            arguments: None,
            token: None,
        }
    }

    fn method(method: &'static str) -> Self {
        Self { method, name: None, ..Self::tool("alice", "") }
    }

    fn call(&self) -> Call<'_> {
        let name = self.name.as_deref().unwrap_or_default();
        Call {
            scope: &self.scope,
            binding: self.binding,
            method: self.method,
            target: match self.method {
                "tools/call" => Target::Tool(name),
                "resources/read" => Target::Resource(name),
                _ => Target::Binding,
            },
            arguments: self.arguments.as_deref(),
            source: "10.1.2.3".parse().unwrap(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            approval_token: self.token,
        }
    }

    /// `allow`, with the rules and obligations; `deny` with the rule; or an error's code.
    fn of(&self, engine: &CasbinEngine) -> String {
        let call = self.call();
        let reads = engine.reads().of(&call);
        match engine.decide(&PolicyInput::select(&self.caller, &call, reads), engine.limit()) {
            Ok(EngineDecision::Permit { policies, obligations }) => {
                let all = policies.into_iter().chain(obligations.iter().map(ToString::to_string));
                format!("allow {}", all.collect::<Vec<_>>().join(" "))
            }
            Ok(EngineDecision::Forbid { policy, .. }) => format!("deny {policy}"),
            Ok(EngineDecision::NotPermitted { .. }) => "deny".to_owned(),
            Err(error) => format!("{}: {error}", error.code()),
        }
    }
}
