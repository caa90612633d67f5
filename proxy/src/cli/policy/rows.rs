//! The decisions in an audit folder, one after the other: a segment at a time is in memory, and segments of before are not read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use mcpg::audit::verify_dir::{lanes_below, segments};
use mcpg_ledger::SegmentHeader;
use mcpg_ledger::verify::{Decision, RowBody, records};

use super::opinion::Opinion;

/// A header is never longer.
const HEADER_BYTES_MAX: u64 = 8 * 1024;

/// One recorded decision.
pub(super) struct Row {
    pub(super) time: u64,
    pub(super) decision: Box<Decision>,
}

impl Row {
    pub(super) fn request_id(&self) -> String {
        self.decision.request_id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What was decided then.
    pub(super) fn opinion(&self) -> Opinion {
        let row = &self.decision;
        let denied = row.verdict == "deny";
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.dedup();
            list
        };
        Opinion {
            decision: if denied { "deny" } else { "permit" },
            engine: denied.then(|| row.engine.clone()),
            code: row.deny_code.clone(),
            message: None,
            policies: sorted(&row.policies),
            obligations: sorted(&row.obligations),
        }
    }
}

/// Hands every decision from `since` to `until` (nanoseconds since 1970) to `take`, lane by lane in order, until it returns false.
/// What is torn at the end of a segment that is being written is left out.
pub(super) fn decisions(
    dir: &Path,
    since: u64,
    until: u64,
    mut take: impl FnMut(Row) -> bool,
) -> anyhow::Result<()> {
    for lane in lanes_below(dir)? {
        let segments = segments(&lane)?;
        for (index, (_, path)) in segments.iter().enumerate() {
            // A segment's rows are older than the next one's header.
            let next = segments.get(index + 1).map(|(_, next)| begun(next)).transpose()?.flatten();
            if next.is_some_and(|next| next < since) {
                continue;
            }
            let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            for record in records(&bytes) {
                let Ok(record) = record else { break };
                let time = record.row.time;
                if let RowBody::Decision(decision) = record.row.body
                    && (since..=until).contains(&time)
                    && !take(Row { time, decision })
                {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// When a segment was begun; none if it has no header yet.
fn begun(path: &Path) -> anyhow::Result<Option<u64>> {
    let shown = || format!("cannot read `{}`", path.display());
    let mut head = Vec::new();
    File::open(path)
        .with_context(shown)?
        .take(HEADER_BYTES_MAX)
        .read_to_end(&mut head)
        .with_context(shown)?;
    Ok(SegmentHeader::decode(&head).ok().map(|(header, _)| header.time))
}
