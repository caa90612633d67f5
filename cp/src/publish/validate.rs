//! Whether a gateway would take a document: read and built with the gateway's own code.
//!
//! What only the gateway's machine has is left to it: the values of secrets, bundles in registries, the addresses of upstreams. A gateway
//! that refuses a revision for one of these says so, and stays on what it has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_config::{Config, Diagnostic, Pushed};
use mcpg_cp_api::{EnvironmentPath, ScopeDocument};
use mcpg_filters::policy::bundle::BundleOrder;
use mcpg_filters::registry::{self, BuildContext};
use mcpg_filters::secret::{SecretResolver, is_elsewhere};
use mcpg_filters::shared::Shared;
use mcpg_sdk::Scope;

/// A gateway's own file that leaves everything else to revisions: what a machine opens to them is for the machine to say.
const GATEWAY: &str = "control_plane: { url: \"http://localhost\", networks: [\"0.0.0.0/0\", \"::/0\"] }";
/// What the scope's file is called in messages.
const NAME: &str = "revision";
/// What to write for plugins that cannot do without settings.
const FORMS: &[(&str, &str)] = &[
    ("identity.oidc", "{ id: identity.oidc, config: { issuers: [{ issuer: \"https://login.acme.com\" }] } }"),
    ("policy.cedar", "{ id: policy.cedar, config: { bundle: ./policies/NAME } }"),
    ("policy.casbin", "{ id: policy.casbin, config: { bundle: ./policies/NAME } }"),
    ("policy.opa", "{ id: policy.opa, config: { bundle: ./policies/NAME } }"),
];

