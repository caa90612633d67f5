//! Keys that the product has and this build has not, and what other tools or kinds write where this one writes otherwise.
//!
//! Each gets an error that says so: a setting that is accepted but not obeyed would be a hole.

use crate::place::Place;
use crate::quote::quote;

/// (where, key, what is not in this build, what to do). `[]` stands for any index.
const PLANNED: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "secrets",
        "the `secrets` section, which configures Vault, is not in this build",
        "remove the section, and refer to secrets as `$secret://env/NAME` or `$secret://file/PATH`",
    ),
    (
        "telemetry.traces",
        "otlp",
        "the export of traces (`otlp`) is not in this build",
        "remove the key; trace context is still passed on, and spans are in the log",
    ),
    (
        "plugins.load[]",
        "source",
        "third-party plugins (`source`) are not in this build",
        "remove the entry; built-in plugins need no `source`",
    ),
    (
        "plugins[]",
        "source",
        "third-party plugins (`source`) are not in this build",
        "remove the entry; built-in plugins need no `source`",
    ),
];

/// (where, key, what other tools say with it, what to write here).
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    ("", "mcpServers", MCP_SERVERS, A_BINDING),
    ("", "mcp_servers", MCP_SERVERS, A_BINDING),
    ("bindings[]", "mcpServers", MCP_SERVERS, A_BINDING),
    ("bindings[]", "transport", TRANSPORT, "remove the key"),
    ("bindings[]", "shell", "no shell is used", "write the program and its arguments as a list in `command`"),
    (
        "bindings[]",
        "env_file",
        "a process's environment is in `env`",
        "name its variables in `env` or `inherit_env`",
    ),
    ("bindings[]", "on_change", "`on_change` stands in `pinning`", "write `pinning: { on_change: hold }`"),
    (
        "bindings[]",
        "memory_bytes_max",
        "what a process may use stands in `limits`",
        "write `limits: { memory_bytes_max: … }`",
    ),
    (
        "bindings[]",
        "max_message_bytes",
        "a message's length is bounded for all bindings by `server.limits.response_bytes_max`",
        "remove the key",
    ),
    ("bindings[]", "allow_private", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_private_ips", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_private_networks", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_internal", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_local", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_loopback", NOT_PUBLIC, ALLOW),
    ("bindings[]", "allow_metadata", NOT_PUBLIC, ALLOW),
    ("bindings[]", "ssrf_protection", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_private", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_private_ips", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_private_networks", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_internal", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_local", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_loopback", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "allow_metadata", NOT_PUBLIC, ALLOW),
    ("bindings[].credentials", "ssrf_protection", NOT_PUBLIC, ALLOW),
    ("bindings[].tls", "insecure", VERIFIED, TRUST_IT),
    ("bindings[].tls", "insecure_skip_verify", VERIFIED, TRUST_IT),
    ("bindings[].tls", "skip_verify", VERIFIED, TRUST_IT),
    ("bindings[].tls", "verify", VERIFIED, TRUST_IT),
    ("bindings[].tls", "verify_hostname", VERIFIED, TRUST_IT),
    ("server.tls", "ciphers", SUITES, "remove the key"),
    ("server.tls", "cipher_suites", SUITES, "remove the key"),
    ("server.tls", "alpn", ALPN, "remove the key"),
    ("server.tls", "session_tickets", TICKETS, "remove the key"),
    ("tenancy.scopes[]", "server", OF_THE_PROCESS, NOT_HERE),
    ("tenancy.scopes[]", "audit", OF_THE_PROCESS, NOT_HERE),
    ("tenancy.scopes[]", "telemetry", OF_THE_PROCESS, NOT_HERE),
    ("tenancy.scopes[]", "state", OF_THE_PROCESS, NOT_HERE),
];
const NOT_PUBLIC: &str = "addresses that are not public are allowed block by block";
const ALLOW: &str = "write `allow_addresses: [10.20.0.0/16]`, with the blocks that are meant";
const VERIFIED: &str = "an upstream's certificate is always verified";
const TRUST_IT: &str =
    "name the authority that issued it in `ca`, and the name in it in `server_name` if it is another";
const SUITES: &str = "the suites are those of Mozilla's intermediate profile, and nothing else";
const ALPN: &str = "HTTP/2 and HTTP/1.1 are offered on every listener";
const TICKETS: &str = "clients resume sessions, except where they are asked for a certificate";
const OF_THE_PROCESS: &str = "this belongs to the whole gateway, and stands at the top level of its file";
const NOT_HERE: &str = "remove it here";
const MCP_SERVERS: &str = "MCP servers stand in `bindings`, which is a list";
const A_BINDING: &str =
    "write `bindings: [{ id: NAME, type: mcp, command: [PROGRAM, ARGUMENT] }]`, or `url` for one that runs";
const TRANSPORT: &str =
    "there is no `transport`: `url` says Streamable HTTP, `command` standard input and output";

