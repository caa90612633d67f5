//! The logs of gateways within the chain of their organization: each is followed on its own, by number and hash.
//!
//! What is missing of a log must be said by a row. Only where the chain itself begins later, behind a signed anchor, may a log begin later too.

use std::collections::BTreeMap;

use super::format::{Hash, genesis};
use super::report::{Damage, Report};
use super::row::{Forwarded, Hole, RowBody};

/// How far each log has come.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<[u8; 16], (u64, Hash)>);

impl Sources {
    /// A gateway's row continues its log, and speaks of this organization. Its log's own signatures are for who has that gateway's key.
    pub(super) fn row(&mut self, row: &Forwarded, report: &mut Report) -> Result<(), Damage> {
        let organization = match &row.row.body {
            RowBody::Decision(decision) => Some(&decision.organization),
            RowBody::Checkpoint(checkpoint) => Some(&checkpoint.organization),
            _ => None,
        };
        if organization.is_some() && organization != report.organization.as_ref() {
            return Err(Damage::Foreign);
        }
        if let RowBody::Checkpoint(checkpoint) = &row.row.body
            && (checkpoint.chain != row.log
                || checkpoint.seq.wrapping_add(1) != row.seq
                || checkpoint.head != row.previous)
        {
            return Err(Damage::BadCheckpoint);
        }
        self.meet(row.log, (row.seq.wrapping_sub(1), Some(row.previous)), report)?;
        self.0.insert(row.log, (row.seq, row.hash));
        report.forwarded += 1;
        Ok(())
    }

    /// Rows that are not there, between two that are.
    pub(super) fn hole(&mut self, hole: &Hole, report: &mut Report) -> Result<(), Damage> {
        self.meet(hole.log, (hole.after, None), report)?;
        self.0.insert(hole.log, (hole.up_to, hole.hash));
        let [lost, elsewhere] = &mut report.not_forwarded;
        let count = if hole.cause == "lost" { lost } else { elsewhere };
        *count = count.saturating_add(hole.up_to - hole.after);
        Ok(())
    }

    /// Whether what follows `previous` is where the log has come to.
    fn meet(
        &self,
        log: [u8; 16],
        (before, previous): (u64, Option<Hash>),
        report: &mut Report,
    ) -> Result<(), Damage> {
        let (after, hash) = match self.0.get(&log) {
            Some(known) => *known,
            None => {
                report.logs += 1;
                if report.removed_up_to.is_some() {
                    return Ok(());
                }
                (0, genesis(report.organization.as_deref().unwrap_or_default(), &log))
            }
        };
        if before < after {
            return Err(Damage::Repeated { seq: before + 1 });
        }
        if before > after {
            return Err(Damage::Unaccounted { log, after });
        }
        if previous.is_some_and(|previous| previous != hash) { Err(Damage::Foreign) } else { Ok(()) }
    }
}
