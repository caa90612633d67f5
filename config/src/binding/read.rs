//! Reads `bindings:`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use crate::binding::{
    Binding, BindingKind, Endpoint, Header, Host, Http2, McpBinding, Pool, Timeouts, TlsVersion, UpstreamTls,
    header, url,
};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::is_dns_name;
use crate::slug::{SLUG, is_slug};
use crate::wire;
use wire::binding as w;

/// Reads the list. That it has an item is for the structure check to see.
pub(crate) fn read(place: &Place<'_>, base_dir: &Path, report: &mut Report<'_>) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for item in place.one_or_many() {
        if report.is_full() {
            break;
        }
        let Some(binding) = binding(&item, base_dir, report) else { continue };
        let at = item.child("id");
        if let Some(line) = lines.insert(binding.id.clone(), at.position.line) {
            report.error(&at, format!("another binding has the id {} (line {line})", quote(&binding.id)));
        }
        bindings.push(binding);
    }
    bindings
}

fn binding(place: &Place<'_>, base_dir: &Path, report: &mut Report<'_>) -> Option<Binding> {
    let read = report.read::<w::Binding>(place)?;
    if !is_slug(&read.id) {
        report.error_with_help(
            &place.child("id"),
            format!("{} is not a binding's id", quote(&read.id)),
            SLUG,
        );
    }
    let headers = headers(&read.headers, &place.child("headers"), report);
    let url = match url::parse(&read.url) {
        Ok(url) => url,
        Err(error) => {
            report.error(&place.child("url"), error.to_string());
            return None;
        }
    };
    let tls = tls(read.tls, &url, place, base_dir, report);
    let kind = BindingKind::Mcp(McpBinding {
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
    });
    Some(Binding { id: read.id, kind })
}

fn tls(
    read: Option<w::Tls>,
    url: &Endpoint,
    binding: &Place<'_>,
    base_dir: &Path,
    report: &mut Report<'_>,
) -> Option<UpstreamTls> {
    let place = binding.child("tls");
    if !url.secure {
        if read.is_some() {
            let help = "write `https://`, or remove `tls`";
            report.error_with_help(&place, "`tls` has no meaning with an `http://` URL", help);
        }
        return None;
    }
    let read = read.unwrap_or_default();
    let server_name = match (read.server_name, &url.host) {
        (Some(name), _) if !is_dns_name(&name) => {
            report.error(&place.child("server_name"), format!("{} is not a DNS name", quote(&name)));
            return None;
        }
        (Some(name), _) => name.to_ascii_lowercase(),
        (None, Host::Name(name)) => name.clone(),
        // Without a name there is nothing to verify the certificate against.
        (None, Host::Ip(_)) => {
            let message =
                "an `https://` URL with an IP address needs `tls.server_name`, the name in the certificate";
            report.error(&binding.child("url"), message);
            return None;
        }
    };
    let pin_texts = read.pin_cert_sha256.map(wire::OneOrMany::into_vec);
    if read.ca.as_deref().is_some_and(|ca| ca.is_empty() || ca.contains("-----BEGIN")) {
        report.error(&place.child("ca"), "expected the path of a PEM file");
    }
    Some(UpstreamTls {
        ca: read.ca.map(|ca| base_dir.join(ca)),
        server_name,
        min_version: match read.min_version {
            w::TlsVersion::Tls12 => TlsVersion::Tls12,
            w::TlsVersion::Tls13 => TlsVersion::Tls13,
        },
        pins: pins(pin_texts, &place.child("pin_cert_sha256"), report),
    })
}

fn pins(texts: Option<Vec<String>>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<[u8; 32]> {
    let Some(texts) = texts else { return Vec::new() };
    let mut pins = Vec::new();
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        match pin(text) {
            Some(pin) => pins.push(pin),
            None => {
                let message = format!(
                    "expected a SHA-256 of 64 hexadecimal digits, found {} characters",
                    text.chars().count()
                );
                let help = "`openssl x509 -outform der -in cert.pem | sha256sum` prints it";
                report.error_with_help(&place, message, help);
            }
        }
    }
    pins
}

/// 64 hexadecimal digits.
fn pin(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
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
