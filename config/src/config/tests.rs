//! What a right file becomes.

use std::net::SocketAddr;
use std::time::Duration;

use mcpg_sdk::{Scope, SecretRef, Settings};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{
    AuditMode, BindingKind, Grant, Host, Hosts, Http2, KeySource, ListenAddress, Naming, Origins, PinRules,
    Reaction, Sharing, TlsVersion,
};

const MINIMAL: &str = "bindings: [{ id: files, type: mcp, url: 'http://127.0.0.1:3001/mcp' }]\n";

fn read(text: &str) -> Config {
    Config::from_yaml(text.as_bytes(), "gateway.yaml", Path::new("/etc/mcpg"))
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn socket(text: &str) -> ListenAddress {
    ListenAddress::Socket(text.parse::<SocketAddr>().unwrap())
}

#[test]
fn defaults_are_local_bounded_and_closed() {
    let config = read(MINIMAL);
    let server = &config.server;
    assert_eq!(server.listeners.len(), 1);
    assert_eq!(server.listeners[0].address, socket("127.0.0.1:8787"));
    assert_eq!(server.listeners[0].tls, None);
    assert_eq!(server.admin, Some(socket("127.0.0.1:9090")));
    assert_eq!(server.threads, None);
    assert!(server.hosts.permits("localhost:8787") && server.hosts.permits("[::1]"));
    assert!(!server.hosts.permits("evil.com"));
    assert_eq!(server.origins, Origins::Listed(Vec::new()));
    assert_eq!(server.shutdown.drain, Duration::from_secs(15));
    assert_eq!(server.limits.body_bytes_max, 4_194_304);
    assert_eq!((server.limits.connections_max, server.limits.connections_per_ip_max), (20_000, 10_000));
    assert_eq!(config.tenancy.scope, Scope::default());
    assert!(config.plugins.load.is_empty() && config.plugins.require_signed);
    assert_eq!(config.audit.mode, AuditMode::Written);
    assert_eq!(config.audit.dir, Path::new("/etc/mcpg/./audit"));
    let BindingKind::Mcp(mcp) = &config.bindings[0].kind;
    let http = mcp.transport.http().unwrap();
    assert_eq!(http.url.host, Host::Ip([127, 0, 0, 1].into()));
    assert_eq!(
        (http.tls.clone(), http.http2, http.timeouts.connect),
        (None, Http2::Auto, Duration::from_secs(2))
    );
    assert_eq!((http.credentials.clone(), mcp.protocol.revision()), (None, None));
    assert_eq!((mcp.calls.concurrency_max, mcp.calls.breaker.unwrap().failures), (256, 5));
    assert_eq!(mcp.pinning, PinRules::default());
    assert_eq!((config.federation.naming, config.federation.page_size), (Naming::Auto, 1_000));
    assert_eq!((config.sessions.keys.len(), config.sessions.ttl), (0, Duration::from_secs(86_400)));
    assert_eq!(config.pinning.lock_file, Path::new("/etc/mcpg/./state/tools.lock"));
}

#[test]
fn everything_can_be_said() {
    let config = read(include_str!("../../examples/production.yaml"));
    let addresses: Vec<String> =
        config.server.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["0.0.0.0:8443", "[::1]:8787", "fd://mcpg-http"]);
    let tls: Vec<bool> = config.server.listeners.iter().map(|listener| listener.tls.is_some()).collect();
    assert_eq!(tls, [true, true, true]);
    let own = config.server.listeners[1].tls.as_ref().unwrap();
    assert_eq!(
        own.certificates[0].private_key,
        KeySource::Secret(SecretRef::Env("MCPG_LOCAL_TLS_KEY".to_owned()))
    );
    let mcp = |index: usize| {
        let BindingKind::Mcp(mcp) = &config.bindings[index].kind;
        mcp.clone()
    };
    let tools = mcp(1);
    let tls = tools.transport.http().unwrap().tls.as_ref().unwrap();
    assert_eq!(
        (tls.server_name.as_str(), tls.min_version, tls.pins.len()),
        ("tools.internal", TlsVersion::Tls13, 1)
    );
    assert_eq!(tls.ca.as_deref(), Some(Path::new("/etc/mcpg/./tls/internal-ca.pem")));
    let crm = mcp(2);
    let credentials = crm.transport.http().unwrap().credentials.as_deref().unwrap();
    assert_eq!(credentials.scope.as_deref(), Some("crm.read crm.write"));
    assert_eq!(credentials.tls.as_ref().unwrap().server_name, "login.acme.com");
    assert!(matches!(credentials.grant, Grant::TokenExchange { .. }));
    assert_eq!((crm.pinning.on_change, tools.pinning.on_change), (Reaction::Hold, Reaction::Report));
    let git = mcp(3);
    let process = git.transport.stdio().unwrap();
    assert_eq!(process.program, Path::new("/usr/bin/mcp-server-git"));
    assert_eq!(process.args, ["--repository", "/srv/git/app"]);
    assert_eq!(process.env[1].1.secret(), Some(&SecretRef::Env("GIT_TOKEN".to_owned())));
    assert_eq!(
        process.sharing,
        Sharing::PerSession { processes_max: 64, idle_timeout: Duration::from_secs(900) }
    );
    assert_eq!(process.limits.open_files_max, Some(256));
    let time = mcp(4);
    let process = time.transport.stdio().unwrap();
    assert_eq!((process.program.as_path(), process.args.len()), (Path::new("mcp-server-time"), 2));
    assert_eq!((process.sharing, process.cwd.as_path()), (Sharing::Shared, Path::new("/etc/mcpg")));
    assert_eq!(config.pinning.lock_file, Path::new("/var/lib/mcpg/state/tools.lock"));
    assert_eq!(config.warnings(), []);
}