/// A document that a gateway would take, as far as can be told here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validated {
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// Validates a document. Blocks: it writes the document's files to a temporary folder and compiles its policies.
///
/// # Errors
/// Everything that is wrong with it, with its place.
pub fn validate(
    document: &ScopeDocument,
    environment: &EnvironmentPath,
    now: SystemTime,
) -> Result<Validated, Vec<String>> {
    let folder = unpack(document).map_err(|error| vec![format!("cannot be unpacked: {error}")])?;
    let scope: Scope = environment.to_string().parse().map_err(|error| vec![format!("{error}")])?;
    let file = folder.path().join(NAME);
    let text = serde_json::to_vec_pretty(&document.scope).map_err(|error| vec![error.to_string()])?;
    let pushed = [Pushed { scope, file: file.clone(), revoked: None }];
    let read = |path: &Path| {
        if path == file { Ok(text.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    let shown = |message: String| message.replace(&folder.path().display().to_string(), ".");
    let config = Config::with_files(GATEWAY.as_bytes(), "gateway", folder.path(), &read, &pushed);
    let config =
        config.map_err(|problems| problems.iter().map(|one| shown(told(one))).collect::<Vec<_>>())?;
    let mut validated = Validated::default();
    let mut problems = Vec::new();
    for scope in config.scopes() {
        validated.warnings.extend(scope.warnings().iter().map(|warning| shown(told(warning))));
        problems.extend(build(scope, now).into_iter().map(&shown));
    }
    if problems.is_empty() { Ok(validated) } else { Err(problems) }
}

/// Builds every plugin, and says what is wrong with them.
fn build(config: &Config, now: SystemTime) -> Vec<String> {
    let secrets = SecretResolver::elsewhere(config.base());
    let bindings: Vec<&str> = config.bindings.iter().map(|binding| binding.id.as_str()).collect();
    let shared = Arc::<Shared>::default();
    let context = BuildContext {
        base: config.base(),
        secrets: &secrets,
        bindings: &bindings,
        scope: &config.tenancy.scope,
        shared: &shared,
        now,
    };
    let mut problems = Vec::new();
    for (index, plugin) in config.plugins.load.iter().enumerate() {
        let of_registry = BundleOrder::of(&plugin.settings, config.base(), &secrets);
        let built = match of_registry {
            // It is fetched by the gateway.
            Ok(Some(_)) => continue,
            Ok(None) => registry::build(plugin.id, &plugin.settings, &context).map(drop),
            Err(error) => Err(error),
        };
        match built {
            Err(error) if !is_elsewhere(&error.message) => {
                let mut problem = config.locate(index, &error);
                let form = FORMS.iter().find(|(id, _)| *id == plugin.id);
                if let (true, Some((_, form))) = (error.message.starts_with("missing field"), form) {
                    problem.help = Some(format!("write it like `{form}`"));
                }
                problems.push(told(&problem));
            }
            _ => {}
        }
    }
    problems
}

/// A problem as who wrote the parts knows its place: nobody has seen the document that they make.
fn told(problem: &Diagnostic) -> String {
    if problem.path.is_empty() {
        return problem.to_string();
    }
    let place = problem.path.replacen("plugins.load[", "plugins[", 1);
    let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("`{place}`: {}{help}", problem.message)
}

fn unpack(document: &ScopeDocument) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, contents) in &document.files {
        let path: PathBuf = folder.path().join(name.as_str());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, contents)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "made where it is passed")]
    fn check(scope: Value, policy: &str) -> Result<Validated, Vec<String>> {
        let document = json!({ "scope": scope, "files": { "policies/main/all.cedar": policy } });
        let document = serde_json::from_value(document).unwrap();
        validate(&document, &"acme-corp/platform-team/prod".parse().unwrap(), SystemTime::now())
    }

    #[expect(clippy::needless_pass_by_value, reason = "made where it is passed")]
    fn scope(plugins: Value, binding: Value) -> Value {
        json!({ "tenancy": { "scope": "acme-corp/platform-team/prod" }, "plugins": { "load": plugins }, "bindings": [binding] })
    }

    const PERMIT: &str = "permit (principal, action, resource);";

    fn binding() -> Value {
        json!({ "id": "files", "type": "mcp", "url": "https://files.acme.com/mcp" })
    }

    fn cedar() -> Value {
        json!({ "id": "policy.cedar", "config": { "bundle": "./policies/main" } })
    }

    #[test]
    fn what_a_gateway_takes_is_taken() {
        let plugins = json!([{ "id": "identity.anonymous" }, cedar()]);
        assert_eq!(check(scope(plugins, binding()), PERMIT), Ok(Validated::default()));
    }

    #[test]
    fn what_only_the_gateway_has_is_left_to_it() {
        let key = json!({ "id": "identity.api-key", "config": { "tokens": [{ "token": "$secret://env/ACME_KEY", "subject": "user:a@acme.com" }] } });
        let remote = json!({ "id": "policy.cedar", "config": { "bundle": "oci://policies.acme.com/platform-team:1.0" } });
        let here = json!({ "id": "files", "type": "mcp", "url": "http://127.0.0.1:3001/mcp", "headers": { "authorization": "Bearer $secret://env/ACME_UPSTREAM" } });
        assert!(check(scope(json!([key, remote]), here), PERMIT).is_ok());
    }

    #[test]
    fn a_problem_has_its_place_in_the_parts_and_a_better_form() {
        let plugins = json!([
            cedar(),
            { "id": "identity.oidc" }, { "id": "reliability.rate-limit" }, { "id": "observability.audit" } ]);
        let problems = check(scope(plugins, binding()), PERMIT).unwrap_err();
        assert_eq!(
            problems,
            [
                "`plugins[1].config`: `identity.oidc`: missing field `issuers`; write it like `{ id: identity.oidc, config: { issuers: [{ issuer: \"https://login.acme.com\" }] } }`"
            ]
        );
        let problems = check(scope(json!([]), json!({ "id": "files", "type": "mcp", "ulr": "x" })), PERMIT);
        assert_eq!(
            problems.unwrap_err()[0],
            "`bindings[0].ulr`: unknown key `ulr` in `bindings[0]`; did you mean `url`?"
        );
    }

    #[test]
    fn what_a_gateway_would_refuse_is_refused_with_its_place() {
        for (scope, policy, expected) in [
            (scope(json!([cedar()]), binding()), "permit (principal, action", "all.cedar"),
            (scope(json!([cedar()]), json!({ "id": "files", "type": "mcp" })), PERMIT, "url"),
            (scope(json!([{ "id": "policy.cedra" }]), binding()), PERMIT, "policy.cedar"),
            (
                scope(
                    json!([{ "id": "policy.cedar", "config": { "bundle": "./policies/none" } }]),
                    binding(),
                ),
                PERMIT,
                "none",
            ),
            (
                scope(json!([{ "id": "policy.cedar", "config": { "bundle": "/etc" } }]), binding()),
                PERMIT,
                "leads out of the revision",
            ),
            (
                scope(
                    json!([{ "id": "identity.api-key", "config": { "tokens": [{ "token": "$secret://env/A", "colour": 1 }] } }]),
                    binding(),
                ),
                PERMIT,
                "colour",
            ),
            (
                scope(json!([cedar()]), json!({ "id": "sh", "type": "mcp", "command": "sh" })),
                PERMIT,
                "starts no process",
            ),
            (
                json!({ "bindings": [binding()], "server": {} }),
                PERMIT,
                "`server` belongs to the gateway's own file",
            ),
        ] {
            let problems = check(scope, policy).expect_err(expected);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
            assert!(problems.iter().all(|problem| !problem.contains("/tmp")), "{problems:?}");
        }
    }
}
