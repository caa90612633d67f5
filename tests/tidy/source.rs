//! What shipped Rust may not do where it stands: dial out, name a metric twice, use unsafe code.

use std::collections::BTreeSet;

use crate::tree::{self, Finding, Source};

/// Ways to open a connection or resolve a name. One module does it, so that one guard cannot be walked around. `.clippy.toml` has
/// the same by path, which sees through other names; this sees what has no path there.
const DIALS: &[&str] = &[
    "TcpStream::connect",
    "TcpSocket::new",
    "UdpSocket",
    "UnixStream::connect",
    "UnixDatagram::",
    "net::connect(",
    "hickory",
    "TransportConnector::new",
    "Connector::new(",
    "HttpPeer::new",
    "BasicPeer::new",
    "to_socket_addrs",
    "lookup_host",
    "getaddrinfo",
    "reqwest",
    "ureq::",
    "client::legacy",
];
/// The operator's program dials the one server that the operator names.
const DIALER: &[&str] = &["filters/src/net.rs", "filters/src/net/", "cp/ctl/src/client/dial.rs"];
/// Where upstreams of bindings are dialled, at addresses that the dialer has passed.
const UPSTREAMS: &[(&str, &[&str])] = &[
    ("proxy/src/peer.rs", &["HttpPeer::new"]),
    ("proxy/src/upstream/connect.rs", &["TransportConnector::new", "Connector::new("]),
];

/// Where the lint may be silenced that bans ways to dial: the dialer, the two files for upstreams, and tests.
const SILENCED: &[&str] = &[
    "cp/ctl/src/client/dial.rs",
    "filters/src/net/dial.rs",
    "filters/src/net/lookup.rs",
    "proxy/src/peer.rs",
    "proxy/src/upstream/connect.rs",
];

/// Where unsafe code may be, with the reason.
const UNSAFE: &[(&str, &str)] = &[("filters/host/src/", "native plugins are called over a C ABI")];

#[test]
fn one_file_dials() {
    let findings: Vec<Finding> = shipped().iter().flat_map(dials).collect();
    tree::assert_none(&findings);
}

#[test]
fn the_ban_on_dialling_is_lifted_nowhere_else() {
    let findings: Vec<Finding> = shipped().iter().flat_map(silences).collect();
    tree::assert_none(&findings);
}

#[test]
fn one_constructor_makes_peers() {
    tree::assert_none(&in_one_file(&shipped(), "a peer is made", |line| line.contains("HttpPeer::new")));
}

#[test]
fn metric_names_are_in_one_place() {
    let elsewhere = |source: &Source| !source.path.starts_with("proxy/src/metrics");
    let named = |source: &Source| -> Vec<Finding> {
        let lines = source.shipped_lines().filter(|(_, line)| names_metric(line));
        lines.map(|(number, _)| source.finding(number, "metrics are named in proxy/src/metrics")).collect()
    };
    let findings: Vec<Finding> =
        shipped().iter().filter(|source| elsewhere(source)).flat_map(named).collect();
    tree::assert_none(&findings);
}

#[test]
fn unsafe_code_stays_in_its_place() {
    let findings: Vec<Finding> = tree::sources().iter().flat_map(uses_unsafe).collect();
    tree::assert_none(&findings);
}

fn shipped() -> Vec<Source> {
    tree::sources().into_iter().filter(|source| source.is_rust() && !source.is_test()).collect()
}

fn dials(source: &Source) -> Vec<Finding> {
    if DIALER.iter().any(|dialer| source.path.starts_with(dialer)) {
        return Vec::new();
    }
    let own = UPSTREAMS.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, own)| own);
    source
        .shipped_lines()
        .filter_map(|(number, line)| {
            let dial = DIALS.iter().find(|dial| line.contains(*dial) && !own.contains(dial))?;
            Some(source.finding(number, format!("`{dial}`: go through filters/src/net.rs")))
        })
        .collect()
}

fn silences(source: &Source) -> Vec<Finding> {
    if SILENCED.contains(&source.path.as_str()) {
        return Vec::new();
    }
    source
        .shipped_lines()
        .filter(|(_, line)| line.contains("clippy::disallowed_methods") && !line.contains("cfg_attr(test,"))
        .map(|(number, _)| source.finding(number, "go through filters/src/net.rs"))
        .collect()
}

