//! The names in a certificate, exactly as they are there (RFC 5280 section 4.2.1.6, RFC 4514).
//!
//! INVARIANT: a name is given out whole or not at all: one with a NUL, a control character or a byte that its type
//! does not permit makes the certificate malformed, so no reader further on can see less of it than was signed.

use super::der::{self, Element, Malformed, Reader};
use super::fields::Fields;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// The names that RFC 4514 section 3 has for types of attributes.
const ATTRIBUTE_TYPES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// The names of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The URIs of the subject's alternative names.
    pub uris: Vec<String>,
    /// The DNS names.
    pub dns: Vec<String>,
    /// The addresses of mail.
    pub emails: Vec<String>,
    /// The common names of the subject.
    pub common_names: Vec<String>,
    /// The subject, as RFC 4514 writes it. Empty if it has none.
    pub subject_dn: String,
    /// The issuer, as RFC 4514 writes it.
    pub issuer_dn: String,
}

impl Names {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let mut names = Self::default();
        if let Some(alternatives) = fields.subject_alt_names {
            names.read_alternatives(alternatives.reader())?;
        }
        names.subject_dn = distinguished_name(fields.subject, &mut names.common_names)?;
        names.issuer_dn = distinguished_name(fields.issuer, &mut Vec::new())?;
        Ok(names)
    }

    fn read_alternatives(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        const EMAIL: u8 = der::context(1);
        const DNS: u8 = der::context(2);
        const URI: u8 = der::context(6);
        while !reader.is_empty() {
            let name = reader.element()?;
            let into = match name.tag {
                EMAIL => &mut self.emails,
                DNS => &mut self.dns,
                URI => &mut self.uris,
                _ => continue,
            };
            // An IA5String; a blank or a control character is in no address, host name or URI.
            let text = std::str::from_utf8(name.contents).map_err(|_| Malformed)?;
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Malformed);
            }
            into.push(text.to_owned());
        }
        Ok(())
    }
}

/// A name as RFC 4514 writes it: the last part first.
fn distinguished_name(name: &[u8], common_names: &mut Vec<String>) -> Result<String, Malformed> {
    let mut reader = Element::only(name, der::SEQUENCE)?.reader();
    let mut parts = Vec::new();
    while !reader.is_empty() {
        let mut set = reader.expect(der::SET)?.reader();
        let mut part = String::new();
        while !set.is_empty() {
            let mut attribute = set.expect(der::SEQUENCE)?.reader();
            let id = attribute.expect(der::OBJECT_IDENTIFIER)?.contents;
            let value = attribute.element()?;
            attribute.end()?;
            let text = text(value)?;
            if id == COMMON_NAME {
                common_names.push(text.ok_or(Malformed)?.to_owned());
            }
            if !part.is_empty() {
                part.push('+');
            }
            let known = ATTRIBUTE_TYPES.iter().find(|(known, _)| *known == id);
            match (known, text) {
                (Some((_, name)), Some(text)) => {
                    part += name;
                    part.push('=');
                    escape(text, &mut part);
                }
                _ => {
                    let hex = value.whole.iter().map(|byte| format!("{byte:02x}"));
                    part += &format!("{}=#{}", der::dotted(id)?, hex.collect::<String>());
                }
            }
        }
        if part.is_empty() {
            return Err(Malformed);
        }
        parts.push(part);
    }
    parts.reverse();
    Ok(parts.join(","))
}

/// The text of a string, if it is of a type that certificates should have (RFC 5280 section 4.1.2.4).
fn text(value: Element<'_>) -> Result<Option<&str>, Malformed> {
    match value.tag {
        der::UTF8_STRING | der::PRINTABLE_STRING | der::IA5_STRING => {
            let text = std::str::from_utf8(value.contents).map_err(|_| Malformed)?;
            let is_ascii = value.tag == der::UTF8_STRING || text.is_ascii();
            if is_ascii && !text.chars().any(char::is_control) { Ok(Some(text)) } else { Err(Malformed) }
        }
        _ => Ok(None),
    }
}

/// RFC 4514 section 2.4.
fn escape(text: &str, into: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (place, character) in text.chars().enumerate() {
        let special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (place == 0 && matches!(character, ' ' | '#'))
            || (place == last && character == ' ');
        if special {
            into.push('\\');
        }
        into.push(character);
    }
}
