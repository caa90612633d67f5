//! What gateways have recorded: the rows of their logs, taken over.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::{
    AuditAccepted, AuditEntry, AuditHead, AuditHole, AuditHoleCause, AuditUpload, ProblemCode, hex, unhex,
};
use mcpg_ledger::{Head, HoleCause};

use super::super::call::AgentCall;
use super::super::refused::Refused;
use super::super::reply::Reply;
use crate::store::{Entry, Forward, Missing, StoreError};

/// The most bytes of an upload: one row of any size fits.
pub const UPLOAD_BYTES_MAX: usize = 4 << 20;
/// The most rows and holes of an upload.
const ENTRIES_MAX: usize = 2000;
const NUMBER_MAX: u64 = 9_007_199_254_740_991;

/// `POST /v1/agent/audit`: rows are kept once, however often they come. Rows that do not follow those that are kept are answered with how far those
/// go.
pub async fn forward(call: AgentCall) -> Result<Reply, Refused> {
    let upload: AuditUpload = call.input.body()?;
    if upload.rows.len() > ENTRIES_MAX {
        return Err(invalid("/rows", "use at most 2000"));
    }
    let entries = upload.rows.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
    let stretch = Forward {
        log: unhex(&upload.log).ok_or_else(|| invalid("/log", "use 32 hexadecimal digits"))?,
        previous: read(&upload.previous)?,
        entries: &entries,
        last: unhex(&upload.last).ok_or_else(|| invalid("/last", HASH))?,
    };
    let mut write = call.begin().await?;
    let kept = match write.forward(&call.gateway.id, &stretch).await {
        Ok(forwarded) => {
            write.commit().await?;
            call.service.metrics.took_over(forwarded.added);
            forwarded.kept
        }
        Err(StoreError::OutOfOrder { kept }) => kept,
        Err(error) => return Err(error.into()),
    };
    let kept = AuditHead { sequence: kept.seq, hash: hex(&kept.hash) };
    Ok(Reply::ok(&AuditAccepted { kept }))
}

const HASH: &str = "use 64 hexadecimal digits";

fn entry((index, entry): (usize, &AuditEntry)) -> Result<Entry<'static>, Refused> {
    match entry {
        AuditEntry::Row(text) => {
            let row = URL_SAFE_NO_PAD.decode(text);
            let row = row.map_err(|_| invalid(&format!("/rows/{index}"), "use base64url without padding"))?;
            Ok(Entry::Row(Cow::Owned(row)))
        }
        AuditEntry::Missing(AuditHole { missing, hash, cause }) => {
            let hash = unhex(hash).ok_or_else(|| invalid(&format!("/rows/{index}/hash"), HASH))?;
            let cause = match cause {
                AuditHoleCause::Lost => HoleCause::Lost,
                AuditHoleCause::Elsewhere => HoleCause::Elsewhere,
            };
            Ok(Entry::Missing(Missing { rows: *missing, hash, cause }))
        }
    }
}

fn read(head: &AuditHead) -> Result<Head, Refused> {
    if head.sequence > NUMBER_MAX {
        return Err(invalid("/previous/sequence", "use a row's number"));
    }
    let hash = unhex(&head.hash).ok_or_else(|| invalid("/previous/hash", HASH))?;
    Ok(Head { seq: head.sequence, hash })
}

fn invalid(pointer: &str, detail: &str) -> Refused {
    Refused::field(ProblemCode::Invalid, pointer, detail)
}
