//! Pinned tool definitions: what a tool was when it was approved, and what happens when it is something else.
//!
//! A tool's definition tells a model what the tool does, so a server that changes it later changes what models do with it. The
//! gateway keeps a digest of every definition (`tools.lock`), compares each list that it fetches with it, reports what differs field
//! by field, and withholds what the rules say until an operator approves it (`mcpg tools approve`).
//!
//! INVARIANT: nothing but [`Pins::judge`] (a first sight, where the rules trust it) and [`approve`] writes `tools.lock`; both read it
//! anew under its lock, and neither takes out a line. A file that is damaged, or gone, is never written over.
//!
//! Definitions that await approval are kept beside it (`tools.pending` in the state folder), so that the commands work while the
//! gateway runs, and a tool that was withheld is so from the first request after a restart.

mod error;
mod files;
mod gates;
mod record;
mod seen;
mod store;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use chrono::{DateTime, SecondsFormat, Utc};
use mcpg_config::PinRules;
use mcpg_protocol::definition::{DefinitionError, diff, printable};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

pub use error::{LineError, PinError};
pub use gates::Findings;
pub use record::{By, Digest, Record, ToolKey};
pub use survey::{Approval, Row, approve, survey};

use crate::metrics::Metrics;
use files::Stamp;
use gates::{ByTool, Gates, Known};
use record::Table;
use seen::Seen;
use store::Store;

/// How often the lock file is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Tools of one binding that are pinned at first sight. Further ones wait for an operator.
const PINS_PER_BINDING_MAX: usize = 50_000;
/// Tools of one binding that await approval and are noted. Beyond that only approved ones can be called.
const PENDING_PER_BINDING_MAX: usize = 10_000;
/// Fields of a changed definition that are logged.
const LOGGED_CHANGES_MAX: usize = 16;
/// Characters of a tool's name that are logged.
const NAME_CHARS_MAX: usize = 128;

/// The pinned definitions of every binding.
pub struct Pins {
    /// None: they are kept in memory only.
    store: Option<Store>,
    state: Mutex<State>,
    gates: ArcSwap<Gates>,
    version: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

/// What is to be done with a tool of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What is to be said against it; none of it where the definition cannot be read.
    pub findings: Findings,
    /// Whether it is left out of lists, and calls of it are refused.
    pub withheld: bool,
}

#[derive(Default)]
struct State {
    known: Known,
    /// Bytes of approved definitions that are kept, by binding.
    definition_bytes: HashMap<String, usize>,
    /// Pins that could not be written yet.
    unsaved: Vec<(ToolKey, Record)>,
    /// The lock file that is in force.
    stamp: Option<Stamp>,
    /// The one that could not be read, so that it is reported once.
    refused: Option<Option<Stamp>>,
}

impl Pins {
    /// Reads what is pinned and what awaits approval. A lock file that is not there is empty, and made with the first pin.
    ///
    /// # Errors
    /// If a lock file is there and cannot be read: to begin anew would approve whatever comes next.
    pub fn open(lock: &Path, state_dir: &Path, metrics: Arc<Metrics>) -> Result<Arc<Self>, PinError> {
        let store = Store::new(lock, state_dir);
        let mut state = State::default();
        match store.pending() {
            Ok(pending) => state.known.pending = by_tool(&pending),
            // The next list of each binding says it again.
            Err(error) => {
                tracing::warn!(%error, "tools that await approval are not known until they are listed");
            }
        }
        if let Some((table, stamp)) = store.approved()? {
            state.approve(&table, Some(stamp));
        }
        Ok(Arc::new(Self::new(Some(store), state, metrics)))
    }

