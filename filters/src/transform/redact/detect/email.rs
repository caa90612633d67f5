//! E-mail addresses (RFC 5321 section 4.1.2, RFC 6531): `local@domain`, the sign also as `%40` and `&#64;`.

use mcpg_sdk::Detector;

use super::Found;

/// How the sign is written.
const SIGNS: [&str; 5] = ["@", "%40", "&#64;", "&#x40;", "&commat;"];

/// Finds addresses. Goes back to the sign before at most, so every byte is looked at twice.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let (mut from, mut floor) = (0, 0);
    while let Some(offset) = memchr::memchr3(b'@', b'%', b'&', bytes.get(from..).unwrap_or_default()) {
        let sign = from + offset;
        let rest = text.get(sign..).unwrap_or_default();
        let Some(after) = SIGNS.iter().find(|written| rest.starts_with(**written)).map(|it| sign + it.len())
        else {
            from = sign + 1;
            continue;
        };
        let start = local_part(bytes, floor, sign);
        let end = after + domain(bytes.get(after..).unwrap_or_default());
        (from, floor) = (after, after);
        if start < sign && end > after {
            found.push(Found { start, end, detector: Detector::Email });
            (from, floor) = (end, end);
        }
    }
}

/// The same for every spelling of an address.
pub(super) fn canonical(address: &str) -> String {
    let mut address = address.to_lowercase();
    for sign in SIGNS.iter().skip(1) {
        if let Some((local, domain)) = address.rsplit_once(sign) {
            address = format!("{local}@{domain}");
        }
    }
    address
}

/// Where the local part begins.
fn local_part(bytes: &[u8], floor: usize, sign: usize) -> usize {
    let before = bytes.get(floor..sign).unwrap_or_default();
    if let Some(quoted) = before.strip_suffix(b"\"")
        && let Some(open) = memchr::memrchr(b'"', quoted)
    {
        return floor + open;
    }
    // `?` and `&` are allowed in an address, but stand before it in the query of a URL.
    let length = before.iter().rev().take_while(|byte| is_local(**byte)).count();
    let start = sign - length;
    let marks = |byte: &&u8| b"'.*`=/|{}".contains(*byte);
    start + bytes.get(start..sign).unwrap_or_default().iter().take_while(marks).count()
}

/// The length of the domain: labels with a dot between, the last of letters; or an address literal.
fn domain(bytes: &[u8]) -> usize {
    if bytes.first() == Some(&b'[') {
        let inside = bytes.iter().skip(1).take(48);
        let length =
            inside.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':')).count();
        let closed = length > 2 && bytes.get(length + 1) == Some(&b']');
        return if closed { length + 2 } else { 0 };
    }
    let (mut end, mut at) = (0, 0);
    let mut labels = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let label = rest.iter().take_while(|byte| is_label(**byte)).count();
        let name = rest.get(..label).unwrap_or_default();
        let trimmed = label - name.iter().rev().take_while(|byte| **byte == b'-').count();
        if trimmed == 0 {
            break;
        }
        labels += 1;
        let starts_well = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
        if labels > 1 && trimmed > 1 && starts_well {
            end = at + trimmed;
        }
        if rest.get(label) != Some(&b'.') {
            break;
        }
        at += label + 1;
    }
    end
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b".!#$%'*+/=^_`{|}~-".contains(&byte)
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'-' | b'_')
}
