//! Signed checkpoints: the chain's head under an Ed25519 signature, as a row of the chain and as a line to keep elsewhere.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::encode::{self, RowError};
use crate::{ChainId, Hash, Head, UnixNanos};

const KEY: &Hash = b"mcpg audit v1: id of public key ";
const CHECKPOINT: &Hash = b"mcpg audit v1: hash of chckpoint";
const SIGNED: &[u8] = b"mcpg audit v1: signed checkpoint";

/// Names a public key: a hash of it.
pub type KeyId = Hash;

/// The id of a public key.
pub fn key_id(key: &VerifyingKey) -> KeyId {
    *blake3::keyed_hash(KEY, key.as_bytes()).as_bytes()
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointClaim<'a> {
    /// When it was signed.
    pub time: UnixNanos,
    /// The chain's organization.
    pub organization: &'a str,
    /// The chain.
    pub chain: ChainId,
    /// The last row it covers, and that row's hash.
    pub head: Head,
    /// The hash of the checkpoint before it; zeros for the first.
    pub previous: Hash,
}

/// A signed checkpoint: the canonical bytes of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    row: Vec<u8>,
}

impl Checkpoint {
    /// Signs a claim.
    pub fn sign(claim: &CheckpointClaim<'_>, key: &SigningKey) -> Self {
        let mut row = Vec::with_capacity(256);
        encode::begin(encode::CHECKPOINT, claim.time, &mut row);
        encode::text(claim.organization, &mut row);
        row.extend_from_slice(&claim.chain);
        encode::number(claim.head.seq, &mut row);
        row.extend_from_slice(&claim.head.hash);
        row.extend_from_slice(&claim.previous);
        row.extend_from_slice(&key_id(&key.verifying_key()));
        let signature = key.sign(&message(&row));
        row.extend_from_slice(&signature.to_bytes());
        Self { row }
    }

    /// Whether the signature is this key's, by the strict rules (no small-order keys, no malleable signature).
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        self.row.split_last_chunk::<64>().is_some_and(|(claim, signature)| {
            key.verify_strict(&message(claim), &Signature::from_bytes(signature)).is_ok()
        })
    }

    /// The hash by which the next checkpoint names this one.
    pub fn hash(&self) -> Hash {
        hash_of(&self.row)
    }

    /// The hash by which the next checkpoint names a row; none if that is no checkpoint.
    pub fn hash_of(row: &[u8]) -> Option<Hash> {
        is_checkpoint(row).then(|| hash_of(row))
    }

    /// The canonical bytes of its row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.row
    }

    /// Appends the checkpoint to the chain as a row. Its claim must be about `head`.
    ///
    /// # Errors
    /// When the row is over its limit.
    pub fn append(&self, head: &Head, out: &mut Vec<u8>) -> Result<Head, RowError> {
        head.append_encoded(&self.row, out)
    }

    /// One line to be kept elsewhere: `mcpg-audit-checkpoint-v1 <row in hexadecimal>`.
    pub fn to_line(&self) -> String {
        Self::line_of(&self.row)
    }

    /// The same of the bytes of a checkpoint's row.
    pub fn line_of(row: &[u8]) -> String {
        let mut line = String::with_capacity(26 + 2 * row.len());
        line.push_str("mcpg-audit-checkpoint-v1 ");
        for byte in row {
            for nibble in [byte >> 4, byte & 15] {
                line.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        line
    }
}

/// The hash of a checkpoint's row.
pub(crate) fn hash_of(row: &[u8]) -> Hash {
    *blake3::keyed_hash(CHECKPOINT, row).as_bytes()
}

/// Whether a row is a checkpoint.
pub(crate) fn is_checkpoint(row: &[u8]) -> bool {
    row.get(1) == Some(&encode::CHECKPOINT)
}

fn message(claim: &[u8]) -> Vec<u8> {
    [SIGNED, claim].concat()
}