#[test]
fn a_breaker_is_on_unless_it_is_turned_off() {
    let breaker = |text: &str| {
        let config = read(&format!(
            "bindings: [{{ id: a, type: mcp, url: 'http://a/', calls: {{ breaker: {text} }} }}]\n"
        ));
        let BindingKind::Mcp(mcp) = &config.bindings[0].kind;
        mcp.calls.breaker.map(|breaker| (breaker.failures, breaker.open.as_millis()))
    };
    for (text, expected) in [
        ("", Some((5, 5_000))),
        ("true", Some((5, 5_000))),
        ("on", Some((5, 5_000))),
        ("false", None),
        ("off", None),
        ("{ failures: 2 }", Some((2, 5_000))),
    ] {
        assert_eq!(breaker(text), expected, "{text}");
    }
}

#[test]
fn a_program_with_a_slash_is_below_the_folder_of_the_file() {
    for (text, program) in [
        ("./server", "/etc/mcpg/./server"),
        ("bin/server", "/etc/mcpg/bin/server"),
        ("/opt/server", "/opt/server"),
        ("server", "server"),
        ("['/opt/my server', x]", "/opt/my server"),
    ] {
        let config = read(&format!("bindings: [{{ id: a, type: mcp, command: {text} }}]\n"));
        let BindingKind::Mcp(mcp) = &config.bindings[0].kind;
        assert_eq!(mcp.transport.stdio().unwrap().program, Path::new(program), "{text}");
    }
}

