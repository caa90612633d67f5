//! `identity.mtls`: callers by their client certificates, of this connection or as a proxy forwards them.
//!
//! A certificate of the connection is verified here against the operator's issuers, whatever the listener made of it.
//! What a header says of a certificate is read only if the other end of the connection is a trusted proxy, and only
//! from the one header that is configured; from anyone else it is as if it were not there. A proxy's own certificate
//! is never its client's: behind a trusted proxy only the header speaks.
//!
//! INVARIANTS:
//! - No subject without a chain to a configured issuer at the time of the request, except where the operator has
//!   said that the proxy's word is enough (`forwarded_verified: proxy`).
//! - What has been verified is kept no longer than its certificates and revocation lists hold, and with the very
//!   issuers and lists that it was verified by. A hit allocates nothing.

mod client_cert;
mod settings;
mod trust;
mod xfcc;

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::{AuthMethod, Caller, Cidr};

pub use settings::{ForwardedHeader, ForwardedVerified, MtlsSettings, SubjectSource};

use super::certificate::watched::Watched;
use super::certificate::{Names, PeerCertificate, Validity, VerifyError, hex};
use super::{Credentials, Outcome, Presented};
use settings::Mapping;
use trust::{Known, Trust};

/// The built-in's id.
pub const ID: &str = "identity.mtls";

/// The most bytes of a header that tells of a certificate.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// The provider.
#[derive(Debug)]
pub struct Mtls {
    trust: Arc<Watched<Trust>>,
    mapping: Mapping,
    forwarding: Option<Forwarding>,
}

/// Who may tell of a client's certificate, where, and whether the word is enough.
#[derive(Debug)]
struct Forwarding {
    header: ForwardedHeader,
    proxies: Box<[Cidr]>,
    verified: ForwardedVerified,
}

impl Mtls {
    /// Finds the caller of a request's certificate.
    ///
    /// Codes: those of a chain (`certificate_…`), `revocation_list_stale`, `no_subject`, `ambiguous_subject`,
    /// `subject_form`, and of a header `forwarded_repeated`, `forwarded_malformed`, `forwarded_unverified`,
    /// `forwarded_hash`, `forwarded_names`, `forwarded_several`.
    pub fn resolve(&self, credentials: &Credentials<'_>, now: SystemTime) -> Outcome {
        let trust = self.trust.current();
        let resolved = match self.forwarding.as_ref().filter(|forwarding| forwarding.trusts(credentials)) {
            Some(forwarding) => self.forwarded(forwarding, credentials, &trust, now),
            None => self.connected(credentials, &trust, now),
        };
        match resolved {
            Ok(Some(known)) => {
                Outcome::Resolved { caller: Arc::clone(&known.caller), credential: known.credential.clone() }
            }
            Ok(None) => Outcome::Absent,
            Err(code) => Outcome::Invalid(code),
        }
    }

    /// Begins to look at the files of issuers and revocations now and then.
    pub fn start(&self) {
        self.trust.start();
    }

