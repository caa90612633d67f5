//! What would change, counted and grouped while the rows pass by: memory grows with what differs, not with the log.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::opinion::Opinion;
use super::super::rows::Row;
use super::{FailOn, before};

/// Request ids that are kept of a group.
const EXAMPLES_MAX: usize = 3;
/// Callers that are told apart within a group.
const CALLERS_MAX: usize = 1000;
/// Groups; the rest is counted together.
const GROUPS_MAX: usize = 10_000;

/// What the new policies say to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    Decided(Opinion),
    /// What was not recorded.
    Undecidable(String),
    /// Nothing to decide, and why.
    Skipped(&'static str),
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    PermitToDeny,
    DenyToPermit,
    Obligations,
    Policy,
    Undecidable,
}

/// Rows that change in the same way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Group {
    pub(super) change: Change,
    pub(super) scope: String,
    pub(super) binding: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// How many rows of a group there are, and of whom.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) callers: BTreeMap<String, u64>,
    /// Rows of callers beyond those.
    pub(super) other_callers: u64,
    pub(super) examples: Vec<String>,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) decisions: u64,
    pub(super) distinct: usize,
    pub(super) unchanged: u64,
    pub(super) skipped: u64,
    pub(super) groups: BTreeMap<Group, Counted>,
    /// Changed rows of groups beyond [`GROUPS_MAX`].
    pub(super) ungrouped: BTreeMap<Change, u64>,
}

impl Changes {
    pub(super) fn take(&mut self, row: &Row, judged: &Judged) {
        self.decisions += 1;
        let before = before(row);
        let (change, after) = match judged {
            Judged::Skipped(_) => {
                self.skipped += 1;
                return;
            }
            Judged::Undecidable(part) => (Change::Undecidable, part.clone()),
            Judged::Decided(after) => match differs(&before, after) {
                None => {
                    self.unchanged += 1;
                    return;
                }
                Some(change) => (change, after.line()),
            },
        };
        let group = group(row, change, &before, after);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            *self.ungrouped.entry(change).or_default() += 1;
            return;
        }
        self.groups.entry(group).or_default().count(row);
    }

    /// How many rows change in a way.
    pub(super) fn of(&self, change: Change) -> u64 {
        let grouped = self.groups.iter().filter(|(group, _)| group.change == change);
        grouped.map(|(_, counted)| counted.count).sum::<u64>()
            + self.ungrouped.get(&change).copied().unwrap_or(0)
    }

    /// Whether there is any of what must not be.
    pub(super) fn fails(&self, fail_on: &[FailOn]) -> bool {
        fail_on.iter().any(|what| match what {
            FailOn::Deny => self.of(Change::PermitToDeny) > 0,
            FailOn::Permit => self.of(Change::DenyToPermit) > 0,
            FailOn::Obligations => self.of(Change::Obligations) > 0,
            FailOn::Policy => self.of(Change::Policy) > 0,
            FailOn::Undecidable => self.of(Change::Undecidable) > 0,
            FailOn::Any => !self.groups.is_empty(),
        })
    }
}

impl Counted {
    fn count(&mut self, row: &Row) {
        if self.count == 0 {
            self.first = row.time;
        }
        self.count += 1;
        self.first = self.first.min(row.time);
        self.last = self.last.max(row.time);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(row.request_id());
        }
        let subject = &row.decision.subject;
        if self.callers.len() < CALLERS_MAX || self.callers.contains_key(subject) {
            *self.callers.entry(subject.clone()).or_default() += 1;
        } else {
            self.other_callers += 1;
        }
    }
}

fn differs(before: &Opinion, after: &Opinion) -> Option<Change> {
    match (before.decision, after.decision) {
        ("permit", "deny") => Some(Change::PermitToDeny),
        ("deny", "permit") => Some(Change::DenyToPermit),
        ("permit", _) if before.obligations != after.obligations => Some(Change::Obligations),
        _ if before.policies != after.policies
            || before.code != after.code
            || before.engine != after.engine =>
        {
            Some(Change::Policy)
        }
        _ => None,
    }
}

fn group(row: &Row, change: Change, before: &Opinion, after: String) -> Group {
    let row = &row.decision;
    Group {
        change,
        scope: format!("{}/{}/{}", row.organization, row.workspace, row.environment),
        binding: row.binding.clone(),
        method: row.method.clone(),
        target: row.target.clone(),
        before: before.line(),
        after,
    }
}
