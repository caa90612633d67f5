use std::path::Path;
use std::time::SystemTime;

use mcpg_config::Config;

use super::*;
use crate::metrics::Metrics;
use crate::revision::{Builder, Generation};

const TENANTS: &str = r"
server: { hosts: [gw.example, 'alt.example:8443'] }
tenancy:
  scope: home/team/prod
  subdomain_routing: { enabled: true, suffix: MCPG.dev }
  scopes:
    - { scope: acme-corp/team/prod, subdomain: acme, hosts: [mcp.acme.com, '[2001:db8::1]:9443'], bindings: [&b { id: files, type: mcp, url: 'http://127.0.0.1:9/mcp' }] }
    - { scope: acme-corp/team/dev, subdomain: acme, hosts: ['dev.acme.com:8443'], bindings: [*b] }
    - { scope: umbrella/lab/prod, bindings: [*b] }
bindings: [*b]
";

async fn generation() -> Generation {
    let config = Config::from_yaml(TENANTS.as_bytes(), "gateway.yaml", Path::new("/nowhere"));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let builder = Builder::new(Metrics::new().unwrap());
    builder.generation(&config, [0; 32], 1, None, SystemTime::now()).await.unwrap()
}

fn shown(place: Place<'_>) -> String {
    match place {
        Place::Unserved => "-".to_owned(),
        Place::Gateway => "gateway".to_owned(),
        Place::Scope(revision) => revision.scope.scope.to_string(),
        Place::Organization(organization, members) => match members.only() {
            Some(only) => format!("{organization}: {}", only.scope.scope),
            None => format!("{organization}: several"),
        },
    }
}

#[tokio::test]
async fn a_host_stands_for_one_thing_or_nothing() {
    let generation = generation().await;
    for (host, place) in [
        ("gw.example", "gateway"),
        ("GW.example:8080", "gateway"),
        ("alt.example:8443", "gateway"),
        ("alt.example", "-"),
        ("mcp.acme.com", "acme-corp/team/prod"),
        ("MCP.Acme.Com:443", "acme-corp/team/prod"),
        ("[2001:db8::1]:9443", "acme-corp/team/prod"),
        ("[2001:db8::1]", "-"),
        ("dev.acme.com:8443", "acme-corp/team/dev"),
        ("dev.acme.com", "-"),
        ("dev.acme.com:443", "-"),
        ("acme.mcpg.dev", "acme-corp: several"),
        ("ACME.mcpg.DEV:443", "acme-corp: several"),
        ("umbrella.mcpg.dev", "umbrella: umbrella/lab/prod"),
        ("home.mcpg.dev", "home: home/team/prod"),
        // What looks alike is something else.
        ("acme-corp.mcpg.dev", "-"),
        ("mcpg.dev", "-"),
        (".mcpg.dev", "-"),
        ("acme.mcpg.dev.", "-"),
        ("acme..mcpg.dev", "-"),
        ("a.acme.mcpg.dev", "-"),
        ("acme.mcpg.dev.evil", "-"),
        ("acmemcpg.dev", "-"),
        ("acme.mcpg.dev:", "-"),
        ("acme.mcpg.dev:x", "-"),
        ("acme.mcpg.dev:80:80", "-"),
        ("user@acme.mcpg.dev", "-"),
        ("acme%2emcpg.dev", "-"),
        ("xn--acme-.mcpg.dev", "-"),
        ("аcme.mcpg.dev", "-"),
        ("127.0.0.1", "-"),
        ("[::1]", "-"),
        ("", "-"),
        (":443", "-"),
    ] {
        assert_eq!(shown(generation.scopes.host(host)), place, "{host}");
    }
    let long = format!("{}.mcpg.dev", "a".repeat(4000));
    assert_eq!(shown(generation.scopes.host(&long)), "-");
}

#[tokio::test]
async fn the_name_of_a_connection_stands_for_tenants_only() {
    let generation = generation().await;
    for (name, place) in [
        ("mcp.acme.com", "acme-corp/team/prod"),
        ("dev.acme.com", "acme-corp/team/dev"),
        ("acme.mcpg.dev", "acme-corp: several"),
        ("gw.example", "-"),
        ("elsewhere.example", "-"),
    ] {
        assert_eq!(shown(generation.scopes.server_name(name)), place, "{name}");
    }
}

#[tokio::test]
async fn a_scope_is_found_by_its_name() {
    let generation = generation().await;
    let found = |id| generation.scopes.by_id(id).map(|revision| revision.scope.scope.to_string());
    assert_eq!(found("acme-corp/team/dev").as_deref(), Some("acme-corp/team/dev"));
    for id in
        ["", "acme-corp", "acme-corp/team", "ACME-CORP/team/dev", "acme-corp/team/dev/", "acme-corp//dev"]
    {
        assert_eq!(found(id), None, "{id}");
    }
    let top = generation.scopes.top_level().unwrap();
    assert_eq!((top.scope.scope.to_string().as_str(), generation.scopes.len()), ("home/team/prod", 4));
}
