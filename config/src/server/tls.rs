//! `tls:` of a listener: the certificates that it shows, by name, and what it asks of clients.

use std::fmt;
use std::path::PathBuf;

use mcpg_sdk::{Base, SecretRef};

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::server::hosts::is_dns_name;
use crate::wire;
use crate::{KeySource, TlsVersion};
use wire::server as w;

/// What a TLS listener shows, and what it asks of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Never empty. The first is also shown to clients that name no host, or one that no certificate is for.
    pub certificates: Vec<CertificateFiles>,
    /// What clients are asked for.
    pub client_certificates: ClientCertificates,
    /// The authorities of client certificates, PEM. Always there with [`ClientCertificates::Require`].
    pub client_ca: Option<PathBuf>,
    /// The lowest version spoken.
    pub min_version: TlsVersion,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM, leaf first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: KeySource,
    /// The hosts that it is shown for; none for those that it is issued for.
    pub hosts: Option<Vec<TlsName>>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClientCertificates {
    /// They are not.
    #[default]
    Off,
    /// They are; the handshake takes any, or none.
    Request,
    /// They are; the handshake takes only one of the authorities.
    Require,
}

/// A name that a client can send in its handshake (SNI), in lower case, or `*.` and a name for any one label before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsName {
    name: String,
    wildcard: bool,
}

impl TlsName {
    /// Reads `name` or `*.name`; none if it is no DNS name.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, wildcard) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        is_dns_name(name).then(|| Self { name: name.to_ascii_lowercase(), wildcard })
    }

    /// The name, without `*.`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it stands for every name with one more label.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.wildcard { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

impl ListenerTls {
    /// The files that it is read from. Secrets in files are below `base`.
    pub fn files(&self, base: &Base) -> Vec<PathBuf> {
        let pairs = self.certificates.iter();
        let pairs = pairs.flat_map(|pair| [Some(pair.certificate.clone()), pair.private_key.file(base)]);
        pairs.chain([self.client_ca.clone()]).flatten().collect()
    }
}

impl KeySource {
    /// The file that it is in, if it is in one.
    pub fn file(&self, base: &Base) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Secret(SecretRef::File(path)) => base.secret_file(path).ok(),
            Self::Secret(SecretRef::Env(_) | SecretRef::Vault { .. }) => None,
        }
    }
}

/// Reads the block.
pub(crate) fn read(
    tls: &w::Tls,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<ListenerTls> {
    let mut certificates = Vec::new();
    match (&tls.certificate, &tls.private_key) {
        (Some(certificate), Some(private_key)) => {
            certificates.push(pair(certificate, private_key, None, place, base, report));
        }
        (Some(_), None) => report.error(place, "`certificate` needs its `private_key`"),
        (None, Some(_)) => report.error(place, "`private_key` needs its `certificate`"),
        (None, None) if tls.certificates.is_empty() => {
            report.error(place, "`tls` needs a `certificate` and its `private_key`");
        }
        (None, None) => {}
    }
    for (index, more) in tls.certificates.iter().enumerate() {
        let place = place.child("certificates").item(index);
        let hosts = more.hosts.as_ref().map(|hosts| names(hosts, &place.child("hosts"), report));
        certificates.push(pair(&more.certificate, &more.private_key, hosts, &place, base, report));
    }
    let certificates: Vec<CertificateFiles> = certificates.into_iter().flatten().collect();
    let (client_certificates, client_ca) = clients(tls, place, base, report);
    let min_version = match tls.min_version {
        wire::binding::TlsVersion::Tls12 => TlsVersion::Tls12,
        wire::binding::TlsVersion::Tls13 => TlsVersion::Tls13,
    };
    // INVARIANT: an empty list was reported above.
    (!certificates.is_empty()).then_some(ListenerTls {
        certificates,
        client_certificates,
        client_ca,
        min_version,
    })
}

fn pair(
    certificate: &str,
    private_key: &str,
    hosts: Option<Vec<TlsName>>,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<CertificateFiles> {
    if certificate.is_empty() || certificate.contains("-----BEGIN") {
        report.error(&place.child("certificate"), "expected the path of a PEM file");
    }
    match KeySource::parse(private_key, base) {
        Ok(private_key) => {
            let certificate = report.file(base, certificate, &place.child("certificate"));
            Some(CertificateFiles { certificate, private_key, hosts })
        }
        Err(error) => {
            let help = "write the path of the key's file, or a reference such as `$secret://env/NAME`";
            report.error_with_help(&place.child("private_key"), error.to_string(), help);
            None
        }
    }
}

fn names(texts: &[String], place: &Place<'_>, report: &mut Report<'_>) -> Vec<TlsName> {
    let mut names = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match TlsName::parse(text) {
            Some(name) => names.push(name),
            None => {
                let help = "write a DNS name such as `mcp.acme.com`, or `*.acme.com` for every name with one label more";
                report.error_with_help(
                    &place.item(index),
                    format!("{} is no name of a host", quote(text)),
                    help,
                );
            }
        }
    }
    names
}

fn clients(
    tls: &w::Tls,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> (ClientCertificates, Option<PathBuf>) {
    let ask = match tls.client_certificates {
        w::ClientCertificates::Off => ClientCertificates::Off,
        w::ClientCertificates::Request => ClientCertificates::Request,
        w::ClientCertificates::Require => ClientCertificates::Require,
    };
    if tls.client_ca.as_deref().is_some_and(|ca| ca.is_empty() || ca.contains("-----BEGIN")) {
        report.error(&place.child("client_ca"), "expected the path of a PEM file");
    }
    match (ask, &tls.client_ca) {
        (ClientCertificates::Off, Some(_)) => {
            let help = "write `client_certificates: require`, or `request`";
            let message = "`client_ca` has no meaning while clients are not asked for a certificate";
            report.error_with_help(&place.child("client_ca"), message, help);
        }
        (ClientCertificates::Require, None) => {
            let help = "name the PEM file of the authorities whose certificates are let in";
            report.error_with_help(&place.child("client_certificates"), "`require` needs `client_ca`", help);
        }
        _ => {}
    }
    (ask, tls.client_ca.as_ref().map(|ca| report.file(base, ca, &place.child("client_ca"))))
}
