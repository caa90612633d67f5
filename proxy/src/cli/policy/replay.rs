//! `mcpg policy replay`: the recorded calls of the audit log, decided again by other policies, and what would change.
//!
//! Rows are streamed, and equal inputs are decided once. INVARIANT: a call of which the policies read a part that was not recorded is
//! reported as undecidable with the name of that part; nothing is guessed.
//!
//! A call that policy sends to a gate waits, before and after: at which gate is not policy's answer.

mod changes;
mod report;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use mcpg::recorded::Recorded;
use mcpg::revision::Engines;
use mcpg_filters::policy::Verdict;
use mcpg_sdk::policy::{ApprovalRead, ReadSet};
use mcpg_sdk::{Call, Decision, Obligation, Target};

use super::super::say;
use super::Format;
use super::against::{Against, Policies};
use super::asked::rfc3339;
use super::opinion::{APPROVAL_REQUIRED, APPROVAL_UNAVAILABLE, Opinion};
use super::rows::{self, Row};
use changes::{Changes, Judged};

/// Distinct inputs that are remembered.
const REMEMBERED_MAX: usize = 1 << 20;

/// The binding of decisions about an endpoint as a whole.
const WHOLE_ENDPOINT: &str = "*";

/// What the names of engines begin with. What else denies a call (a gate, a pin) is no policy's doing.
const ENGINES: &str = "policy";

#[derive(Debug, Args)]
pub(in super::super) struct Replay {
    #[command(flatten)]
    against: Against,
    /// The audit folder, if not that of the configuration.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// From when on: `7d`, `12h`, `30m`, or a time (RFC 3339). Default: everything.
    #[arg(long)]
    since: Option<String>,
    /// Up to when. Default: now.
    #[arg(long)]
    until: Option<String>,
    /// Stop after so many decisions.
    #[arg(long)]
    limit: Option<u64>,
    /// What ends with exit code 1, if there is any of it.
    #[arg(long, value_enum, value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// The form of the answer: `text`, `json` or `csv`.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// No progress on the standard error.
    #[arg(long)]
    quiet: bool,
}

/// What a replay may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// A call that was permitted would be denied.
    Deny,
    /// A call that was denied would be permitted.
    Permit,
    /// Obligations would be added or removed.
    Obligations,
    /// Another policy would decide the same.
    Policy,
    /// A call cannot be decided from what was recorded.
    Undecidable,
    /// Any of these.
    Any,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.format == Format::Junit {
            bail!("`replay` answers in `text`, `json` or `csv`");
        }
        let policies = self.against.load()?;
        let changes = self.replay(&policies, SystemTime::now())?;
        match self.format {
            Format::Json => say(format_args!("{:#}\n", report::as_json(&changes)))?,
            Format::Csv => say(report::as_csv(&changes))?,
            Format::Text | Format::Junit => say(report::as_text(&changes))?,
        }
        Ok(if changes.fails(&self.fail_on) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn replay(&self, policies: &Policies, now: SystemTime) -> anyhow::Result<Changes> {
        let dir = self.audit.clone().unwrap_or_else(|| policies.config.audit.dir.clone());
        let since = self.since.as_deref().map(|text| moment(text, now)).transpose()?.unwrap_or(0);
        let until = self.until.as_deref().map(|text| moment(text, now)).transpose()?.unwrap_or(u64::MAX);
        if since > until {
            bail!("`--since` is later than `--until`");
        }
        let mut progress = Progress::new(!self.quiet && std::io::stderr().is_terminal());
        let mut replayer = Replayer { policies, remembered: HashMap::new() };
        let mut changes = Changes::default();
        rows::decisions(&dir, since, until, |row| {
            if let Some(scope) = &self.against.scope
                && scope.to_string() != scope_of(&row)
            {
                return true;
            }
            let judged = replayer.judge(&row);
            changes.take(&row, &judged);
            progress.step(changes.decisions, replayer.remembered.len());
            self.limit.is_none_or(|limit| changes.decisions < limit)
        })?;
        changes.distinct = replayer.remembered.len();
        progress.end();
        Ok(changes)
    }
}

/// Decides rows again, and remembers the answers.
struct Replayer<'p> {
    policies: &'p Policies,
    remembered: HashMap<[u8; 32], Arc<Judged>>,
}

