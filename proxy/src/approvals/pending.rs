//! One call that waits, and how it stands.
//!
//! INVARIANT: a call is concluded once, and an approval used once. The row of an answer is in the log before the call goes on.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mcpg_filters::gate::{ApprovalGate, Asked, Conclusion, Question, Reason, Requester};
use mcpg_ledger::{ApprovalEvent, ApprovalRef, RequestId, RowRef};
use mcpg_sdk::Scope;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::audit::{AuditError, Ledger};
use crate::metrics::Metrics;

/// Everything that is known of a call when it begins to wait.
pub(crate) struct Asking {
    /// The gate that asks.
    pub(crate) gate: Arc<ApprovalGate>,
    /// What people see.
    pub(crate) question: Question,
    /// What the page of it is found by, besides the id.
    pub(crate) page_key: Box<str>,
    /// Who asks, and must perhaps not approve.
    pub(crate) requester: Requester,
    /// Digest of who asks.
    pub(crate) caller: [u8; 32],
    /// Digest of what the approval is for.
    pub(crate) bound: [u8; 32],
    /// Where it belongs.
    pub(crate) scope: Scope,
    /// Its audit rows.
    pub(crate) request_id: RequestId,
    /// The legacy session and the raw id of the request, by which a client can cancel it.
    pub(crate) request: Option<([u8; 16], Box<str>)>,
    /// Where it is recorded.
    pub(crate) audit: Arc<Ledger>,
    /// Where it is counted.
    pub(crate) metrics: Arc<Metrics>,
}

/// A call that waits.
pub(crate) struct Pending {
    pub(crate) asking: Asking,
    began: Instant,
    standing: Mutex<Standing>,
    asked: Mutex<Option<Asked>>,
    changed: Notify,
}

/// How a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has answered.
    Open,
    /// Somebody has, and it is being recorded.
    Deciding,
    /// It may be made, once.
    Approved(Conclusion),
    /// It was.
    Used(Conclusion),
    /// It may not.
    Refused(Conclusion),
    /// Nobody could be asked.
    Failed,
}

impl Standing {
    /// The stable word.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Open | Self::Deciding => "pending",
            Self::Approved(_) => "approved",
            Self::Used(_) => "used",
            Self::Refused(conclusion) => conclusion.as_str(),
            Self::Failed => "failed",
        }
    }

    /// How it ended, if it has.
    pub(crate) fn conclusion(&self) -> Option<&Conclusion> {
        match self {
            Self::Open | Self::Deciding | Self::Failed => None,
            Self::Approved(conclusion) | Self::Used(conclusion) | Self::Refused(conclusion) => {
                Some(conclusion)
            }
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Deciding)
    }
}

impl Pending {
    pub(super) fn new(asking: Asking) -> Arc<Self> {
        asking.metrics.approval_began(asking.gate.id());
        Arc::new(Self {
            asking,
            began: Instant::now(),
            standing: Mutex::new(Standing::Open),
            asked: Mutex::new(None),
            changed: Notify::new(),
        })
    }

