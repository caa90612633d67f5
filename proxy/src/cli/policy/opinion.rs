//! A decision in the words that all the tools share.

use mcpg_filters::policy::Verdict;
use mcpg_sdk::Decision;
use mcpg_sdk::policy::{ApprovalRead, Names, ReadSet};
use serde::Serialize;

/// Policy wants a person's approval.
pub(super) const APPROVAL_REQUIRED: &str = "approval_required";
/// It does, and nobody can give it.
pub(super) const APPROVAL_UNAVAILABLE: &str = "approval_unavailable";

/// What was decided, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Opinion {
    /// `permit` or `deny`.
    pub(super) decision: &'static str,
    /// The engine that denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) engine: Option<String>,
    /// The stable word for a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// The policies that determined it, sorted.
    pub(super) policies: Vec<String>,
    /// In their text form, sorted.
    pub(super) obligations: Vec<String>,
}

impl Opinion {
    pub(super) fn of(verdict: &Verdict) -> Self {
        let mut policies: Vec<String> =
            verdict.policies.iter().map(|policy| policy.policy.to_string()).collect();
        policies.sort();
        policies.dedup();
        let mut opinion = Self {
            decision: "permit",
            engine: None,
            code: None,
            message: None,
            policies,
            obligations: Vec::new(),
        };
        match &verdict.decision {
            Decision::Permit => {}
            Decision::PermitWithObligations(obligations) => {
                opinion.obligations = obligations.iter().map(ToString::to_string).collect();
                opinion.obligations.sort();
            }
            Decision::Deny(reason) => {
                opinion.decision = "deny";
                opinion.engine = Some(reason.engine.clone());
                opinion.code = Some(reason.code.clone());
                opinion.message = Some(reason.message.clone());
            }
        }
        opinion
    }

    /// What becomes of a call that waits for a person's approval, whichever gate it would wait at.
    pub(super) fn waiting() -> Self {
        Self {
            decision: "deny",
            engine: None,
            code: Some(APPROVAL_REQUIRED.to_owned()),
            message: None,
            policies: Vec::new(),
            obligations: Vec::new(),
        }
    }

    /// On one line.
    pub(super) fn line(&self) -> String {
        let mut line = self.decision.to_owned();
        if let Some(code) = &self.code {
            line += &format!(" {code}");
        }
        if let Some(engine) = &self.engine {
            line += &format!(" by {engine}");
        }
        if !self.obligations.is_empty() {
            line += &format!(" with {}", self.obligations.join(", "));
        }
        if !self.policies.is_empty() {
            line += &format!(" [{}]", self.policies.join(", "));
        }
        if let Some(message) = self.message.as_ref().filter(|message| !message.is_empty()) {
            line += &format!(": {message}");
        }
        line
    }
}

/// The parts that policies read, as their authors write them.
pub(super) fn parts(reads: &ReadSet) -> Vec<String> {
    // Destructured, so that a new part cannot be forgotten here.
    let ReadSet {
        subject,
        groups,
        roles,
        auth_method,
        audience,
        attributes,
        name,
        tenant,
        source,
        time,
        approval,
        arguments,
    } = reads;
    let mut parts: Vec<String> = [
        (*subject, "caller.subject"),
        (*groups, "caller.groups"),
        (*roles, "caller.roles"),
        (*auth_method, "caller.auth_method"),
        (*audience, "caller.audience"),
        (*name, "resource.name"),
        (*tenant, "tenant"),
        (*source, "context.source_ip"),
        (*time, "context.time"),
        (*approval != ApprovalRead::Nothing, "context.approval_token"),
    ]
    .into_iter()
    .filter(|(read, _)| *read)
    .map(|(_, part)| part.to_owned())
    .collect();
    for (group, names) in [("caller.attributes", attributes), ("context.arguments", arguments)] {
        match names {
            Names::All => parts.push(format!("{group}.*")),
            Names::Only(names) => parts.extend(names.iter().map(|name| format!("{group}.{name}"))),
        }
    }
    parts
}
