//! An organization's chain as a file: segments of the ledger's own format, one behind another, made while they are sent.
//!
//! Rows go out as the database has them, each with the hash that it has there: what was changed there is found where it stands. A part of the
//! chain begins and ends at a signed row. At most a page of rows is in memory.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use mcpg_ledger::{Head, SegmentHeader, key_id, record};

use std::sync::Arc;

use crate::api::service::Service;
use crate::store::{ExportRange, Scoped, StoreError};

/// A segment is begun anew after so many bytes.
const SEGMENT_BYTES: usize = 16 << 20;
const ROWS_AT_ONCE: u32 = 256;

/// Where an export is.
struct Export {
    scope: Scoped,
    service: Arc<Service>,
    range: ExportRange,
    /// The last row that was sent, and the last checkpoint before it.
    at: Head,
    checkpoint: [u8; 32],
    /// Bytes of the segment so far; none before its header.
    segment: Option<usize>,
}

/// The bytes of a part of a chain.
pub fn body(scope: Scoped, service: Arc<Service>, range: ExportRange) -> Body {
    let (at, checkpoint) = (range.previous, range.previous_checkpoint);
    let export = Export { scope, service, range, at, checkpoint, segment: None };
    Body::from_stream(unfold(Some(export), |export| async move {
        let mut export = export?;
        match export.next().await {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => Some((Ok(bytes), Some(export))),
            Err(error) => {
                tracing::warn!(
                    organization = export.range.organization,
                    error = &error as &dyn std::error::Error,
                    "an export of audit rows was cut off"
                );
                Some((Err(error), None))
            }
        }
    }))
}

impl Export {
    /// The next piece; empty at the end.
    async fn next(&mut self) -> Result<Bytes, StoreError> {
        let mut bytes = Vec::new();
        if self.segment.is_none_or(|size| size >= SEGMENT_BYTES) {
            if self.segment.is_some() && self.at.seq >= self.range.up_to {
                return Ok(Bytes::new());
            }
            self.header(&mut bytes);
            self.segment = Some(0);
        }
        if self.at.seq < self.range.up_to {
            let mut read = self.scope.read().await?;
            for row in read.chain_rows(self.at.seq, self.range.up_to, ROWS_AT_ONCE).await? {
                // What retention has removed meanwhile is missing: the reader of half an export must know.
                if row.head.seq != self.at.seq + 1 {
                    return Err(StoreError::Corrupt { what: "audit rows: some were removed meanwhile" });
                }
                record(row.head, &row.bytes, &mut bytes)
                    .map_err(|_| StoreError::Corrupt { what: "an audit row" })?;
                if let Some(hash) = row.checkpoint {
                    self.checkpoint = hash;
                }
                self.at = row.head;
            }
        }
        let sent = bytes.len();
        self.segment = self.segment.map(|size| size + sent);
        Ok(bytes.into())
    }

    fn header(&self, out: &mut Vec<u8>) {
        let key = self.service.audit.key();
        SegmentHeader {
            time: u64::try_from(self.service.clock.now()).unwrap_or_default().saturating_mul(1_000_000),
            organization: self.range.organization.clone(),
            chain: self.range.chain,
            instance: "control-plane".to_owned(),
            previous: self.at,
            previous_checkpoint: self.checkpoint,
            key: key_id(&key.verifying_key()),
        }
        .encode(key, out);
    }
}
