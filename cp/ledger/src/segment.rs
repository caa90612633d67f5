//! A segment: a signed header, then records.
//!
//! `magic | len u32 | body | signature`. The signature binds the header to the organization, the chain, the place in it and
//! the key, so that the first segment that is left after a retention run is itself a signed anchor.

use ed25519_dalek::{Signer, SigningKey};

use crate::checkpoint::{KeyId, key_id};
use crate::encode;
use crate::{ChainId, Hash, Head, UnixNanos};

const MAGIC: &[u8; 8] = b"MCPGAUD\x01";
const SIGNED: &[u8] = b"mcpg audit v1: signed seg header";

/// The body of a header is never larger than this.
const HEADER_BYTES_MAX: usize = 4096;

/// What a record takes beside its row.
pub const RECORD_OVERHEAD: usize = 44;

/// What a segment says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// When the segment was begun.
    pub time: UnixNanos,
    /// The chain's organization.
    pub organization: String,
    /// The chain.
    pub chain: ChainId,
    /// The gateway instance that began the segment.
    pub instance: String,
    /// The head before the segment's first row.
    pub previous: Head,
    /// The hash of the last checkpoint before the segment; zeros if there is none.
    pub previous_checkpoint: Hash,
    /// The key that signs the header and the segment's checkpoints.
    pub key: KeyId,
}

/// Why the start of a segment is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The bytes end before the header does: a crash while the segment was begun.
    #[error("the segment's header is incomplete")]
    Incomplete,
    /// Not a segment, or one of a later version.
    #[error("not an audit segment of version 1")]
    NotASegment,
    /// A damaged header.
    #[error("the segment's header is damaged")]
    Damaged,
}

impl SegmentHeader {
    /// Appends the signed header. `self.key` is overwritten by the id of `key`.
    pub fn encode(&self, key: &SigningKey, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(256);
        encode::number(self.time, &mut body);
        encode::text(&self.organization, &mut body);
        body.extend_from_slice(&self.chain);
        encode::text(&self.instance, &mut body);
        encode::number(self.previous.seq, &mut body);
        body.extend_from_slice(&self.previous.hash);
        body.extend_from_slice(&self.previous_checkpoint);
        body.extend_from_slice(&key_id(&key.verifying_key()));
        let signature = key.sign(&[SIGNED, &body].concat());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(&signature.to_bytes());
    }

    /// Reads the header at the start of a segment and returns it with its size. The signature is for the verifier: the
    /// writer's key may have changed since.
    ///
    /// # Errors
    /// When there is none.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), SegmentError> {
        let shown = bytes.get(..MAGIC.len()).unwrap_or(bytes);
        if !MAGIC.starts_with(shown) {
            return Err(SegmentError::NotASegment);
        }
        let rest = bytes.get(MAGIC.len()..).ok_or(SegmentError::Incomplete)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(SegmentError::Incomplete)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| SegmentError::Damaged)?;
        if len > HEADER_BYTES_MAX {
            return Err(SegmentError::Damaged);
        }
        if rest.len() < len + 64 {
            return Err(SegmentError::Incomplete);
        }
        let body = rest.get(..len).ok_or(SegmentError::Incomplete)?;
        let header = Self::decode_body(body).ok_or(SegmentError::Damaged)?;
        Ok((header, MAGIC.len() + 4 + len + 64))
    }

    fn decode_body(mut body: &[u8]) -> Option<Self> {
        let input = &mut body;
        let header = Self {
            time: u64::from_le_bytes(take(input)?),
            organization: take_text(input)?,
            chain: take(input)?,
            instance: take_text(input)?,
            previous: Head { seq: u64::from_le_bytes(take(input)?), hash: take(input)? },
            previous_checkpoint: take(input)?,
            key: take(input)?,
        };
        body.is_empty().then_some(header)
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

fn take_text(input: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(u32::from_le_bytes(take(input)?)).ok()?;
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    String::from_utf8(head.to_vec()).ok()
}
