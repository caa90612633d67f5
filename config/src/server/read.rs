//! Reads `server:`.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use mcpg_sdk::Base;

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::{HostPattern, parse_origin};
use crate::server::{
    Hosts, Limits, ListenAddress, Listener, ListenerTls, Origins, Server, Shutdown, address, tls,
};
use crate::{cidr, wire};
use wire::server as w;

/// Reads the section.
pub(crate) fn read(place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<Server> {
    let read = report.read::<w::Server>(place)?;
    let shared_tls = read.tls.and_then(|read| tls::read(&read, &place.child("tls"), base, report));
    let listeners = listeners(read.listen, shared_tls.as_ref(), &place.child("listen"), base, report);
    let admin = admin(&read.admin, read.admin_allow_remote, &listeners, &place.child("admin"), report);
    let hosts = match read.hosts {
        Some(texts) => listed_hosts(&texts, &place.child("hosts"), report),
        None => default_hosts(&listeners, &place.child("listen"), report),
    };
    Some(Server {
        admin,
        threads: read.threads.and_then(|threads| NonZeroUsize::new(threads as usize)),
        hosts,
        origins: origins(&read.origins, &place.child("origins"), report),
        trusted_proxies: cidr::read(read.trusted_proxies, &place.child("trusted_proxies"), report),
        shutdown: Shutdown { drain: Duration::from_millis(read.shutdown.drain_ms) },
        limits: limits(&read.limits, &place.child("limits"), report),
        listeners,
    })
}

fn listeners(
    listen: w::Listen,
    shared_tls: Option<&ListenerTls>,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Vec<Listener> {
    let (written, places) = match listen {
        w::Listen::One(text) => (vec![w::Listener::Address(text)], vec![place.clone()]),
        w::Listen::Many(written) => (written, place.one_or_many()),
    };
    let mut listeners: Vec<Listener> = Vec::new();
    for (written, place) in written.into_iter().zip(places) {
        let (text, at, tls) = match written {
            w::Listener::Address(text) => (text, place, shared_tls.cloned()),
            w::Listener::Full(full) => {
                let own = full.tls.and_then(|read| tls::read(&read, &place.child("tls"), base, report));
                (full.address, place.child("address"), own.or_else(|| shared_tls.cloned()))
            }
        };
        let Some(address) = listen_address(&text, &at, report) else { continue };
        if listeners.iter().any(|other| is_same_socket(&other.address, &address)) {
            report.error(&at, format!("{} is listed twice", quote(&text)));
        }
        listeners.push(Listener { address, tls });
    }
    listeners
}

fn listen_address(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<ListenAddress> {
    address::parse(text)
        .map_err(|error| {
            report.error_with_help(
                place,
                format!("{} is not a listening address", quote(text)),
                error.to_string(),
            );
        })
        .ok()
}

fn admin(
    text: &str,
    allow_remote: bool,
    listeners: &[Listener],
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Option<ListenAddress> {
    if text == "off" {
        return None;
    }
    let address = listen_address(text, place, report)?;
    if listeners.iter().any(|listener| is_same_socket(&listener.address, &address)) {
        report.error(place, "the admin address is also one of `server.listen`");
    }
    if let ListenAddress::Socket(socket) = &address
        && !socket.ip().is_loopback()
        && !allow_remote
    {
        let message = format!("the admin address {} can be reached by other machines", quote(text));
        let help = "it has no authentication: use 127.0.0.1, or set `server.admin_allow_remote: true`";
        report.error_with_help(place, message, help);
    }
    Some(address)
}

/// Port 0 is another port each time.
fn is_same_socket(one: &ListenAddress, other: &ListenAddress) -> bool {
    one == other && !matches!(one, ListenAddress::Socket(socket) if socket.port() == 0)
}

fn listed_hosts(texts: &[String], place: &Place<'_>, report: &mut Report<'_>) -> Hosts {
    if texts.iter().any(|text| text == "*") {
        if texts.len() > 1 {
            report.error(place, "`*` stands for every host, so it stands alone");
        }
        return Hosts::Any;
    }
    let mut patterns = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match HostPattern::parse(text) {
            Some(pattern) => patterns.push(pattern),
            None => {
                let help = "write a name or address as clients send it in `Host`, such as `mcp.acme.com` or `10.0.0.5:8787`";
                report.error_with_help(&place.item(index), format!("{} is not a host", quote(text)), help);
            }
        }
    }
    Hosts::Listed(patterns)
}

fn default_hosts(listeners: &[Listener], place: &Place<'_>, report: &mut Report<'_>) -> Hosts {
    let mut patterns: Vec<HostPattern> =
        ["localhost", "127.0.0.1", "[::1]"].map(HostPattern::any_port).into();
    let mut is_open = false;
    for listener in listeners {
        let ListenAddress::Socket(socket) = &listener.address else {
            is_open = true;
            continue;
        };
        let pattern = match socket.ip() {
            ip if ip.is_unspecified() => {
                is_open = true;
                continue;
            }
            IpAddr::V4(ip) => HostPattern::any_port(ip.to_string()),
            IpAddr::V6(ip) => HostPattern::any_port(format!("[{ip}]")),
        };
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    if is_open {
        let help = "name the hosts that clients use in `server.hosts`, or `*` for every one";
        report.warning(place, "only requests with a loopback `Host` will be answered here", help);
    }
    Hosts::Listed(patterns)
}

fn origins(texts: &[String], place: &Place<'_>, report: &mut Report<'_>) -> Origins {
    if texts.iter().any(|text| text == "*") {
        if texts.len() > 1 {
            report.error(place, "`*` stands for every origin, so it stands alone");
        }
        return Origins::Any;
    }
    let mut origins = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse_origin(text) {
            Some(origin) => origins.push(origin),
            None => {
                let help =
                    "write scheme, host and perhaps a port, without a path, such as `https://app.acme.com`";
                report.error_with_help(&place.item(index), format!("{} is not an origin", quote(text)), help);
            }
        }
    }
    Origins::Listed(origins)
}

fn limits(read: &w::Limits, place: &Place<'_>, report: &mut Report<'_>) -> Limits {
    let connections_per_ip_max =
        read.connections_per_ip_max.unwrap_or_else(|| read.connections_max.div_ceil(2));
    if connections_per_ip_max > read.connections_max {
        let message =
            format!("{connections_per_ip_max} is above `connections_max` ({})", read.connections_max);
        report.error(&place.child("connections_per_ip_max"), message);
    }
    Limits {
        body_bytes_max: read.body_bytes_max,
        header_bytes_max: read.header_bytes_max,
        header_count_max: read.header_count_max,
        json_depth_max: read.json_depth_max,
        header_timeout: Duration::from_millis(read.header_timeout_ms),
        body_timeout: Duration::from_millis(read.body_timeout_ms),
        tls_handshake_timeout: Duration::from_millis(read.tls_handshake_timeout_ms),
        idle_timeout: Duration::from_millis(read.idle_timeout_ms),
        write_timeout: Duration::from_millis(read.write_timeout_ms),
        connections_max: read.connections_max,
        connections_per_ip_max,
        h2_streams_max: read.h2_streams_max,
        requests_per_connection_max: read.requests_per_connection_max,
        response_bytes_max: read.response_bytes_max,
        sse_event_bytes_max: read.sse_event_bytes_max,
        redact_bytes_max: read.redact_bytes_max,
    }
}
