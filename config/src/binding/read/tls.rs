//! Reads a `tls:` block that says how a server's certificate is judged.

use mcpg_sdk::Base;

use crate::binding::read::pin::{self, Pinned};
use crate::binding::{ClientIdentity, Endpoint, Host, TlsVersion, UpstreamTls};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::is_dns_name;
use crate::{KeySource, wire};
use wire::binding as w;

/// Where the block stands.
pub(crate) struct At<'a> {
    /// The map that has it.
    pub(crate) of: &'a Place<'a>,
    /// The key of the URL that it is for, in the same map.
    pub(crate) url: &'static str,
}

/// Reads the block beside a URL; the defaults if there is none and the URL is `https`.
pub(crate) fn read(
    read: Option<w::Tls>,
    url: &Endpoint,
    at: &At<'_>,
    base: &Base,
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
    let client = client(&read, &place, base, report);
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
    if read.ca.as_deref().is_some_and(|ca| ca.is_empty() || ca.contains("-----BEGIN")) {
        report.error(&place.child("ca"), "expected the path of a PEM file");
    }
    Some(UpstreamTls {
        ca: read.ca.map(|ca| report.file(base, &ca, &place.child("ca"))),
        server_name,
        min_version: match read.min_version {
            w::TlsVersion::Tls12 => TlsVersion::Tls12,
            w::TlsVersion::Tls13 => TlsVersion::Tls13,
        },
        pins: pin::read(read.pin_cert_sha256, Pinned::Certificate, &place.child("pin_cert_sha256"), report),
        spki_pins: pin::read(
            read.pin_spki_sha256,
            Pinned::PublicKey,
            &place.child("pin_spki_sha256"),
            report,
        ),
        client,
    })
}

fn client(read: &w::Tls, place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<ClientIdentity> {
    let (certificate, key) = match (&read.client_certificate, &read.client_key) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            report.error(
                &place.child("client_certificate"),
                "`client_certificate` needs its private key in `client_key`",
            );
            return None;
        }
        (None, Some(_)) => {
            report.error(
                &place.child("client_key"),
                "`client_key` needs its certificate in `client_certificate`",
            );
            return None;
        }
    };
    if certificate.is_empty() || certificate.contains("-----BEGIN") {
        report.error(&place.child("client_certificate"), "expected the path of a PEM file");
    }
    match KeySource::parse(key, base) {
        Ok(key) => {
            let certificate = report.file(base, certificate, &place.child("client_certificate"));
            Some(ClientIdentity { certificate, key })
        }
        Err(error) => {
            let help = "write the path of the key's file, or a reference such as `$secret://env/NAME`";
            report.error_with_help(&place.child("client_key"), error.to_string(), help);
            None
        }
    }
}