    fn connected(
        &self,
        credentials: &Credentials<'_>,
        trust: &Trust,
        now: SystemTime,
    ) -> Result<Option<Arc<Known>>, &'static str> {
        let Some(certificate) = credentials.certificate.filter(|_| trust.has_issuers()) else {
            return Ok(None);
        };
        let key = certificate.digest();
        match trust.known.find(key, now) {
            Some(known) => Ok(Some(known)),
            None => self.verify(certificate, *key, trust, now).map(Some),
        }
    }

    fn forwarded(
        &self,
        forwarding: &Forwarding,
        credentials: &Credentials<'_>,
        trust: &Trust,
        now: SystemTime,
    ) -> Result<Option<Arc<Known>>, &'static str> {
        let once = |presented| match presented {
            Presented::Nothing => Ok(None),
            Presented::Once(value) => Ok(Some(value)),
            Presented::Repeated => Err("forwarded_repeated"),
        };
        let forwarded = credentials.forwarded;
        let (first, second) = match forwarding.header {
            ForwardedHeader::ClientCert => {
                (once(forwarded.client_cert())?, once(forwarded.client_cert_chain())?)
            }
            ForwardedHeader::Xfcc => (once(forwarded.xfcc())?, None),
        };
        let header: &[u8] = match (first, second) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err("forwarded_malformed"),
            (Some(header), _) => header,
        };
        let key = header_key(header, second);
        if let Some(known) = trust.known.find(&key, now) {
            return Ok(Some(known));
        }
        match forwarding.header {
            ForwardedHeader::ClientCert => {
                let certificate = client_cert::read(header, second).map_err(|_| "forwarded_malformed")?;
                self.verify(&certificate, key, trust, now).map(Some)
            }
            ForwardedHeader::Xfcc => self.read_xfcc(header, key, forwarding.verified, trust, now).map(Some),
        }
    }

    fn read_xfcc(
        &self,
        header: &[u8],
        key: [u8; 32],
        verified: ForwardedVerified,
        trust: &Trust,
        now: SystemTime,
    ) -> Result<Arc<Known>, &'static str> {
        let elements = xfcc::parse(header).map_err(|_| "forwarded_malformed")?;
        // A name with a comma in it looks like an element of its own. The hop that wrote it wrote the certificate
        // too, and then its names and its certificate disagree.
        for element in &elements {
            let Some(certificate) = &element.certificate else { continue };
            let contents = certificate.contents().ok_or(VerifyError::Malformed.code())?;
            if !element.agrees_with(contents.names()) {
                return Err("forwarded_names");
            }
            if element.hash.is_some_and(|hash| hash != *certificate.sha256()) {
                return Err("forwarded_hash");
            }
        }
        let several = elements.len() > 1;
        let last = elements.into_iter().next_back().ok_or("forwarded_malformed")?;
        match (&last.certificate, verified) {
            (Some(certificate), _) if trust.has_issuers() => self.verify(certificate, key, trust, now),
            (_, ForwardedVerified::Certificate) => Err("forwarded_unverified"),
            // Without certificates nothing tells a name with a comma from an element.
            (_, ForwardedVerified::Proxy) if several => Err("forwarded_several"),
            (_, ForwardedVerified::Proxy) => {
                let hash = last.hash.ok_or("forwarded_malformed")?;
                let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
                let names = Names {
                    uris: all(&last.uris),
                    dns: all(&last.dns),
                    subject_dn: last.subject.unwrap_or_default().to_owned(),
                    ..Names::default()
                };
                let fingerprint = hex(&hash);
                if trust.revocations.denies_fingerprint(&hash) {
                    return Err("certificate_revoked");
                }
                let known = self.known(&names, None, &fingerprint)?;
                Ok(trust.keep(key, Validity::ALWAYS, known))
            }
        }
    }

    /// Verifies a certificate and keeps what it is worth.
    fn verify(
        &self,
        certificate: &PeerCertificate,
        key: [u8; 32],
        trust: &Trust,
        now: SystemTime,
    ) -> Result<Arc<Known>, &'static str> {
        let validity = trust.verify(certificate, now)?;
        let contents = certificate.contents().ok_or(VerifyError::Malformed.code())?;
        let known = self.known(contents.names(), Some(contents.serial()), &hex(certificate.sha256()))?;
        Ok(trust.keep(key, validity, known))
    }

    fn known(&self, names: &Names, serial: Option<&str>, fingerprint: &str) -> Result<Known, &'static str> {
        let caller = Caller {
            subject: self.mapping.subject(names)?,
            audience: None,
            attributes: self.mapping.attributes(names, serial, fingerprint),
            auth_method: AuthMethod::Mtls,
        };
        let credential = format!("sha256:{fingerprint}").into();
        Ok(Known { caller: Arc::new(caller), credential: Some(credential) })
    }
}

impl Forwarding {
    fn trusts(&self, credentials: &Credentials<'_>) -> bool {
        // An unspecified address is that of a connection of which nothing is known.
        let peer = credentials.peer.filter(|peer| !peer.is_unspecified());
        peer.is_some_and(|peer| self.proxies.iter().any(|proxy| proxy.contains(peer)))
    }
}

/// Of the bytes that the proxy has sent: other bytes are another key.
fn header_key(first: &[u8], second: Option<&[u8]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg identity.mtls forwarded certificate v1");
    hasher.update(&(first.len() as u64).to_le_bytes()).update(first);
    if let Some(second) = second {
        hasher.update(second);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
