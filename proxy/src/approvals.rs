//! Calls that wait for people: the process' own, whatever revision they began in.
//!
//! A call that needs an approval gets a place in the table (`Approvals::ask`) and its gate asks. Whoever answers does so by the
//! call's id; whether the answer counts says the gate that is in force then, so that an approver who is struck off the list while
//! a call waits cannot approve it. The request holds a `Ticket`: it waits without a thread, and dropping it cancels the call.
//!
//! INVARIANTS:
//! - an approval is for one call of one caller to the byte (`bound`), and is used once;
//! - the table is bounded, in all, for each gate and for each caller;
//! - nothing but an answer that counts, recorded, lets a call go on: no clock, no failure, no reload does.

mod bound;
mod callback;
mod local;
mod page;
mod pending;
mod table;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use mcpg_filters::gate::{Answer, ApprovalGate, Conclusion, NotCounted};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

pub(crate) use bound::bound;
pub(crate) use callback::{is_ours, serve};
pub use local::LocalService;
pub(crate) use pending::{Asking, Pending, Standing};
pub(crate) use table::NoRoom;

use crate::revision::RevisionStore;
use table::Table;

/// Gates that are spoken to at once.
const ASKED_AT_ONCE: usize = 32;

/// The calls that wait for people.
pub struct Approvals {
    table: Table,
    asked_at_once: Arc<Semaphore>,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It counts.
    Counted(Conclusion),
    /// Nothing waits under this id (any more), here.
    Unknown,
    /// Somebody was first, or it was too late.
    Already(Standing),
    /// It does not count.
    NotCounted(NotCounted),
}

impl Approvals {
    /// None waits.
    pub fn new() -> Self {
        Self { table: Table::new(), asked_at_once: Arc::new(Semaphore::new(ASKED_AT_ONCE)) }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets a call wait. Nobody is asked yet.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn ask(self: &Arc<Self>, asking: Asking) -> Result<Ticket, NoRoom> {
        let deadline = Instant::now() + asking.gate.terms().deadline;
        let pending = self.table.insert(asking)?;
        Ok(Ticket { approvals: Arc::clone(self), pending, deadline, kept: false })
    }

    /// One that waits, or was concluded not long ago.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Pending>> {
        self.table.find(id)
    }

    /// Every one that waits.
    pub(crate) fn all(&self) -> Vec<Arc<Pending>> {
        self.table.all()
    }

    /// Takes an answer, whose giver was proved. Which gate judges it is the revision's in force: `gate` was found there, or is none
    /// where the call's gate is there no more, and then nobody can approve.
    pub(crate) async fn answer(&self, gate: Option<&ApprovalGate>, answer: Answer) -> Answered {
        let Some(pending) = self.find(&answer.id) else { return Answered::Unknown };
        let gate = gate.filter(|gate| gate.id() == pending.asking.gate.id());
        let judged = match gate {
            Some(gate) => gate.judge(&answer, &pending.asking.requester).await,
            // What no gate is there for can still be stopped.
            None if !answer.approve => pending.asking.gate.judge(&answer, &pending.asking.requester).await,
            None => Err(NotCounted::NotApprover),
        };
        if let Err(reason) = judged {
            tracing::info!(
                approval = pending.id(),
                by = answer.by.identity(),
                approve = answer.approve,
                %reason,
                "an answer to an approval does not count"
            );
            return Answered::NotCounted(reason);
        }
        let by: Box<str> = answer.by.identity().into();
        let conclusion = if answer.approve {
            Conclusion::Approved { by, reason: answer.reason }
        } else {
            Conclusion::Denied { by, reason: answer.reason }
        };
        if !pending.conclude(conclusion.clone()).await {
            return Answered::Already(pending.standing());
        }
        match pending.standing() {
            standing @ Standing::Failed => Answered::Already(standing),
            _ => Answered::Counted(conclusion),
        }
    }

    /// The gate in force that a call waits at.
    pub(crate) fn gate_of(revisions: &RevisionStore, pending: &Pending) -> Option<Arc<ApprovalGate>> {
        let revision = revisions.scope(&pending.asking.scope)?;
        revision.scope.gates.approval(pending.asking.gate.id()).map(Arc::clone)
    }

