//! A certificate authority of one's own, certificates that it issues, and TLS connections as a client makes them.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use boring::asn1::Asn1Time;
use boring::bn::{BigNum, MsbOption};
use boring::ec::{EcGroup, EcKey};
use boring::hash::{MessageDigest, hash};
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslStream};
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use boring::x509::store::X509StoreBuilder;
use boring::x509::{X509, X509Builder, X509Name};

use crate::DEADLINE;

/// A root and its key.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate with its key, as files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// SHA-256 of the leaf (DER), in hexadecimal digits: what a pin names.
    pub sha256: String,
    /// The same of its public key.
    pub spki_sha256: String,
}

impl Authority {
    /// A root with a key of its own.
    pub fn new() -> Self {
        let key = new_key();
        let name = name("MCPG test root");
        let mut builder = draft(&name, &key, 0, 30);
        builder.set_issuer_name(&name).expect("a name is an issuer");
        let constraints = BasicConstraints::new().critical().ca().build().expect("constraints");
        builder.append_extension(&constraints).expect("an extension");
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().expect("usages");
        builder.append_extension(&usage).expect("an extension");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self { certificate: builder.build(), key }
    }

    /// Writes the root, PEM, and returns the file.
    pub fn write(&self, path: &Path) -> PathBuf {
        std::fs::write(path, self.certificate.to_pem().expect("PEM")).expect("cannot write the root");
        path.to_owned()
    }

    /// Issues a certificate for a DNS name, with its files in `folder`.
    pub fn issue(&self, folder: &Path, dns: &str) -> Certificate {
        self.issue_for_days(folder, dns, 0, 30)
    }

    /// Issues a certificate that was valid until yesterday.
    pub fn issue_expired(&self, folder: &Path, dns: &str) -> Certificate {
        self.issue_for_days(folder, dns, -30, -1)
    }

    /// Issues a certificate for the key of another.
    pub fn renew(&self, folder: &Path, dns: &str, old: &Certificate) -> Certificate {
        let key = std::fs::read(&old.key).expect("the key is there");
        self.issue_with(PKey::private_key_from_pem(&key).expect("a key"), folder, dns, 0, 60)
    }

    fn issue_for_days(&self, folder: &Path, dns: &str, from: i64, to: i64) -> Certificate {
        self.issue_with(new_key(), folder, dns, from, to)
    }

    fn issue_with(&self, key: PKey<Private>, folder: &Path, dns: &str, from: i64, to: i64) -> Certificate {
        let mut builder = draft(&name(dns), &key, from, to);
        builder.set_issuer_name(self.certificate.subject_name()).expect("a name is an issuer");
        let names = SubjectAlternativeName::new().dns(dns).build(&builder.x509v3_context(None, None));
        builder.append_extension(&names.expect("names")).expect("an extension");
        let usage = ExtendedKeyUsage::new().server_auth().client_auth().build().expect("usages");
        builder.append_extension(&usage).expect("an extension");
        builder.sign(&self.key, MessageDigest::sha256()).expect("a signature");
        let certificate = builder.build();
        let der = certificate.to_der().expect("DER");
        let sha256 = sha256(&der);
        let file = |suffix: &str, text: Vec<u8>| {
            let path = folder.join(format!("{}{suffix}", &sha256[..16]));
            std::fs::write(&path, text).expect("cannot write a certificate");
            path
        };
        Certificate {
            chain: file(".crt", certificate.to_pem().expect("PEM")),
            key: file(".key", key.private_key_to_pem_pkcs8().expect("PEM")),
            spki_sha256: self::sha256(&key.public_key_to_der().expect("DER")),
            sha256,
        }
    }

    /// A client that trusts this root only.
    pub fn connector(&self) -> SslConnectorBuilder {
        let mut roots = X509StoreBuilder::new().expect("a store");
        roots.add_cert(self.certificate.clone()).expect("a root");
        let mut connector = SslConnector::builder(SslMethod::tls()).expect("a connector");
        connector.set_cert_store(roots.build());
        connector
    }

    /// A handshake as a client that trusts this root only and asks for `dns`; the stream and the protocol that
    /// ALPN agreed on, or why there is none.
    ///
    /// # Errors
    /// When the server's certificate is not one that this client may trust.
    pub fn handshake(
        &self,
        stream: TcpStream,
        dns: &str,
        alpn: &[u8],
    ) -> Result<(SslStream<TcpStream>, String), String> {
        let mut connector = self.connector();
        connector.set_alpn_protos(alpn).expect("protocols");
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        let stream = connector.build().connect(dns, stream).map_err(|error| error.to_string())?;
        let agreed = stream.ssl().selected_alpn_protocol().unwrap_or_default();
        let agreed = String::from_utf8_lossy(agreed).into_owned();
        Ok((stream, agreed))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = hash(MessageDigest::sha256(), bytes).expect("a digest");
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

fn name(common: &str) -> X509Name {
    let mut name = X509Name::builder().expect("a name");
    name.append_entry_by_text("CN", common).expect("a common name");
    name.build()
}

/// Everything but the issuer and the extensions, valid from and to so many days from now.
fn draft(subject: &X509Name, key: &PKey<Private>, from: i64, to: i64) -> X509Builder {
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("version 3");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::MAYBE_ZERO, false).expect("a number");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a number")).expect("a serial number");
    builder.set_subject_name(subject).expect("a subject");
    builder.set_pubkey(key).expect("a key");
    builder.set_not_before(&days_from_now(from)).expect("a date");
    builder.set_not_after(&days_from_now(to)).expect("a date");
    builder
}

fn days_from_now(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(now.as_secs()).expect("before the year 292 billion");
    // An hour back, so that a certificate made now is valid now whatever the clocks say.
    Asn1Time::from_unix(now + days * 86_400 - 3600).expect("a date")
}
