//! What is known of tools, and what of it is not written down yet. Decides in memory; touches no file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mcpg_config::PinRules;
use mcpg_protocol::definition::printable;

use super::files::Stamp;
use super::gates::{ByTool, Findings, Known};
use super::record::{By, Record, Table, ToolKey};
use super::seen::Seen;
use crate::metrics::Metrics;

/// Tools of one binding that are pinned at first sight. Further ones wait for an operator.
const PINS_PER_BINDING_MAX: usize = 50_000;
/// Tools of one binding that await approval and are noted. Beyond that only approved ones can be called.
pub(super) const PENDING_PER_BINDING_MAX: usize = 10_000;
/// Characters of a tool's name that are logged.
pub(super) const NAME_CHARS_MAX: usize = 128;

/// What is known, and what of it is not written down yet.
#[derive(Default)]
pub(super) struct State {
    pub(super) known: Known,
    /// The lock file that is in force.
    pub(super) stamp: Option<Stamp>,
    /// The one that could not be read, so that it is reported once.
    pub(super) refused: Option<Option<Stamp>>,
    /// First sights that the lock file has not got yet, in order.
    pub(super) pins: Vec<(ToolKey, Record)>,
    /// What has become pending since that was written.
    pub(super) added: BTreeMap<ToolKey, Noted>,
    /// What is not pending any more.
    pub(super) settled: BTreeSet<ToolKey>,
    /// Bytes of approved definitions that are kept, by binding.
    definition_bytes: HashMap<String, usize>,
}

/// A tool that has become pending.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    pub(super) findings: Findings,
    pub(super) is_withheld: bool,
    pub(super) record: Record,
    pub(super) is_reported: bool,
}

impl State {
    /// Takes over the rules. Says which bindings are gone.
    pub(super) fn configure(&mut self, rules: HashMap<String, PinRules>) -> Vec<String> {
        let known = &mut self.known;
        let gone = known.rules.keys().filter(|binding| !rules.contains_key(*binding)).cloned().collect();
        known.unreadable.retain(|binding, _| rules.contains_key(binding));
        known.overflown.retain(|binding| rules.contains_key(binding));
        known.rules = rules;
        gone
    }

    /// Takes over what is approved. What it has not got yet stays approved.
    pub(super) fn approve(&mut self, table: &Table, stamp: Stamp) {
        self.known.approved = by_tool(table);
        self.definition_bytes.clear();
        for (key, record) in &table.0 {
            *self.definition_bytes.entry(key.binding.clone()).or_default() += record.definition_bytes();
        }
        self.stamp = Some(stamp);
        self.refused = None;
        for (key, record) in &self.pins {
            let tools = self.known.approved.entry(key.binding.clone()).or_default();
            tools.entry(key.tool.clone()).or_insert_with(|| record.into());
        }
        for key in self.known.settle() {
            self.settle(key);
        }
        let Known { overflown, pending, unreadable, .. } = &mut self.known;
        overflown.retain(|binding| {
            pending.get(binding).is_some_and(|tools| tools.len() >= PENDING_PER_BINDING_MAX)
                || unreadable.get(binding).is_some_and(|tools| tools.len() >= PENDING_PER_BINDING_MAX)
        });
    }

    /// Takes over what awaits approval.
    pub(super) fn await_approval(&mut self, table: &Table) {
        self.known.pending = by_tool(table);
    }

