//! `Client-Cert` and `Client-Cert-Chain` (RFC 9440), read strictly.
//!
//! Each certificate is a byte sequence of RFC 8941 section 3.3.5: base64 between colons. What a lenient reader might
//! still make something of (parameters, missing padding, other items, blanks at the ends) is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::HEADER_BYTES_MAX;
use crate::identity::certificate::{CHAIN_MAX, PeerCertificate};

/// Reads the certificate that a proxy's client has presented.
pub(super) fn read(client_cert: &[u8], chain: Option<&[u8]>) -> Result<PeerCertificate, Malformed> {
    if client_cert.len() > HEADER_BYTES_MAX || chain.is_some_and(|chain| chain.len() > HEADER_BYTES_MAX) {
        return Err(Malformed);
    }
    let leaf = byte_sequence(client_cert)?;
    let mut others = Vec::new();
    for item in chain.into_iter().flat_map(|chain| chain.split(|byte| *byte == b',')) {
        if others.len() >= CHAIN_MAX {
            return Err(Malformed);
        }
        others.push(byte_sequence(trim(item))?.into_boxed_slice());
    }
    Ok(PeerCertificate::from_der(&leaf, others))
}

fn byte_sequence(item: &[u8]) -> Result<Vec<u8>, Malformed> {
    let encoded = item.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":")).ok_or(Malformed)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| Malformed)?;
    if bytes.is_empty() { Err(Malformed) } else { Ok(bytes) }
}

/// Without the blanks that a list may have around its commas.
fn trim(item: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = item.iter().position(|byte| !is_blank(byte)).unwrap_or(item.len());
    let end = item.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    item.get(start..end).unwrap_or_default()
}

/// No certificate by RFC 9440.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(client_cert: &str, chain: Option<&str>, expected: Result<(&[u8], &[&[u8]]), Malformed>) {
        let read = read(client_cert.as_bytes(), chain.map(str::as_bytes));
        let read =
            read.as_ref().map(|read| (read.leaf(), read.chain().collect::<Vec<_>>())).map_err(|error| *error);
        let expected = expected.map(|(leaf, chain)| (leaf, chain.to_vec()));
        assert_eq!(read, expected, "{client_cert:?} {chain:?}");
    }

    #[test]
    fn a_certificate_stands_between_colons() {
        check(":AQID:", None, Ok((&[1, 2, 3], &[])));
        check(":AQI=:", Some(":Aw==:"), Ok((&[1, 2], &[&[3]])));
        check(":AQ==:", Some(":Ag==:, :Aw==:\t,:BA==:"), Ok((&[1], &[&[2], &[3], &[4]])));
    }

    #[test]
    fn whatever_else_is_there_is_refused() {
        for item in [
            "",
            ":",
            "::",
            ":AQID",
            "AQID:",
            "AQID",
            ":AQI:",
            ":AQJ=:",
            ":A:",
            ":AQ ID:",
            ":AQ-_:",
            ":AQID:;a=1",
            ":AQID:, :AQID:",
            " :AQID:",
            ":AQID: ",
            "\"AQID\"",
            "?1",
            ":AQID::AQID:",
            ":AQ\0D:",
            ":AQID:\n",
            "%3AAQID%3A",
        ] {
            check(item, None, Err(Malformed));
            if !matches!(item, " :AQID:" | ":AQID: " | ":AQID:, :AQID:") {
                check(":AQID:", Some(item), Err(Malformed));
            }
        }
        for chain in [":AQID:,", ",:AQID:", ":AQID:,,:AQID:", ":AQID: :AQID:", "(:AQID:)"] {
            check(":AQID:", Some(chain), Err(Malformed));
        }
        let long = [":AQID:"; CHAIN_MAX + 1].join(",");
        check(":AQID:", Some(&long), Err(Malformed));
        check(&format!(":{}:", "AAAA".repeat(HEADER_BYTES_MAX / 4)), None, Err(Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(leaf in prop::collection::vec(any::<u8>(), 1..200), other in prop::collection::vec(any::<u8>(), 1..200)) {
            let item = |bytes: &[u8]| format!(":{}:", STANDARD.encode(bytes));
            let read = read(item(&leaf).as_bytes(), Some(item(&other).as_bytes())).unwrap();
            prop_assert_eq!(read.leaf(), leaf);
            prop_assert_eq!(read.chain().collect::<Vec<_>>(), [other]);
        }

        #[test]
        fn no_bytes_make_it_panic(client_cert: Vec<u8>, chain: Option<Vec<u8>>) {
            let _ = read(&client_cert, chain.as_deref());
        }
    }
}
