//! Behaviour of `policy.cedar`: what bundles load, and what they decide.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_sdk::{AuthMethod, Call, Caller, Decision, Obligation, RedactMode, Scope, Target};
use serde_json::{Value, json};

use super::super::testing::now;
use super::super::{CacheLimits, PolicyChain, Verdict};
use super::*;

mod decisions;
mod documented;
mod hostile;
mod loading;
mod properties;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join("policies").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn settings() -> CedarSettings {
    serde_json::from_value(json!({"bundle": "policies", "limits": {"evaluation_ms_max": 60_000}})).unwrap()
}

fn bindings() -> Vec<String> {
    ["github", "files", "crm"].map(str::to_owned).to_vec()
}

fn load_at(base: &Path, settings: &CedarSettings) -> Result<CedarEngine, CedarError> {
    CedarEngine::load(
        settings,
        &BundleContext {
            base: &Base::trusted(base),
            bindings: &bindings(),
            fetched: &FetchedBundles::default(),
        },
    )
}

fn load(files: &[(&str, &str)]) -> Result<CedarEngine, String> {
    load_at(folder(files).path(), &settings()).map_err(|error| error.to_string())
}

/// A chain of one engine with one policy file.
fn chain(text: &str) -> PolicyChain {
    chain_of(&[("a.cedar", text)])
}

fn chain_of(files: &[(&str, &str)]) -> PolicyChain {
    match load(files) {
        Ok(engine) => PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default()),
        Err(error) => panic!("{error}"),
    }
}

/// A request, owned.
#[derive(Debug, Clone)]
struct Ask {
    caller: Caller,
    scope: Scope,
    binding: String,
    method: String,
    name: Option<String>,
    arguments: Option<String>,
    source: String,
    now: SystemTime,
    token: Option<String>,
}

impl Ask {
    fn method(method: &str) -> Self {
        Self {
            caller: Caller {
                subject: "user:alice@acme.com".to_owned(),
                audience: None,
                attributes: [("groups".to_owned(), json!(["dev"]))].into(),
                auth_method: AuthMethod::ApiKey,
            },
            scope: Scope::new("acme-corp", "platform-team", "prod").unwrap(),
            binding: "github".to_owned(),
            method: method.to_owned(),
            name: None,
            arguments: None,
            source: "10.1.2.3".to_owned(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            token: None,
        }
    }

    fn tool(binding: &str, tool: &str) -> Self {
        Self { binding: binding.to_owned(), name: Some(tool.to_owned()), ..Self::method("tools/call") }
    }

    fn resource(binding: &str, uri: &str) -> Self {
        Self { binding: binding.to_owned(), name: Some(uri.to_owned()), ..Self::method("resources/read") }
    }

    fn prompt(binding: &str, name: &str) -> Self {
        Self { binding: binding.to_owned(), name: Some(name.to_owned()), ..Self::method("prompts/get") }
    }

    fn subject(mut self, subject: &str) -> Self {
        self.caller.subject = subject.to_owned();
        self
    }

    fn attribute(mut self, name: &str, value: Value) -> Self {
        self.caller.attributes.insert(name.to_owned(), value);
        self
    }

    fn arguments(mut self, text: &str) -> Self {
        self.arguments = Some(text.to_owned());
        self
    }

    fn source(mut self, source: &str) -> Self {
        self.source = source.to_owned();
        self
    }

    fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    fn call(&self) -> Call<'_> {
        let name = self.name.as_deref().unwrap_or_default();
        Call {
            scope: &self.scope,
            binding: &self.binding,
            method: &self.method,
            target: match self.method.as_str() {
                "tools/call" => Target::Tool(name),
                "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Target::Resource(name),
                "prompts/get" => Target::Prompt(name),
                _ => Target::Binding,
            },
            arguments: self.arguments.as_deref(),
            source: self.source.parse().unwrap(),
            now: self.now,
            approval_token: self.token.as_deref(),
        }
    }
}

fn decide(chain: &PolicyChain, ask: &Ask) -> Verdict {
    let first = now(chain.decide(&ask.caller, &ask.call()));
    let again = now(chain.decide(&ask.caller, &ask.call()));
    assert_eq!(first.verdict, again.verdict, "{ask:?}");
    assert_eq!(*first.verdict, now(chain.decide_uncached(&ask.caller, &ask.call())), "{ask:?}");
    (*first.verdict).clone()
}

/// `permit`, `permit email phone=remove`, or the code of the denial.
fn show(verdict: &Verdict) -> String {
    match &verdict.decision {
        Decision::Permit => "permit".to_owned(),
        Decision::PermitWithObligations(obligations) => {
            let fields = obligations.iter().map(|obligation| match obligation {
                Obligation::Redact { what, mode: RedactMode::Mask } => what.to_string(),
                Obligation::Redact { what, mode } => format!("{what}={}", mode.as_str()),
                other => format!("{other:?}"),
            });
            format!("permit {}", fields.collect::<Vec<_>>().join(" "))
        }
        Decision::Deny(reason) => reason.code.clone(),
    }
}

/// The decisions of a policy file about calls.
fn check(text: &str, rows: &[(Ask, &str)]) {
    check_files(&[("a.cedar", text)], rows);
}

fn check_files(files: &[(&str, &str)], rows: &[(Ask, &str)]) {
    let chain = chain_of(files);
    for (ask, expected) in rows {
        let verdict = decide(&chain, ask);
        assert_eq!(show(&verdict), *expected, "{ask:?}\n{verdict:?}");
    }
}

#[test]
fn a_bundle_tells_every_obligation_of_its_policies() {
    let text = r#"
        @id("a") @redact("email,phone") permit(principal, action == Action::"files.read", resource);
        @id("b") @redact("email") @redact_mode("remove") permit(principal, action == Action::"files.list", resource);
        @id("c") permit(principal, action, resource);
    "#;
    let chain = chain_of(&[("a.cedar", text)]);
    let mut told: Vec<_> = chain
        .every_obligation()
        .unwrap()
        .iter()
        .map(|obligation| match obligation {
            Obligation::Redact { what, mode } => format!("{what} {mode:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    told.sort();
    assert_eq!(told, ["email Remove", "phone Mask"]);
}
