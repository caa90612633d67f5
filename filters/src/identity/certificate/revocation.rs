//! Certificates that hold no more: by the operator's list, and by their issuers' (RFC 5280 section 5).
//!
//! The operator's list has a line for each: `sha256:<64 hex digits>` of a certificate, or `serial:<hex digits>`,
//! whoever issued it. Any certificate of a path counts, an issuer's too.
//!
//! INVARIANT: where a list of the issuer is configured, it decides: if none of its lists is current, or none bears
//! its signature, nothing of that issuer is accepted. A list with a critical extension (one for a part of the
//! certificates, or one of changes only) would be misread as a whole one, so it is refused when it is loaded.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::SystemTime;

use boring::asn1::Asn1Time;
use boring::error::ErrorStack;
use boring::hash::MessageDigest;
use boring::sign::Verifier;
use boring::x509::X509;
use sha2::{Digest as _, Sha256};

use super::der::{self, Element, Malformed, Reader};
use super::fields::{Fields, KeyUsage};
use super::{Verified, hex, seconds, unhex, unix_seconds};

const LISTED_MAX: usize = 1_000_000;

/// An algorithm by its object identifier, and its hash.
type Signature = (&'static [u8], fn() -> MessageDigest);

/// SHA-2 with RSA or ECDSA: the signatures that a list may bear.
const SIGNATURES: &[Signature] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], MessageDigest::sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], MessageDigest::sha384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], MessageDigest::sha512),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], MessageDigest::sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], MessageDigest::sha384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], MessageDigest::sha512),
];

/// All that is revoked.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    fingerprints: HashSet<[u8; 32]>,
    serials: HashSet<String>,
    lists: Vec<List>,
}

impl Revocations {
    /// Adds the operator's list.
    pub(crate) fn add_denied(&mut self, text: &str) -> Result<(), RevocationsError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let malformed = || RevocationsError::Line { number: index + 1 };
            if line.is_empty() {
                continue;
            }
            if let Some(fingerprint) = line.strip_prefix("sha256:") {
                let fingerprint = unhex(&fingerprint.replace(':', "")).ok_or_else(malformed)?;
                self.fingerprints.insert(fingerprint);
            } else {
                let serial = line.strip_prefix("serial:").ok_or_else(malformed)?;
                self.serials.insert(canonical_serial(serial).ok_or_else(malformed)?);
            }
        }
        Ok(())
    }

    /// Adds a list that an issuer has signed, in DER.
    pub(crate) fn add_list(&mut self, list: Vec<u8>) -> Result<(), RevocationsError> {
        self.lists.push(List::read(list)?);
        Ok(())
    }

    /// Whether the operator denies a certificate of which only the fingerprint is known.
    pub(crate) fn denies_fingerprint(&self, fingerprint: &[u8; 32]) -> bool {
        self.fingerprints.contains(fingerprint)
    }

    /// Whether a verified path holds still. On success, until when the lists say so.
    pub(crate) fn check(&self, verified: &Verified, now: SystemTime) -> Result<i64, &'static str> {
        let mut until = i64::MAX;
        for (place, step) in verified.path.iter().enumerate() {
            let fingerprint: [u8; 32] = Sha256::digest(step).into();
            let fields = Fields::read(step).map_err(|_| "certificate_malformed")?;
            let serial = canonical_serial(&hex(fields.serial)).ok_or("certificate_malformed")?;
            if self.fingerprints.contains(&fingerprint) || self.serials.contains(&serial) {
                return Err("certificate_revoked");
            }
            if let Some(issuer) = verified.path.get(place + 1) {
                until = until.min(self.check_lists(&fields, issuer, unix_seconds(now))?);
            }
        }
        Ok(until)
    }

    fn check_lists(&self, fields: &Fields<'_>, issuer: &[u8], now: i64) -> Result<i64, &'static str> {
        let mut until = None;
        let mut listed = false;
        for list in self.lists.iter().filter(|list| list.issuer == fields.issuer) {
            listed = true;
            if (list.from..list.until).contains(&now) && list.is_signed_by(issuer) {
                if list.serials.contains(fields.serial) {
                    return Err("certificate_revoked");
                }
                until = until.max(Some(list.until));
            }
        }
        match until {
            Some(until) => Ok(until),
            None if listed => Err("revocation_list_stale"),
            None => Ok(i64::MAX),
        }
    }
}

/// A list of an issuer.
#[derive(Debug)]
struct List {
    whole: Vec<u8>,
    issuer: Vec<u8>,
    from: i64,
    until: i64,
    serials: HashSet<Box<[u8]>>,
    /// The issuer's certificate that its signature was verified with, once it was.
    signer: OnceLock<[u8; 32]>,
}

