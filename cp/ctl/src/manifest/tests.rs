//! Manifests as people write them, right and wrong.

use serde_json::json;

use super::*;

/// The multi-tenant article's, as written.
pub(super) const ARTICLE: &str = "\
# Workspace platform-team uses an enterprise policy bundle
apiVersion: mcpg.dev/v1
kind: MCPGPluginSet
metadata:
  name: platform-team-prod
  namespace: mcpg-acme
spec:
  workspace: acme-corp/platform-team
  plugins:
    - id: identity.oidc
    - id: policy.cedar
      config:
        bundle: oci://policies.acme.com/platform-team:1.0
    - id: reliability.rate-limit
    - id: observability.audit
";

fn source(text: &str) -> Source {
    Source { name: "a.yaml".to_owned(), base: ".".into(), bytes: text.as_bytes().to_vec() }
}

fn refuse(text: &str, expected: &str) {
    let mistakes = read(&[source(text)], None).err().unwrap_or_else(|| panic!("{text} is taken"));
    let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|one| one == expected), "{said:#?}");
}

fn resources(text: &str) -> Vec<Resource> {
    let read = read(&[source(text)], None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    read.manifests.into_iter().map(|manifest| manifest.resource).collect()
}

/// One of each kind.
pub(super) const EVERY_KIND: &str = "\
{ apiVersion: mcpg.dev/v1, kind: MCPGRevocationList, metadata: { name: acme-corp }, spec: { organization: acme-corp, artifacts: [] } }
---
apiVersion: mcpg.dev/v1
kind: MCPGGatewayConfig
metadata: { name: prod, labels: { a: b }, annotations: { c: d } }
spec:
  environment: acme-corp/platform-team/prod
  plugin_set: platform-team-prod
  policies: [main]
  bindings: [{ id: demo, type: mcp, url: \"https://demo.acme.com/mcp\" }]
---
{ apiVersion: mcpg.dev/v1, kind: MCPGPolicy, metadata: { name: main }, spec: { workspace: acme-corp/platform-team, engine: cedar, files: { all.cedar: \"permit (principal, action, resource);\\n\" } } }
---
{ apiVersion: mcpg.dev/v1, kind: MCPGSecretReference, metadata: { name: key }, spec: { workspace: acme-corp/platform-team, reference: $secret://env/KEY } }
---
{ apiVersion: mcpg.dev/v1, kind: MCPGRoleBinding, metadata: { name: alice.admin }, spec: { member: alice@acme.com, role: admin, on: org/acme-corp } }
---
{ apiVersion: mcpg.dev/v1, kind: MCPGEnvironment, metadata: { name: prod }, spec: { workspace: acme-corp/platform-team } }
---
{ apiVersion: mcpg.dev/v1, kind: MCPGWorkspace, metadata: { name: platform-team }, spec: { organization: acme-corp, display_name: Platform } }
---
{ apiVersion: mcpg.dev/v1, kind: MCPGOrganization, metadata: { name: acme-corp }, spec: { display_name: \"Acme, Inc.\" } }
";

#[test]
fn the_articles_plugin_set_is_read_as_written() {
    let resources = resources(ARTICLE);
    let [Resource::PluginSet { workspace, name, spec }] = resources.as_slice() else {
        panic!("{resources:?}");
    };
    assert_eq!(
        (workspace.to_string().as_str(), name.as_str()),
        ("acme-corp/platform-team", "platform-team-prod")
    );
    assert_eq!(
        serde_json::to_value(spec).unwrap(),
        json!({ "plugins": [
            { "id": "identity.oidc" },
            { "id": "policy.cedar", "config": { "bundle": "oci://policies.acme.com/platform-team:1.0" } },
            { "id": "reliability.rate-limit" },
            { "id": "observability.audit" },
        ] })
    );
    assert_eq!(resources[0].to_string(), "pluginset.mcpg.dev/platform-team-prod");
}

#[test]
fn manifests_come_in_the_order_of_applying_and_are_written_as_read() {
    let text = format!("{ARTICLE}---\n{EVERY_KIND}");
    let resources = resources(&text);
    let kinds: Vec<Kind> = resources.iter().map(Resource::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    let written: Vec<String> = resources.iter().map(|resource| to_yaml(&resource.to_manifest())).collect();
    assert_eq!(self::resources(&written.join("---\n")), resources);
}

#[test]
fn mistakes_are_told_with_their_line_and_the_nearest_name() {
    let change = |from: &str, to: &str| ARTICLE.replace(from, to);
    refuse(
        &change("MCPGPluginSet", "MCPGPluginset"),
        "a.yaml:3:7: `MCPGPluginset` is no kind; did you mean `MCPGPluginSet`?",
    );
    refuse(
        &change("mcpg.dev/v1", "mcpg.dev/v2"),
        "a.yaml:2:13: `mcpg.dev/v2` is no version of manifests; did you mean `mcpg.dev/v1`?",
    );
    refuse(
        &change("  plugins:", "  plugin:"),
        "a.yaml:9:3: unknown key `plugin` in `spec`; did you mean `plugins`?",
    );
    refuse(
        &change("      config:", "      confg:"),
        "a.yaml:12:7: unknown key `confg` in `spec.plugins[1]`; did you mean `config`?",
    );
    refuse(
        &change("workspace: acme-corp/platform-team", "workspace: acme-corp"),
        "a.yaml:8:14: `acme-corp` is not `org/workspace`",
    );
    refuse(
        &change("name: platform-team-prod", "name: Platform"),
        "a.yaml:5:9: `Platform` is not a slug: use 2 to 40 characters of `a-z`, `0-9` and `-`",
    );
    refuse(
        &change("id: identity.oidc", "id: Identity"),
        "a.yaml:10:11: a plugin's id has 1 to 128 of `a-z`, `0-9`, `.`, `-` and `_`, such as `policy.cedar`",
    );
    refuse(
        "a: 1\n",
        "a.yaml:1:1: `apiVersion` is missing; a manifest begins with `apiVersion: mcpg.dev/v1` and its `kind`",
    );
    refuse(
        "bindings: []\n",
        "a.yaml:1:1: this is a gateway's configuration; say which environment it is for: `--env ORG/WORKSPACE/ENV`",
    );
    refuse(
        &format!("{ARTICLE}---\n{ARTICLE}"),
        "a.yaml:21:3: pluginset.mcpg.dev/platform-team-prod is there twice; keep one: the other is at a.yaml:2",
    );
    let policy = EVERY_KIND.replace("files: {", "folder: x, files: {");
    refuse(&policy, "a.yaml:12:139: `files` and `folder` are both there; keep one");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = format!(
        "{}---\n{}",
        ARTICLE.replace("workspace:", "workspac:"),
        ARTICLE.replace("kind: ", "kind: X")
    );
    let mistakes = read(&[source(&text), source("a: [")], None).err().unwrap();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
}

#[test]
fn a_gateways_file_is_taken_apart() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/all.cedar"), "permit (principal, action, resource);")
        .unwrap();
    let text = "\
server: { listen: 127.0.0.1:8787 }
tenancy: { scope: acme-corp/platform-team/prod }
plugins:
  - identity.anonymous
  - { id: policy.cedar, config: { bundle: ./policies } }
  - { id: policy.cedar, name: trial, shadow: true, config: { bundle: ./policies } }
bindings: [{ id: demo, type: mcp, url: \"http://127.0.0.1:8788/mcp\" }]
federation: { naming: prefixed }
audit: { dir: ./audit }
";
    let source = |text: &str| Source {
        name: "gateway.yaml".to_owned(),
        base: folder.path().to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let env: EnvironmentPath = "acme-corp/platform-team/prod".parse().unwrap();
    let found = read(&[source(text)], Some(&env)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let notes: Vec<String> = found.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "gateway.yaml:1:9: `server` is left out: it belongs to the gateway's own file",
            "gateway.yaml:9:8: `audit` is left out: it belongs to the gateway's own file",
        ]
    );
    let manifests: Vec<_> =
        found.manifests.iter().map(|one| one.resource.to_manifest()["spec"].clone()).collect();
    let workspace = "acme-corp/platform-team";
    assert_eq!(
        manifests,
        [
            json!({ "workspace": workspace, "engine": "cedar", "files": { "all.cedar": "permit (principal, action, resource);" } }),
            json!({ "workspace": workspace, "plugins": [
                { "id": "identity.anonymous" },
                { "id": "policy.cedar", "config": { "bundle": "./policies/prod-policies" } },
                { "id": "policy.cedar", "name": "trial", "enforce": false, "config": { "bundle": "./policies/prod-policies" } },
            ] }),
            json!({ "environment": "acme-corp/platform-team/prod", "plugin_set": "prod", "policies": ["prod-policies"],
                "bindings": [{ "id": "demo", "type": "mcp", "url": "http://127.0.0.1:8788/mcp" }],
                "federation": { "naming": "prefixed" } }),
        ]
    );
    let refuse = |from: &str, to: &str, expected: &str| {
        let mistakes = read(&[source(&text.replace(from, to))], Some(&env)).err().expect(expected);
        assert!(mistakes.iter().any(|one| one.to_string().contains(expected)), "{mistakes:?}");
    };
    refuse("team/prod }", "team/dev }", "2:19: the file is of another environment");
    refuse("{ bundle: ./policies } }\n  - {", "{ bundle: ./none } }\n  - {", "5:43: cannot read");
    refuse("url:", "ulr:", "unknown key `ulr`");
    refuse(
        "tenancy: { scope: acme-corp/platform-team/prod }",
        "tenancy: { scopes: [{ file: a.yaml }] }",
        "cannot be taken apart",
    );
}