/// (where, key, the name here).
const RENAMED: &[(&str, &str, &str)] = &[
    ("", "upstreams", "bindings"),
    ("", "servers", "bindings"),
    ("", "filters", "plugins"),
    ("", "tenant", "tenancy"),
    ("bindings[]", "base_url", "url"),
    ("bindings[]", "target", "url"),
    ("bindings[]", "address", "url"),
    ("bindings[]", "uri", "url"),
    ("bindings[]", "endpoint", "url"),
    ("bindings[]", "cmd", "command"),
    ("bindings[]", "program", "command"),
    ("bindings[]", "exec", "command"),
    ("bindings[]", "arguments", "args"),
    ("bindings[]", "environment", "env"),
    ("bindings[]", "env_vars", "env"),
    ("bindings[]", "pass_env", "inherit_env"),
    ("bindings[]", "env_passthrough", "inherit_env"),
    ("bindings[]", "working_dir", "cwd"),
    ("bindings[]", "working_directory", "cwd"),
    ("bindings[]", "workdir", "cwd"),
    ("bindings[]", "oauth", "credentials"),
    ("bindings[]", "auth", "credentials"),
    ("bindings[]", "protocol_version", "protocol"),
    ("bindings[]", "revision", "protocol"),
    ("bindings[].calls", "circuit_breaker", "breaker"),
    ("bindings[].calls", "timeout_ms", "deadline_ms"),
    ("bindings[].calls", "retries", "retries_max"),
    ("bindings[].credentials", "token_endpoint", "token_url"),
    ("bindings[].credentials", "secret", "client_secret"),
    ("bindings[].credentials", "scopes", "scope"),
    ("bindings[].credentials", "grant_type", "type"),
    ("bindings[].tls", "sni", "server_name"),
    ("bindings[].tls", "ca_file", "ca"),
    ("bindings[]", "allowed_addresses", "allow_addresses"),
    ("bindings[]", "allow_address", "allow_addresses"),
    ("bindings[]", "allow_cidr", "allow_addresses"),
    ("bindings[]", "allow_cidrs", "allow_addresses"),
    ("bindings[]", "allowed_cidrs", "allow_addresses"),
    ("bindings[]", "allow_ips", "allow_addresses"),
    ("bindings[]", "allowed_ips", "allow_addresses"),
    ("bindings[]", "allow_networks", "allow_addresses"),
    ("bindings[]", "allowed_networks", "allow_addresses"),
    ("bindings[]", "address_allowlist", "allow_addresses"),
    ("bindings[]", "ip_allowlist", "allow_addresses"),
    ("bindings[]", "cidrs", "allow_addresses"),
    ("bindings[].credentials", "allowed_addresses", "allow_addresses"),
    ("bindings[].credentials", "allow_address", "allow_addresses"),
    ("bindings[].credentials", "allow_cidr", "allow_addresses"),
    ("bindings[].credentials", "allow_cidrs", "allow_addresses"),
    ("bindings[].credentials", "allowed_cidrs", "allow_addresses"),
    ("bindings[].credentials", "allow_ips", "allow_addresses"),
    ("bindings[].credentials", "allowed_ips", "allow_addresses"),
    ("bindings[].credentials", "allow_networks", "allow_addresses"),
    ("bindings[].credentials", "allowed_networks", "allow_addresses"),
    ("bindings[].credentials", "address_allowlist", "allow_addresses"),
    ("bindings[].credentials", "ip_allowlist", "allow_addresses"),
    ("bindings[].credentials", "cidrs", "allow_addresses"),
    ("bindings[].tls", "cert", "client_certificate"),
    ("bindings[].tls", "certificate", "client_certificate"),
    ("bindings[].tls", "client_cert", "client_certificate"),
    ("bindings[].tls", "key", "client_key"),
    ("bindings[].tls", "private_key", "client_key"),
    ("bindings[].tls", "client_private_key", "client_key"),
    ("bindings[].tls", "pin", "pin_cert_sha256"),
    ("bindings[].tls", "pin_sha256", "pin_cert_sha256"),
    ("bindings[].tls", "fingerprint", "pin_cert_sha256"),
    ("bindings[].tls", "spki_sha256", "pin_spki_sha256"),
    ("bindings[].tls", "pin_public_key_sha256", "pin_spki_sha256"),
    ("bindings[].tls", "min_tls_version", "min_version"),
    ("tenancy", "tenants", "scopes"),
    ("tenancy", "tenant", "scope"),
    ("tenancy", "tenant_header", "header"),
    ("tenancy.subdomain_routing", "domain", "suffix"),
    ("tenancy.scopes[]", "host", "hosts"),
    ("tenancy.scopes[]", "domains", "hosts"),
    ("tenancy.scopes[]", "path", "file"),
    ("tenancy.scopes[]", "include", "file"),
    ("server", "trusted_proxy", "trusted_proxies"),
    ("server", "real_ip_from", "trusted_proxies"),
    ("server", "bind", "listen"),
    ("server", "address", "listen"),
    ("server", "workers", "threads"),
    ("server.tls", "cert", "certificate"),
    ("server.tls", "key", "private_key"),
    ("server.listen[].tls", "cert", "certificate"),
    ("server.listen[].tls", "key", "private_key"),
    ("server.tls", "certificate_file", "certificate"),
    ("server.tls", "cert_file", "certificate"),
    ("server.tls", "ssl_certificate", "certificate"),
    ("server.tls", "key_file", "private_key"),
    ("server.tls", "ssl_certificate_key", "private_key"),
    ("server.tls", "certs", "certificates"),
    ("server.tls", "ca", "client_ca"),
    ("server.tls", "client_ca_file", "client_ca"),
    ("server.tls", "ssl_client_certificate", "client_ca"),
    ("server.tls", "client_auth", "client_certificates"),
    ("server.tls", "verify_client", "client_certificates"),
    ("server.tls", "ssl_verify_client", "client_certificates"),
    ("server.tls", "mtls", "client_certificates"),
    ("server.tls", "min_tls_version", "min_version"),
    ("server.tls", "ssl_protocols", "min_version"),
    ("server.listen[].tls", "certificate_file", "certificate"),
    ("server.listen[].tls", "cert_file", "certificate"),
    ("server.listen[].tls", "ssl_certificate", "certificate"),
    ("server.listen[].tls", "key_file", "private_key"),
    ("server.listen[].tls", "ssl_certificate_key", "private_key"),
    ("server.listen[].tls", "certs", "certificates"),
    ("server.listen[].tls", "ca", "client_ca"),
    ("server.listen[].tls", "client_ca_file", "client_ca"),
    ("server.listen[].tls", "ssl_client_certificate", "client_ca"),
    ("server.listen[].tls", "client_auth", "client_certificates"),
    ("server.listen[].tls", "verify_client", "client_certificates"),
    ("server.listen[].tls", "ssl_verify_client", "client_certificates"),
    ("server.listen[].tls", "mtls", "client_certificates"),
    ("server.listen[].tls", "min_tls_version", "min_version"),
    ("server.listen[].tls", "ssl_protocols", "min_version"),
    ("plugins.load[]", "settings", "config"),
    ("plugins[]", "settings", "config"),
];