#[test]
fn a_credential_in_an_environment_is_a_warning() {
    let config =
        read("bindings: [{ id: a, type: mcp, command: x, env: { GIT_TOKEN: hunter2, PAGER: cat } }]\n");
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings[0],
        "gateway.yaml:1:62: `GIT_TOKEN` looks like a credential in plain text; write a reference, such as \
         `$secret://env/NAME`"
    );
    assert!(!format!("{warnings:?}{config:?}").contains("hunter2"));
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let config = read(&format!("{MINIMAL}plugins: []\nserver: {{ listen: '0.0.0.0:8787' }}\n"));
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "gateway.yaml:3:19: only requests with a loopback `Host` will be answered here; name the hosts that clients \
             use in `server.hosts`, or `*` for every one",
            "gateway.yaml:2:1: no identity plugin is loaded: every call will be refused as unauthenticated; load \
             `identity.api-key` for example",
            "gateway.yaml:2:1: no policy plugin is loaded: every call will be denied; load `policy.cedar` for example",
        ]
    );
    assert_eq!(config.server.hosts, read(MINIMAL).server.hosts);
}

#[test]
fn an_origin_on_the_same_host_is_fine_unless_every_host_is() {
    let server = read(&format!("{MINIMAL}server: {{ origins: ['https://app.acme.com'] }}\n")).server;
    assert!(server.permits_origin("http://127.0.0.1:8787", "127.0.0.1:8787"));
    assert!(server.permits_origin("https://app.acme.com", "127.0.0.1:8787"));
    assert!(!server.permits_origin("https://evil.com", "127.0.0.1:8787"));
    assert!(!server.permits_origin("null", "127.0.0.1:8787"));
    let server = read(&format!("{MINIMAL}server: {{ hosts: ['*'] }}\n")).server;
    assert_eq!(server.hosts, Hosts::Any);
    assert!(!server.permits_origin("http://rebound.evil.com", "rebound.evil.com"));
}

