//! The chain: each row's hash covers the hash of the row before it.
//!
//! `hash(n) = BLAKE3-keyed(ROW, hash(n-1) || n || row)`, `hash(0) = BLAKE3-keyed(GENESIS, org || chain id)`. The key of a
//! keyed hash is a public constant here: it separates the domains, so that no hash made for one purpose is
//! one of another.

use crate::encode::{self, FORWARDED, FORWARDING_BYTES_MAX, ROW_BYTES_MAX, RowError};
use crate::row::RowRef;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Tells two chains of one organization apart: random, made when a log is created.
pub type ChainId = [u8; 16];

const GENESIS: &Hash = b"mcpg audit v1: genesis of chain ";
const ROW: &Hash = b"mcpg audit v1: hash of one row  ";

/// The most that a record's row has: a row of any size fits into a chain that it is forwarded to.
const RECORD_ROW_BYTES_MAX: usize = ROW_BYTES_MAX + FORWARDING_BYTES_MAX;

/// A place in the chain: the last row so far and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The sequence number of the last row; the first row is 1, an empty chain stands at 0.
    pub seq: u64,
    /// That row's hash, or the genesis hash.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty chain.
    pub fn genesis(organization: &str, chain: &ChainId) -> Self {
        let mut bytes = Vec::with_capacity(organization.len() + 20);
        encode::text(organization, &mut bytes);
        bytes.extend_from_slice(chain);
        Self { seq: 0, hash: *blake3::keyed_hash(GENESIS, &bytes).as_bytes() }
    }

    /// Appends the record of a row to `out` and returns the head after it. `self` stays as it is: the caller
    /// takes the new head over once the bytes are written.
    ///
    /// # Errors
    /// When the row is over its limit; `out` is as before.
    pub fn append(&self, row: &RowRef<'_>, out: &mut Vec<u8>) -> Result<Self, RowError> {
        self.append_with(out, |out| encode::encode(row, out))
    }

    /// The same for a row that is already encoded (see [`RowRef::encode`]).
    ///
    /// # Errors
    /// When the row is over its limit; `out` is as before.
    pub fn append_encoded(&self, row: &[u8], out: &mut Vec<u8>) -> Result<Self, RowError> {
        self.append_with(out, |out| out.extend_from_slice(row))
    }

    /// A record is `len u32 | hash | seq u64 | row`. The slot of the hash holds the previous hash while the row is hashed, so
    /// that what is hashed lies in one piece.
    fn append_with(&self, out: &mut Vec<u8>, row: impl FnOnce(&mut Vec<u8>)) -> Result<Self, RowError> {
        let start = out.len();
        let seq = self.seq.wrapping_add(1);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&seq.to_le_bytes());
        let row_start = out.len();
        row(out);
        let bytes = out.len() - row_start;
        let is_forwarded = out.get(row_start + 1) == Some(&FORWARDED);
        let limit = if is_forwarded { RECORD_ROW_BYTES_MAX } else { ROW_BYTES_MAX };
        let Some(len) = u32::try_from(bytes).ok().filter(|_| bytes <= limit) else {
            out.truncate(start);
            return Err(RowError::TooLong { bytes });
        };
        let record = out.get_mut(start..).unwrap_or_default();
        let Some((len_slot, hashed)) = record.split_first_chunk_mut::<4>() else {
            return Err(RowError::TooLong { bytes });
        };
        *len_slot = len.to_le_bytes();
        let hash = *blake3::keyed_hash(ROW, hashed).as_bytes();
        if let Some(slot) = hashed.first_chunk_mut::<32>() {
            *slot = hash;
        }
        Ok(Self { seq, hash })
    }

    /// The head after a row whose bytes are known, without writing it anywhere.
    pub fn after(&self, row: &[u8]) -> Self {
        let seq = self.seq.wrapping_add(1);
        let mut hasher = blake3::Hasher::new_keyed(ROW);
        hasher.update(&self.hash).update(&seq.to_le_bytes()).update(row);
        Self { seq, hash: *hasher.finalize().as_bytes() }
    }

    /// The head after a row that is already in the log; none if the row does not follow.
    pub(crate) fn follow(&self, record: &Record<'_>) -> Option<Self> {
        let after = self.after(record.row);
        (record.seq == after.seq && record.hash == after.hash).then_some(after)
    }
}

/// Appends a record as it is kept somewhere: `head` is the row's number and the hash that is kept with it, right or wrong.
///
/// # Errors
/// When the row is over its limit; `out` is as before.
pub fn record(head: Head, row: &[u8], out: &mut Vec<u8>) -> Result<(), RowError> {
    let too_long = RowError::TooLong { bytes: row.len() };
    let len = u32::try_from(row.len()).ok().filter(|_| row.len() <= RECORD_ROW_BYTES_MAX).ok_or(too_long)?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&head.hash);
    out.extend_from_slice(&head.seq.to_le_bytes());
    out.extend_from_slice(row);
    Ok(())
}

impl RowRef<'_> {
    /// Appends the row's canonical bytes, without a place in a chain.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode::encode(self, out);
    }
}

/// One record as found in a segment.
pub(crate) struct Record<'a> {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) row: &'a [u8],
    /// Size of the whole record.
    pub(crate) len: usize,
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`, if it is there whole.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let row_len =
            usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= RECORD_ROW_BYTES_MAX)?;
        let row = rest.get(..row_len)?;
        Some(Self { seq: u64::from_le_bytes(*seq), hash: *hash, row, len: 44 + row_len })
    }
}
