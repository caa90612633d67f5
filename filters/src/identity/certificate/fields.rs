//! The fields of a certificate that decisions are made from (RFC 5280 section 4), read from its DER.
//!
//! BoringSSL verifies signatures, validity, name constraints and the order of a chain; its safe interface does not
//! give out extensions, so what a certificate may be used for is read here. An extension that is there twice, or
//! whose value is not what its identifier says, makes the certificate malformed.

use super::der::{self, Element, Malformed, Reader};

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const EXTENSIONS_MAX: usize = 64;

/// The fields, borrowed from the certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    /// The serial number, as it is encoded.
    pub(crate) serial: &'a [u8],
    /// The whole `AlgorithmIdentifier` of the signature.
    pub(crate) signature_algorithm: &'a [u8],
    /// The whole `Name` of the issuer.
    pub(crate) issuer: &'a [u8],
    /// The whole `Name` of the subject.
    pub(crate) subject: &'a [u8],
    /// The whole `SubjectPublicKeyInfo`.
    pub(crate) public_key_info: &'a [u8],
    /// The contents of `subjectAltName`.
    pub(crate) subject_alt_names: Option<Element<'a>>,
    pub(crate) basic_constraints: BasicConstraints,
    pub(crate) key_usage: Option<KeyUsage>,
    ext_key_usage: Option<Element<'a>>,
}

/// Whether a certificate may issue others. Absent: it may not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_length: Option<u32>,
}

/// What a certificate's key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyUsage(u16);

impl KeyUsage {
    pub(crate) fn digital_signature(self) -> bool {
        self.0 & 0x8000 != 0
    }

    pub(crate) fn key_agreement(self) -> bool {
        self.0 & 0x0800 != 0
    }

    pub(crate) fn key_cert_sign(self) -> bool {
        self.0 & 0x0400 != 0
    }

    pub(crate) fn crl_sign(self) -> bool {
        self.0 & 0x0200 != 0
    }
}

impl<'a> Fields<'a> {
    /// Reads them.
    pub(crate) fn read(certificate: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Element::only(certificate, der::SEQUENCE)?.reader();
        let mut inner = outer.expect(der::SEQUENCE)?.reader();
        let outer_algorithm = outer.expect(der::SEQUENCE)?;
        outer.expect(der::BIT_STRING)?;
        outer.end()?;

        // Extensions are of version 3, and a certificate without any says nothing of what it may be used for.
        let version = inner.expect(der::context_constructed(0))?;
        if Element::only(version.contents, der::INTEGER)?.contents != [2] {
            return Err(Malformed);
        }
        let serial = inner.expect(der::INTEGER)?.contents;
        let signature_algorithm = inner.expect(der::SEQUENCE)?.whole;
        if signature_algorithm != outer_algorithm.whole {
            return Err(Malformed);
        }
        let issuer = inner.expect(der::SEQUENCE)?.whole;
        inner.expect(der::SEQUENCE)?;
        let subject = inner.expect(der::SEQUENCE)?.whole;
        let public_key_info = inner.expect(der::SEQUENCE)?.whole;
        inner.optional(der::context(1))?;
        inner.optional(der::context(2))?;
        let extensions = inner.optional(der::context_constructed(3))?;
        inner.end()?;

        let mut fields = Self {
            serial,
            signature_algorithm,
            issuer,
            subject,
            public_key_info,
            subject_alt_names: None,
            basic_constraints: BasicConstraints::default(),
            key_usage: None,
            ext_key_usage: None,
        };
        if let Some(extensions) = extensions {
            fields.read_extensions(Element::only(extensions.contents, der::SEQUENCE)?.reader())?;
        }
        Ok(fields)
    }

    fn read_extensions(&mut self, mut extensions: Reader<'a>) -> Result<(), Malformed> {
        let mut seen: Vec<&[u8]> = Vec::new();
        while !extensions.is_empty() {
            let (id, value) = extension(&mut extensions)?;
            if seen.contains(&id) || seen.len() >= EXTENSIONS_MAX {
                return Err(Malformed);
            }
            seen.push(id);
            match id {
                SUBJECT_ALT_NAME => self.subject_alt_names = Some(Element::only(value, der::SEQUENCE)?),
                BASIC_CONSTRAINTS => self.basic_constraints = basic_constraints(value)?,
                KEY_USAGE => {
                    let bits = der::named_bits(Element::only(value, der::BIT_STRING)?.contents)?;
                    self.key_usage = Some(KeyUsage(bits));
                }
                EXT_KEY_USAGE => self.ext_key_usage = Some(Element::only(value, der::SEQUENCE)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the extended key usages, if it has any, include the authentication of a TLS client.
    pub(crate) fn permits_client_auth(&self) -> Result<bool, Malformed> {
        let Some(usages) = self.ext_key_usage else { return Ok(true) };
        let mut usages = usages.reader();
        let mut permits = false;
        while !usages.is_empty() {
            let usage = usages.expect(der::OBJECT_IDENTIFIER)?.contents;
            permits |= usage == CLIENT_AUTH || usage == ANY_USAGE;
        }
        Ok(permits)
    }

    /// Whether it may issue certificates.
    pub(crate) fn is_issuer(&self) -> bool {
        self.basic_constraints.ca && self.key_usage.is_none_or(KeyUsage::key_cert_sign)
    }

    /// Whether its issuer has the same name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

/// The identifier and the value of the next extension.
pub(crate) fn extension<'a>(extensions: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let mut extension = extensions.expect(der::SEQUENCE)?.reader();
    let id = extension.expect(der::OBJECT_IDENTIFIER)?.contents;
    // `FALSE` is the default, so it is not written in DER; some issuers write it all the same.
    if let Some(critical) = extension.optional(der::BOOLEAN)? {
        der::boolean(critical.contents)?;
    }
    let value = extension.expect(der::OCTET_STRING)?.contents;
    extension.end()?;
    Ok((id, value))
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, Malformed> {
    let mut reader = Element::only(value, der::SEQUENCE)?.reader();
    let ca = reader.optional(der::BOOLEAN)?.map(|ca| der::boolean(ca.contents)).transpose()?;
    let path_length = reader.optional(der::INTEGER)?.map(|length| der::small_integer(length.contents));
    reader.end()?;
    Ok(BasicConstraints { ca: ca.unwrap_or(false), path_length: path_length.transpose()? })
}