#[test]
fn aliases_are_resolved_to_the_canonical_id() {
    let config = read(&format!("{MINIMAL}plugins:\n  - api-keys\n  - {{ id: policy.cedar, name: team }}\n"));
    let ids: Vec<_> =
        config.plugins.load.iter().map(|plugin| (plugin.id, plugin.kind(), plugin.label())).collect();
    assert_eq!(
        ids,
        [("identity.api-key", "identity", "identity.api-key"), ("policy.cedar", "policy", "team")]
    );
    assert_eq!(config.plugins.of_kind("policy").map(|(index, _)| index).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_ledger_is_configured_in_its_section_or_by_its_plugin() {
    let section = read(&format!("{MINIMAL}audit: {{ mode: sync, dir: /var/lib/mcpg/audit }}\n"));
    let plugin = read(&format!(
        "{MINIMAL}plugins: [{{ id: observability.audit, config: {{ mode: sync, dir: /var/lib/mcpg/audit }} }}]\n"
    ));
    assert_eq!(section.audit, plugin.audit);
    assert_eq!(
        (section.audit.mode, section.audit.dir.as_path()),
        (AuditMode::Sync, Path::new("/var/lib/mcpg/audit"))
    );
    assert_eq!(plugin.plugins.load[0].settings, Settings(json!({})));
}

#[test]
fn an_empty_key_is_an_absent_key() {
    let config = read(&format!(
        "{MINIMAL}server:\naudit:\n  mode:\nplugins:\n  - id: api-keys\n    config:\n      tokens:\n"
    ));
    assert_eq!(config.server, read(MINIMAL).server);
    assert_eq!(config.audit, read(MINIMAL).audit);
    assert_eq!(config.plugins.load[0].settings, Settings(json!({})));
}

#[test]
fn the_digest_is_of_what_is_said_not_how() {
    let digest = |text: &str| read(text).digest().to_string();
    let one =
        digest("bindings: [{ id: a, type: mcp, url: 'http://a/' }]\nserver: { threads: 2, admin: off }\n");
    let same = "# a comment\nserver:\n  admin: \"off\"\n  threads: 0x2\naudit:\nbindings:\n- url: http://a/\n  type: mcp\n  id: a\n";
    assert_eq!(one, digest(same));
    assert_eq!(one.len(), 64);
    for other in [
        "bindings: [{ id: a, type: mcp, url: 'http://a/' }]\nserver: { threads: 3, admin: off }\n",
        "bindings: [{ id: a, type: mcp, url: 'http://a/' }]\nserver: { threads: 2, admin: off, origins: [] }\n",
    ] {
        assert_ne!(one, digest(other));
    }
}

#[test]
fn settings_errors_are_located() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Wanted {
        tokens: Vec<String>,
        limits: std::collections::BTreeMap<String, u32>,
    }
    let check = |settings: &str, expected: &str| {
        for head in ["plugins:\n  - identity.anonymous\n", "plugins:\n  load:\n  - identity.anonymous\n"] {
            let config = read(&format!("{MINIMAL}{head}  - id: api-keys\n    config:\n      {settings}\n"));
            let error = config.plugins.load[1].settings.parse::<Wanted>().unwrap_err();
            let diagnostic = config.locate(1, &error);
            let shift = head.lines().count() - 2;
            let line = diagnostic.line - shift;
            assert_eq!(
                format!("{line}:{} {}", diagnostic.column, diagnostic.message),
                expected,
                "{settings}"
            );
            assert!(diagnostic.path.starts_with(if shift == 0 {
                "plugins[1].config"
            } else {
                "plugins.load[1].config"
            }));
        }
    };
    check("tokens: [a, 72]", "6:19 `identity.api-key`: expected a string, found an integer");
    check(
        "tokens: [a]\n      limits: { a/b~c: hunter2 }",
        "7:24 `identity.api-key`: expected u32, found a string",
    );
    check("tokens: [a]\n      limit: 1", "7:7 `identity.api-key`: unknown key `limit`");
    check(
        "tokens: [a]\n      limits: {}\n      nested: { limit: 1 }",
        "8:7 `identity.api-key`: unknown key `nested`",
    );
    check("limits: {}", "6:7 `identity.api-key`: missing field `tokens`");
}

#[test]
fn a_place_that_is_not_there_gets_the_position_around_it() {
    let config = read(&format!(
        "{MINIMAL}plugins:\n  - api-keys\n  - id: policy.cedar\n    config: {{ bundle: ./p }}\n"
    ));
    let position = |index, pointer| {
        let diagnostic = config.locate(index, &SettingsError::at(pointer, "no such file"));
        format!("{}:{} {}", diagnostic.line, diagnostic.column, diagnostic.path)
    };
    assert_eq!(position(0, "/keys/0"), "3:5 plugins[0].config.keys.0");
    assert_eq!(position(1, ""), "5:13 plugins[1].config");
    assert_eq!(position(1, "/bundle"), "5:23 plugins[1].config.bundle");
    assert_eq!(position(1, "/bundle/deeper/9"), "5:23 plugins[1].config.bundle.deeper.9");
    assert_eq!(position(99, "/x"), "3:3 plugins[99].config.x");
}

#[test]
fn what_goes_wrong_with_a_binding_later_is_located_too() {
    let config =
        read("bindings:\n  - id: a\n    type: mcp\n    url: https://a/\n    tls:\n      ca: ./ca.pem\n");
    let position = |key| config.locate_in_binding(0, key, "cannot be read").to_string();
    assert_eq!(position("tls.ca"), "gateway.yaml:6:11: cannot be read");
    assert_eq!(position("tls.server_name"), "gateway.yaml:6:7: cannot be read");
    assert_eq!(position("headers"), "gateway.yaml:2:5: cannot be read");
    assert_eq!(position(""), "gateway.yaml:2:5: cannot be read");
}

#[test]
fn the_files_it_names_are_listed() {
    let config = read(include_str!("../../examples/production.yaml"));
    let (process, scope) = (config.process_files(), config.files());
    let texts =
        |files: &[PathBuf]| -> Vec<String> { files.iter().map(|it| it.display().to_string()).collect() };
    let shared = [
        "/etc/mcpg/./tls/gateway.crt",
        "/run/credentials/mcpg.service/tls.key",
        "/etc/mcpg/./tls/gateway-rsa.crt",
        "/etc/mcpg/./tls/gateway-rsa.key",
        "/etc/mcpg/./tls/acme.crt",
        "/etc/mcpg/./tls/acme.key",
        "/etc/mcpg/./tls/clients-ca.pem",
    ];
    let upstream = [
        "/etc/mcpg/./tls/internal-ca.pem",
        "/etc/mcpg/./tls/gateway-client.crt",
        "/etc/mcpg/./tls/gateway-client.key",
        "/etc/mcpg/./tls/internal-ca.pem",
    ];
    let key = "/run/credentials/mcpg.service/audit.pem";
    assert_eq!(texts(&process), [&shared[..], &["/etc/mcpg/./tls/local.crt"], &shared, &[key]].concat());
    let key = "/run/credentials/mcpg.service/session.key";
    assert_eq!(texts(&scope), [&upstream[..], &[key]].concat());
}

#[test]
fn a_diagnostic_is_one_printable_line() {
    let text = "bindings: [{ id: \"a\\e[2J\\n\", type: mcp, url: 'http://a/', \"x\\ey\": 1, headers: { \"\\r\": x } }]";
    let shown = Config::from_yaml(text.as_bytes(), "gateway.yaml", Path::new("")).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    let config = read(&format!("{MINIMAL}plugins: [policy.cedar]\n"));
    let located = config.locate(0, &SettingsError::at("", "two\nlines\u{1b}[2J\n"));
    assert_eq!(located.message, "`policy.cedar`: two lines\\u{1b}[2J");
    let shown = [shown, located.to_string()].concat();
    assert!(!shown.contains(char::is_control), "{shown:?}");
}

#[test]
fn diagnostics_are_json_too() {
    let diagnostics = Config::from_yaml(b"bindngs: []", "gateway.yaml", Path::new("")).unwrap_err();
    assert_eq!(
        serde_json::to_value(&diagnostics).unwrap(),
        json!([{
            "file": "gateway.yaml", "line": 1, "column": 1, "path": "bindngs",
            "message": "unknown key `bindngs` in the configuration", "help": "did you mean `bindings`?",
        }])
    );
}

#[test]
fn mistakes_are_reported_up_to_a_number() {
    for text in ["- x\n", "- policy.cedar\n"] {
        let document = format!("{MINIMAL}plugins:\n{}", text.repeat(10_000));
        let diagnostics = Config::from_yaml(document.as_bytes(), "gateway.yaml", Path::new("")).unwrap_err();
        assert_eq!(diagnostics.iter().next().unwrap().message, "`plugins` has more than 256 items");
        assert!(diagnostics.iter().count() <= 100);
    }
    let document: String = (0..10_000).map(|index| format!("k{index}: 0\n")).collect();
    let diagnostics = Config::from_yaml(document.as_bytes(), "gateway.yaml", Path::new("")).unwrap_err();
    assert_eq!(diagnostics.iter().count(), 100);
}

#[test]
fn what_is_printed_for_debugging_holds_no_secret() {
    let config = read(
        "bindings: [{ id: a, type: mcp, url: 'http://a/mcp?key=hunter2', headers: { x-note: hunter2 } }]\n",
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Config::from_yaml(&bytes, "gateway.yaml", Path::new(""));
    }

    /// Values of every kind at every key: either a diagnostic inside the document, or a configuration.
    #[test]
    fn no_value_anywhere_slips_through_the_structure_check(
        key in prop::sample::select(PATHS), value in prop::sample::select(VALUES),
    ) {
        let mut text = String::new();
        for (depth, segment) in key.split('.').enumerate() {
            text += &format!("\n{}{segment}:", " ".repeat(depth));
        }
        text += &format!(" {value}\n");
        if let Err(diagnostics) = Config::from_yaml(text.as_bytes(), "gateway.yaml", Path::new("")) {
            let unforeseen = diagnostics.iter().find(|diagnostic| diagnostic.message.contains("expected form"));
            prop_assert!(unforeseen.is_none(), "{text}{unforeseen:?}");
        }
    }

    /// The same below a binding, of both kinds.
    #[test]
    fn no_value_in_a_binding_slips_through_the_structure_check(
        key in prop::sample::select(BINDING_PATHS), value in prop::sample::select(VALUES), is_process: bool,
    ) {
        let kind = if is_process { "command: a" } else { "url: 'http://a/'" };
        let mut text = format!("bindings:\n - id: a\n   type: mcp\n   {kind}");
        for (depth, segment) in key.split('.').enumerate() {
            text += &format!("\n{}{segment}:", " ".repeat(depth + 3));
        }
        text += &format!(" {value}\n");
        if let Err(diagnostics) = Config::from_yaml(text.as_bytes(), "gateway.yaml", Path::new("")) {
            let unforeseen = diagnostics.iter().find(|diagnostic| diagnostic.message.contains("expected form"));
            prop_assert!(unforeseen.is_none(), "{text}{unforeseen:?}");
            prop_assert!(diagnostics.iter().count() > 0);
        }
    }
}

const BINDING_PATHS: &[&str] = &[
    "args",
    "env",
    "env.A",
    "inherit_env",
    "cwd",
    "sessions",
    "processes_max",
    "idle_timeout_ms",
    "restart",
    "restart.backoff_ms",
    "limits",
    "limits.memory_bytes_max",
    "limits.file_bytes_max",
    "shutdown_ms",
    "protocol",
    "calls",
    "calls.queue_max",
    "calls.breaker",
    "calls.breaker.failures",
    "credentials",
    "credentials.type",
    "credentials.scope",
    "pinning",
    "pinning.on_change",
    "headers",
    "tls",
    "http2",
    "timeouts.connect_ms",
];

const PATHS: &[&str] = &[
    "server",
    "server.listen",
    "server.tls",
    "server.admin",
    "server.admin_allow_remote",
    "server.threads",
    "server.hosts",
    "server.origins",
    "server.shutdown",
    "server.shutdown.drain_ms",
    "server.limits",
    "server.limits.body_bytes_max",
    "server.limits.requests_per_connection_max",
    "server.limits.connections_per_ip_max",
    "server.limits.response_bytes_max",
    "tenancy",
    "tenancy.scope",
    "tenancy.subdomain_routing",
    "tenancy.subdomain_routing.enabled",
    "plugins",
    "plugins.load",
    "plugins.require_signed",
    "plugins.trusted_keys",
    "plugins.capability_grants",
    "plugins.capability_grants.a",
    "plugins.revocation_list",
    "bindings",
    "federation",
    "federation.naming",
    "federation.page_size",
    "federation.catalogue",
    "federation.catalogue.ttl_ms",
    "sessions",
    "sessions.keys",
    "sessions.ttl_ms",
    "pinning",
    "pinning.on_change",
    "pinning.on_new",
    "pinning.lock_file",
    "state",
    "state.dir",
    "audit",
    "audit.dir",
    "audit.mode",
    "audit.signing_key",
    "audit.queue_rows_max",
    "telemetry",
    "telemetry.log",
    "telemetry.log.level",
    "telemetry.traces",
    "telemetry.traces.propagation",
];

const VALUES: &[&str] = &[
    "",
    "~",
    "true",
    "off",
    "x",
    "''",
    "0",
    "-1",
    "1",
    "100",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "-9223372036854775808",
    "1.5",
    "1e300",
    "[]",
    "[~]",
    "[1]",
    "[x]",
    "[[]]",
    "[{}]",
    "{}",
    "{ a: ~ }",
    "{ a: 1 }",
    "{ id: a }",
    "[{ id: policy.cedar }]",
    "[{ id: a, type: mcp, url: 'http://a/' }]",
    "{ address: x }",
    "[{ address: '127.0.0.1:1' }]",
];
