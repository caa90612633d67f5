//! Reads a `tls:` block that says how a server's certificate is judged.

use std::path::Path;

use crate::binding::{Endpoint, Host, TlsVersion, UpstreamTls};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::is_dns_name;
use crate::wire;
use wire::binding as w;

/// Where the block stands.
pub(in crate::binding) struct At<'a> {
    /// The map that has it.
    pub(in crate::binding) of: &'a Place<'a>,
    /// The key of the URL that it is for, in the same map.
    pub(in crate::binding) url: &'static str,
}

/// Reads the block beside a URL; the defaults if there is none and the URL is `https`.
pub(in crate::binding) fn read(
    read: Option<w::Tls>,
    url: &Endpoint,
    at: &At<'_>,
    base_dir: &Path,
    report: &mut Report<'_>,
) -> Option<UpstreamTls> {
    let place = at.of.child("tls");
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
            report.error(&at.of.child(at.url), message);
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