    /// Pins that are kept in memory only: for a configuration that is checked and not run.
    pub fn in_memory(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self::new(None, State::default(), metrics))
    }

    fn new(store: Option<Store>, state: State, metrics: Arc<Metrics>) -> Self {
        let (version, _) = watch::channel(0);
        Self { store, state: Mutex::new(state), gates: ArcSwap::default(), version, metrics }
    }

    /// Puts the rules of all bindings in force. Called whenever a revision comes into force.
    pub fn configure(&self, rules: impl IntoIterator<Item = (String, PinRules)>) {
        let rules: HashMap<String, PinRules> = rules.into_iter().collect();
        let mut state = self.state.lock();
        for gone in state.known.rules.keys().filter(|binding| !rules.contains_key(*binding)) {
            self.metrics.forget_tools(gone);
        }
        state.known.unreadable.retain(|binding, _| rules.contains_key(binding));
        state.known.overflown.retain(|binding| rules.contains_key(binding));
        state.known.rules = rules;
        self.publish(&state.known);
    }

    /// Whether calls of a tool must be refused. Takes no lock.
    pub fn is_withheld(&self, binding: &str, tool: &str) -> bool {
        let gates = self.gates.load();
        gates.0.get(binding).is_some_and(|gate| gate.withholds(tool))
    }

    /// Changes whenever [`Pins::is_withheld`] or a verdict may say something else: lists judged before must be judged again.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Judges the tools of a binding, each with its name and as it stands in the list, and notes what is new about them. Verdicts
    /// are in the same order. Reads and writes files where something is new: call it where a thread may wait.
    ///
    /// The list need not be whole. What is pending stays so until the tool is seen as it was approved, or is approved.
    pub fn judge<N: AsRef<str>, T: AsRef<str>>(
        &self,
        binding: &str,
        tools: &[(N, T)],
        now: SystemTime,
    ) -> Vec<Verdict> {
        let read: Vec<Result<Seen<'_>, DefinitionError>> =
            tools.iter().map(|(name, tool)| Seen::read(name.as_ref(), tool.as_ref())).collect();
        let seen: Vec<&Seen<'_>> = read.iter().filter_map(|read| read.as_ref().ok()).collect();
        let unreadable = tools.iter().zip(&read).filter(|(_, read)| read.is_err());
        let unreadable: Vec<&str> = unreadable.map(|((name, _), _)| name.as_ref()).collect();
        let since = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut state = self.state.lock();
        self.pin_new(&mut state, binding, &seen, &since);
        self.note_pending(&mut state, binding, &seen, &since);
        self.note_unreadable(&mut state, binding, &seen, &unreadable);
        self.publish(&state.known);
        let rules = state.known.rules(binding);
        let verdict = |read: &Result<Seen<'_>, _>| match read {
            Ok(seen) => {
                let findings = state.known.findings(binding, seen.name, &seen.sight);
                Verdict { findings, withheld: findings.is_withheld(&rules) }
            }
            Err(_) => Verdict { findings: Findings::NONE, withheld: true },
        };
        read.iter().map(verdict).collect()
    }

    /// Reads the lock file again if it is another one, and says whether it was. What cannot be read changes nothing.
    pub fn refresh(&self) -> bool {
        let Some(store) = &self.store else { return false };
        let mut state = self.state.lock();
        let there = match store.stamp() {
            Ok(there) if there == state.stamp || state.refused == Some(there) => return false,
            Ok(there) => there,
            Err(error) => {
                tracing::debug!(%error, "lock file of tools not inspected");
                return false;
            }
        };
        match store.approved().and_then(|table| table.ok_or_else(|| store.gone())) {
            Ok((table, stamp)) => {
                let settled = state.approve(&table, Some(stamp));
                tracing::info!(tools = table.0.len(), approved = settled.len(), "lock file of tools read");
                self.keep_pending(&[], &settled);
                self.publish(&state.known);
                true
            }
            Err(error) => {
                state.refused = Some(there);
                self.metrics.tools_lock_failed();
                tracing::error!(%error, "lock file of tools refused, what was approved before stays in force");
                false
            }
        }
    }

    /// Looks at the lock file from time to time, for ever.
    pub async fn watch(self: &Arc<Self>) {
        let mut tick = interval(WATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let pins = Arc::clone(self);
            // Only a panic keeps it from its end, and that is in the log.
            let _ = tokio::task::spawn_blocking(move || pins.refresh()).await;
        }
    }

    /// Approves the new tools that the rules trust.
    fn pin_new(&self, state: &mut State, binding: &str, seen: &[&Seen<'_>], since: &str) {
        let rules = state.known.rules(binding);
        let mut room =
            PINS_PER_BINDING_MAX.saturating_sub(state.known.approved.get(binding).map_or(0, HashMap::len));
        let mut bytes = state.definition_bytes.get(binding).copied().unwrap_or_default();
        let mut fresh: Vec<(ToolKey, Record)> = Vec::new();
        let mut names = HashSet::new();
        for one in seen {
            let findings = state.known.findings(binding, one.name, &one.sight);
            if !findings.is_trusted_at_first_sight(&rules) || !names.insert(one.name) {
                continue;
            }
            if room == 0 {
                tracing::error!(
                    binding,
                    max = PINS_PER_BINDING_MAX,
                    "too many tools: new ones await approval"
                );
                break;
            }
            room -= 1;
            fresh.push((one.key(binding), one.record(since, Some(By::FirstSight), &mut bytes)));
        }
        if !fresh.is_empty() {
            tracing::info!(binding, tools = fresh.len(), "new tools pinned");
        }
        state.unsaved.append(&mut fresh);
        if let Err(error) = self.save_pins(state) {
            self.metrics.tools_lock_failed();
            tracing::error!(%error, binding, "new tools are pinned in memory only");
            state.approve_unsaved();
        }
    }

    /// Adds to the lock file what it has not. What another process has pinned first holds.
    fn save_pins(&self, state: &mut State) -> Result<(), PinError> {
        if state.unsaved.is_empty() {
            return Ok(());
        }
        let Some(store) = &self.store else {
            state.approve_unsaved();
            state.unsaved.clear();
            return Ok(());
        };
        let added = store.change_approved(state.stamp.is_some(), |table| {
            for (key, record) in &state.unsaved {
                table.0.entry(key.clone()).or_insert_with(|| record.clone());
            }
            Ok::<(), std::convert::Infallible>(())
        })?;
        let Ok((table, stamp)) = added;
        state.unsaved.clear();
        let settled = state.approve(&table, Some(stamp));
        self.keep_pending(&[], &settled);
        Ok(())
    }

    /// Notes what awaits approval, and reports what does so for the first time.
    fn note_pending(&self, state: &mut State, binding: &str, seen: &[&Seen<'_>], since: &str) {
        let mut bytes = 0;
        let mut open: HashMap<&str, (Findings, &Seen<'_>)> = HashMap::new();
        for one in seen {
            let findings = state.known.findings(binding, one.name, &one.sight);
            if !findings.is_empty() {
                open.insert(one.name, (findings, one));
            }
        }
        let pending = state.known.pending.entry(binding.to_owned()).or_default();
        let before = pending.len();
        let settled =
            seen.iter().filter(|one| !open.contains_key(one.name) && pending.remove(one.name).is_some());
        let settled: Vec<ToolKey> = settled.map(|one| one.key(binding)).collect();
        let mut added = Vec::new();
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
            added.push((findings, one.key(binding), one.record(since, None, &mut bytes)));
        }
        if is_full {
            tracing::error!(binding, max = PENDING_PER_BINDING_MAX, "too many tools await approval");
            state.known.overflown.insert(binding.to_owned());
        } else if before < PENDING_PER_BINDING_MAX {
            state.known.overflown.remove(binding);
        }
        if added.is_empty() && settled.is_empty() {
            return;
        }
        added.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
        self.report(&state.known.rules(binding), &added);
        let records: Vec<_> = added.into_iter().map(|(_, key, record)| (key, record)).collect();
        self.keep_pending(&records, &settled);
    }

    fn note_unreadable(&self, state: &mut State, binding: &str, seen: &[&Seen<'_>], unreadable: &[&str]) {
        let known = state.known.unreadable.entry(binding.to_owned()).or_default();
        for one in seen {
            known.remove(one.name);
        }
        for name in unreadable {
            if known.len() >= PENDING_PER_BINDING_MAX {
                state.known.overflown.insert(binding.to_owned());
                return;
            }
            if known.insert((*name).to_owned()) {
                let tool = printable(name, NAME_CHARS_MAX);
                self.metrics.tool_found(binding, "unreadable");
                tracing::warn!(binding, tool, "tool withheld: its definition cannot be read");
            }
        }
    }

    fn report(&self, rules: &PinRules, added: &[(Findings, ToolKey, Record)]) {
        let mut approved = None;
        for (findings, key, record) in added {
            findings.words().for_each(|word| self.metrics.tool_found(&key.binding, word));
            let differences = if findings.is_changed {
                let table = approved.get_or_insert_with(|| self.approved_table());
                differences(table.0.get(key), record)
            } else {
                String::new()
            };
            tracing::warn!(
                binding = key.binding,
                tool = printable(&key.tool, NAME_CHARS_MAX),
                findings = findings.words().collect::<Vec<_>>().join(","),
                differences,
                hidden_text = record.hidden.join("; "),
                digest = %record.digest,
                withheld = findings.is_withheld(rules),
                "tool is not as it was approved"
            );
        }
    }

    /// What the lock file says, for differences; nothing if it cannot be read.
    fn approved_table(&self) -> Table {
        let table = self.store.as_ref().and_then(|store| store.approved().ok()?);
        table.map(|(table, _)| table).unwrap_or_default()
    }

    /// Writes what has become pending, and takes out what is not any more. A failure costs the commands their view and the next
    /// start its memory, not the decision.
    fn keep_pending(&self, added: &[(ToolKey, Record)], settled: &[ToolKey]) {
        let Some(store) = self.store.as_ref().filter(|_| !added.is_empty() || !settled.is_empty()) else {
            return;
        };
        if let Err(error) = store.change_pending(added, settled) {
            self.metrics.tools_lock_failed();
            tracing::error!(%error, "tools that await approval are not noted");
        }
    }

    /// Puts what follows from what is known in force.
    fn publish(&self, known: &Known) {
        for binding in known.rules.keys() {
            let withheld = known.withheld(binding).len();
            self.metrics.tools_pending(binding, known.pending_count(binding), withheld);
        }
        let gates = known.gates();
        if **self.gates.load() != gates {
            self.gates.store(Arc::new(gates));
            self.version.send_modify(|version| *version += 1);
        }
    }
}

impl State {
    /// Takes over what is approved. Says what does not await it any more.
    fn approve(&mut self, table: &Table, stamp: Option<Stamp>) -> Vec<ToolKey> {
        self.known.approved = by_tool(table);
        self.definition_bytes.clear();
        for (key, record) in &table.0 {
            *self.definition_bytes.entry(key.binding.clone()).or_default() += record.definition_bytes();
        }
        self.stamp = stamp;
        self.refused = None;
        self.approve_unsaved();
        self.known.settle()
    }

    /// Approves in memory what could not be written.
    fn approve_unsaved(&mut self) {
        for (key, record) in &self.unsaved {
            let tools = self.known.approved.entry(key.binding.clone()).or_default();
            tools.entry(key.tool.clone()).or_insert_with(|| record.into());
        }
    }
}

/// What differs, on one line.
fn differences(approved: Option<&Record>, seen: &Record) -> String {
    match (approved.and_then(|record| record.definition.as_ref()), seen.definition.as_ref()) {
        (Some(old), Some(new)) => diff(old, new, LOGGED_CHANGES_MAX, &record::limits()).to_string(),
        _ => "too long to be kept and compared".to_owned(),
    }
}

fn by_tool(table: &Table) -> ByTool {
    let mut tools = ByTool::new();
    for (key, record) in &table.0 {
        tools.entry(key.binding.clone()).or_default().insert(key.tool.clone(), record.into());
    }
    tools
}
