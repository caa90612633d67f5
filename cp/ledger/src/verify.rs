//! The independent verifier: reads segments and says whether they are one unbroken, signed chain.
//!
//! INVARIANT: nothing here uses the writing half of this crate. Constants, decoding and hashing are written a second time
//! from `docs/AUDIT.md`, so that an error in one half shows as a disagreement between the two.
//!
//! What it can and cannot tell: an edited, deleted, inserted, swapped, repeated or foreign row is named. Whoever
//! rewrites every hash from an edited row on is caught by the next checkpoint's signature. Rows cut off at the very end leave a
//! chain that is whole but shorter; that is found only against a checkpoint kept elsewhere ([`Expected`]).

mod format;
mod record;
mod report;
mod row;
mod sources;
mod split;
mod walk;

use std::fmt;
use std::str::FromStr;

pub use ed25519_dalek::VerifyingKey;
pub use record::{Record, RecordError, Records, records};
pub use report::{BadRow, Damage, Place, Report, Standing, TornTail};
pub use row::{Approval, Checkpoint, Decision, Forwarded, Hole, Lifecycle, Operator, Outcome, Row, RowBody};
pub use split::Splitter;
pub use walk::Verifier;

use crate::verify::format::{Hash, hex, key_id};

/// What the person who verifies brings along.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The public keys that may have signed. Without any, nothing verifies.
    pub keys: Vec<VerifyingKey>,
    /// Heads known from elsewhere: the log must contain each.
    pub expected: Vec<Expected>,
    /// Whether the log may begin after row 1, behind a signed segment header: older segments were removed by retention.
    pub allow_removed_prefix: bool,
    /// Whose log it must be, where that is known.
    pub organization: Option<String>,
}

/// A head known from elsewhere: an exported checkpoint, or one written down as `CHAIN:SEQ:HASH` (as reports print it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The chain it belongs to.
    pub chain: [u8; 16],
    /// The row's number.
    pub seq: u64,
    /// The row's hash.
    pub hash: Hash,
}

/// Why a line is no exported checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Another text.
    #[error("not a line `mcpg-audit-checkpoint-v1 <hexadecimal>`")]
    Shape,
    /// Signed by a key that is not trusted.
    #[error("the checkpoint is signed by the unknown key `{}`", hex(key))]
    UnknownKey {
        /// The key's id.
        key: Hash,
    },
    /// The signature does not fit.
    #[error("the checkpoint's signature is wrong")]
    Signature,
}

impl Expected {
    /// Reads a line of a `checkpoints` file and checks its signature.
    ///
    /// # Errors
    /// When it is no such line or not signed by one of the keys.
    pub fn from_line(line: &str, keys: &[VerifyingKey]) -> Result<Self, LineError> {
        let digits = line.trim_end().strip_prefix("mcpg-audit-checkpoint-v1 ").ok_or(LineError::Shape)?;
        let bytes = format::unhex(digits).ok_or(LineError::Shape)?;
        let Some(Row { body: RowBody::Checkpoint(checkpoint), .. }) = row::decode(&bytes) else {
            return Err(LineError::Shape);
        };
        let key = keys
            .iter()
            .find(|key| key_id(key) == checkpoint.key)
            .ok_or(LineError::UnknownKey { key: checkpoint.key })?;
        if !format::checkpoint_is_signed(&bytes, key) {
            return Err(LineError::Signature);
        }
        Ok(Self { chain: checkpoint.chain, seq: checkpoint.seq, hash: checkpoint.head })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", hex(&self.chain), self.seq, hex(&self.hash))
    }
}

impl FromStr for Expected {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (chain, rest) = text.split_once(':')?;
            let (seq, hash) = rest.split_once(':')?;
            Some(Self {
                chain: format::unhex(chain)?.try_into().ok()?,
                seq: seq.parse().ok()?,
                hash: format::unhex(hash)?.try_into().ok()?,
            })
        };
        parse().ok_or_else(|| HeadError { text: text.to_owned() })
    }
}

/// Why a text is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not `CHAIN:SEQ:HASH`, with chain and hash in hexadecimal")]
pub struct HeadError {
    text: String,
}

/// Verifies segments in order. Each is a name and its bytes, read one at a time.
pub fn verify<N, B>(segments: impl IntoIterator<Item = (N, B)>, trust: &Trust) -> Report
where
    N: AsRef<str>,
    B: AsRef<[u8]>,
{
    let mut verifier = Verifier::new(trust);
    let mut segments = segments.into_iter().peekable();
    while let Some((name, bytes)) = segments.next() {
        verifier.segment(name.as_ref(), bytes.as_ref(), segments.peek().is_none());
    }
    verifier.finish()
}
