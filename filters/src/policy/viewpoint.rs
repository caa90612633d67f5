//! What a list shows to whom: the things that a caller may use, and those of which it cannot be told before they are used.
//!
//! An action whose policies read the arguments, the clock or an approval is shown to everyone who may ask for the list: whether it
//! is permitted depends on what a call brings with it. So are templates whose policies read the name: a call brings the rest of it.
//! Every other action is shown to those whom policy permits it.
//!
//! INVARIANT: what a list shows is a function of the actions in it and of the [class](Viewpoint::class) of who asks, so lists may
//! be kept by class.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use mcpg_sdk::policy::{ApprovalRead, ReadSet};
use mcpg_sdk::{Call, Caller, Decision};

use super::PolicyChain;
use super::chain::{Asking, Decided, Known, Place};
use super::input::write_class;

/// Engines that decide elsewhere are asked about so many things of a list at once.
const REMOTE_AT_ONCE: usize = 16;
/// Other tasks get their turn after so much of the worker.
const TURN: Duration = Duration::from_millis(1);

/// Something in a list, as the call that would use it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The call, without what only an actual one brings.
    pub call: Call<'a>,
    /// Its name is a template, which an actual call fills in.
    pub is_template: bool,
}

/// What a list shows to whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// For each thing in the list, whether it is shown.
    pub items: Vec<bool>,
    /// Whether the same list would show the same again. If not, it must not be kept.
    pub settled: bool,
}

/// What it depends on who sees what of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewpoint {
    reads: ReadSet,
    /// Something in it is decided by policies that nobody here can see.
    is_open: bool,
}

impl PolicyChain {
    /// What of a list the caller sees. Equal decisions are made once, and those of engines that decide elsewhere several at a time.
    /// Engines in shadow mode are not asked: nobody would read what they think.
    pub async fn shown(&self, caller: &Caller, listed: &[Listed<'_>]) -> Shown {
        let mut shown = Shown { items: vec![true; listed.len()], settled: true };
        let asking = if self.has_shadows() { Asking::Deciders } else { Asking::Everyone };
        let mut by_key: HashMap<Box<[u8]>, usize> = HashMap::new();
        let mut open: Vec<(&Listed<'_>, Place, Vec<usize>)> = Vec::new();
        let mut pace = Pace::default();
        for (index, item) in listed.iter().enumerate() {
            pace.step().await;
            if self.depends_on_a_call(item) {
                continue;
            }
            match self.look_up(caller, &item.call, asking) {
                Known::Decided(decided) => set(&mut shown.items, &[index], permits(&decided)),
                Known::Unknown(None) => open.push((item, None, vec![index])),
                Known::Unknown(Some((hash, key))) => {
                    match by_key.get(&key).and_then(|at| open.get_mut(*at)) {
                        Some((_, _, indices)) => indices.push(index),
                        None => {
                            by_key.insert(key.clone(), open.len());
                            open.push((item, Some((hash, key)), vec![index]));
                        }
                    }
                }
            }
        }
        let at_once = if self.is_remote() { REMOTE_AT_ONCE } else { 1 };
        let decide = async |(item, place, indices): (&Listed<'_>, Place, Vec<usize>)| {
            let (decided, transient) = self.find_out(caller, &item.call, place, asking).await;
            (permits(&decided), transient, indices)
        };
        let mut decided = std::pin::pin!(stream::iter(open).map(decide).buffer_unordered(at_once));
        while let Some((permitted, transient, indices)) = decided.next().await {
            set(&mut shown.items, &indices, permitted);
            shown.settled &= !transient;
            pace.step().await;
        }
        shown
    }

    /// Whether the decision depends on what only an actual call brings.
    fn depends_on_a_call(&self, listed: &Listed<'_>) -> bool {
        let reads = self.reads(&listed.call);
        reads.time
            || reads.approval != ApprovalRead::Nothing
            || !reads.arguments.is_empty()
            || listed.is_template && reads.name
    }
}

impl Viewpoint {
    /// Takes something in the list into account.
    pub fn add(&mut self, chain: &PolicyChain, listed: &Listed<'_>) {
        if !chain.depends_on_a_call(listed) {
            self.reads.merge(chain.reads(&listed.call));
            self.is_open |= !chain.is_pure();
        }
    }

    /// Whether everyone sees the same, now and later.
    pub fn is_common(&self) -> bool {
        if self.is_open {
            return false;
        }
        // Destructured, so that a new part cannot be forgotten here.
        let ReadSet {
            subject,
            groups,
            roles,
            auth_method,
            audience,
            attributes,
            // The same for everyone: what is asked for, and where.
            name: _,
            tenant: _,
            source,
            // Never read by what is taken into account.
            time: _,
            approval: _,
            arguments: _,
        } = &self.reads;
        !(*subject || *groups || *roles || *auth_method || *audience || *source) && attributes.is_empty()
    }

    /// Two callers of one class see the same. None if the caller is in none that could be written down; nothing may be kept for it.
    pub fn class(&self, caller: &Caller, source: IpAddr) -> Option<Vec<u8>> {
        if self.is_open {
            return None;
        }
        let mut class = Vec::new();
        write_class(&mut class, &self.reads, caller, source).ok()?;
        Some(class)
    }
}

/// Lets other tasks have their turn.
struct Pace(Instant);

impl Default for Pace {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Pace {
    async fn step(&mut self) {
        if self.0.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}

fn permits(decided: &Decided) -> bool {
    !matches!(decided.verdict.decision, Decision::Deny(_))
}

fn set(items: &mut [bool], indices: &[usize], value: bool) {
    for index in indices {
        if let Some(item) = items.get_mut(*index) {
            *item = value;
        }
    }
}

#[cfg(test)]
mod tests;
