//! The `config:` of `identity.mtls`, and the way from a certificate's names to a subject.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mcpg_sdk::{Cidr, Settings, SettingsError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::trust::Trust;
use super::{Forwarding, Mtls};
use crate::identity::api_key::check_subject;
use crate::identity::certificate::Names;
use crate::identity::certificate::watched::{RELOAD_MS, Watched};
use crate::registry::BuildContext;

/// What a caller's attributes say of its certificate.
const OF_THE_CERTIFICATE: [&str; 6] = ["dns", "emails", "fingerprint", "issuer", "serial", "uris"];

/// The `config:` of `identity.mtls`.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MtlsSettings {
    /// The issuers of clients, and their revocation lists: a PEM file, or a folder of them. A relative path is below
    /// the configuration's folder. It may be left out only with `forwarded_verified: proxy`.
    pub ca: Option<String>,
    /// Which name of the certificate is the subject. It must be there exactly once.
    pub subject: SubjectSource,
    /// What is put before the name. The default is `user:`, and nothing before a URI.
    pub prefix: Option<String>,
    /// Proxies whose word on their client's certificate is heard, as blocks of addresses. Needs `forwarded`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<Cidr>,
    /// The header in which the proxies tell of it. Needs `trusted_proxies`.
    pub forwarded: Option<ForwardedHeader>,
    /// Who verifies a forwarded certificate. `proxy` takes a name in `xfcc` without a certificate.
    #[serde(default)]
    pub forwarded_verified: ForwardedVerified,
    /// A file of certificates that hold no more: a line for each, `sha256:<fingerprint>` or `serial:<number>`, both
    /// in hexadecimal digits.
    pub revoked_file: Option<String>,
    /// How often the files are looked at, in milliseconds. 0: never.
    #[serde(default = "reload_ms")]
    pub reload_ms: u64,
    /// What policy sees as the caller's attributes beside those of the certificate (`dns`, `emails`, `fingerprint`,
    /// `issuer`, `serial`, `uris`).
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

fn reload_ms() -> u64 {
    RELOAD_MS
}

/// A name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectSource {
    /// The URI among the subject's alternative names.
    Uri,
    /// The DNS name among them.
    Dns,
    /// The address of mail among them.
    Email,
    /// The common name of the subject.
    CommonName,
    /// The whole subject, as RFC 4514 writes it.
    SubjectDn,
}

/// A header that tells of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert` (Envoy).
    Xfcc,
}

/// Who verifies a forwarded certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedVerified {
    /// This gateway, against `ca`: the header must carry the certificate.
    #[default]
    Certificate,
    /// The proxy did: names without a certificate are taken at its word. A certificate is still verified.
    Proxy,
}

impl Mtls {
    /// Builds the provider, and reads its files.
    ///
    /// # Errors
    /// When the settings do not parse or contradict one another, or a file cannot be used.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: MtlsSettings = settings.parse()?;
        let forwarding = forwarding(&settings)?;
        let by_word = forwarding.as_ref().is_some_and(|it| it.verified == ForwardedVerified::Proxy);
        if settings.ca.is_none() && !by_word {
            let message = "certificates are verified against `ca`: name the PEM file of the issuers";
            return Err(SettingsError::at("/ca", message));
        }
        let mapping = Mapping::new(&settings, by_word)?;
        let below = |path: &Option<String>, pointer| {
            let file = path.as_ref().map(|path| context.base.file(path)).transpose();
            file.map_err(|error| SettingsError::at(pointer, error.to_string()))
        };
        let denied = below(&settings.revoked_file, "/revoked_file")?;
        let paths: Vec<_> = below(&settings.ca, "/ca")?.into_iter().chain(denied.clone()).collect();
        let place = if settings.ca.is_some() { "/ca" } else { "/revoked_file" };
        let interval = Duration::from_millis(settings.reload_ms);
        let trust = Watched::read(paths, interval, move |parts| Trust::read(parts, denied.as_ref()))
            .map_err(|message| SettingsError::at(place, message))?;
        Ok(Self { trust, mapping, forwarding })
    }
}

