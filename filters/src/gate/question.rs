//! What a gate asks people, and what became of it.

use std::time::SystemTime;

use mcpg_sdk::Caller;

use super::Reason;

/// A call that somebody is asked to approve, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the answer refers to: unguessable, and no secret to who is asked.
    pub id: Box<str>,
    /// Who makes the call.
    pub caller: Box<str>,
    /// The scope that it is made in.
    pub scope: Box<str>,
    /// The binding that it goes to.
    pub binding: Box<str>,
    /// The method.
    pub method: Box<str>,
    /// What the method is applied to: the tool.
    pub target: Box<str>,
    /// The arguments laid out, without what must not be seen; none if the call has none.
    pub arguments: Option<Box<str>>,
    /// When it was asked.
    pub asked: SystemTime,
    /// When it is too late.
    pub deadline: SystemTime,
    /// The page that shows how it stands.
    pub page: Option<Box<str>>,
}

/// Who asks, as its gate knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// The subject.
    pub subject: Box<str>,
    /// The e-mail address.
    pub email: Option<Box<str>>,
    /// The caller's own user in Slack.
    pub slack_user: Option<Box<str>>,
}

impl Requester {
    /// A caller whose address is this.
    pub fn new(caller: &Caller, email: Option<&str>) -> Self {
        Self { subject: caller.subject.as_str().into(), email: email.map(Box::from), slack_user: None }
    }
}

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Somebody said yes.
    Approved {
        /// Who.
        by: Box<str>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Somebody said no.
    Denied {
        /// Who.
        by: Box<str>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Nobody answered in time.
    Expired,
    /// The caller gave up, or the gateway did.
    Cancelled,
}

impl Conclusion {
    /// The stable word for rows, metrics and webhooks.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Who answered and why, if anybody did.
    pub fn answer(&self) -> Option<(&str, Option<&Reason>)> {
        match self {
            Self::Approved { by, reason } | Self::Denied { by, reason } => Some((by, reason.as_ref())),
            Self::Expired | Self::Cancelled => None,
        }
    }
}

/// An answer that came in, from somebody who proved to be whom it is from, but perhaps not allowed to give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it answers: [`Question::id`].
    pub id: Box<str>,
    /// Yes or no.
    pub approve: bool,
    /// Who gives it, as the gate names people.
    pub by: Answerer,
    /// Why.
    pub reason: Option<Reason>,
}

/// Who gives an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answerer {
    /// A user of Slack.
    Slack {
        /// The user's id.
        user: Box<str>,
        /// The id of its workspace.
        team: Box<str>,
        /// Where the user alone is told something.
        response_url: Option<Box<str>>,
    },
    /// Somebody whom the webhook names.
    Webhook(Box<str>),
    /// A user of this machine.
    Operator {
        /// The name.
        name: Box<str>,
        /// The number.
        uid: u32,
    },
}

impl Answerer {
    /// As it stands in rows: `slack:T012/U345`, `webhook:alice`, `os:alice(1000)`.
    pub fn identity(&self) -> String {
        match self {
            Self::Slack { user, team, .. } => format!("slack:{team}/{user}"),
            Self::Webhook(name) => format!("webhook:{name}"),
            Self::Operator { name, uid } => format!("os:{name}({uid})"),
        }
    }
}
