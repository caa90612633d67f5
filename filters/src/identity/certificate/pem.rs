//! Textual encodings of certificates (RFC 7468), read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
pub(crate) const CRL: &str = "X509 CRL";

/// One block: what it is, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) contents: Vec<u8>,
}

/// The blocks of a text. What is between them is explanation, and passed over.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            if line.starts_with("-----") {
                return Err(PemError);
            }
            continue;
        };
        let mut encoded = String::new();
        loop {
            let line = lines.next().ok_or(PemError)?;
            if let Some(end) = line.strip_prefix("-----END ") {
                if end.strip_suffix("-----") != Some(label) {
                    return Err(PemError);
                }
                break;
            }
            encoded += line.trim();
        }
        let contents = STANDARD.decode(encoded).map_err(|_| PemError)?;
        blocks.push(Block { label, contents });
    }
    Ok(blocks)
}

/// No PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no PEM: a block is not closed, or its base64 is malformed")]
pub(crate) struct PemError;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &[u8])], PemError>) {
        let blocks = blocks(text);
        let blocks = blocks.as_ref().map(|blocks| {
            blocks.iter().map(|block| (block.label, block.contents.as_slice())).collect::<Vec<_>>()
        });
        assert_eq!(blocks, expected.as_ref().map(|blocks| blocks.to_vec()), "{text:?}");
    }

    #[test]
    fn blocks_stand_between_their_marks() {
        let one = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        check("", Ok(&[]));
        check("only words\n", Ok(&[]));
        check(one, Ok(&[("CERTIFICATE", &[1, 2, 3])]));
        check(&one.replace('\n', "\r\n"), Ok(&[("CERTIFICATE", &[1, 2, 3])]));
        let two = format!("# root\n{one}words\n-----BEGIN X509 CRL-----\nAQ\nID\n-----END X509 CRL-----");
        check(&two, Ok(&[("CERTIFICATE", &[1, 2, 3]), ("X509 CRL", &[1, 2, 3])]));
        for broken in [
            one.replace("END CERTIFICATE", "END X509 CRL"),
            one.replace("AQID", "AQI"),
            one.replace("AQID", "AQ!D"),
            one.replace("AQID", "AQIDB==="),
            one.replace("-----END CERTIFICATE-----", ""),
            one.replace("-----BEGIN", "-----BEGAN"),
            format!("-----BEGIN CERTIFICATE-----\n{one}"),
        ] {
            check(&broken, Err(PemError));
        }
    }
}
