//! Gates: who is asked to approve a call, and whose answer counts.
//!
//! A gate knows how to ask ([`ApprovalGate::ask`]), how to know an answer ([`ApprovalGate::callback`]) and whether it counts
//! ([`ApprovalGate::judge`]). What waits meanwhile, and what an approval is bound to, is the data plane's.
//!
//! INVARIANT: an answer that nobody proved, from somebody who is not on the list, or from the caller, never counts as an approval.

mod question;
mod reason;
mod settings;
mod show;
mod signature;
mod slack;
mod terms;
mod webhook;

use std::time::SystemTime;

use http::HeaderMap;
use mcpg_sdk::{Caller, Settings, SettingsError};

pub use question::{Answer, Answerer, Conclusion, Question, Requester};
pub use reason::{BadReason, REASON_BYTES_MAX, Reason};
pub use settings::{LocalSettings, SlackSettings, WebhookSettings};
pub use show::{Unshowable, show};
pub use signature::Unsigned;
pub use slack::{Posted, SlackApproval};
pub use terms::{Mode, SelfApproval, Terms, Tools};
pub use webhook::WebhookApproval;

use crate::net::{AllowAddresses, ClientTls, ClientTlsSettings, FetchError, Roots, Target};
use crate::registry::BuildContext;
use crate::secret::file;
use settings::GateTlsSettings;

/// The id of the gate in Slack.
pub const SLACK_ID: &str = "gate.slack-approval";
/// Its name in the product's articles.
pub const SLACK_ALIAS: &str = "tool-gate-slack-approval";
/// The id of the gate that asks a webhook.
pub const WEBHOOK_ID: &str = "gate.webhook-approval";
/// The id of the gate that is answered on this machine alone.
pub const LOCAL_ID: &str = "gate.approval";

const CA_BYTES_MAX: usize = 1024 * 1024;

/// A gate.
pub struct ApprovalGate {
    kind: Kind,
}

#[allow(clippy::large_enum_variant, reason = "there are few, each in a place of its own")]
enum Kind {
    Slack(SlackApproval),
    Webhook(WebhookApproval),
    Local(Terms),
}

/// What a gate needs to show later how a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A message in Slack.
    Slack(Posted),
    /// Nothing.
    Plainly,
}

impl ApprovalGate {
    /// Builds `gate.slack-approval`.
    ///
    /// # Errors
    /// When the settings do not hold.
    pub fn slack(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        SlackApproval::build(settings, context).map(|gate| Self { kind: Kind::Slack(gate) })
    }

    /// Builds `gate.webhook-approval`.
    ///
    /// # Errors
    /// When the settings do not hold.
    pub fn webhook(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        WebhookApproval::build(settings, context).map(|gate| Self { kind: Kind::Webhook(gate) })
    }

    /// Builds `gate.approval`.
    ///
    /// # Errors
    /// When the settings do not hold.
    pub fn local(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: LocalSettings = settings.parse()?;
        if settings.operators.is_empty() {
            return Err(SettingsError::at("/operators", "nobody could approve: name users of this machine"));
        }
        Ok(Self { kind: Kind::Local(settings.common().terms(context.bindings)?) })
    }