/// What to say about a key that the product has and this build has not, or that only other tools have.
pub(super) fn planned_key(parent: &str, key: &str) -> Option<(&'static str, &'static str)> {
    let parent = without_indices(parent);
    [PLANNED, ELSEWHERE]
        .iter()
        .flat_map(|table| table.iter())
        .find(|(place, name, ..)| *place == parent && *name == key)
        .map(|(_, _, message, help)| (*message, *help))
}

/// The name here of a key that is called otherwise elsewhere.
pub(super) fn renamed_key(parent: &str, key: &str) -> Option<&'static str> {
    let parent = without_indices(parent);
    RENAMED.iter().find(|(place, name, _)| *place == parent && *name == key).map(|(_, _, here)| *here)
}

/// What to say about a binding of a kind that the product has and this build has not, or that is no kind here.
pub(super) fn planned_binding<'a>(place: &Place<'a>) -> Option<(Place<'a>, String, String)> {
    if without_indices(&place.path) != "bindings[]" {
        return None;
    }
    let at = place.child("type");
    let kind = at.text()?;
    if ["stdio", "sse", "streamable-http", "streamable_http", "streamableHttp"].contains(&kind) {
        let help = "write `type: mcp`: `url` says Streamable HTTP, `command` standard input and output";
        return Some((at, format!("{} is no type of binding", quote(kind)), help.to_owned()));
    }
    if !["http", "grpc", "nats"].contains(&kind) {
        return None;
    }
    let message =
        format!("bindings of type {} are not in this build: the gateway serves `mcp` bindings", quote(kind));
    let help =
        "remove the binding, or put an MCP server in front of it and bind that with `type: mcp` and `url`";
    Some((at, message, help.to_owned()))
}

/// The same for every item of a list, and for every scope.
fn without_indices(path: &str) -> String {
    let path: String = path.chars().filter(|character| !character.is_ascii_digit()).collect();
    path.strip_prefix("tenancy.scopes[].").map(str::to_owned).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_lead_to_the_blocks() {
        for place in ["bindings[3]", "bindings[3].credentials"] {
            assert_eq!(renamed_key(place, "allowed_cidrs"), Some("allow_addresses"));
            assert_eq!(planned_key(place, "allow_private"), Some((NOT_PUBLIC, ALLOW)));
        }
    }

    #[test]
    fn indices_do_not_count() {
        assert!(planned_key("plugins.load[12]", "source").is_some());
        assert!(planned_key("plugins", "source").is_none());
        assert_eq!(renamed_key("bindings[0]", "base_url"), Some("url"));
        assert_eq!(renamed_key("tenancy.scopes[2].bindings[0]", "base_url"), Some("url"));
        assert!(planned_key("tenancy.scopes[2]", "audit").is_some());
    }
}