impl Replayer<'_> {
    fn judge(&mut self, row: &Row) -> Arc<Judged> {
        let before = &row.decision;
        if before.deny_code.is_some() && !before.engine.starts_with(ENGINES) && !waited(row) {
            return Arc::new(Judged::Skipped("denied by another stage than policy"));
        }
        let scope = scope_of(row);
        let Some(engines) = self.policies.scopes.iter().find(|engines| engines.scope.to_string() == scope)
        else {
            return Arc::new(Judged::Undecidable(format!("the scope `{scope}` is not in the configuration")));
        };
        let recorded = match Recorded::of(before, row.time) {
            Ok(recorded) => recorded,
            Err(error) => return Arc::new(Judged::Undecidable(error.to_string())),
        };
        let key = key(row, engines.chain.reads(&recorded.call()));
        if let Some(known) = self.remembered.get(&key) {
            return Arc::clone(known);
        }
        let judged = Arc::new(self.decide(engines, &recorded, &before.binding));
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.insert(key, Arc::clone(&judged));
        }
        judged
    }

    fn decide(&self, engines: &Engines, recorded: &Recorded, binding: &str) -> Judged {
        if binding != WHOLE_ENDPOINT {
            return self.decide_at(engines, recorded, binding);
        }
        // Which bindings the endpoint had is not recorded. Where they agree it does not matter.
        let mut all = engines.bindings.iter().map(|binding| self.decide_at(engines, recorded, binding));
        let Some(first) = all.next() else {
            return Judged::Undecidable("the configuration has no binding".to_owned());
        };
        if all.all(|other| other == first) {
            first
        } else {
            Judged::Undecidable("which bindings the endpoint had".to_owned())
        }
    }

    fn decide_at(&self, engines: &Engines, recorded: &Recorded, binding: &str) -> Judged {
        let call = recorded.call_at(binding);
        if let Some(part) = recorded.missing(engines.chain.reads(&call)) {
            return Judged::Undecidable(part);
        }
        let verdict = self.ask(engines, recorded, &call);
        if self.waits(engines, recorded, binding, &verdict) {
            return Judged::Decided(Opinion::waiting());
        }
        let mut opinion = Opinion::of(&verdict);
        if opinion.code.as_deref() == Some("policy_timeout") {
            return Judged::Undecidable("an engine did not answer in time".to_owned());
        }
        opinion.message = None;
        Judged::Decided(opinion)
    }

    /// Whether the call would wait for an approval: the rules are those of the pipeline's stage 7, but for the tools of gates.
    fn waits(&self, engines: &Engines, recorded: &Recorded, binding: &str, verdict: &Verdict) -> bool {
        let call = recorded.call_at(binding);
        if call.approval_token.is_some() || matches!(call.target, Target::Binding) {
            return false;
        }
        match &verdict.decision {
            Decision::Permit => false,
            Decision::PermitWithObligations(obligations) => {
                obligations.iter().any(|obligation| matches!(obligation, Obligation::RequireApproval { .. }))
            }
            Decision::Deny(reason) => {
                let is_answer = matches!(reason.code.as_str(), "not_permitted" | "forbidden");
                is_answer
                    && engines.chain.reads(&call).approval != ApprovalRead::Nothing
                    && !matches!(
                        self.ask(engines, recorded, &recorded.approved_at(binding)).decision,
                        Decision::Deny(_)
                    )
            }
        }
    }

    fn ask(&self, engines: &Engines, recorded: &Recorded, call: &Call<'_>) -> Verdict {
        self.policies.runtime.block_on(engines.chain.decide_uncached(&recorded.caller, call))
    }
}

/// Whether policy wanted an approval.
fn waited(row: &Row) -> bool {
    matches!(row.decision.deny_code.as_deref(), Some(APPROVAL_REQUIRED | APPROVAL_UNAVAILABLE))
}

/// What was decided then.
fn before(row: &Row) -> Opinion {
    if waited(row) { Opinion::waiting() } else { row.opinion() }
}

/// What a row's answer depends on: the action, and of the rest only what is read.
fn key(row: &Row, reads: &ReadSet) -> [u8; 32] {
    let decision = &row.decision;
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for text in [&decision.organization, &decision.workspace, &decision.environment, &decision.binding] {
        add(text);
    }
    add(&decision.method);
    add(decision.target_kind);
    // The name selects the policies of a tool, whether or not they read it.
    add(&decision.target);
    if reads.subject {
        add(&decision.subject);
    }
    if reads.auth_method {
        add(&decision.auth_method);
    }
    if reads.source {
        add(&decision.source.to_string());
    }
    if reads.time {
        add(&row.time.to_string());
    }
    add(decision.input.as_deref().unwrap_or_default());
    *hasher.finalize().as_bytes()
}

fn scope_of(row: &Row) -> String {
    format!("{}/{}/{}", row.decision.organization, row.decision.workspace, row.decision.environment)
}

/// A time, or so long ago, in nanoseconds since 1970.
fn moment(text: &str, now: SystemTime) -> anyhow::Result<u64> {
    let time = match ago(text) {
        Some(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
        None => rfc3339(text).map_err(|_| {
            anyhow!("`{text}` is no time: write `7d`, `12h`, `30m` or `2026-11-22T07:00:00Z`")
        })?,
    };
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn ago(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let number: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// Says how far it is, now and then.
struct Progress {
    shown: bool,
    began: Instant,
    last: Instant,
}

impl Progress {
    fn new(shown: bool) -> Self {
        let now = Instant::now();
        Self { shown, began: now, last: now }
    }

    fn step(&mut self, decisions: u64, distinct: usize) {
        const EVERY: Duration = Duration::from_millis(500);
        if self.shown && decisions.is_multiple_of(1024) && self.last.elapsed() > EVERY {
            self.last = Instant::now();
            let seconds = self.began.elapsed().as_secs();
            eprint!("\r{decisions} decisions, {distinct} distinct, {seconds} s");
        }
    }

    fn end(&self) {
        if self.shown {
            eprint!("\r\u{1b}[K");
        }
    }
}
