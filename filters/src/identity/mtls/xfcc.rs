//! `X-Forwarded-Client-Cert`, as Envoy writes it (envoyproxy.io, "x-forwarded-client-cert").
//!
//! An element for each hop, the last hop's last, with commas between them; in an element `Key=value` pairs with
//! semicolons between them. A value may be quoted; only in `Subject` does a backslash stand before another byte, and
//! belongs to it, as RFC 2253 writes names.
//!
//! Envoy writes URIs and DNS names as they are in the certificate, without quotes: one with a comma or a semicolon in
//! it looks like an element or a pair of its own. So the order in which Envoy writes its keys is required, and
//! [`Element::agrees_with`] tells an element that was cut short from one that says what its certificate says.

use super::HEADER_BYTES_MAX;
use crate::identity::certificate::{CHAIN_MAX, Names, PeerCertificate, pem, unhex};

const ELEMENTS_MAX: usize = 16;
const NAMES_MAX: usize = 64;

/// What one hop says of its client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The URI of the proxy's own certificate.
    pub(super) by: Vec<&'a str>,
    /// SHA-256 of the client's certificate.
    pub(super) hash: Option<[u8; 32]>,
    /// The client's certificate, and what it sent along.
    pub(super) certificate: Option<PeerCertificate>,
    /// The subject, as RFC 2253 writes it.
    pub(super) subject: Option<&'a str>,
    /// The URIs among its names.
    pub(super) uris: Vec<&'a str>,
    /// The DNS names among its names.
    pub(super) dns: Vec<&'a str>,
}

impl Element<'_> {
    /// Whether the names that it writes out, if it writes any, are exactly those of its certificate.
    pub(super) fn agrees_with(&self, names: &Names) -> bool {
        let same = |said: &[&str], known: &[String]| said.is_empty() || said.iter().eq(known.iter());
        same(&self.uris, &names.uris) && same(&self.dns, &names.dns)
    }
}

/// Reads the elements, at least one.
pub(super) fn parse(header: &[u8]) -> Result<Vec<Element<'_>>, Malformed> {
    let text = std::str::from_utf8(header).map_err(|_| Malformed)?;
    if text.len() > HEADER_BYTES_MAX || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Malformed);
    }
    let mut elements = Vec::new();
    let mut rest = text;
    loop {
        let (element, after) = element(rest)?;
        elements.push(element);
        match after.strip_prefix(',') {
            None if after.is_empty() => return Ok(elements),
            Some(after) if elements.len() < ELEMENTS_MAX => rest = after.trim_start_matches(' '),
            _ => return Err(Malformed),
        }
    }
}

/// The keys in the order in which Envoy writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Key {
    By,
    Hash,
    Cert,
    Chain,
    Subject,
    Uri,
    Dns,
}

impl Key {
    fn read(name: &str) -> Result<Self, Malformed> {
        const NAMES: [(&str, Key); 7] = [
            ("By", Key::By),
            ("Hash", Key::Hash),
            ("Cert", Key::Cert),
            ("Chain", Key::Chain),
            ("Subject", Key::Subject),
            ("URI", Key::Uri),
            ("DNS", Key::Dns),
        ];
        let key = NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        key.map(|(_, key)| key).ok_or(Malformed)
    }

    fn may_repeat(self) -> bool {
        matches!(self, Self::By | Self::Uri | Self::Dns)
    }
}

/// One element, and what follows it.
fn element(text: &str) -> Result<(Element<'_>, &str), Malformed> {
    let mut element = Element::default();
    let (mut cert, mut chain) = (None, None);
    let mut last: Option<Key> = None;
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=').ok_or(Malformed)?;
        let key = Key::read(name)?;
        if last.is_some_and(|last| last > key || (last == key && !key.may_repeat())) {
            return Err(Malformed);
        }
        last = Some(key);
        let (value, after) = value(after, key)?;
        match key {
            Key::By => push(&mut element.by, value)?,
            Key::Uri => push(&mut element.uris, value)?,
            Key::Dns => push(&mut element.dns, value)?,
            Key::Hash => element.hash = Some(unhex(value).ok_or(Malformed)?),
            Key::Subject => element.subject = Some(value),
            Key::Cert => cert = Some(certificates(value)?),
            Key::Chain => chain = Some(certificates(value)?),
        }
        match after.strip_prefix(';') {
            Some(after) => rest = after,
            None => {
                element.certificate = presented(cert, chain)?;
                return Ok((element, after.trim_start_matches(' ')));
            }
        }
    }
}

/// A value, and what follows it.
fn value(text: &str, key: Key) -> Result<(&str, &str), Malformed> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).ok_or(Malformed)?;
        let value = value.trim_end_matches(' ');
        return if value.contains(['"', '\\', ' ']) { Err(Malformed) } else { Ok((value, after)) };
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    });
    let (value, after) = end.and_then(|end| quoted.split_at_checked(end)).ok_or(Malformed)?;
    let after = after.strip_prefix('"').ok_or(Malformed)?;
    let is_over = after.is_empty() || after.starts_with([';', ',', ' ']);
    let is_plain = key == Key::Subject || !value.contains('\\');
    if is_over && is_plain { Ok((value, after)) } else { Err(Malformed) }
}

/// Envoy writes the key even where there is no such name.
fn push<'a>(names: &mut Vec<&'a str>, value: &'a str) -> Result<(), Malformed> {
    if names.len() >= NAMES_MAX {
        return Err(Malformed);
    }
    if !value.is_empty() {
        names.push(value);
    }
    Ok(())
}

/// Certificates in PEM, with the bytes that a URL cannot have as `%xx`.
fn certificates(value: &str) -> Result<Vec<Vec<u8>>, Malformed> {
    let text = percent_decoded(value)?;
    let blocks = pem::blocks(&text).map_err(|_| Malformed)?;
    if blocks.is_empty()
        || blocks.len() > CHAIN_MAX
        || blocks.iter().any(|block| block.label != pem::CERTIFICATE)
    {
        return Err(Malformed);
    }
    Ok(blocks.into_iter().map(|block| block.contents).collect())
}

/// `Cert` is the client's own; `Chain` begins with it.
fn presented(
    cert: Option<Vec<Vec<u8>>>,
    chain: Option<Vec<Vec<u8>>>,
) -> Result<Option<PeerCertificate>, Malformed> {
    let all = match (cert, chain) {
        (None, None) => return Ok(None),
        (None, Some(chain)) => chain,
        (Some(cert), chain) => {
            let chain = chain.unwrap_or_else(|| cert.clone());
            if cert.len() != 1 || chain.first() != cert.first() {
                return Err(Malformed);
            }
            chain
        }
    };
    let (leaf, others) = all.split_first().ok_or(Malformed)?;
    Ok(Some(PeerCertificate::from_der(leaf, others.iter().map(|other| other.as_slice().into()))))
}

fn percent_decoded(value: &str) -> Result<String, Malformed> {
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit =
                    || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Malformed);
                u8::try_from(digit()? << 4 | digit()?).map_err(|_| Malformed)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| Malformed)
}

/// Not as Envoy writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

#[cfg(test)]
mod tests;
