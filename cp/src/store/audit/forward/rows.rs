//! Where the rows of a gateway's log belong: which environment, which call, what they are found by.
//!
//! One log has the rows of all environments that an instance serves in its organization. A decision names its environment itself, and counts only if
//! the instance is enrolled there; outcomes and approvals go where the decision of their request went; what is about the log as a whole goes to the
//! environment where the instance serves only one, and else to none.

use std::collections::{HashMap, HashSet};

use mcpg_ledger::verify::{Decision, Outcome, Row as LedgerRow, RowBody};
use mcpg_ledger::{ChainId, ForwardedRef, Head, HoleCause, HoleRef, RowRef};

use super::stretch::Fresh;
use crate::store::audit::NewRow;
use crate::store::usage::{HOUR_MS, UsageCounts, UsageKey};
use crate::store::{StoreError, UnixMillis};

/// The id of a request.
pub(super) type RequestId = [u8; 16];

/// An environment that an instance is enrolled in, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) gateway: String,
    pub(super) workspace: String,
    pub(super) environment: String,
}

/// A permitted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenCall {
    pub(super) place: Place,
    pub(super) hour: UnixMillis,
    pub(super) tool: String,
    pub(super) caller: String,
}

/// Sorts the rows of one log.
pub(super) struct Sorter<'a> {
    pub(super) log: ChainId,
    /// The gateway that sends.
    pub(super) sender: &'a str,
    pub(super) places: &'a [Place],
    pub(super) now: UnixMillis,
    /// Calls without an outcome so far: those of earlier stretches, then those of this one.
    pub(super) open: HashMap<RequestId, OpenCall>,
    /// Those of them that this stretch has begun and not ended.
    pub(super) begun: HashSet<RequestId>,
    /// Those that it has ended.
    pub(super) ended: Vec<RequestId>,
    /// Calls that are not this control plane's business.
    elsewhere: HashSet<RequestId>,
    pub(super) used: Vec<(UsageKey, UsageCounts)>,
    rows: Vec<NewRow>,
    hole: Option<(Head, Head, HoleCause)>,
}

/// The requests whose outcomes or approvals a stretch has.
pub(super) fn asked_for(fresh: &[Decoded<'_>]) -> Vec<RequestId> {
    let request = |row: &Decoded<'_>| match row {
        Decoded::Row(_, _, row) => match &row.body {
            RowBody::Outcome(outcome) => Some(outcome.request_id),
            RowBody::Approval(approval) => Some(approval.request_id),
            _ => None,
        },
        Decoded::Hole(..) => None,
    };
    fresh.iter().filter_map(request).collect()
}

/// A new part of a stretch, read by the verifier's own decoder: what that would not read is not taken over.
pub(super) enum Decoded<'a> {
    Row(Head, &'a [u8], LedgerRow),
    Hole(Head, Head, HoleCause),
}

pub(super) fn decode<'a>(fresh: Vec<Fresh<'a>>, organization: &str) -> Result<Vec<Decoded<'a>>, StoreError> {
    let decode = |fresh| match fresh {
        Fresh::Hole(after, to, cause) => Ok(Decoded::Hole(after, to, cause)),
        Fresh::Row(previous, bytes) => {
            let row =
                LedgerRow::decode(bytes).ok_or(StoreError::Invalid { what: "bytes that are no row" })?;
            let of = match &row.body {
                RowBody::Decision(decision) => Some(&decision.organization),
                RowBody::Checkpoint(checkpoint) => Some(&checkpoint.organization),
                RowBody::Operator(_) | RowBody::Forwarded(_) | RowBody::Hole(_) => {
                    return Err(StoreError::Invalid { what: "a row of a control plane" });
                }
                _ => None,
            };
            if of.is_some_and(|of| of != organization) {
                return Err(StoreError::Invalid { what: "a row of another organization" });
            }
            Ok(Decoded::Row(previous, bytes, row))
        }
    };
    fresh.into_iter().map(decode).collect()
}