    /// Gives up what a client has cancelled: the request of this raw id, in this session.
    pub(crate) fn cancelled(&self, caller: &[u8; 32], session: &[u8; 16], id: &str) {
        for pending in self.all() {
            let is_it =
                pending.asking.request.as_ref().is_some_and(|(of, own)| of == session && **own == *id);
            if is_it && pending.asking.caller == *caller {
                pending.refuse_now(Conclusion::Cancelled);
            }
        }
    }

    /// Gives up all that wait, and takes no more: for when the process ends.
    pub fn close(&self) {
        for pending in self.table.close() {
            pending.refuse_now(Conclusion::Cancelled);
        }
    }

    /// Takes up again what was left without a request (`Ticket::leave`).
    pub(crate) fn resume(self: &Arc<Self>, id: &str, caller: &[u8; 32], bound: &[u8; 32]) -> Option<Ticket> {
        let pending = self.table.find(id)?;
        let asking = &pending.asking;
        if asking.caller != *caller || asking.bound != *bound {
            return None;
        }
        let left = asking.question.deadline.duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let deadline = Instant::now() + left;
        Some(Ticket { approvals: Arc::clone(self), pending, deadline, kept: true })
    }
}

impl Default for Approvals {
    fn default() -> Self {
        Self::new()
    }
}

/// A call's place. Dropping it cancels the call, unless it was left or is concluded.
pub(crate) struct Ticket {
    approvals: Arc<Approvals>,
    pending: Arc<Pending>,
    deadline: Instant,
    /// Whether it waits without a request that would hold it.
    kept: bool,
}

impl Ticket {
    /// The call.
    pub(crate) fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }

    /// Whether a client has come back for it.
    pub(crate) fn is_resumed(&self) -> bool {
        self.kept
    }

    /// Lets the gate ask, beside the request.
    pub(crate) fn announce(&self) {
        let (pending, permits) = (Arc::clone(&self.pending), Arc::clone(&self.approvals.asked_at_once));
        // Owned by the call: it asks once, with deadlines of its own, and ends when nobody waits any more.
        tokio::spawn(async move {
            let Ok(_permit) = permits.acquire().await else { return };
            if !pending.is_open() {
                return;
            }
            match pending.asking.gate.ask(&pending.asking.question).await {
                Ok(asked) => pending.was_asked(asked).await,
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let gate = pending.asking.gate.id();
                    tracing::warn!(approval = pending.id(), gate, %error, source, "nobody could be asked for an approval");
                    pending.fail(&error.to_string());
                }
            }
        });
    }

    /// Waits until somebody answers, or it is too late. Cancel-safe.
    pub(crate) async fn wait(&self) -> Standing {
        tokio::select! {
            biased;
            standing = self.pending.concluded() => standing,
            () = sleep_until(self.deadline) => {
                self.pending.refuse_now(Conclusion::Expired);
                // Perhaps somebody answers this very moment.
                self.pending.concluded().await
            }
        }
    }

    /// Uses the approval; none if there is none.
    pub(crate) fn use_up(&self) -> Option<Conclusion> {
        let used = self.pending.use_up();
        if used.is_some() {
            self.approvals.table.remove(&self.pending);
        }
        used
    }

    /// Lets the call wait without a request: its client comes back for it, until shortly after the deadline.
    pub(crate) fn leave(mut self) {
        self.kept = true;
        let (approvals, pending, deadline) =
            (Arc::clone(&self.approvals), Arc::clone(&self.pending), self.deadline);
        // Owned by the call: it ends with its deadline.
        tokio::spawn(async move {
            sleep_until(deadline).await;
            pending.refuse_now(Conclusion::Expired);
            sleep_until(deadline + GRACE).await;
            approvals.table.remove(&pending);
        });
    }
}

/// How long after its deadline a client may come back for a call that was approved before.
const GRACE: Duration = Duration::from_secs(30);

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.kept && !matches!(self.pending.standing(), Standing::Refused(_) | Standing::Failed) {
            return;
        }
        self.pending.refuse_now(Conclusion::Cancelled);
        self.approvals.table.remove(&self.pending);
    }
}
