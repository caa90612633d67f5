//! What a row says: borrowed inputs of the encoder, so that recording allocates nothing.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{ChainId, Hash, UnixNanos};

/// Ties a decision to its outcome.
pub type RequestId = [u8; 16];

/// A row to be recorded. Checkpoints are rows too; they come from [`crate::Checkpoint`].
#[derive(Debug, Clone, Copy)]
pub enum RowRef<'a> {
    /// Policy answered.
    Decision(&'a DecisionRef<'a>),
    /// The call ended.
    Outcome(OutcomeRef),
    /// Something happened to the gateway itself.
    Lifecycle(LifecycleRef<'a>),
    /// Somebody was asked to approve a call, or it ended.
    Approval(&'a ApprovalRef<'a>),
    /// Somebody changed something in the control plane.
    Operator(&'a OperatorRef<'a>),
    /// A gateway's row, taken over into the control plane's chain of the organization.
    Forwarded(&'a ForwardedRef<'a>),
    /// Rows of a gateway's log that are not taken over.
    Hole(&'a HoleRef<'a>),
    /// Rows were dropped by the `async` mode because its queue was full.
    Gap {
        /// When the gap was closed.
        time: UnixNanos,
        /// How many rows are missing here.
        dropped: u64,
    },
}

/// One policy decision: who asked for what, what was answered, by which policies of which revision.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRef<'a> {
    /// When the decision was made.
    pub time: UnixNanos,
    /// The request, shared with its [`OutcomeRef`].
    pub request_id: RequestId,
    /// The organization's slug. Must be the organization of the chain.
    pub organization: &'a str,
    /// The workspace's slug.
    pub workspace: &'a str,
    /// The environment's slug.
    pub environment: &'a str,
    /// The caller's subject.
    pub subject: &'a str,
    /// How the caller proved the subject.
    pub auth_method: &'a str,
    /// Where the request came from.
    pub source: IpAddr,
    /// The binding that would serve the call.
    pub binding: &'a str,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// What the method is applied to.
    pub target: TargetRef<'a>,
    /// The answer.
    pub verdict: Verdict,
    /// The engine that decided, or the engines, as one text.
    pub engine: &'a str,
    /// The policies that determined the answer.
    pub policies: Texts<'a>,
    /// The stable word for a denial.
    pub deny_code: Option<&'a str>,
    /// What must be done to the response, one text each.
    pub obligations: Texts<'a>,
    /// The number of the revision that decided.
    pub revision: u64,
    /// The digest of that revision's configuration.
    pub revision_digest: Hash,
    /// Whether the answer came from the decision cache.
    pub cached: bool,
    /// BLAKE3 of the raw arguments as received, if the call has any.
    pub arguments_digest: Option<Hash>,
    /// The MCP revision of the request.
    pub protocol: &'a str,
    /// What policy read beside all that, as JSON, if it is to be kept.
    pub input: Option<&'a str>,
    /// What engines in shadow mode would have decided, one text each: `ENGINE=permit`. A row with neither this nor an input has the
    /// bytes of version 1.
    pub shadow: Texts<'a>,
}

/// What a method is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetRef<'a> {
    /// The binding as a whole.
    Binding,
    /// A tool, by the upstream's name.
    Tool(&'a str),
    /// A resource, by URI.
    Resource(&'a str),
    /// A prompt, by name.
    Prompt(&'a str),
}

/// The answer of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Permit,
    /// Go on, with duties on the way back.
    PermitWithObligations,
    /// Stop.
    Deny,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeRef {
    /// When it ended.
    pub time: UnixNanos,
    /// The request, shared with its [`DecisionRef`].
    pub request_id: RequestId,
    /// The HTTP status sent to the client.
    pub http_status: u16,
    /// Bytes of the response's body sent to the client.
    pub response_bytes: u64,
    /// From the request's arrival to its end.
    pub duration_us: u64,
    /// Whether the client got all of it.
    pub completion: Completion,
}

/// Whether the client got the whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Yes.
    Complete,
    /// The client went away.
    ClientAborted,
    /// The upstream failed.
    UpstreamError,
    /// The gateway held it back, for example because an obligation could not be met.
    Withheld,
}

/// Something that happened to the gateway itself.
#[derive(Debug, Clone, Copy)]
pub struct LifecycleRef<'a> {
    /// When.
    pub time: UnixNanos,
    /// What.
    pub event: LifecycleEvent<'a>,
}

/// What happened to the gateway.
#[derive(Debug, Clone, Copy)]
pub enum LifecycleEvent<'a> {
    /// The log was opened for writing.
    Started {
        /// The gateway instance that writes from here on.
        instance: &'a str,
        /// Its software version.
        version: &'a str,
    },
    /// The log was closed in good order.
    Stopped,
    /// A new revision is in force.
    RevisionSwapped {
        /// Its number.
        revision: u64,
        /// The digest of its configuration.
        digest: Hash,
    },
    /// A new revision was refused; the old one stays.
    RevisionRefused {
        /// Why, without any secret.
        reason: &'a str,
    },
    /// A torn end was found when the log was opened, cut off, and kept beside the segment.
    TailRecovered {
        /// The segment's file name.
        segment: &'a str,
        /// Where the torn bytes began.
        offset: u64,
        /// How many there were.
        bytes: u64,
        /// BLAKE3 of them.
        digest: Hash,
    },
    /// The log could not be written for a while and can again.
    Resumed {
        /// What had failed.
        cause: &'a str,
        /// Rows refused meanwhile: their calls were refused too.
        refused: u64,
        /// Rows that had been accepted and that the storage lost.
        lost: u64,
    },
}