/// When lines that match stand in more than one file, each of them is a finding.
fn in_one_file(sources: &[Source], what: &str, matches: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut hits = Vec::new();
    for source in sources {
        hits.extend(
            source.shipped_lines().filter(|(_, line)| matches(line)).map(|(number, _)| (source, number)),
        );
    }
    let files: BTreeSet<&str> = hits.iter().map(|(source, _)| source.path.as_str()).collect();
    if files.len() < 2 {
        return Vec::new();
    }
    hits.iter().map(|(source, number)| source.finding(*number, format!("{what} in several files"))).collect()
}

/// Whether the line has a string literal that starts as our metrics do. The workspace's crates look alike (log filters).
fn names_metric(line: &str) -> bool {
    const CRATES: &[&str] = &[
        "benches", "config", "cp", "ctl", "filters", "ledger", "license", "plugin", "protocol", "sdk",
        "tests",
    ];
    line.split("\"mcpg_").skip(1).any(|name| {
        let first = name.split(|character: char| !character.is_ascii_lowercase()).next().unwrap_or_default();
        !CRATES.contains(&first) && name.contains('_')
    })
}

fn uses_unsafe(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || UNSAFE.iter().any(|(path, _)| source.path.starts_with(path)) {
        return Vec::new();
    }
    let opened = ["allow(unsafe_code", "expect(unsafe_code"];
    source
        .lines()
        .filter(|(_, line)| {
            opened
                .iter()
                .any(|attribute| line.trim_start().trim_start_matches(['#', '!', '[']).starts_with(attribute))
        })
        .map(|(number, _)| source.finding(number, "unsafe code belongs in filters/host"))
        .collect()
}

#[test]
fn a_second_dialer_is_found() {
    let check = |path: &str, line: &str| dials(&Source::of(path, line)).len();
    assert_eq!(check("filters/src/identity/oidc.rs", "let stream = TcpStream::connect(address).await?;"), 1);
    assert_eq!(check("cp/src/federation.rs", "use reqwest::Client;"), 1);
    assert_eq!(check("filters/src/net.rs", "let stream = TcpStream::connect(address).await?;"), 0);
    assert_eq!(check("filters/src/identity/workload/api.rs", "UnixStream::connect(path).await"), 1);
    assert_eq!(check("proxy/src/serve.rs", "let peer = HttpPeer::new(address, tls, name);"), 1);
    assert_eq!(check("proxy/src/peer.rs", "let peer = HttpPeer::new(address, tls, name);"), 0);
    assert_eq!(check("proxy/src/peer.rs", "let connector = v2::Connector::new(None);"), 1);
    assert_eq!(
        check("proxy/src/upstream/connect.rs", "TransportConnector::new(None), v2::Connector::new(None)"),
        0
    );
    assert_eq!(check("config/src/a.rs", "// never TcpStream::connect here"), 0);
}

#[test]
fn a_silenced_ban_is_found() {
    let check = |path: &str, line: &str| silences(&Source::of(path, line)).len();
    assert_eq!(
        check("filters/src/identity/oidc.rs", "#[expect(clippy::disallowed_methods, reason = \"x\")]"),
        1
    );
    assert_eq!(
        check("proxy/src/lib.rs", "#![cfg_attr(test, allow(clippy::disallowed_methods, reason = \"x\"))]"),
        0
    );
    assert_eq!(check("filters/src/net/dial.rs", "#[expect(clippy::disallowed_methods, reason = \"x\")]"), 0);
}

#[test]
fn a_metric_named_twice_is_found() {
    let sources = [
        Source::of("proxy/src/metrics.rs", "const A: &str = \"mcpg_requests_total\";"),
        Source::of("proxy/src/admin.rs", "let b = \"mcpg_revision_info\";"),
    ];
    assert_eq!(in_one_file(&sources, "metrics are named", names_metric).len(), 2);
    assert_eq!(in_one_file(&sources[..1], "metrics are named", names_metric).len(), 0);
    assert!(!names_metric("filter(\"mcpg_filters=debug\")"));
    assert!(!names_metric("let key = \"mcpg_live\";"));
}

#[test]
fn unsafe_code_elsewhere_is_found() {
    let check = |path: &str, line: &str| uses_unsafe(&Source::of(path, line)).len();
    assert_eq!(check("proxy/src/a.rs", "#![allow(unsafe_code)]"), 1);
    assert_eq!(check("proxy/src/a.rs", "    #[expect(unsafe_code, reason = \"x\")]"), 1);
    assert_eq!(check("filters/host/src/native.rs", "#![allow(unsafe_code)]"), 0);
}
