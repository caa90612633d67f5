//! The log of a simulated gateway: decisions, outcomes, checkpoints, as a gateway's own writer encodes and chains them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use mcpg_ledger::{
    ChainId, Checkpoint, CheckpointClaim, Completion, DecisionRef, Head, LifecycleEvent, LifecycleRef,
    OutcomeRef, RowRef, TargetRef, Texts, Verdict,
};

/// A gateway signs its log after so many rows.
const SIGNED_EVERY: u64 = 10_000;
/// A row of this number of calls is denied, and one of this number fails.
const DENIED_ONE_OF: u32 = 33;
const FAILED_ONE_OF: u32 = 100;
/// Callers that are at work at a time, and after how many calls of a gateway one goes and another comes.
const SESSIONS_AT_ONCE: u64 = 20;
const SESSION_CALLS: u64 = 25;
/// Calls whose outcome has not come yet.
const OPEN_MAX: usize = 32;

/// Bindings, and the tools of each.
const TOOLS: [(&str, &[&str]); 4] = [
    (
        "github",
        &["get_file_contents", "search_code", "list_pull_requests", "create_issue", "merge_pull_request"],
    ),
    ("postgres", &["query", "list_tables", "describe_table"]),
    ("tickets", &["find_ticket", "add_comment", "close_ticket"]),
    ("mail", &["search_messages", "send_message"]),
];

/// What the rows of a log say, beside what differs from row to row.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) organization: String,
    pub(super) environment: String,
    /// How many callers there are.
    pub(super) callers: u32,
    /// When the first row was written, and how much later each call is than the one before, in nanoseconds.
    pub(super) begins: u64,
    pub(super) step: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) calls: u64,
    pub(crate) denied: u64,
    pub(crate) failed: u64,
}

impl Written {
    pub(super) fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.calls += more.calls;
        self.denied += more.denied;
        self.failed += more.failed;
    }
}

/// A log that is being written.
pub(super) struct Log {
    story: Story,
    key: SigningKey,
    pub(super) chain: ChainId,
    pub(super) head: Head,
    last_checkpoint: [u8; 32],
    time: u64,
    calls: u64,
    open: Vec<[u8; 16]>,
    random: fastrand::Rng,
    row: Vec<u8>,
}

impl Log {
    pub(super) fn new(story: Story, key: SigningKey, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let chain = random.u128(..).to_be_bytes();
        let head = Head::genesis(&story.organization, &chain);
        let time = story.begins;
        Self {
            story,
            key,
            chain,
            head,
            last_checkpoint: [0; 32],
            time,
            calls: 0,
            open: Vec::new(),
            random,
            row: Vec::new(),
        }
    }

    /// Writes so many rows, each handed on as it is sent.
    pub(super) fn write(&mut self, rows: u64, mut send: impl FnMut(&str)) -> Written {
        let mut written = Written::default();
        let mut text = String::new();
        for _ in 0..rows {
            self.row.clear();
            self.next(&mut written);
            self.head = self.head.after(&self.row);
            text.clear();
            URL_SAFE_NO_PAD.encode_string(&self.row, &mut text);
            send(&text);
            written.rows += 1;
        }
        written
    }

    fn next(&mut self, written: &mut Written) {
        if self.head.seq == 0 {
            let event = LifecycleEvent::Started { instance: "load", version: "load" };
            return RowRef::Lifecycle(LifecycleRef { time: self.time, event }).encode(&mut self.row);
        }
        if self.head.seq.is_multiple_of(SIGNED_EVERY) {
            return self.checkpoint();
        }
        // Half of the rows are outcomes, of one of the calls that are under way.
        let is_outcome = self.open.len() >= OPEN_MAX || (!self.open.is_empty() && self.random.bool());
        if is_outcome {
            let request = self.open.swap_remove(self.random.usize(..self.open.len()));
            return self.outcome(request, written);
        }
        self.decision(written);
    }

    fn decision(&mut self, written: &mut Written) {
        self.time += self.random.u64(..self.story.step.saturating_mul(2).max(1));
        let random = &mut self.random;
        let request_id = random.u128(..).to_be_bytes();
        // At any time a few callers work, each with one server for a while.
        let session = self.calls / SESSION_CALLS + random.u64(..SESSIONS_AT_ONCE);
        let caller = session.wrapping_mul(7919) % u64::from(self.story.callers.max(1));
        let subject = format!("user:member-{caller}@example.com");
        let (binding, tools) =
            usize::try_from(session % 4).ok().and_then(|at| TOOLS.get(at)).unwrap_or(&TOOLS[0]);
        let tool = random.choice(tools.iter()).copied().unwrap_or("get_file_contents");
        self.calls += 1;
        let is_denied = random.u32(..DENIED_ONE_OF) == 0;
        let verdict = match (is_denied, random.u32(..10)) {
            (true, _) => Verdict::Deny,
            (false, 0) => Verdict::PermitWithObligations,
            _ => Verdict::Permit,
        };
        let [a, b] = random.u16(..).to_be_bytes();
        RowRef::Decision(&DecisionRef {
            time: self.time,
            request_id,
            organization: &self.story.organization,
            workspace: "team",
            environment: &self.story.environment,
            subject: &subject,
            auth_method: "oidc",
            source: [10, 0, a, b].into(),
            binding,
            method: "tools/call",
            target: TargetRef::Tool(tool),
            verdict,
            engine: "cedar",
            policies: Texts::Refs(&["tools-of-the-team"]),
            deny_code: is_denied.then_some("denied_by_policy"),
            obligations: if verdict == Verdict::PermitWithObligations {
                Texts::Refs(&["redact:pii"])
            } else {
                Texts::NONE
            },
            revision: 1 + self.time / 86_400_000_000_000 % 30,
            revision_digest: [7; 32],
            cached: random.u32(..10) > 0,
            arguments_digest: Some([random.u8(..); 32]),
            protocol: "2025-06-18",
            input: None,
            shadow: Texts::NONE,
        })
        .encode(&mut self.row);
        written.calls += 1;
        written.denied += u64::from(is_denied);
        if !is_denied {
            self.open.push(request_id);
        }
    }

    fn outcome(&mut self, request_id: [u8; 16], written: &mut Written) {
        let fails = self.random.u32(..FAILED_ONE_OF) == 0;
        RowRef::Outcome(OutcomeRef {
            time: self.time + self.random.u64(1_000_000..200_000_000),
            request_id,
            http_status: if fails { 502 } else { 200 },
            response_bytes: self.random.u64(200..20_000),
            duration_us: self.random.u64(1_000..200_000),
            completion: if fails { Completion::UpstreamError } else { Completion::Complete },
        })
        .encode(&mut self.row);
        written.failed += u64::from(fails);
    }

    fn checkpoint(&mut self) {
        let claim = CheckpointClaim {
            time: self.time,
            organization: &self.story.organization,
            chain: self.chain,
            head: self.head,
            previous: self.last_checkpoint,
        };
        let checkpoint = Checkpoint::sign(&claim, &self.key);
        self.last_checkpoint = checkpoint.hash();
        self.row.extend_from_slice(checkpoint.as_bytes());
    }
}
