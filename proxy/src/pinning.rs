//! Pinned tool definitions: what a tool was when it was approved, and what happens when it is something else.
//!
//! A tool's definition tells a model what the tool does, so a server that changes it later changes what models do with it. The
//! gateway keeps a digest of every definition (`tools.lock`), compares each list that it fetches with it, reports what differs field
//! by field, and withholds what the rules say until an operator approves it (`mcpg tools approve`).
//!
//! What is decided is decided in memory, where requests are served; [`Pins::save`] writes it down elsewhere.
//!
//! INVARIANT: nothing but [`Pins::save`] (first sights, where the rules trust them) and [`approve`] writes `tools.lock`; both read it
//! anew under its lock, and neither takes out a line. A file that is damaged, or gone, is never written over.
//!
//! Definitions that await approval are kept beside it (`tools.pending` in the state folder), so that the commands work while the
//! gateway runs, and a tool that was withheld is so from the first request after a restart.

mod error;
mod files;
mod gates;
mod record;
mod save;
mod scopes;
mod seen;
mod state;
mod store;
mod survey;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use chrono::{DateTime, SecondsFormat, Utc};
use mcpg_config::PinRules;
use mcpg_protocol::definition::DefinitionError;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

pub use error::{LineError, PinError};
pub use gates::Findings;
pub use record::{By, Digest, Record, ToolKey};
pub use scopes::ScopePins;
pub use survey::{Approval, Row, approve, survey};

use crate::metrics::Metrics;
use gates::Gates;
use seen::Seen;
use state::State;
use store::Store;

/// The pinned definitions of every binding.
pub struct Pins {
    /// None: they are kept in memory only.
    store: Option<Store>,
    state: Mutex<State>,
    gates: ArcSwap<Gates>,
    version: watch::Sender<u64>,
    /// Held while files are read and written, so that `state` need not be.
    saving: Mutex<()>,
    /// Whether the last attempt to write failed.
    failing: AtomicBool,
    unsaved: Arc<Notify>,
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

impl Pins {
    /// Reads what is pinned and what awaits approval. A lock file that is not there is empty, and made with the first pin.
    ///
    /// # Errors
    /// If a lock file is there and cannot be read: to begin anew would approve whatever comes next.
    pub fn open(lock: &Path, state_dir: &Path, metrics: Arc<Metrics>) -> Result<Arc<Self>, PinError> {
        Self::open_with(lock, state_dir, metrics, Arc::default())
    }

    /// The same, telling `unsaved` whenever there is something to write down.
    fn open_with(
        lock: &Path,
        state_dir: &Path,
        metrics: Arc<Metrics>,
        unsaved: Arc<Notify>,
    ) -> Result<Arc<Self>, PinError> {
        let store = Store::new(lock, state_dir);
        let mut state = State::default();
        match store.pending() {
            Ok(pending) => state.await_approval(&pending),
            // The next list of each binding says it again.
            Err(error) => {
                tracing::warn!(%error, "tools that await approval are not known until they are listed");
            }
        }
        if let Some((table, stamp)) = store.approved()? {
            state.approve(&table, stamp);
        }
        Ok(Arc::new(Self { unsaved, ..Self::new(Some(store), state, metrics) }))
    }

    /// Pins that are kept in memory only: for a configuration that is checked and not run.
    pub fn in_memory(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self::new(None, State::default(), metrics))
    }

    fn new(store: Option<Store>, state: State, metrics: Arc<Metrics>) -> Self {
        let (version, _) = watch::channel(0);
        Self {
            store,
            state: Mutex::new(state),
            gates: ArcSwap::default(),
            version,
            saving: Mutex::new(()),
            failing: AtomicBool::new(false),
            unsaved: Arc::default(),
            metrics,
        }
    }

    /// Puts the rules of all bindings in force. Called whenever a revision comes into force.
    pub fn configure(&self, rules: impl IntoIterator<Item = (String, PinRules)>) {
        let mut state = self.state.lock();
        for gone in state.configure(rules.into_iter().collect()) {
            self.metrics.forget_tools(&gone);
        }
        self.publish(&state);
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

    /// Judges the tools of a binding, each with its name and as it stands in the list, and remembers what is new about them.
    /// Verdicts are in the same order. Takes time for each tool, but waits for no file.
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
        state.pin_new(binding, &seen, &since);
        state.note_pending(binding, &seen, &since, &self.metrics);
        state.note_unreadable(binding, &seen, &unreadable, &self.metrics);
        self.publish(&state);
        if state.has_unsaved() {
            self.unsaved.notify_one();
        }
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

    /// Puts what follows from what is known in force.
    fn publish(&self, state: &State) {
        let known = &state.known;
        for binding in known.rules.keys() {
            let withheld = known.withheld(binding).len();
            self.metrics.tools_pending(binding, known.pending_count(binding), withheld);
        }
        let gates = known.gates();
        if **self.gates.load() != gates {
            self.gates.store(Arc::new(gates));
            self.judge_again();
        }
    }

    /// Whatever was judged before must be judged again.
    fn judge_again(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