/// Somebody was asked to approve a call, or how that ended.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRef<'a> {
    /// When.
    pub time: UnixNanos,
    /// The request, shared with its [`DecisionRef`].
    pub request_id: RequestId,
    /// The approval's id, shared by all rows of it.
    pub approval: &'a str,
    /// What happened.
    pub event: ApprovalEvent,
    /// The gate that asked.
    pub gate: &'a str,
    /// Who answered, as the gate names people.
    pub by: Option<&'a str>,
    /// What was said with it, or why nobody could be asked.
    pub reason: Option<&'a str>,
    /// Digest of what the approval is for: caller, scope, binding, tool and arguments.
    pub bound: Hash,
}

/// What happened to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalEvent {
    /// Somebody is asked.
    Asked,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The caller or the gateway gave up.
    Cancelled,
    /// Nobody could be asked.
    Failed,
}

/// A change in the control plane: who did what to which node.
#[derive(Debug, Clone, Copy)]
pub struct OperatorRef<'a> {
    /// When.
    pub time: UnixNanos,
    /// The request of the API; zeros where there was none.
    pub request_id: RequestId,
    /// The organization's slug. Must be the organization of the chain.
    pub organization: &'a str,
    /// Who did it.
    pub subject: &'a str,
    /// How they proved who they are.
    pub auth_method: &'a str,
    /// Where the request came from, if it came from anywhere.
    pub source: Option<IpAddr>,
    /// What was done: `workspace.create`.
    pub action: &'a str,
    /// To what: `workspace/acme-corp/platform-team`.
    pub target: &'a str,
    /// What else there is to say, as JSON; no secrets.
    pub details: &'a str,
}

/// A row of a gateway's log as a row of another chain. The inner bytes stay as the gateway wrote and hashed them.
#[derive(Debug, Clone, Copy)]
pub struct ForwardedRef<'a> {
    /// When it was taken over.
    pub time: UnixNanos,
    /// The gateway instance.
    pub gateway: &'a str,
    /// The chain of its log.
    pub log: ChainId,
    /// The row's number there.
    pub seq: u64,
    /// The hash of the row before it there. With it the row's own hash can be computed.
    pub previous: Hash,
    /// The row.
    pub row: &'a [u8],
}

/// Rows of a gateway's log that are not in the other chain: it goes on behind them.
#[derive(Debug, Clone, Copy)]
pub struct HoleRef<'a> {
    /// When that was found.
    pub time: UnixNanos,
    /// The gateway instance.
    pub gateway: &'a str,
    /// The chain of its log.
    pub log: ChainId,
    /// The number of the row before them there.
    pub after: u64,
    /// The number of the last of them there.
    pub up_to: u64,
    /// The hash of that one.
    pub hash: Hash,
    /// Why they are not there.
    pub cause: HoleCause,
}

/// Why rows of a gateway's log are not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoleCause {
    /// They were gone from the gateway before they were sent.
    Lost,
    /// They are about environments that the gateway is not enrolled in.
    Elsewhere,
}

/// A list of texts in whatever shape the owner holds it.
#[derive(Debug, Clone, Copy)]
pub enum Texts<'a> {
    /// Borrowed texts.
    Refs(&'a [&'a str]),
    /// Owned texts.
    Strings(&'a [String]),
    /// Shared texts.
    Shared(&'a [Arc<str>]),
}

impl<'a> Texts<'a> {
    /// No text at all.
    pub const NONE: Self = Self::Refs(&[]);

    /// How many texts there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Refs(texts) => texts.len(),
            Self::Strings(texts) => texts.len(),
            Self::Shared(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text at a place.
    pub fn nth(&self, index: usize) -> Option<&'a str> {
        match self {
            Self::Refs(texts) => texts.get(index).copied(),
            Self::Strings(texts) => texts.get(index).map(String::as_str),
            Self::Shared(texts) => texts.get(index).map(AsRef::as_ref),
        }
    }
}

impl RowRef<'_> {
    /// The row's own time.
    pub fn time(&self) -> UnixNanos {
        match self {
            Self::Decision(decision) => decision.time,
            Self::Outcome(outcome) => outcome.time,
            Self::Lifecycle(lifecycle) => lifecycle.time,
            Self::Approval(approval) => approval.time,
            Self::Operator(operator) => operator.time,
            Self::Forwarded(forwarded) => forwarded.time,
            Self::Hole(hole) => hole.time,
            Self::Gap { time, .. } => *time,
        }
    }
}
