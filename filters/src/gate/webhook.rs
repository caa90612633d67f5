//! `gate.webhook-approval`: questions go to a URL, signed, and answers come back, signed with the same secret.
//!
//! What is sent is `{"event":"asked"|"concluded", …}`, what comes back `{"id":…, "decision":"approve"|"deny", "approver":…,
//! "reason":…}`: the one cannot be taken for the other, so that nothing that was sent out can be sent back as an answer.
//!
//! INVARIANT: an answer counts for approvers on the list only, and the caller is not among them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcpg_sdk::{Secret, Settings, SettingsError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::{Answer, Answerer, Conclusion, Question, Requester};
use super::settings::WebhookSettings;
use super::signature::WEBHOOK;
use super::terms::Terms;
use super::{CallbackError, GateError, NotCounted, Reason, target};
use crate::net::{Bounds, HttpClient, Request, Target};
use crate::registry::BuildContext;

const SECRET_BYTES_MIN: usize = 32;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const TEXT_BYTES_MAX: usize = 1024;

/// The gate.
pub struct WebhookApproval {
    pub(super) terms: Terms,
    http: HttpClient,
    target: Target,
    secret: Secret,
    approvers: Box<[String]>,
}

/// An answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    id: String,
    decision: Decision,
    approver: String,
    reason: Option<String>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Deny,
}

impl WebhookApproval {
    /// Builds the gate.
    ///
    /// # Errors
    /// When the settings do not hold.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: WebhookSettings = settings.parse()?;
        let terms = settings.common().terms(context.bindings)?;
        if settings.approvers.is_empty() || settings.approvers.iter().any(String::is_empty) {
            return Err(SettingsError::at("/approvers", "nobody could approve: name who may"));
        }
        let secret = context.secrets.resolve(&settings.secret);
        let secret = secret.map_err(|error| SettingsError::at("/secret", error.to_string()))?;
        if secret.expose().len() < SECRET_BYTES_MIN {
            let message = format!(
                "the secret has to have {SECRET_BYTES_MIN} bytes: whoever guesses it approves everything"
            );
            return Err(SettingsError::at("/secret", message));
        }
        let target = target("/url", &settings.url, &settings.allow_addresses, &settings.tls, context)?;
        Ok(Self {
            terms,
            http: context.shared.http.clone(),
            target,
            secret,
            approvers: settings.approvers.into(),
        })
    }

    /// Sends the question.
    ///
    /// # Errors
    /// When it is not taken.
    pub(super) async fn ask(&self, question: &Question) -> Result<(), GateError> {
        self.send(&json!({ "event": "asked", "question": facts(question) })).await
    }

    /// Tells how it ended.
    ///
    /// # Errors
    /// When it is not taken.
    pub(super) async fn conclude(
        &self,
        question: &Question,
        conclusion: &Conclusion,
    ) -> Result<(), GateError> {
        let (by, reason) = conclusion.answer().unzip();
        let event = json!({
            "event": "concluded", "id": &*question.id, "outcome": conclusion.as_str(), "by": by,
            "reason": reason.flatten().map(Reason::as_str),
        });
        self.send(&event).await
    }

    async fn send(&self, event: &Value) -> Result<(), GateError> {
        let body = event.to_string();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signature = WEBHOOK.sign(&self.secret, seconds, body.as_bytes()).map_err(|_| GateError::Token)?;
        let signature = HeaderValue::from_str(&signature).map_err(|_| GateError::Token)?;
        let request = Request::post("application/json", body)
            .with(HeaderName::from_static(WEBHOOK.timestamp), HeaderValue::from(seconds))
            .with(HeaderName::from_static(WEBHOOK.signature), signature);
        let bounds = Bounds { total: TIMEOUT, response_bytes_max: ANSWER_BYTES_MAX, ..Bounds::default() };
        let response = self.http.fetch(&self.target, request, &bounds).await.map_err(GateError::Fetch)?;
        if response.status.is_success() {
            Ok(())
        } else {
            Err(GateError::Status { status: response.status.as_u16() })
        }
    }

    /// Reads a callback.
    ///
    /// # Errors
    /// When it is not from who has the secret, or not of now.
    pub(super) fn callback(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<Answer>, CallbackError> {
        WEBHOOK.verify(&self.secret, headers, body, now)?;
        let decided: Decided = serde_json::from_slice(body).map_err(|_| CallbackError::Malformed)?;
        let is_text = |text: &String| !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
        if !is_text(&decided.id) || !is_text(&decided.approver) {
            return Err(CallbackError::Malformed);
        }
        let reason = decided.reason.map(|reason| reason.parse());
        let reason = reason.transpose().map_err(|_| CallbackError::Malformed)?;
        Ok(Some(Answer {
            id: decided.id.into(),
            approve: decided.decision == Decision::Approve,
            by: Answerer::Webhook(decided.approver.into()),
            reason,
        }))
    }

    /// Whether an answer counts.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn judge(&self, name: &str, approve: bool, requester: &Requester) -> Result<(), NotCounted> {
        if !self.approvers.iter().any(|approver| approver == name) {
            return Err(NotCounted::NotApprover);
        }
        if approve && self.terms.is_self(name, &requester.subject, requester.email.as_deref()) {
            return Err(NotCounted::OwnCall);
        }
        Ok(())
    }
}

fn facts(question: &Question) -> Value {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    json!({
        "id": &*question.id,
        "caller": &*question.caller,
        "scope": &*question.scope,
        "binding": &*question.binding,
        "method": &*question.method,
        "target": &*question.target,
        "arguments": question.arguments.as_deref(),
        "asked": seconds(question.asked),
        "deadline": seconds(question.deadline),
        "page": question.page.as_deref(),
    })
}

#[cfg(test)]
mod tests;
