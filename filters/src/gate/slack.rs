//! `gate.slack-approval`: a message with two buttons in a channel of Slack.
//!
//! INVARIANT: who pressed is known from Slack's signature alone, is on the list of approvers when it counts, and is not the caller.
//! Where any of this cannot be told, the answer does not count.

mod api;
mod interaction;
mod message;
mod people;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use mcpg_sdk::{Caller, Secret, Settings, SettingsError};

use self::api::{Api, Message};
use self::people::People;
use super::question::{Answer, Answerer, Conclusion, Question, Requester};
use super::settings::{SlackSettings, UnmatchedCallers};
use super::signature::SLACK;
use super::terms::{SelfApproval, Terms};
use super::{CallbackError, GateError, NotCounted, target};
use crate::net::{Bounds, Cleartext, Host, HttpUrl, Request, Target};
use crate::registry::BuildContext;

/// Where Slack takes answers to those who press buttons.
const RESPONSE_HOSTS: &[&str] = &["hooks.slack.com", "hooks.slack-gov.com"];
const RESPOND_TIME_MAX: Duration = Duration::from_secs(5);

/// The gate.
pub struct SlackApproval {
    pub(super) terms: Terms,
    api: Api,
    channel: Box<str>,
    signing_secret: Secret,
    people: People,
    unmatched: UnmatchedCallers,
}

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted(Message);

impl SlackApproval {
    /// Builds the gate. Nothing is asked of Slack before a call needs it.
    ///
    /// # Errors
    /// When the settings do not hold.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: SlackSettings = settings.parse()?;
        let terms = settings.common().terms(context.bindings)?;
        let secret = |pointer: &str, reference| {
            let found = context.secrets.resolve(reference);
            found.map_err(|error| SettingsError::at(pointer, error.to_string()))
        };
        check_ids("/channel", std::slice::from_ref(&settings.channel))?;
        check_ids("/approvers/users", &settings.approvers.users)?;
        check_ids("/approvers/groups", &settings.approvers.groups)?;
        if settings.approvers.users.is_empty() && settings.approvers.groups.is_empty() {
            return Err(SettingsError::at("/approvers", "nobody could approve: name `users` or `groups`"));
        }
        let base = target("/api_url", &settings.api_url, &settings.allow_addresses, &settings.tls, context)?;
        let api = Api {
            http: context.shared.http.clone(),
            base,
            token: secret("/bot_token", &settings.bot_token)?,
        };
        let group_cache = Duration::from_millis(settings.group_cache_ms);
        Ok(Self {
            terms,
            api,
            channel: settings.channel.into(),
            signing_secret: secret("/signing_secret", &settings.signing_secret)?,
            people: People::new(settings.approvers, group_cache),
            unmatched: settings.unmatched_callers,
        })
    }

    /// Who asks, and who must therefore not approve.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub(super) async fn requester(&self, caller: &Caller) -> Result<Requester, GateError> {
        let email = self.terms.email(caller);
        let mut requester = Requester::new(caller, email);
        if self.terms.self_approval == SelfApproval::Permitted {
            return Ok(requester);
        }
        if let Some(email) = email {
            requester.slack_user = self.people.user_by_email(&self.api, email).await?.map(Box::from);
        }
        // An address that Slack does not know may be another of the same person's.
        if requester.slack_user.is_none() && self.unmatched == UnmatchedCallers::Refuse {
            return Err(GateError::Unmatched);
        }
        Ok(requester)
    }

    /// Posts the message.
    ///
    /// # Errors
    /// When Slack does not take it.
    pub(super) async fn ask(&self, question: &Question) -> Result<Posted, GateError> {
        self.api.post(&self.channel, message::asked(question)).await.map(Posted)
    }

    /// Shows in the message how it ended.
    ///
    /// # Errors
    /// When Slack does not take it.
    pub(super) async fn conclude(
        &self,
        question: &Question,
        posted: &Posted,
        conclusion: &Conclusion,
    ) -> Result<(), GateError> {
        self.api.update(&posted.0, message::concluded(question, conclusion)).await
    }

    /// Reads a callback.
    ///
    /// # Errors
    /// When it is not Slack's, or not of now.
    pub(super) fn callback(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<Answer>, CallbackError> {
        SLACK.verify(&self.signing_secret, headers, body, now)?;
        interaction::read(body)
    }

    /// Whether an answer counts.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn judge(
        &self,
        user: &str,
        approve: bool,
        requester: &Requester,
    ) -> Result<(), NotCounted> {
        // Nobody who is not asked learns more than that.
        if !self.people.may_approve(&self.api, user).await? {
            return Err(NotCounted::NotApprover);
        }
        // Callers may take back what they asked for.
        let own = requester.slack_user.as_deref() == Some(user);
        if own && approve && self.terms.self_approval == SelfApproval::Never {
            return Err(NotCounted::OwnCall);
        }
        Ok(())
    }

    /// Tells something to the one who pressed a button, and to nobody else.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) async fn tell(&self, by: &Answerer, text: &str) -> Result<(), GateError> {
        let Answerer::Slack { response_url: Some(url), .. } = by else { return Ok(()) };
        let target = self.response_target(url).ok_or(GateError::ResponseUrl)?;
        let body = message::ephemeral(text).to_string();
        let bounds = Bounds { total: RESPOND_TIME_MAX, ..Bounds::default() };
        let request = Request::post("application/json; charset=utf-8", body);
        let response = self.api.http.fetch(&target, request, &bounds).await.map_err(GateError::Fetch)?;
        if response.status.is_success() {
            Ok(())
        } else {
            Err(GateError::Status { status: response.status.as_u16() })
        }
    }

    /// Where an answer may be posted: at Slack's, or where the operator says that Slack's API is. No credentials go there.
    fn response_target(&self, url: &str) -> Option<Target> {
        let url: HttpUrl = url.parse().ok()?;
        let is_slacks = url.is_secure()
            && url.port() == 443
            && matches!(url.host(), Host::Name(name) if RESPONSE_HOSTS.contains(&name.as_str()));
        if self.api.base.url.same_origin(&url) {
            return Some(self.api.base.naming(url));
        }
        is_slacks.then(|| Target { cleartext: Cleartext::Never, ..self.api.base.naming(url) })
    }
}

fn check_ids(pointer: &str, ids: &[String]) -> Result<(), SettingsError> {
    let is_id = |id: &String| {
        (2..=32).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    match ids.iter().find(|id| !is_id(id)) {
        None => Ok(()),
        Some(id) => {
            let message =
                format!("`{id}` is no id of Slack's, such as `C0123456789`, `U0123456789` or `S0123456789`");
            Err(SettingsError::at(pointer, message))
        }
    }
}

#[cfg(test)]
mod tests;