impl<'a> Sorter<'a> {
    pub(super) fn new(
        (log, sender): (ChainId, &'a str),
        places: &'a [Place],
        now: UnixMillis,
        open: HashMap<RequestId, OpenCall>,
    ) -> Self {
        Self {
            log,
            sender,
            places,
            now,
            open,
            begun: HashSet::new(),
            ended: Vec::new(),
            elsewhere: HashSet::new(),
            used: Vec::new(),
            rows: Vec::new(),
            hole: None,
        }
    }

    /// Adds the next part.
    pub(super) fn add(&mut self, fresh: Decoded<'_>) {
        let (previous, bytes, row) = match fresh {
            Decoded::Hole(after, to, cause) => return self.leave_out(after, to, cause),
            Decoded::Row(previous, bytes, row) => (previous, bytes, row),
        };
        let time = i64::try_from(row.time / 1_000_000).unwrap_or(i64::MAX);
        let mut found = Found { kind: "", subject: None, target: None, verdict: None };
        let place = match row.body {
            RowBody::Decision(decision) => {
                let Some(place) = self.decided(&decision, time) else {
                    return self.leave_out(previous, previous.after(bytes), HoleCause::Elsewhere);
                };
                found = Found::decision(*decision);
                Some(place)
            }
            RowBody::Outcome(outcome) => {
                if self.elsewhere.remove(&outcome.request_id) {
                    return self.leave_out(previous, previous.after(bytes), HoleCause::Elsewhere);
                }
                found.kind = "outcome";
                self.ended(&outcome)
            }
            RowBody::Approval(approval) => {
                if self.elsewhere.contains(&approval.request_id) {
                    return self.leave_out(previous, previous.after(bytes), HoleCause::Elsewhere);
                }
                found.kind = "approval";
                found.subject = approval.by.and_then(searchable);
                self.open.get(&approval.request_id).map(|call| call.place.clone())
            }
            body => {
                found.kind = match body {
                    RowBody::Gap { .. } => "gap",
                    RowBody::Checkpoint(_) => "checkpoint",
                    _ => "lifecycle",
                };
                self.only_place()
            }
        };
        self.close_hole();
        let gateway = place.as_ref().map_or(self.sender, |place| &place.gateway).to_owned();
        let mut encoded = Vec::with_capacity(bytes.len() + 160);
        RowRef::Forwarded(&ForwardedRef {
            time: self.unix_nanos(),
            gateway: &gateway,
            log: self.log,
            seq: previous.seq.wrapping_add(1),
            previous: previous.hash,
            row: bytes,
        })
        .encode(&mut encoded);
        self.rows.push(found.at(place, gateway, time, encoded));
    }

    /// Everything that was added, as rows of the organization's chain.
    pub(super) fn finish(&mut self) -> Vec<NewRow> {
        self.close_hole();
        std::mem::take(&mut self.rows)
    }

    /// Counts a decision. None if it is about an environment that the instance is not enrolled in.
    fn decided(&mut self, decision: &Decision, time: UnixMillis) -> Option<Place> {
        let is_here = |place: &&Place| {
            place.workspace == decision.workspace && place.environment == decision.environment
        };
        let Some(place) = self.places.iter().find(is_here).cloned() else {
            self.elsewhere.insert(decision.request_id);
            return None;
        };
        let tool = match decision.target_kind {
            "tool" => label(&format!("{}.{}", decision.binding, decision.target)),
            _ => String::new(),
        };
        let hour = time - time.rem_euclid(HOUR_MS);
        let call = OpenCall { place: place.clone(), hour, tool, caller: label(&decision.subject) };
        let denied = i64::from(decision.verdict == "deny");
        self.used.push((call.key(), UsageCounts { calls: 1, denied, ..UsageCounts::default() }));
        if denied == 0 {
            self.open.insert(decision.request_id, call);
            self.begun.insert(decision.request_id);
        }
        Some(place)
    }

    /// Counts an outcome. None if nothing is known of its call.
    fn ended(&mut self, outcome: &Outcome) -> Option<Place> {
        let call = self.open.remove(&outcome.request_id)?;
        if !self.begun.remove(&outcome.request_id) {
            self.ended.push(outcome.request_id);
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let failed =
            outcome.http_status >= 500 || matches!(outcome.completion, "upstream_error" | "withheld");
        let counts = UsageCounts {
            failed: i64::from(failed),
            bytes: number(outcome.response_bytes),
            duration_us: number(outcome.duration_us),
            ..UsageCounts::default()
        };
        self.used.push((call.key(), counts));
        Some(call.place)
    }

    fn only_place(&self) -> Option<Place> {
        match self.places {
            [place] => Some(place.clone()),
            _ => None,
        }
    }

    /// Notes rows that are left out; those that follow each other for one reason are one hole.
    fn leave_out(&mut self, after: Head, to: Head, cause: HoleCause) {
        match &mut self.hole {
            Some((_, end, of)) if *of == cause => *end = to,
            _ => {
                self.close_hole();
                self.hole = Some((after, to, cause));
            }
        }
    }

    fn close_hole(&mut self) {
        let Some((after, to, cause)) = self.hole.take() else { return };
        let place = self.only_place();
        let gateway = place.as_ref().map_or(self.sender, |place| &place.gateway).to_owned();
        let mut encoded = Vec::with_capacity(160);
        RowRef::Hole(&HoleRef {
            time: self.unix_nanos(),
            gateway: &gateway,
            log: self.log,
            after: after.seq,
            up_to: to.seq,
            hash: to.hash,
            cause,
        })
        .encode(&mut encoded);
        let found = Found { kind: "hole", subject: None, target: None, verdict: None };
        self.rows.push(found.at(place, gateway, self.now, encoded));
    }

    fn unix_nanos(&self) -> u64 {
        u64::try_from(self.now).unwrap_or_default().saturating_mul(1_000_000)
    }
}

impl OpenCall {
    fn key(&self) -> UsageKey {
        UsageKey {
            hour: self.hour,
            workspace: self.place.workspace.clone(),
            environment: self.place.environment.clone(),
            tool: self.tool.clone(),
            caller: self.caller.clone(),
        }
    }
}

/// What a row is found by.
struct Found {
    kind: &'static str,
    subject: Option<String>,
    target: Option<String>,
    verdict: Option<String>,
}

impl Found {
    fn decision(decision: Decision) -> Self {
        Self {
            kind: "decision",
            subject: searchable(decision.subject),
            target: searchable(decision.target),
            verdict: Some(decision.verdict.to_owned()),
        }
    }

    fn at(self, place: Option<Place>, gateway: String, time: UnixMillis, row: Vec<u8>) -> NewRow {
        let (workspace, environment) = place.map(|place| (place.workspace, place.environment)).unzip();
        let Self { kind, subject, target, verdict } = self;
        NewRow { time, kind, workspace, environment, gateway: Some(gateway), subject, target, verdict, row }
    }
}

/// The most bytes of a text that rows are searched by.
const SEARCHABLE_BYTES_MAX: usize = 256;
/// The most bytes of a text that calls are counted by.
const LABEL_BYTES_MAX: usize = 200;

/// A text that can stand in a column; the row itself has the whole.
fn searchable(text: String) -> Option<String> {
    (text.len() <= SEARCHABLE_BYTES_MAX && !text.contains('\0')).then_some(text)
}

/// What calls are counted by. What has the form of none is counted together.
fn label(text: &str) -> String {
    let is_fit = text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control);
    if is_fit { text.to_owned() } else { crate::store::usage::OTHER.to_owned() }
}
