//! A session as bytes, before it is sealed: as short as it can be, and read back exactly.
//!
//! Fields in order; numbers are LEB128, texts have their length before them. An upstream's session id that is a UUID or 32
//! hexadecimal digits, all of one case, takes 16 bytes. There is one encoding of each value: whatever is longer than need be,
//! or followed by more, is none.

use mcpg_protocol::Revision;

use super::{SessionToken, UpstreamRef};
use crate::upstream::ClientProfile;

const PLAIN: u8 = 0;
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// Forms of an id that are packed to 16 bytes: mark, with dashes, in upper case.
const PACKED: [(u8, bool, bool); 4] =
    [(1, true, false), (2, true, true), (3, false, false), (4, false, true)];

/// Writes a session.
pub(super) fn encode(token: &SessionToken) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&token.nonce);
    out.extend_from_slice(&token.caller);
    number(&mut out, token.expires);
    text(&mut out, &token.endpoint);
    out.push(revision_mark(token.client.protocol));
    text(&mut out, &token.client.capabilities);
    text(&mut out, &token.client.info);
    number(&mut out, token.upstreams.len() as u64);
    for upstream in &token.upstreams {
        text(&mut out, &upstream.binding);
        out.push(revision_mark(upstream.protocol));
        id(&mut out, &upstream.id);
    }
    out
}

/// Reads a session; none if the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Option<SessionToken> {
    let mut reader = Reader(bytes);
    let nonce = *reader.chunk()?;
    let caller = *reader.chunk()?;
    let expires = reader.number()?;
    let endpoint = reader.text()?.into();
    let client = ClientProfile {
        protocol: reader.revision()?,
        capabilities: reader.text()?.into(),
        info: reader.text()?.into(),
    };
    let count = usize::try_from(reader.number()?).ok()?;
    // An upstream takes three bytes at least, so no number makes this reserve more than the text is worth.
    let mut upstreams = Vec::with_capacity(count.min(reader.0.len() / 3));
    for _ in 0..count {
        let binding = reader.text()?.into();
        let protocol = reader.revision()?;
        upstreams.push(UpstreamRef { binding, protocol, id: reader.id()? });
    }
    reader.0.is_empty().then_some(SessionToken { nonce, caller, endpoint, expires, client, upstreams })
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    number(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

fn id(out: &mut Vec<u8>, value: &str) {
    for (mark, dashed, upper) in PACKED {
        if let Some(packed) = pack(value, dashed, upper) {
            out.push(mark);
            out.extend_from_slice(&packed);
            return;
        }
    }
    out.push(PLAIN);
    text(out, value);
}

fn pack(value: &str, dashed: bool, upper: bool) -> Option<[u8; 16]> {
    if value.len() != if dashed { 36 } else { 32 } {
        return None;
    }
    let mut packed = [0; 16];
    let mut digits = 0;
    for (index, byte) in value.bytes().enumerate() {
        if dashed && DASHES.contains(&index) {
            (byte == b'-').then_some(())?;
            continue;
        }
        let nibble = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' if !upper => byte - b'a' + 10,
            b'A'..=b'F' if upper => byte - b'A' + 10,
            _ => return None,
        };
        let place: &mut u8 = packed.get_mut(digits / 2)?;
        *place = *place << 4 | nibble;
        digits += 1;
    }
    // Without a letter, both cases write it alike: one of them is the form.
    (!upper || value.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(packed)
}

fn unpack(packed: &[u8; 16], dashed: bool, upper: bool) -> Box<str> {
    let mut text = String::with_capacity(36);
    for nibble in packed.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        if dashed && DASHES.contains(&text.len()) {
            text.push('-');
        }
        let letter = if upper { b'A' } else { b'a' };
        text.push(char::from(if nibble < 10 { b'0' + nibble } else { letter + nibble - 10 }));
    }
    text.into_boxed_str()
}

const fn revision_mark(revision: Revision) -> u8 {
    match revision {
        Revision::V2025_03_26 => 1,
        Revision::V2025_06_18 => 2,
        Revision::V2025_11_25 => 3,
        Revision::V2026_07_28 => 4,
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn chunk<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn revision(&mut self) -> Option<Revision> {
        let mark = self.byte()?;
        Revision::SUPPORTED.iter().copied().find(|revision| revision_mark(*revision) == mark)
    }

    fn id(&mut self) -> Option<Box<str>> {
        let mark = self.byte()?;
        if mark == PLAIN {
            let text = self.text()?;
            let packable = PACKED.iter().any(|&(_, dashed, upper)| pack(text, dashed, upper).is_some());
            return (!packable).then(|| text.into());
        }
        let &(_, dashed, upper) = PACKED.iter().find(|(packed, ..)| *packed == mark)?;
        let text = unpack(self.chunk()?, dashed, upper);
        // In upper case only where that can be told.
        (!upper || text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(text)
    }
}

#[cfg(test)]
mod tests;
