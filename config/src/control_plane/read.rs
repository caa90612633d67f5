//! Reads `control_plane:`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::{Base, Bounds, Scope, SecretRef};

use crate::binding::{Endpoint, read::tls, url};
use crate::cidr;
use crate::control_plane::ControlPlane;
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::wire::OneOrMany;
use crate::wire::control_plane as w;

const LABEL_BYTES_MAX: usize = 63;

/// Reads the section; none if there is none.
pub(crate) fn read(place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<Option<ControlPlane>> {
    if place.node.is_none() {
        return Some(None);
    }
    let mut read = report.read::<w::ControlPlane>(place)?;
    let url = address(&read.url, &place.child("url"), report);
    let enroll_tokens = tokens(read.enroll_token.take(), &place.child("enroll_token"), report);
    let allow_addresses = cidr::read(read.allow_addresses.take(), &place.child("allow_addresses"), report);
    let networks = cidr::read(read.networks.take(), &place.child("networks"), report);
    if let Some(name) = read.name.as_deref().filter(|name| !is_name(name)) {
        let help = "2 to 40 of `a-z`, `0-9` and `-`, such as `gw-prod-1`";
        report.error_with_help(
            &place.child("name"),
            format!("{} is no name of a gateway", quote(name)),
            help,
        );
    }
    labels(&read.labels, &place.child("labels"), report);
    let bounds = bounds(&read.secrets, &place.child("secrets"), base, report);
    let url = url?;
    let at = tls::At { of: place, url: "url" };
    let tls = tls::read(read.tls.take(), &url, &at, base, report);
    Some(Some(ControlPlane {
        tls,
        url,
        allow_addresses,
        enroll_tokens,
        name: read.name,
        labels: read.labels,
        heartbeat: Duration::from_millis(read.heartbeat_ms),
        audit: read.audit,
        bounds: Arc::new(bounds),
        networks,
    }))
}

fn address(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<Endpoint> {
    let endpoint = url::over_tls(text, "a control plane is spoken to over TLS", place, report)?;
    if endpoint.path_and_query != "/" {
        report.error_with_help(
            place,
            "the control plane's address has no path",
            "write `https://HOST[:PORT]`",
        );
    }
    Some(endpoint)
}

fn tokens(read: Option<OneOrMany>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<SecretRef> {
    let texts = read.map(OneOrMany::into_vec).unwrap_or_default();
    let mut tokens: Vec<SecretRef> = Vec::with_capacity(texts.len());
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        if !text.starts_with("$secret:") {
            let help = "write a reference, such as `$secret://env/MCPG_ENROLL_TOKEN`";
            report.error_with_help(&place, "an enrollment token must not be in the configuration", help);
            continue;
        }
        match SecretRef::from_str(text) {
            Ok(token) if tokens.contains(&token) => report.error(&place, "this token is listed twice"),
            Ok(token) => tokens.push(token),
            Err(error) => report.error(&place, error.to_string()),
        }
    }
    tokens
}

fn labels(labels: &BTreeMap<String, String>, place: &Place<'_>, report: &mut Report<'_>) {
    let fits = |text: &str| (1..=LABEL_BYTES_MAX).contains(&text.len());
    let is_key = |key: &str| fits(key) && key.bytes().all(is_label_byte);
    let is_value = |value: &str| fits(value) && !value.chars().any(char::is_control);
    for (key, value) in labels {
        if !is_key(key) || !is_value(value) {
            let help =
                "a key is 1 to 63 of `a-z`, `0-9`, `-`, `_` and `.`; a value has 1 to 63 bytes on one line";
            report.error_with_help(&place.key(key), "this label does not have the form of one", help);
        }
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
}

/// A slug, as the names of organizations are.
fn is_name(name: &str) -> bool {
    Scope::new(name, name, name).is_ok()
}

fn bounds(read: &w::Secrets, place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Bounds {
    if read.env_prefix.as_deref().is_some_and(|prefix| prefix.len() < 2) {
        let help = "write what only their variables begin with, such as `ACME_`";
        report.error_with_help(&place.child("env_prefix"), "this would be nearly every variable", help);
    }
    if read.dir.as_deref() == Some("") {
        report.error(&place.child("dir"), "the path is empty");
    }
    let secret_dir = read.dir.as_ref().map(|dir| base.dir().join(dir));
    Bounds { env_prefix: read.env_prefix.clone(), secret_dir }
}
