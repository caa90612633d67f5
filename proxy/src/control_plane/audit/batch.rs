//! What goes to the control plane at once: rows, and holes where rows are not sent.

use std::collections::{HashSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::{AuditEntry, AuditHead, AuditHole, AuditHoleCause, AuditUpload};
use mcpg_ledger::verify::{Row, RowBody};
use mcpg_ledger::{ChainId, Head};

/// A batch ends at the first of these. A row of any size goes by itself; what the control plane takes is a multiple.
pub(super) const ENTRIES_MAX: usize = 1000;
pub(super) const BYTES_MAX: usize = 1 << 20;
/// Requests whose rows are not sent, of which outcomes are still to come.
const ELSEWHERE_MAX: usize = 16_384;

/// Rows that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) entries: Vec<AuditEntry>,
    /// The last of them.
    pub(super) last: Head,
}

impl Batch {
    /// As it is sent, behind a row that is kept.
    pub(super) fn upload(&self, chain: &ChainId, previous: Head) -> AuditUpload {
        AuditUpload {
            log: hex(chain),
            previous: AuditHead { sequence: previous.seq, hash: hex(&previous.hash) },
            rows: self.entries.clone(),
            last: hex(&self.last.hash),
        }
    }
}

/// Fills a batch.
#[derive(Debug)]
pub(super) struct Filling {
    batch: Batch,
    bytes: usize,
}

impl Filling {
    pub(super) fn behind(head: Head) -> Self {
        Self { batch: Batch { entries: Vec::new(), last: head }, bytes: 0 }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.entries.is_empty()
    }

    /// Whether a row of so many bytes goes into the next batch.
    pub(super) fn is_full_for(&self, bytes: usize) -> bool {
        let entries = self.batch.entries.len();
        entries >= ENTRIES_MAX || (entries > 0 && self.bytes.saturating_add(bytes) > BYTES_MAX)
    }

    /// Adds a row, after which the head is `after`.
    pub(super) fn row(&mut self, row: &[u8], after: Head) {
        self.bytes += row.len();
        self.batch.entries.push(AuditEntry::Row(URL_SAFE_NO_PAD.encode(row)));
        self.batch.last = after;
    }

    /// Adds rows that are not sent, up to a head.
    pub(super) fn leave_out(&mut self, to: Head, cause: AuditHoleCause) {
        let missing = to.seq.saturating_sub(self.batch.last.seq);
        match self.batch.entries.last_mut() {
            Some(AuditEntry::Missing(hole)) if hole.cause == cause => {
                hole.missing += missing;
                hole.hash = hex(&to.hash);
            }
            _ => self.batch.entries.push(AuditEntry::Missing(AuditHole {
                missing,
                hash: hex(&to.hash),
                cause,
            })),
        }
        self.batch.last = to;
    }

    /// The batch, if there is anything in it.
    pub(super) fn finish(self) -> Option<Batch> {
        (!self.batch.entries.is_empty()).then_some(self.batch)
    }
}

/// Tells rows apart that are about environments which the gateway is not enrolled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Sieve {
    elsewhere: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Sieve {
    /// Whether a row is sent. What cannot be read is not.
    pub(super) fn passes(&mut self, row: &[u8], places: &HashSet<(String, String)>) -> bool {
        let Some(row) = Row::decode(row) else { return false };
        match row.body {
            RowBody::Decision(decision) => {
                let request = decision.request_id;
                let passes = places.contains(&(decision.workspace, decision.environment));
                if !passes && self.elsewhere.insert(request) {
                    self.order.push_back(request);
                    if self.order.len() > ELSEWHERE_MAX
                        && let Some(oldest) = self.order.pop_front()
                    {
                        self.elsewhere.remove(&oldest);
                    }
                }
                passes
            }
            RowBody::Outcome(outcome) => !self.elsewhere.contains(&outcome.request_id),
            RowBody::Approval(approval) => !self.elsewhere.contains(&approval.request_id),
            _ => true,
        }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digits back to bytes.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
