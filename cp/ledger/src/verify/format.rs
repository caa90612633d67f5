//! The byte format, read by hand: constants, hashes, signatures, and a cursor that never reads past the end.

use ed25519_dalek::{Signature, VerifyingKey};

pub(super) type Hash = [u8; 32];

pub(super) const MAGIC: [u8; 8] = [b'M', b'C', b'P', b'G', b'A', b'U', b'D', 1];
/// A row, and what a forwarded one has around it.
pub(super) const ROW_LIMIT: usize = 1_048_576 + 1024;
pub(super) const HEADER_LIMIT: usize = 4096;
pub(super) const FRAME: usize = 4 + 32 + 8;

const DOMAIN_GENESIS: &[u8; 32] = b"mcpg audit v1: genesis of chain ";
const DOMAIN_ROW: &[u8; 32] = b"mcpg audit v1: hash of one row  ";
const DOMAIN_KEY: &[u8; 32] = b"mcpg audit v1: id of public key ";
const DOMAIN_CHECKPOINT: &[u8; 32] = b"mcpg audit v1: hash of chckpoint";
const PREFIX_CHECKPOINT: &[u8; 32] = b"mcpg audit v1: signed checkpoint";
const PREFIX_HEADER: &[u8; 32] = b"mcpg audit v1: signed seg header";

/// The hash before the first row.
pub(super) fn genesis(organization: &str, chain: &[u8; 16]) -> Hash {
    let mut hasher = blake3::Hasher::new_keyed(DOMAIN_GENESIS);
    let length = u32::try_from(organization.len()).unwrap_or(u32::MAX);
    hasher.update(&length.to_le_bytes());
    hasher.update(organization.as_bytes());
    hasher.update(chain);
    hasher.finalize().into()
}

/// The hash of a row at its place.
pub(super) fn row_hash(previous: &Hash, seq: u64, row: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new_keyed(DOMAIN_ROW);
    hasher.update(previous);
    hasher.update(&seq.to_le_bytes());
    hasher.update(row);
    hasher.finalize().into()
}

/// The id of a public key.
pub(super) fn key_id(key: &VerifyingKey) -> Hash {
    blake3::keyed_hash(DOMAIN_KEY, &key.to_bytes()).into()
}

/// The hash by which a checkpoint names the one before.
pub(super) fn checkpoint_hash(row: &[u8]) -> Hash {
    blake3::keyed_hash(DOMAIN_CHECKPOINT, row).into()
}

/// Whether a checkpoint's row ends in a signature of this key over the rest.
pub(super) fn checkpoint_is_signed(row: &[u8], key: &VerifyingKey) -> bool {
    is_signed(PREFIX_CHECKPOINT, row, key)
}

/// Whether a header's body and signature (in one piece) belong together.
pub(super) fn header_is_signed(body_and_signature: &[u8], key: &VerifyingKey) -> bool {
    is_signed(PREFIX_HEADER, body_and_signature, key)
}

fn is_signed(prefix: &[u8; 32], signed: &[u8], key: &VerifyingKey) -> bool {
    let Some((claim, signature)) = signed.split_last_chunk::<64>() else { return false };
    let mut message = prefix.to_vec();
    message.extend_from_slice(claim);
    key.verify_strict(&message, &Signature::from_bytes(signature)).is_ok()
}

/// A cursor over bytes. Each read takes from the front or gives none.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(*taken)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    /// A text: its length, then UTF-8.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        str::from_utf8(self.slice(length)?).ok().map(str::to_owned)
    }

    /// A list: its count, then texts.
    pub(super) fn texts(&mut self) -> Option<Vec<String>> {
        // Grows by what is really there, never by what the count claims.
        let mut texts = Vec::new();
        for _ in 0..self.u32()? {
            texts.push(self.text()?);
        }
        Some(texts)
    }

    /// An option or flag: 0 or 1, nothing else.
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte / 16, byte % 16] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
        text
    })
}

/// Hexadecimal back to bytes.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?)).collect()
}
