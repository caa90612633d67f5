//! The audit ledger: rows, the BLAKE3 chain over them, signed checkpoints, and an independent verifier.
//!
//! Pure: values in, values out. No file system, no clock, no randomness; the writer in the gateway brings those.
//!
//! Two halves share nothing but the hash and signature crates:
//! - the writing side ([`RowRef`], [`Head`], [`Checkpoint`], [`SegmentHeader`], [`scan()`]) encodes rows, chains them
//!   and finds the end of a log after a crash;
//! - [`verify`] decodes and checks with its own reading of the format, so that a mistake in the
//!   encoder cannot hide itself.
//!
//! The bytes are specified in `docs/AUDIT.md`.

mod chain;
mod checkpoint;
mod encode;
mod row;
mod scan;
mod segment;
pub mod verify;

#[cfg(test)]
mod tests;

pub use chain::{ChainId, Hash, Head, record};
pub use checkpoint::{Checkpoint, CheckpointClaim, KeyId, key_id};
pub use encode::{ROW_BYTES_MAX, RowError};
pub use row::{
    ApprovalEvent, ApprovalRef, Completion, DecisionRef, ForwardedRef, HoleCause, HoleRef, LifecycleEvent,
    LifecycleRef, OperatorRef, OutcomeRef, RequestId, RowRef, TargetRef, Texts, Verdict,
};
pub use scan::{Scan, Tail, follow, next_row, scan, scan_until};
pub use segment::{RECORD_OVERHEAD, SegmentError, SegmentHeader};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type UnixNanos = u64;