    /// Its id.
    pub fn id(&self) -> &'static str {
        match &self.kind {
            Kind::Slack(_) => SLACK_ID,
            Kind::Webhook(_) => WEBHOOK_ID,
            Kind::Local(_) => LOCAL_ID,
        }
    }

    /// Whether it goes by a name: its id, or the other one.
    pub fn goes_by(&self, name: &str) -> bool {
        name == self.id() || name == SLACK_ALIAS && self.id() == SLACK_ID
    }

    /// What it does, whoever answers.
    pub fn terms(&self) -> &Terms {
        match &self.kind {
            Kind::Slack(gate) => &gate.terms,
            Kind::Webhook(gate) => &gate.terms,
            Kind::Local(terms) => terms,
        }
    }

    /// Who asks, as the gate knows callers.
    ///
    /// # Errors
    /// When that cannot be found out: then nobody could tell a caller from an approver.
    pub async fn requester(&self, caller: &Caller) -> Result<Requester, GateError> {
        match &self.kind {
            Kind::Slack(gate) => gate.requester(caller).await,
            Kind::Webhook(_) | Kind::Local(_) => Ok(Requester::new(caller, self.terms().email(caller))),
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// When nobody could be asked.
    pub async fn ask(&self, question: &Question) -> Result<Asked, GateError> {
        match &self.kind {
            Kind::Slack(gate) => gate.ask(question).await.map(Asked::Slack),
            Kind::Webhook(gate) => gate.ask(question).await.map(|()| Asked::Plainly),
            Kind::Local(_) => Ok(Asked::Plainly),
        }
    }

    /// Tells those who were asked how it ended.
    ///
    /// # Errors
    /// When they cannot be told.
    pub async fn conclude(
        &self,
        question: &Question,
        asked: &Asked,
        conclusion: &Conclusion,
    ) -> Result<(), GateError> {
        match (&self.kind, asked) {
            (Kind::Slack(gate), Asked::Slack(posted)) => gate.conclude(question, posted, conclusion).await,
            (Kind::Webhook(gate), _) => gate.conclude(question, conclusion).await,
            (Kind::Slack(_) | Kind::Local(_), _) => Ok(()),
        }
    }

    /// Reads a callback; none if there is nothing to answer in it.
    ///
    /// # Errors
    /// When nobody proved it, or it is no answer.
    pub fn callback(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<Answer>, CallbackError> {
        match &self.kind {
            Kind::Slack(gate) => gate.callback(headers, body, now),
            Kind::Webhook(gate) => gate.callback(headers, body, now),
            Kind::Local(_) => Err(CallbackError::None),
        }
    }

    /// Whether an answer counts. INVARIANT: who it is from was proved before.
    ///
    /// # Errors
    /// When it does not, or nobody can tell.
    pub async fn judge(&self, answer: &Answer, requester: &Requester) -> Result<(), NotCounted> {
        match (&self.kind, &answer.by) {
            (Kind::Slack(gate), Answerer::Slack { user, .. }) => {
                gate.judge(user, answer.approve, requester).await
            }
            (Kind::Webhook(gate), Answerer::Webhook(name)) => gate.judge(name, answer.approve, requester),
            // Who may use the socket may stop what waits here; to let it go on takes a name on the list.
            (_, Answerer::Operator { .. }) if !answer.approve => Ok(()),
            (_, Answerer::Operator { name, .. }) => {
                let terms = self.terms();
                if !terms.is_operator(name) {
                    Err(NotCounted::NotApprover)
                } else if terms.is_self(name, &requester.subject, requester.email.as_deref()) {
                    Err(NotCounted::OwnCall)
                } else {
                    Ok(())
                }
            }
            _ => Err(NotCounted::NotApprover),
        }
    }

    /// Tells something to who gave an answer, and to nobody else. Where that is not possible nothing happens.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn tell(&self, by: &Answerer, text: &str) -> Result<(), GateError> {
        match &self.kind {
            Kind::Slack(gate) => gate.tell(by, text).await,
            Kind::Webhook(_) | Kind::Local(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for ApprovalGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApprovalGate").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Why nobody could be asked or told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// No answer.
    #[error("cannot reach the gate's server")]
    Fetch(#[source] FetchError),
    /// Another status than success.
    #[error("the gate's server answers HTTP {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// Slack says no.
    #[error("Slack refuses `{method}`: {error}")]
    Slack {
        /// What was asked.
        method: &'static str,
        /// Slack's word.
        error: String,
    },
    /// An answer that is not as documented.
    #[error("the answer to `{method}` cannot be used: {problem}")]
    Answer {
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        problem: Box<str>,
    },
    /// A token or secret that no header can carry.
    #[error("the gate's secret cannot be used")]
    Token,
    /// Nobody can tell whether the caller would approve its own call.
    #[error(
        "the caller has no user in Slack by its e-mail address, so nobody could tell whether it approves its own call \
         (`unmatched_callers: ask` asks all the same)"
    )]
    Unmatched,
    /// A place for answers that is not Slack's.
    #[error("`response_url` is not Slack's")]
    ResponseUrl,
}

/// Why a callback is not taken. Whoever sent it is told nothing of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Nobody proved it.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// Proved, and no answer.
    #[error("the callback is not as documented")]
    Malformed,
    /// The gate has no callbacks.
    #[error("the gate has no callbacks")]
    None,
}

/// Why an answer does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// Not on the list.
    #[error("You are not on the list of approvers.")]
    NotApprover,
    /// The caller.
    #[error("You cannot approve a call of your own.")]
    OwnCall,
    /// Nobody can tell now.
    #[error("Who may approve cannot be found out at present. Try again.")]
    Unknown,
}

/// A target that the operator configured.
fn target(
    pointer: &str,
    url: &str,
    allowed: &AllowAddresses,
    tls: &GateTlsSettings,
    context: &BuildContext<'_>,
) -> Result<Target, SettingsError> {
    let url =
        url.parse().map_err(|error: crate::net::UrlError| SettingsError::at(pointer, error.to_string()))?;
    let mut roots = Roots::System;
    if let Some(path) = &tls.ca {
        let pem = file::read_named(context.base, path, CA_BYTES_MAX)
            .map_err(|error| SettingsError::at("/tls/ca", format!("cannot read `{path}`: {error}")))?;
        roots = Roots::Pem(pem);
    }
    let tls = ClientTls::new(ClientTlsSettings { roots, ..ClientTlsSettings::default() })
        .map_err(|error| SettingsError::at("/tls/ca", error.to_string()))?;
    Ok(Target::configured(url, allowed, tls))
}
