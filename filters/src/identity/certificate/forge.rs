//! Certificates for tests: issuers, leaves, and what they should not be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boring::asn1::Asn1Time;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::rsa::Rsa;
use boring::sign::Signer;
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use boring::x509::{X509, X509Builder, X509Extension, X509Name};

use super::PeerCertificate;

/// The time at which what is forged here is valid: in the middle of its two days.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Forged {
    /// A root.
    pub(crate) fn root(name: &str) -> Self {
        Draft::issuer(name).sign_itself()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().unwrap()).unwrap()
    }

    /// What a client with this certificate presents along with others.
    pub(crate) fn presented(&self, others: &[&Forged]) -> PeerCertificate {
        PeerCertificate::from_der(&self.der(), others.iter().map(|other| other.der().into()))
    }
}

/// A certificate to be.
pub(crate) struct Draft {
    pub(crate) name: X509Name,
    pub(crate) key: PKey<Private>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) serial: u32,
    pub(crate) digest: MessageDigest,
    pub(crate) extensions: Vec<X509Extension>,
    pub(crate) names: Option<SubjectAlternativeName>,
}

impl Draft {
    /// Without extensions.
    pub(crate) fn bare(name: &str) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let now = 1_800_000_000;
        Self {
            name: common_name(name),
            key: PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
            from: now - 86_400,
            until: now + 86_400,
            serial: 4242,
            digest: MessageDigest::sha256(),
            extensions: Vec::new(),
            names: None,
        }
    }

    /// That may issue others.
    pub(crate) fn issuer(name: &str) -> Self {
        Self::bare(name)
            .with(BasicConstraints::new().critical().ca().build().unwrap())
            .with(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap())
    }

    /// That may issue clients' certificates only.
    pub(crate) fn last_issuer(name: &str) -> Self {
        Self::bare(name)
            .with(BasicConstraints::new().critical().ca().pathlen(0).build().unwrap())
            .with(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap())
    }

    /// A client's.
    pub(crate) fn client(name: &str) -> Self {
        Self::bare(name)
            .with(KeyUsage::new().critical().digital_signature().build().unwrap())
            .with(ExtendedKeyUsage::new().client_auth().build().unwrap())
    }

    pub(crate) fn with(mut self, extension: X509Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// With an extension in OpenSSL's words.
    pub(crate) fn with_text(self, nid: Nid, text: &str) -> Self {
        let extension = X509Extension::new_nid(None, None, nid, text).unwrap();
        self.with(extension)
    }

    pub(crate) fn name(
        mut self,
        fill: impl FnOnce(&mut SubjectAlternativeName) -> &mut SubjectAlternativeName,
    ) -> Self {
        fill(self.names.get_or_insert_with(SubjectAlternativeName::new));
        self
    }

    pub(crate) fn uri(self, uri: &str) -> Self {
        self.name(|names| names.uri(uri))
    }

    pub(crate) fn dns(self, dns: &str) -> Self {
        self.name(|names| names.dns(dns))
    }

    pub(crate) fn valid(self, from: i64, until: i64) -> Self {
        Self { from, until, ..self }
    }

    pub(crate) fn rsa(self, bits: u32) -> Self {
        Self { key: PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap(), ..self }
    }

    pub(crate) fn sign_itself(self) -> Forged {
        let (name, key) = (self.name.to_der().unwrap(), self.key.clone());
        self.sign(&X509Name::from_der(&name).unwrap(), &key)
    }

    pub(crate) fn sign_by(self, issuer: &Forged) -> Forged {
        self.sign(issuer.certificate.subject_name(), &issuer.key)
    }

    fn sign(self, issuer: &boring::x509::X509NameRef, key: &PKey<Private>) -> Forged {
        let mut builder: X509Builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(self.serial).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&self.name).unwrap();
        builder.set_issuer_name(issuer).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(self.from).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(self.until).unwrap()).unwrap();
        for extension in &self.extensions {
            builder.append_extension(extension).unwrap();
        }
        if let Some(names) = &self.names {
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(&names).unwrap();
        }
        builder.sign(key, self.digest).unwrap();
        Forged { certificate: builder.build(), key: self.key }
    }
}

/// A list of revoked certificates to be.
pub(crate) struct DraftList {
    pub(crate) from: i64,
    pub(crate) until: Option<i64>,
    pub(crate) serials: Vec<u16>,
    /// Extensions, in DER.
    pub(crate) extensions: Vec<u8>,
}

impl DraftList {
    /// Current, for a day around [`now`].
    pub(crate) fn of(serials: &[u16]) -> Self {
        let now = 1_800_000_000;
        Self { from: now - 3600, until: Some(now + 3600), serials: serials.to_vec(), extensions: Vec::new() }
    }

    /// An extension that nobody may pass over.
    pub(crate) fn critical(self) -> Self {
        // 2.5.29.28: for a part of the certificates.
        let parts = [vec![6, 3, 0x55, 0x1d, 28], vec![1, 1, 0xff], vec![4, 2, 0x30, 0]];
        Self { extensions: element(0x30, &parts), ..self }
    }

    /// The list, signed, in DER.
    pub(crate) fn sign_by(self, issuer: &Forged) -> Vec<u8> {
        let algorithm = vec![0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let time = |seconds: i64| {
            let time = Asn1Time::from_unix(seconds).unwrap();
            let text: &boring::asn1::Asn1StringRef = (*time).as_ref();
            element(0x17, &[text.as_slice().to_vec()])
        };
        let entry = |serial: &u16| {
            let bytes = serial.to_be_bytes();
            element(0x30, &[element(0x02, &[bytes.to_vec()]), time(self.from)])
        };
        let mut parts = vec![vec![2, 1, 1], algorithm.clone()];
        parts.push(issuer.certificate.subject_name().to_der().unwrap());
        parts.push(time(self.from));
        parts.extend(self.until.map(time));
        if !self.serials.is_empty() {
            parts.push(element(0x30, &self.serials.iter().map(entry).collect::<Vec<_>>()));
        }
        if !self.extensions.is_empty() {
            parts.push(element(0xa0, &[element(0x30, std::slice::from_ref(&self.extensions))]));
        }
        let list = element(0x30, &parts);
        let signature = Signer::new(MessageDigest::sha256(), &issuer.key).unwrap().sign_oneshot_to_vec(&list);
        let signature = element(0x03, &[vec![0], signature.unwrap()]);
        element(0x30, &[list, algorithm, signature])
    }
}

fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let contents = parts.concat();
    let length = match u16::try_from(contents.len()).unwrap().to_be_bytes() {
        [0, short @ 0..0x80] => vec![short],
        [0, byte] => vec![0x81, byte],
        [high, low] => vec![0x82, high, low],
    };
    [vec![tag], length, contents].concat()
}

pub(crate) fn common_name(name: &str) -> X509Name {
    let mut builder = X509Name::builder().unwrap();
    if !name.is_empty() {
        builder.append_entry_by_text("CN", name).unwrap();
    }
    builder.build()
}