impl List {
    fn read(whole: Vec<u8>) -> Result<Self, RevocationsError> {
        let (_, list) = parts(&whole).map_err(|_| RevocationsError::List)?;
        let mut list = list.reader();
        list.optional(der::INTEGER).map_err(|_| RevocationsError::List)?;
        let mut read = || -> Result<_, Malformed> {
            list.expect(der::SEQUENCE)?;
            let issuer = list.expect(der::SEQUENCE)?.whole.to_vec();
            Ok((issuer, time(list.element()?)?, time(list.element()?)?))
        };
        let (issuer, from, until) = read().map_err(|_| RevocationsError::List)?;
        let entries = list.optional(der::SEQUENCE).map_err(|_| RevocationsError::List)?;
        let mut serials = HashSet::new();
        let mut entries = entries.map_or(Reader::new(&[]), |entries| entries.reader());
        while !entries.is_empty() {
            serials.insert(entry(&mut entries)?);
            if serials.len() > LISTED_MAX {
                return Err(RevocationsError::Large);
            }
        }
        let extensions = list.optional(der::context_constructed(0)).map_err(|_| RevocationsError::List)?;
        if let Some(extensions) = extensions {
            no_critical(Element::only(extensions.contents, der::SEQUENCE))?;
        }
        list.end().map_err(|_| RevocationsError::List)?;
        Ok(Self { issuer, from, until, serials, signer: OnceLock::new(), whole })
    }

    /// Whether an issuer has signed it, and may.
    fn is_signed_by(&self, issuer: &[u8]) -> bool {
        let fingerprint: [u8; 32] = Sha256::digest(issuer).into();
        if self.signer.get() == Some(&fingerprint) {
            return true;
        }
        let may = Fields::read(issuer).is_ok_and(|fields| {
            fields.subject == self.issuer && fields.key_usage.is_none_or(KeyUsage::crl_sign)
        });
        let signed = may && self.verify(issuer) == Some(true);
        if signed {
            // The first issuer's is kept; another of the same name is verified each time.
            let _ = self.signer.set(fingerprint);
        }
        signed
    }

    fn verify(&self, issuer: &[u8]) -> Option<bool> {
        let (mut rest, list) = parts(&self.whole).ok()?;
        let algorithm = rest.expect(der::SEQUENCE).ok()?;
        let signature = rest.expect(der::BIT_STRING).ok()?.contents;
        // The algorithm is named within what is signed too, and must be the same there.
        let mut inner = list.reader();
        inner.optional(der::INTEGER).ok()?;
        if inner.expect(der::SEQUENCE).ok()?.whole != algorithm.whole {
            return None;
        }
        let id = algorithm.reader().expect(der::OBJECT_IDENTIFIER).ok()?.contents;
        let (_, digest) = SIGNATURES.iter().find(|(known, _)| *known == id)?;
        let (0, signature) = signature.split_first()? else { return None };
        let key = X509::from_der(issuer).ok()?.public_key().ok()?;
        let verified = Verifier::new(digest(), &key).ok()?.verify_oneshot(signature, list.whole).ok();
        drop(ErrorStack::get());
        verified
    }
}

/// What follows the signed part, and the signed part.
fn parts(whole: &[u8]) -> Result<(Reader<'_>, Element<'_>), Malformed> {
    let mut reader = Element::only(whole, der::SEQUENCE)?.reader();
    let list = reader.expect(der::SEQUENCE)?;
    Ok((reader, list))
}

/// The serial number of the next entry.
fn entry(entries: &mut Reader<'_>) -> Result<Box<[u8]>, RevocationsError> {
    let mut read = || -> Result<_, Malformed> {
        let mut entry = entries.expect(der::SEQUENCE)?.reader();
        let serial = entry.expect(der::INTEGER)?.contents.into();
        entry.element()?;
        let extensions = entry.optional(der::SEQUENCE)?;
        entry.end().map(|()| (serial, extensions))
    };
    let (serial, extensions) = read().map_err(|_| RevocationsError::List)?;
    extensions.map_or(Ok(()), |extensions| no_critical(Ok(extensions)))?;
    Ok(serial)
}

fn no_critical(extensions: Result<Element<'_>, Malformed>) -> Result<(), RevocationsError> {
    let mut extensions = extensions.map_err(|_| RevocationsError::List)?.reader();
    while !extensions.is_empty() {
        let extension = extensions.expect(der::SEQUENCE).map_err(|_| RevocationsError::List)?;
        let mut extension = extension.reader();
        let mut read = || -> Result<_, Malformed> {
            extension.expect(der::OBJECT_IDENTIFIER)?;
            extension.optional(der::BOOLEAN)?.map_or(Ok(false), |critical| der::boolean(critical.contents))
        };
        if read().map_err(|_| RevocationsError::List)? {
            return Err(RevocationsError::Partial);
        }
    }
    Ok(())
}

fn time(element: Element<'_>) -> Result<i64, Malformed> {
    if !matches!(element.tag, der::UTC_TIME | der::GENERALIZED_TIME) {
        return Err(Malformed);
    }
    let text = std::str::from_utf8(element.contents).map_err(|_| Malformed)?;
    let time = Asn1Time::from_str_x509(text).map_err(|_| Malformed)?;
    seconds(&time).ok_or(Malformed)
}

/// Hex digits in lower case, without colons and leading zeros.
fn canonical_serial(serial: &str) -> Option<String> {
    let serial = serial.trim().replace(':', "").to_ascii_lowercase();
    let is_hex = !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| serial.trim_start_matches('0').to_owned())
}

/// Why lists of what is revoked cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RevocationsError {
    #[error("line {number} is neither `sha256:<64 hex digits>` nor `serial:<hex digits>`")]
    Line { number: usize },
    #[error("a certificate revocation list is malformed, or does not say when the next one is due")]
    List,
    #[error("a certificate revocation list is for a part of the certificates only")]
    Partial,
    #[error("a certificate revocation list has more than {LISTED_MAX} entries")]
    Large,
}

#[cfg(test)]
mod tests;