    /// What an answer refers to.
    pub(crate) fn id(&self) -> &str {
        &self.asking.question.id
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Whether it still waits.
    pub(crate) fn is_open(&self) -> bool {
        self.standing.lock().is_open()
    }

    /// Completes when it waits no more. Cancel-safe.
    pub(crate) async fn concluded(&self) -> Standing {
        loop {
            let changed = self.changed.notified();
            let standing = self.standing();
            if !standing.is_open() {
                return standing;
            }
            changed.await;
        }
    }

    /// Concludes it, with its row in the log first. False if it is concluded already.
    pub(crate) async fn conclude(self: &Arc<Self>, conclusion: Conclusion) -> bool {
        if !self.take_decision() {
            return false;
        }
        let standing = match self.record(&conclusion).await {
            Ok(()) => Self::ended(conclusion),
            Err(error) => {
                tracing::error!(approval = self.id(), %error, "the answer to an approval cannot be recorded");
                Standing::Failed
            }
        };
        self.end(standing);
        true
    }

    /// The same without waiting for the disk, for what is no approval.
    pub(crate) fn refuse_now(self: &Arc<Self>, conclusion: Conclusion) -> bool {
        if !self.take_decision() {
            return false;
        }
        if let Err(error) = self.record_now(event_of(&conclusion), &conclusion) {
            tracing::error!(approval = self.id(), %error, "the end of an approval cannot be recorded");
        }
        self.end(Standing::Refused(conclusion));
        true
    }

    /// Notes that nobody could be asked.
    pub(super) fn fail(self: &Arc<Self>, reason: &str) {
        if !self.take_decision() {
            return;
        }
        let row = ApprovalRef { reason: Some(reason), ..self.row(ApprovalEvent::Failed) };
        if let Err(error) = self.asking.audit.record_now(&RowRef::Approval(&row)) {
            tracing::error!(approval = self.id(), %error, "the end of an approval cannot be recorded");
        }
        self.end(Standing::Failed);
    }

    /// Uses the approval. None if there is none, or it was used.
    pub(crate) fn use_up(&self) -> Option<Conclusion> {
        let mut standing = self.standing.lock();
        let Standing::Approved(conclusion) = &*standing else { return None };
        let conclusion = conclusion.clone();
        *standing = Standing::Used(conclusion.clone());
        Some(conclusion)
    }

    /// Records that somebody is asked.
    pub(crate) async fn record_asked(&self) -> Result<(), AuditError> {
        let row = self.row(ApprovalEvent::Asked);
        self.asking.audit.record(&RowRef::Approval(&row)).await.map(|_| ())
    }

    /// Notes how it was asked, so that those who were asked can be told how it ended. They are, if it has.
    pub(super) async fn was_asked(self: &Arc<Self>, asked: Asked) {
        *self.asked.lock() = Some(asked);
        if !self.is_open() {
            self.tell().await;
        }
    }

    /// Tells those who were asked how it ended; nobody, if nobody was asked (yet).
    async fn tell(self: &Arc<Self>) {
        // Whoever takes it tells them, and nobody else.
        let standing = self.standing();
        let Some(conclusion) = standing.conclusion() else { return };
        let Some(asked) = self.asked.lock().take() else { return };
        let told = self.asking.gate.conclude(&self.asking.question, &asked, conclusion).await;
        if let Err(error) = told {
            tracing::warn!(approval = self.id(), gate = self.asking.gate.id(), %error, "who was asked cannot be told how it ended");
        }
    }

    fn take_decision(&self) -> bool {
        let mut standing = self.standing.lock();
        let is_open = *standing == Standing::Open;
        if is_open {
            *standing = Standing::Deciding;
        }
        is_open
    }

    fn end(self: &Arc<Self>, standing: Standing) {
        let outcome = standing.as_str();
        *self.standing.lock() = standing;
        self.asking.metrics.approval_ended(self.asking.gate.id(), outcome, self.began.elapsed());
        self.changed.notify_waiters();
        // Owned by what it tells: one exchange, with a deadline of its own.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let this = Arc::clone(self);
            runtime.spawn(async move { this.tell().await });
        }
    }

    fn ended(conclusion: Conclusion) -> Standing {
        match conclusion {
            Conclusion::Approved { .. } => Standing::Approved(conclusion),
            _ => Standing::Refused(conclusion),
        }
    }

    async fn record(&self, conclusion: &Conclusion) -> Result<(), AuditError> {
        let row = self.row_of(event_of(conclusion), conclusion);
        self.asking.audit.record(&RowRef::Approval(&row)).await.map(|_| ())
    }

    fn record_now(&self, event: ApprovalEvent, conclusion: &Conclusion) -> Result<(), AuditError> {
        let row = self.row_of(event, conclusion);
        self.asking.audit.record_now(&RowRef::Approval(&row)).map(|_| ())
    }

    fn row_of<'a>(&'a self, event: ApprovalEvent, conclusion: &'a Conclusion) -> ApprovalRef<'a> {
        let (by, reason) = conclusion.answer().unzip();
        ApprovalRef { by, reason: reason.flatten().map(Reason::as_str), ..self.row(event) }
    }

    fn row(&self, event: ApprovalEvent) -> ApprovalRef<'_> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        ApprovalRef {
            time: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            request_id: self.asking.request_id,
            approval: self.id(),
            event,
            gate: self.asking.gate.id(),
            by: None,
            reason: None,
            bound: self.asking.bound,
        }
    }
}

fn event_of(conclusion: &Conclusion) -> ApprovalEvent {
    match conclusion {
        Conclusion::Approved { .. } => ApprovalEvent::Approved,
        Conclusion::Denied { .. } => ApprovalEvent::Denied,
        Conclusion::Expired => ApprovalEvent::Expired,
        Conclusion::Cancelled => ApprovalEvent::Cancelled,
    }
}
