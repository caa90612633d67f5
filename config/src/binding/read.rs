//! Reads `bindings:`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mcpg_sdk::Base;

use crate::binding::{
    Binding, BindingKind, Header, Http2, HttpTransport, McpBinding, Pool, Protocol, Timeouts, Transport,
    calls, credentials, header, stdio, url,
};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::slug::{SLUG, is_slug};
use crate::{PinRules, cidr, pinning, wire};
use wire::binding as w;

mod pin;
pub(crate) mod tls;

/// Keys that say something of a connection, each with what to do about it beside `command`.
const HTTP_ONLY: &[(&str, &str)] = &[
    ("tls", "remove it"),
    ("allow_addresses", "remove it"),
    ("headers", "give the process what it needs in `env`"),
    ("pool", "remove it"),
    ("http2", "remove it"),
    ("credentials", "give the process what it needs in `env`"),
];
/// The same of `timeouts`.
const HTTP_TIMEOUTS: &[&str] = &["connect_ms", "tls_handshake_ms", "idle_ms"];
/// Keys that say something of a process.
const STDIO_ONLY: &[&str] = &[
    "args",
    "env",
    "inherit_env",
    "cwd",
    "sessions",
    "processes_max",
    "idle_timeout_ms",
    "restart",
    "limits",
    "shutdown_ms",
];

/// Reads the list. That it has an item is for the structure check to see. `rules` hold for bindings that say nothing
/// else.
pub(crate) fn read(place: &Place<'_>, base: &Base, rules: PinRules, report: &mut Report<'_>) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for item in place.one_or_many() {
        if report.is_full() {
            break;
        }
        let Some(binding) = binding(&item, base, rules, report) else { continue };
        let at = item.child("id");
        if let Some(line) = lines.insert(binding.id.clone(), at.position.line) {
            report.error(&at, format!("another binding has the id {} (line {line})", quote(&binding.id)));
        }
        bindings.push(binding);
    }
    bindings
}

fn binding(place: &Place<'_>, base: &Base, rules: PinRules, report: &mut Report<'_>) -> Option<Binding> {
    let mut read = report.read::<w::Binding>(place)?;
    if !is_slug(&read.id) {
        report.error_with_help(
            &place.child("id"),
            format!("{} is not a binding's id", quote(&read.id)),
            SLUG,
        );
    }
    let mcp = McpBinding {
        protocol: protocol(read.protocol),
        calls: calls::read(&read.calls),
        pinning: pinning::read::rules(&read.pinning, rules),
        transport: transport(&mut read, place, base, report)?,
    };
    Some(Binding { id: read.id, kind: BindingKind::Mcp(mcp) })
}

fn transport(
    read: &mut w::Binding,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<Transport> {
    match (read.url.take(), read.command.is_some()) {
        (Some(url), false) => {
            report_process_keys(place, report);
            http(&url, read, place, base, report).map(|http| Transport::Http(Box::new(http)))
        }
        (None, true) => {
            report_connection_keys(place, report);
            stdio::read::read(read, place, base, report).map(|stdio| Transport::Stdio(Box::new(stdio)))
        }
        (Some(_), true) => {
            let message = "an MCP server is either reached by `url` or started by `command`";
            report.error_with_help(&place.key("command"), message, "keep one of the two");
            None
        }
        (None, false) => {
            let help = "write `url: http://…`, or `command: [PROGRAM, ARGUMENT]` for a server that the gateway starts";
            let message = format!("neither `url` nor `command` is in {}", quote(&place.path));
            report.error_with_help(place, message, help);
            None
        }
    }
}

fn report_process_keys(place: &Place<'_>, report: &mut Report<'_>) {
    for key in STDIO_ONLY.iter().filter(|key| place.child(key).node.is_some()) {
        let message =
            format!("{} is for an MCP server that `command` starts; this one has a `url`", quote(key));
        let help =
            if *key == "args" { "write the program as `command` instead of `url`" } else { "remove it" };
        report.error_with_help(&place.key(key), message, help);
    }
}

fn report_connection_keys(place: &Place<'_>, report: &mut Report<'_>) {
    let mut found = |place: &Place<'_>, key: &str, help: &str| {
        if place.child(key).node.is_some() {
            let message =
                format!("{} is for an MCP server with a `url`; this one is started by `command`", quote(key));
            report.error_with_help(&place.key(key), message, help);
        }
    };
    HTTP_ONLY.iter().for_each(|(key, help)| found(place, key, help));
    let timeouts = place.child("timeouts");
    HTTP_TIMEOUTS.iter().for_each(|key| found(&timeouts, key, "remove it"));
}

fn http(
    url: &str,
    read: &mut w::Binding,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<HttpTransport> {
    let headers = headers(&read.headers, &place.child("headers"), report);
    if read.credentials.is_some() && headers.iter().any(|header| header.name == "authorization") {
        let message = "`credentials` get the token that is sent as `Authorization`, which `headers` sets too";
        report.error_with_help(&place.key("credentials"), message, "keep one of the two");
    }
    let credentials = read.credentials.take().and_then(|read| {
        credentials::read::read(read, &place.child("credentials"), base, report).map(Box::new)
    });
    let url = match url::parse(url) {
        Ok(url) => url,
        Err(error) => {
            report.error(&place.child("url"), error.to_string());
            return None;
        }
    };
    let tls = tls::read(read.tls.take(), &url, &tls::At { of: place, url: "url" }, base, report);
    let allow_addresses = cidr::read(read.allow_addresses.take(), &place.child("allow_addresses"), report);
    Some(HttpTransport {
        url,
        tls,
        timeouts: timeouts(&read.timeouts),
        headers,
        pool: Pool { size: read.pool.size },
        http2: match read.http2 {
            w::Http2::Auto => Http2::Auto,
            w::Http2::On => Http2::On,
            w::Http2::Off => Http2::Off,
        },
        credentials,
        allow_addresses,
    })
}

fn protocol(read: w::Protocol) -> Protocol {
    match read {
        w::Protocol::Auto => Protocol::Auto,
        w::Protocol::V20260728 => Protocol::V20260728,
        w::Protocol::V20251125 => Protocol::V20251125,
        w::Protocol::V20250618 => Protocol::V20250618,
        w::Protocol::V20250326 => Protocol::V20250326,
    }
}

fn headers(written: &BTreeMap<String, String>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (name, value) in written {
        match header::parse(name, value) {
            Ok(header) if headers.iter().any(|other| other.name == header.name) => {
                report
                    .error(&place.key(name), format!("the header {} stands here twice", quote(&header.name)));
            }
            Ok(header) => headers.push(header),
            Err(error @ (header::HeaderError::Name | header::HeaderError::Own)) => {
                report.error(&place.key(name), error.to_string())
            }
            Err(error) => report.error(&place.child(name), error.to_string()),
        }
    }
    headers
}

fn timeouts(read: &w::Timeouts) -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(read.connect_ms),
        tls_handshake: Duration::from_millis(read.tls_handshake_ms),
        read: Duration::from_millis(read.read_ms),
        write: Duration::from_millis(read.write_ms),
        idle: Duration::from_millis(read.idle_ms),
    }
}
