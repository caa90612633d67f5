//! What an operator reads when the file is wrong: every mistake with its exact position, in golden files.
//!
//! No diagnostic in this table may contain `hunter2`, which stands wherever a secret might.

use std::path::Path;

use mcpg_config::Config;

/// The rest of a file that is right, for cases about another section.
const BINDING: &str = "bindings:\n  - { id: files, type: mcp, url: \"http://127.0.0.1:3001/mcp\" }\n";

/// Shows each document with what is wrong in it.
fn check(name: &str, documents: &[&str]) {
    let mut shown = String::new();
    for document in documents {
        shown += &format!("{}\n", document.trim_end());
        match Config::from_yaml(document.as_bytes(), "gateway.yaml", Path::new("/etc/mcpg")) {
            Ok(_) => shown += "=> accepted\n\n",
            Err(diagnostics) => {
                let text = diagnostics.to_string();
                assert!(!text.contains("hunter2"), "a secret is repeated: {text}");
                for line in text.lines() {
                    shown += &format!("=> {line}\n");
                }
                shown.push('\n');
            }
        }
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, shown);
    });
}

/// The same, each below a right `bindings:`.
fn check_sections(name: &str, sections: &[&str]) {
    let documents: Vec<String> = sections.iter().map(|section| format!("{BINDING}{section}")).collect();
    check(name, &documents.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The same, each the settings of one binding.
fn check_bindings(name: &str, bindings: &[&str]) {
    let documents: Vec<String> = bindings
        .iter()
        .map(|binding| {
            format!(
                "bindings:\n  - id: files\n    type: mcp\n{}\n",
                binding.replace("\n", "\n    ").trim_end()
            )
        })
        .map(|text| text.replace("mcp\n", "mcp\n    "))
        .collect();
    check(name, &documents.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn yaml() {
    check(
        "yaml",
        &[
            "",
            "# only a comment\n",
            "just text",
            "- a\n- b\n",
            "server: {",
            "server:\n\tlisten: x\n",
            "server: 'open\n",
            "server: a: b\n",
            "server: {}\nserver: {}\n",
            "server:\n  admin: off\n  threads: 2\n  admin: off\n",
            "a: &a [*a]\n",
            "a: *nobody\n",
            "base: &base { admin: off }\nserver:\n  <<: *base\n",
            "1: x\n",
            "? [a]\n: x\n",
            "server: !env LISTEN\n",
            "server: !!map {}\n",
            "---\nserver: {}\n---\nserver: {}\n",
            "server: .inf\n",
            "server: 99999999999999999999999\n",
        ],
    );
}

#[test]
fn structure() {
    check(
        "structure",
        &[
            "bindings: []\n",
            "bindings:\n",
            "bindings: { id: files }\n",
            "bindings:\n  -\n",
            "bindings:\n  - files\n",
            "bindings:\n  - id: files\n    type: mcp\n",
            "bindings:\n  - id:\n    type: mcp\n    url: http://a/\n",
            "servr: {}\nbindings:\n  - { id: files, type: mcp, url: 'http://a/', ulr: x, timeouts: { conect_ms: 1 } }\n",
            "listen: 127.0.0.1:80\nbindings:\n  - { id: files, type: mcp, url: 'http://a/', ca: x, base_url: x }\n",
        ],
    );
    check_sections(
        "structure_of_sections",
        &[
            "server:\n  lisen: 127.0.0.1:80\n  body_bytes_max: 5\n  limits:\n    bodyBytesMax: 5\n    zzz: 1\n",
            "server: 127.0.0.1:80\n",
            "server:\n  threads: two\n  admin: false\n  admin_allow_remote: yes\n  hosts: mcp.acme.com\n",
            "server:\n  threads: 0\n  limits:\n    body_bytes_max: 4MiB\n    header_timeout_ms: 10s\n    idle_timeout_ms: 1.5\n    json_depth_max: -1\n    connections_max: 1_000\n    h2_streams_max: 999999999999\n",
            "server:\n  listen: []\n",
            "server:\n  listen: [8787]\n",
            "server:\n  listen: [{ adress: '127.0.0.1:80' }]\n",
            "server:\n  shutdown: { drain: 15000 }\n  limits:\n",
            "audit: { mode: wrtten }\n",
            "audit: { mode: hunter2, fsync_interval_ms: 0 }\n",
            "telemetry: { log: { level: verbose, format: JSON } }\n",
            "telemetry: { traces: { propagation: on } }\n",
            "tenancy: { scope: [default] }\nplugins: none\n",
        ],
    );
}

#[test]
fn parts_of_the_product_that_this_build_has_not() {
    check_sections(
        "not_in_this_build",
        &[
            "secrets:\n  vault: { address: 'https://vault:8200', token: hunter2 }\n",
            "telemetry: { traces: { otlp: { endpoint: 'http://127.0.0.1:4317' } } }\n",
            "server: { tls: { certificate: a.pem, private_key: a.key, client_ca: ca.pem } }\n",
            "plugins:\n  - id: policy.opa\n  - { id: secret-vault }\n  - tool-gate-slack-approval\n  - reliability.retry\n",
            "plugins:\n  - id: redact-emails\n    source: oci://registry.acme.com/redact-emails@sha256:00\n    config: {}\n",
            "plugins:\n  load:\n    - id: redact-emails\n      source: ./redact.wasm\n",
        ],
    );
    check(
        "bindings_not_in_this_build",
        &[
            "bindings:\n  - id: github\n    type: http\n    base_url: https://api.github.com\n    tls:\n      pin_cert_sha256: a8f7b3\n",
            "bindings:\n  - { id: pay, type: grpc, target: 'https://pay:443', descriptor_set: ./pay.bin }\n  - { id: jobs, type: nats, servers: ['nats://127.0.0.1:4222'], subject: 'jobs.{tool}' }\n",
            "bindings:\n  - { id: files, type: mpc, url: 'http://a/' }\n  - { id: Files, type: stdio, url: 'http://a/' }\n",
        ],
    );
}

#[test]
fn server() {
    check_sections(
        "server",
        &[
            "server: { listen: ':8787' }\n",
            "server: { listen: ['127.0.0.1:8787', '127.0.0.1:8787', '127.0.0.1:99999', 'mcp.acme.com:443', '::1:80', 'unix:/run/mcpg.sock'] }\n",
            "server: { listen: ['127.0.0.1:0', '127.0.0.1:0'] }\n",
            "server: { listen: '127.0.0.1:9090' }\n",
            "server: { admin: '0.0.0.0:9090' }\n",
            "server: { admin: '0.0.0.0:9090', admin_allow_remote: true }\n",
            "server: { hosts: [] }\n",
            "server: { hosts: ['*', a.b] }\n",
            "server:\n  hosts:\n    - mcp.acme.com\n    - 'https://mcp.acme.com'\n    - '*.acme.com'\n  origins:\n    - 'null'\n    - https://app.acme.com/\n    - app.acme.com\n",
            "server: { origins: ['*', 'https://a.b'] }\n",
            "server:\n  tls:\n    certificate: tls.crt\n    private_key: |\n      -----BEGIN PRIVATE KEY-----\n      hunter2\n      -----END PRIVATE KEY-----\n",
            "server:\n  tls:\n    certificate: ''\n    private_key: $secret://hunter2\n  listen: nowhere\n",
            "server: { limits: { connections_max: 10, connections_per_ip_max: 11 } }\n",
        ],
    );
}

#[test]
fn plugins() {
    check_sections(
        "plugins",
        &[
            "plugins: [identity.apikey, policy.ceder, quota, x]\n",
            "plugins: [api-keys, identity.api-key]\n",
            "plugins:\n  - id: identity.api-key\n    name: a\n  - id: identity.api-key\n    name: a\n  - id: identity.api-key\n    name: A B\n",
            "plugins:\n  - { id: identity.api-key, name: a }\n  - { id: identity.api-key, name: b }\n  - identity.api-key\n",
            "plugins:\n  - { id: transform.redact, name: a }\n  - { id: transform.redact, name: b }\n",
            "plugins:\n  - { id: policy.cedar, settings: {} }\n  - { id: policy.cedar, name: b, config: [] }\n  - 5\n",
            "plugins:\n  load: policy.cedar\n",
            "plugins:\n  capability_grants:\n    redact-emails: [cap.host.outbound_htp, cap.host.metrics_emit]\n    other: cap.host.metrics_emit\n",
            "plugins:\n  trusted_keys:\n    - id: prod\n      public_key: hunter2\n    - id: prod\n      public_key: |\n        -----BEGIN PRIVATE KEY-----\n        hunter2\n        -----END PRIVATE KEY-----\n    - id: P Q\n      public_key: |\n        -----BEGIN PUBLIC KEY-----\n        MCowBQYDK2VwAyEA...\n        -----END PUBLIC KEY-----\n",
            "plugins:\n  capability_grants:\n    redact-emails: [cap.host.outbound_htp, hunter3, cap.host.metrics_emit]\n",
            "plugins: { require_signd: true, require_signed: maybe, revocation_list: list.json }\n",
        ],
    );
}

#[test]
fn bindings() {
    check_bindings(
        "bindings",
        &[
            "url: 127.0.0.1:3001/mcp",
            "url: http://user:hunter2@127.0.0.1:3001/mcp",
            "url: http://127.0.0.1:3001/mcp#hunter2",
            "url: http://127.0.0.1:99999/mcp?key=hunter2",
            "url: https://10.0.0.5/mcp",
            "url: http://a/\ntls: { pin_cert_sha256: hunter2 }",
            "url: https://a/\ntls:\n  pin_cert_sha256:\n    - a8f7b3\n    - 00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
            "url: https://a/\ntls: { pin_cert_sha256: [] , min_version: 1.2 }",
            "url: https://a/\ntls: { pin_cert_sha256: [] , min_version: TLSv1.2 }",
            "url: https://a/\ntls: { server_name: 'a b', sni: a }",
            "url: https://a/\ntls: { server_name: 'a b' }",
            "url: http://a/\nheaders:\n  Authorization: Bearer hunter2\n  X-Api-Key: $secret://hunter2\n  Host: a\n  x a: b\n  Mcp-Name: x",
            "url: http://a/\nheaders: { X-A: a, x-a: b }",
            "url: http://a/\nhttp2: true\npool: { size: 0 }\ntimeouts: { read_ms: 1m }",
        ],
    );
    check(
        "binding_ids",
        &[
            "bindings:\n  - { id: files, type: mcp, url: 'http://a/' }\n  - { id: files, type: mcp, url: 'http://b/' }\n",
            "bindings:\n  - { id: My Files, type: mcp, url: 'http://a/' }\n  - { id: '', type: mcp, url: 'http://a/' }\n",
        ],
    );
}

#[test]
fn processes() {
    check_bindings(
        "processes",
        &[
            "command: [npx, -y, x]\nurl: http://a/",
            "command: npx -y @scope/server",
            "command: [npx, x]\nargs: [y]",
            "args: [y]",
            "url: http://a/\nargs: [y]\nenv: { A: b }\nsessions: shared\nlimits: {}",
            "command: x\nheaders: { a: b }\ntls: {}\npool: {}\nhttp2: auto\ncredentials:\n  type: client_credentials\n  token_url: https://a/\n  client_id: a\n  client_secret: $secret://env/A",
            "command: x\ntimeouts: { connect_ms: 1, tls_handshake_ms: 1, idle_ms: 1, read_ms: 1, write_ms: 1 }",
            "command: ''",
            "command: []",
            "command: [x, --token, $secret://env/TOKEN]",
            "command: x\nargs: ['$secret://env/TOKEN']",
            "command: x\nenv: { 1A: b, 'A=B': c, A: 3000, B: $secret://env/ }",
            "command: x\nenv: { 1A: b, 'A=B': c, B: $secret://env/ }",
            "command: x\nenv: { A: b }\ninherit_env: [A, B, B, C-D]",
            "command: x\nsessions: shared\nprocesses_max: 4\nidle_timeout_ms: 5000\nrestart: { backoff_ms: 600, backoff_max_ms: 500 }",
            "command: x\ncwd: ''\nlimits: { memory_bytes_max: 64MiB, open_files_max: 1 }",
            "command: x\nsessions: one",
        ],
    );
}

#[test]
fn addresses_that_are_dialled() {
    check_bindings(
        "addresses_that_are_dialled",
        &[
            "url: https://tools.internal/\nallow_addresses: [10.20.0.0/16, fd00::/8, 192.0.2.7]",
            "url: https://tools.internal/\nallow_addresses: 10.20.0.0/16",
            "url: https://tools.internal/\nallow_addresses: []",
            "url: https://tools.internal/\nallow_addresses: [10.20.3.4/16, 10.0.0.0/33, tools.internal, 10.0.0.1:443]",
            "url: https://tools.internal/\nallow_addresses: [private, localhost, '*', 10.0.0.1-10.0.0.9]",
            "url: https://tools.internal/\nallow_addresses: true",
            "url: https://tools.internal/\nallow_private: true\nallowed_cidrs: [10.0.0.0/8]",
            "url: http://a/\ncredentials:\n  type: client_credentials\n  token_url: https://a/\n  client_id: a\n  client_secret: $secret://env/A\n  allow_addresses: [internal]",
            "command: x\nallow_addresses: [10.0.0.0/8]",
        ],
    );
}

#[test]
fn other_tools_spellings_of_bindings() {
    check_bindings(
        "spellings_of_bindings",
        &[
            "cmd: x\nenvironment: { A: b }\nworkdir: /tmp",
            "transport: stdio\ncommand: x",
            "url: http://a/\ntransport: http\noauth: {}\non_change: hold",
            "command: x\nmax_message_bytes: 5\nmemory_bytes_max: 5\nenv_file: .env",
            "url: http://a/\ncalls: { timeout_ms: 1, circuit_breaker: off, retries: 1 }",
        ],
    );
    check(
        "spellings_of_servers",
        &[
            "mcpServers:\n  git: { command: uvx, args: [mcp-server-git], env: { TOKEN: hunter2 } }\n",
            "bindings:\n  - { id: a, type: stdio, command: x }\n  - { id: b, type: sse, url: 'http://a/' }\n",
        ],
    );
}

#[test]
fn calls_credentials_and_pinning() {
    check_bindings(
        "calls_credentials_and_pinning",
        &[
            "url: http://a/\nprotocol: 2024-11-05",
            "url: http://a/\nprotocol: 2026-07-28\ncalls: { breaker: of, concurrency_max: 0, retries_max: 6, deadline_ms: 5m }",
            "url: http://a/\ncalls: { breaker: { failures: 0, openms: 1 } }",
            "url: http://a/\nheaders: { Authorization: Bearer $secret://env/A }\ncredentials:\n  type: client_credentials\n  token_url: https://a/\n  client_id: a\n  client_secret: $secret://env/A",
            "url: http://a/\ncredentials:\n  type: client_credentials\n  token_url: http://login.acme.com/token\n  client_id: ''\n  client_secret: hunter2\n  scope: [a, 'b\"']\n  resource: [crm, 'https://a/#b']\n  audience: ''\n  subject_token_type: urn:a:b",
            "url: http://a/\ncredentials:\n  type: token_exchange\n  token_url: https://10.0.0.1/token\n  client_id: $secret://hunter2\n  client_secret: $secret://env/A\n  requested_token_type: jwt",
            "url: http://a/\ncredentials:\n  type: token_exchange\n  token_url: http://127.0.0.1/token\n  client_id: a\n  client_secret: $secret://env/A\n  tls: {}",
            "url: http://a/\ncredentials:\n  type: client_credentials\n  token_endpoint: https://a/\n  secret: hunter2",
            "url: http://a/\ncredentials: { type: password }",
            "url: http://a/\npinning: { on_change: block, lock_file: x }",
        ],
    );
    check_sections(
        "federation_sessions_pinning_and_state",
        &[
            "federation: { naming: prefix, page_size: 0, catalogue: { ttl: 5, stale_ms: 5s } }\n",
            "sessions: { keys: [hunter2, '$secret://env/A', '$secret://env/A', '$secret://hunter2'] }\n",
            "sessions: { ttl_ms: 1 }\n",
            "sessions: { keys: [] }\n",
            "sessions: { keys: $secret://env/A }\n",
            "pinning: { on_change: Hold, on_new: allow, lock_file: '' }\n",
            "pinning: { lock_file: '' }\nstate: { dir: '' }\n",
            "state: ./state\n",
        ],
    );
}

#[test]
fn audit_and_tenancy() {
    check_sections(
        "audit_and_tenancy",
        &[
            "audit: { dir: '', signing_key: $secret://env/ }\n",
            "audit: { dir: ./a }\nplugins:\n  - id: observability.audit\n    config: { dir: ./b }\n",
            "audit: { dir: ./a }\nplugins: [observability.audit]\n",
            "plugins:\n  - id: observability.audit\n    config:\n      mode: synk\n      dirr: ./b\n      queue_rows_max: 1\n",
            "tenancy: { scope: acme }\n",
            "tenancy: { scope: Acme/team/prod, subdomain_routing: { suffix: 'a b' } }\n",
        ],
    );
}

/// Names are of one scope only, and what belongs to the process stands at the top level.
#[test]
fn scopes() {
    const B: &str = "bindings: [{ id: files, type: mcp, url: 'http://127.0.0.1:3001/mcp' }]";
    let two = |one: &str, other: &str| {
        format!(
            "tenancy:\n  subdomain_routing: {{ enabled: true, suffix: mcpg.dev }}\n  scopes:\n  - {{ {one}, {B} }}\n  - {{ {other}, {B} }}\n{B}\n"
        )
    };
    let cases = [
        two("scope: acme/team/prod", "scope: acme/team/prod"),
        two("scope: acme/team/prod, subdomain: one", "scope: umbrella/lab/prod, subdomain: One"),
        two("scope: acme/team/prod, hosts: [a.example]", "scope: acme/team/dev, hosts: ['A.example:8443']"),
        two("scope: acme/team/prod, hosts: [umbrella.mcpg.dev]", "scope: umbrella/lab/prod"),
        two("scope: acme/team/prod, subdomain: xn--acme", "scope: other/lab/prod"),
        two("scope: -acme/team/prod", "scope: acme/team/dev, subdomain: a.b"),
        two("scope: acme/team/prod, audit: { dir: a }", "scope: acme/team/dev, server: {}"),
        two("subdomain: acme", "file: ./tenants/umbrella.yaml, scope: umbrella/lab/prod"),
        "tenancy: { header: Host }\n".to_owned() + B,
        "tenancy: { header: x-tenant }\n".to_owned() + B,
        "tenancy: { subdomain_routing: { enabled: true } }\n".to_owned() + B,
        "server: { trusted_proxies: [10.1.2.3/8, localhost] }\n".to_owned() + B,
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    check("scopes", &cases);
}