fn forwarding(settings: &MtlsSettings) -> Result<Option<Forwarding>, SettingsError> {
    let is_everyone = |block: &&Cidr| {
        let holds = |address: [u8; 4]| block.contains(address.into());
        let holds_v6 = |address: [u16; 8]| block.contains(address.into());
        (holds([0; 4]) && holds([255; 4])) || (holds_v6([0; 8]) && holds_v6([0xffff; 8]))
    };
    if let Some(index) = settings.trusted_proxies.iter().position(|block| is_everyone(&block)) {
        let message = "whoever may tell of a certificate may be anyone: this block is everyone";
        return Err(SettingsError::at(format!("/trusted_proxies/{index}"), message));
    }
    match settings.forwarded {
        None if !settings.trusted_proxies.is_empty() => {
            let message = "`trusted_proxies` needs `forwarded`: `client-cert` (RFC 9440) or `xfcc` (Envoy)";
            Err(SettingsError::at("/trusted_proxies", message))
        }
        None if settings.forwarded_verified == ForwardedVerified::Proxy => {
            let message = "`forwarded_verified: proxy` needs `forwarded: xfcc` and `trusted_proxies`";
            Err(SettingsError::at("/forwarded_verified", message))
        }
        None => Ok(None),
        Some(_) if settings.trusted_proxies.is_empty() => {
            let message = "`forwarded` needs `trusted_proxies`: a header is heard from nobody else";
            Err(SettingsError::at("/forwarded", message))
        }
        Some(ForwardedHeader::ClientCert) if settings.forwarded_verified == ForwardedVerified::Proxy => {
            let message =
                "`client-cert` always carries the certificate, so it is verified here: leave this out";
            Err(SettingsError::at("/forwarded_verified", message))
        }
        Some(header) => Ok(Some(Forwarding {
            header,
            proxies: settings.trusted_proxies.clone().into(),
            verified: settings.forwarded_verified,
        })),
    }
}

/// From names to a subject and attributes.
#[derive(Debug)]
pub(super) struct Mapping {
    subject: SubjectSource,
    prefix: String,
    attributes: HashMap<String, Value>,
}

impl Mapping {
    fn new(settings: &MtlsSettings, by_word: bool) -> Result<Self, SettingsError> {
        let subject = settings.subject;
        if by_word && matches!(subject, SubjectSource::Email | SubjectSource::CommonName) {
            let message = "`xfcc` names no such thing: with `forwarded_verified: proxy` it is `uri`, `dns` or `subject_dn`";
            return Err(SettingsError::at("/subject", message));
        }
        let default = if subject == SubjectSource::Uri { "" } else { "user:" };
        let prefix = settings.prefix.clone().unwrap_or_else(|| default.to_owned());
        if subject != SubjectSource::Uri || !prefix.is_empty() {
            check_subject(&format!("{prefix}x")).map_err(|message| SettingsError::at("/prefix", message))?;
        }
        if let Some(name) =
            settings.attributes.keys().find(|name| OF_THE_CERTIFICATE.contains(&name.as_str()))
        {
            let message = format!("`{name}` is what the certificate says");
            return Err(SettingsError::at(format!("/attributes/{name}"), message));
        }
        Ok(Self { subject, prefix, attributes: settings.attributes.clone().into_iter().collect() })
    }

    /// The subject, if the names have exactly one for it.
    pub(super) fn subject(&self, names: &Names) -> Result<String, &'static str> {
        let name = match self.subject {
            SubjectSource::Uri => only(&names.uris)?,
            SubjectSource::Dns => only(&names.dns)?,
            SubjectSource::Email => only(&names.emails)?,
            SubjectSource::CommonName => only(&names.common_names)?,
            SubjectSource::SubjectDn if names.subject_dn.is_empty() => return Err("no_subject"),
            SubjectSource::SubjectDn => &names.subject_dn,
        };
        let subject = format!("{}{name}", self.prefix);
        check_subject(&subject).map_err(|_| "subject_form")?;
        Ok(subject)
    }

    pub(super) fn attributes(
        &self,
        names: &Names,
        serial: Option<&str>,
        fingerprint: &str,
    ) -> HashMap<String, Value> {
        let mut attributes = self.attributes.clone();
        let mut add = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
        add("dns", json!(names.dns));
        add("emails", json!(names.emails));
        add("uris", json!(names.uris));
        add("fingerprint", json!(fingerprint));
        // A proxy's word has neither.
        if let Some(serial) = serial {
            add("serial", json!(serial));
            add("issuer", json!(names.issuer_dn));
        }
        attributes
    }
}

fn only(names: &[String]) -> Result<&String, &'static str> {
    match names {
        [] => Err("no_subject"),
        [name] => Ok(name),
        _ => Err("ambiguous_subject"),
    }
}
