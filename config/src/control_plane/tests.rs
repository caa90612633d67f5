//! A configuration with scopes that a control plane has pushed.

use std::path::{Path, PathBuf};

use crate::{Config, Pushed};

const GATEWAY: &str = "control_plane:\n  url: https://cp.acme.com\n  networks: [127.0.0.0/8]\n  secrets: { env_prefix: ACME_, dir: secrets }\n";
const SCOPE: &str = "acme-corp/platform-team/prod";

fn read(gateway: &str, pushed: &str) -> Result<Config, Vec<String>> {
    let file = PathBuf::from("state/prod/scope.yaml");
    let files = [Pushed { scope: SCOPE.parse().unwrap(), file: file.clone(), revoked: None }];
    let read = |path: &Path| {
        assert_eq!(path, file);
        Ok(pushed.as_bytes().to_vec())
    };
    Config::with_files(gateway.as_bytes(), "gateway.yaml", Path::new("etc"), &read, &files)
        .map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect())
}

fn bindings(more: &str) -> String {
    format!("bindings:\n  - id: files\n    type: mcp\n    {more}\n")
}

#[test]
fn what_is_pushed_is_a_scope_like_any_other() {
    let config = read(GATEWAY, &bindings("url: http://127.0.0.1:3001/mcp")).unwrap();
    let scopes: Vec<_> = config.scopes().collect();
    let [scope] = scopes.as_slice() else { panic!("{} scopes", scopes.len()) };
    assert_eq!(scope.tenancy.scope.to_string(), SCOPE);
    assert_eq!(scope.tenancy.subdomain, "acme-corp");
    assert!(scope.base().is_bounded());
    assert_eq!(scope.base().dir(), Path::new("state/prod"));
    assert_eq!(scope.base().secret_file("key").unwrap(), Path::new("etc/secrets/key"));
    assert!(!config.base().is_bounded());
    assert_eq!(config.scope_files().collect::<Vec<_>>(), [PathBuf::from("state/prod/scope.yaml")]);
}

#[test]
fn before_anything_is_pushed_nothing_is_served() {
    let config = Config::with_files(
        GATEWAY.as_bytes(),
        "gateway.yaml",
        Path::new("etc"),
        &|_| panic!("nothing is there to be read"),
        &[],
    )
    .unwrap();
    assert_eq!(config.scopes().count(), 0);
}

#[test]
fn what_is_pushed_changes_the_digest() {
    let one = read(GATEWAY, &bindings("url: http://127.0.0.1:3001/mcp")).unwrap();
    let other = read(GATEWAY, &bindings("url: http://127.0.0.1:3002/mcp")).unwrap();
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn what_is_pushed_has_no_say_in_the_process_or_the_machine() {
    let mut refused = String::new();
    for pushed in [
        "server: { listen: [0.0.0.0:80] }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
        "audit: { dir: /tmp }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
        "control_plane: { url: https://evil.example }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
        "tenancy: { scope: umbrella/lab/prod }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
        "pinning: { lock_file: /etc/mcpg/tools.lock }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
        &bindings("command: [/bin/sh, -c, id]"),
        &bindings("url: http://169.254.169.254/"),
        &bindings("url: https://a.example/\n    allow_addresses: 10.0.0.0/8"),
        &bindings("url: https://a.example/\n    tls: { ca: /etc/ssl/private/ca.pem }"),
        &bindings(
            "url: https://a.example/\n    tls: { client_certificate: ../../x.crt, client_key: ../../x.key }",
        ),
        "plugins:\n  - { id: identity.oidc, config: { issuer: \"http://10.0.0.1/\" } }\nbindings: [{ id: a, type: mcp, url: https://a.example/ }]\n",
    ] {
        let problems = read(GATEWAY, pushed).unwrap_err();
        refused += &format!("{pushed}{}\n\n", problems.join("\n"));
    }
    insta::assert_snapshot!(refused);
}

#[test]
fn a_file_without_a_control_plane_is_given_nothing() {
    let gateway = "bindings: [{ id: own, type: mcp, url: https://own.example/ }]\n";
    let config = read(gateway, &bindings("url: https://a.example/")).unwrap();
    assert_eq!(config.scopes().count(), 1);
}

#[test]
fn a_control_plane_is_described_soundly() {
    let mut refused = String::new();
    for gateway in [
        "control_plane: {}",
        "control_plane: { url: \"http://cp.acme.com\" }",
        "control_plane: { url: https://cp.acme.com/v1 }",
        "control_plane: { url: https://cp.acme.com, enroll_token: mcpg_en_secret }",
        "control_plane: { url: https://cp.acme.com, name: \"GW 1\" }",
        "control_plane: { url: https://cp.acme.com, labels: { region: \"\" } }",
        "control_plane: { url: https://cp.acme.com, secrets: { env_prefix: \"\" } }",
        "control_plane: { url: https://cp.acme.com, networks: private }",
        "control_plane: { url: https://cp.acme.com, heartbeat_ms: 1 }",
    ] {
        let problems = read(gateway, "").unwrap_err();
        refused += &format!("{gateway}\n{}\n\n", problems.join("\n"));
    }
    insta::assert_snapshot!(refused);
}