    /// Whether there is something to write down.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.pins.is_empty() || !self.added.is_empty() || !self.settled.is_empty()
    }

    /// Approves the new tools that the rules trust.
    pub(super) fn pin_new(&mut self, binding: &str, seen: &[&Seen<'_>], since: &str) {
        let rules = self.known.rules(binding);
        let before = self.pins.len();
        for one in seen {
            let findings = self.known.findings(binding, one.name, &one.sight);
            if !findings.is_trusted_at_first_sight(&rules) {
                continue;
            }
            let tools = self.known.approved.entry(binding.to_owned()).or_default();
            if tools.len() >= PINS_PER_BINDING_MAX {
                tracing::error!(
                    binding,
                    max = PINS_PER_BINDING_MAX,
                    "too many tools: new ones await approval"
                );
                break;
            }
            tools.insert(one.name.to_owned(), one.sight.clone());
            let bytes = self.definition_bytes.entry(binding.to_owned()).or_default();
            self.pins.push((one.key(binding), one.record(since, Some(By::FirstSight), bytes)));
        }
        let tools = self.pins.len() - before;
        if tools > 0 {
            tracing::info!(binding, tools, "new tools pinned");
        }
    }

    /// Notes what awaits approval, and what does not any more.
    pub(super) fn note_pending(&mut self, binding: &str, seen: &[&Seen<'_>], since: &str, metrics: &Metrics) {
        let rules = self.known.rules(binding);
        let mut open: BTreeMap<&str, (Findings, &Seen<'_>)> = BTreeMap::new();
        for one in seen {
            let findings = self.known.findings(binding, one.name, &one.sight);
            if !findings.is_empty() {
                open.insert(one.name, (findings, one));
            }
        }
        let settled = seen.iter().filter(|one| !open.contains_key(one.name));
        for one in settled {
            if self.known.pending.get_mut(binding).is_some_and(|tools| tools.remove(one.name).is_some()) {
                self.settle(one.key(binding));
            }
        }
        let pending = self.known.pending.entry(binding.to_owned()).or_default();
        let mut bytes = 0;
        let mut is_full = false;
        for (name, (findings, one)) in open {
            if pending.get(name) == Some(&one.sight) {
                continue;
            }
            if pending.len() >= PENDING_PER_BINDING_MAX && !pending.contains_key(name) {
                is_full = true;
                continue;
            }
            pending.insert(name.to_owned(), one.sight.clone());
            findings.words().for_each(|word| metrics.tool_found(binding, word));
            let (key, record) = (one.key(binding), one.record(since, None, &mut bytes));
            self.settled.remove(&key);
            let is_withheld = findings.is_withheld(&rules);
            self.added.insert(key, Noted { findings, is_withheld, record, is_reported: false });
        }
        if is_full {
            tracing::error!(binding, max = PENDING_PER_BINDING_MAX, "too many tools await approval");
            self.known.overflown.insert(binding.to_owned());
        }
    }

    /// Notes tools whose definition cannot be read.
    pub(super) fn note_unreadable(
        &mut self,
        binding: &str,
        seen: &[&Seen<'_>],
        unreadable: &[&str],
        metrics: &Metrics,
    ) {
        let known = self.known.unreadable.entry(binding.to_owned()).or_default();
        for one in seen {
            known.remove(one.name);
        }
        for name in unreadable {
            if known.len() >= PENDING_PER_BINDING_MAX {
                self.known.overflown.insert(binding.to_owned());
                return;
            }
            if known.insert((*name).to_owned()) {
                metrics.tool_found(binding, "unreadable");
                let tool = printable(name, NAME_CHARS_MAX);
                tracing::warn!(binding, tool, "tool withheld: its definition cannot be read");
            }
        }
    }

    /// Puts back what could not be written, where nothing newer is to be.
    pub(super) fn put_back(&mut self, added: BTreeMap<ToolKey, Noted>, settled: BTreeSet<ToolKey>) {
        for (key, noted) in added {
            if !self.settled.contains(&key) {
                self.added.entry(key).or_insert(noted);
            }
        }
        self.settled.extend(settled.into_iter().filter(|key| !self.added.contains_key(key)));
    }

    fn settle(&mut self, key: ToolKey) {
        self.added.remove(&key);
        self.settled.insert(key);
    }
}

fn by_tool(table: &Table) -> ByTool {
    let mut tools = ByTool::new();
    for (key, record) in &table.0 {
        tools.entry(key.binding.clone()).or_default().insert(key.tool.clone(), record.into());
    }
    tools
}
