//! Slack's Web API, as far as it is needed.
//!
//! Sources: `chat.postMessage`, `chat.update`, `users.lookupByEmail`, `usergroups.users.list`, "Rate limits" of Slack's documentation.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use mcpg_sdk::Secret;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::gate::GateError;
use crate::net::{Bounds, HttpClient, HttpUrl, Request, Response, Target};

const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long what Slack wants to be slower is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API, as one bot.
pub(super) struct Api {
    pub(super) http: HttpClient,
    /// Where the methods are below.
    pub(super) base: Target,
    pub(super) token: Secret,
}

/// What Slack answers, whatever was asked.
#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
    user: Option<User>,
    users: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    deleted: bool,
}

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) channel: Box<str>,
    pub(super) ts: Box<str>,
}

impl Api {
    /// Posts a message.
    pub(super) async fn post(&self, channel: &str, mut message: Value) -> Result<Message, GateError> {
        insert(&mut message, "channel", channel);
        insert(&mut message, "unfurl_links", false);
        insert(&mut message, "unfurl_media", false);
        let answer = self.call("chat.postMessage", JSON, message.to_string()).await?;
        match (answer.channel, answer.ts) {
            (Some(channel), Some(ts)) => Ok(Message { channel: channel.into(), ts: ts.into() }),
            _ => {
                Err(GateError::Answer { method: "chat.postMessage", problem: "no `channel` and `ts`".into() })
            }
        }
    }

    /// Puts another text in a message's place.
    pub(super) async fn update(&self, at: &Message, mut message: Value) -> Result<(), GateError> {
        insert(&mut message, "channel", &*at.channel);
        insert(&mut message, "ts", &*at.ts);
        self.call("chat.update", JSON, message.to_string()).await.map(|_| ())
    }

    /// The user with an e-mail address; none if nobody has it.
    pub(super) async fn user_by_email(&self, email: &str) -> Result<Option<String>, GateError> {
        let found = self.call("users.lookupByEmail", FORM, form("email", email)).await;
        match found {
            Ok(answer) => match answer.user {
                // One who left cannot press a button.
                Some(user) => Ok((!user.deleted).then_some(user.id)),
                None => Err(GateError::Answer { method: "users.lookupByEmail", problem: "no `user`".into() }),
            },
            Err(GateError::Slack { error, .. }) if error == "users_not_found" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The members of a user group.
    pub(super) async fn members(&self, group: &str) -> Result<Vec<String>, GateError> {
        let answer = self.call("usergroups.users.list", FORM, form("usergroup", group)).await?;
        let none = || GateError::Answer { method: "usergroups.users.list", problem: "no `users`".into() };
        answer.users.ok_or_else(none)
    }

    async fn call(
        &self,
        method: &'static str,
        media: &'static str,
        body: String,
    ) -> Result<Answer, GateError> {
        let url: Result<HttpUrl, _> =
            format!("{}/{method}", self.base.url.as_str().trim_end_matches('/')).parse();
        let url = url.map_err(|error| GateError::Answer { method, problem: error.to_string().into() })?;
        let target = Target { url, ..self.base.clone() };
        let given_up = Instant::now() + PATIENCE;
        loop {
            let request = Request::post(media, body.clone()).with(header::AUTHORIZATION, self.bearer()?);
            let bounds = Bounds { total: TIMEOUT, response_bytes_max: ANSWER_BYTES_MAX, ..Bounds::default() };
            let response = self.http.fetch(&target, request, &bounds).await.map_err(GateError::Fetch)?;
            if response.status == StatusCode::TOO_MANY_REQUESTS {
                let again = Instant::now() + retry_after(&response);
                if again > given_up {
                    return Err(GateError::Slack { method, error: "ratelimited".to_owned() });
                }
                sleep_until(again).await;
                continue;
            }
            if response.status != StatusCode::OK {
                return Err(GateError::Status { status: response.status.as_u16() });
            }
            let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| GateError::Answer {
                method,
                problem: "not the JSON that is documented".into(),
            })?;
            if answer.ok {
                return Ok(answer);
            }
            // Words of Slack's: no secret is among them.
            let error = answer.error.unwrap_or_default().chars().take(100).collect();
            return Err(GateError::Slack { method, error });
        }
    }

    fn bearer(&self) -> Result<HeaderValue, GateError> {
        let text = [b"Bearer ", self.token.expose()].concat();
        let text = Zeroizing::new(text);
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| GateError::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn insert(message: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(members) = message {
        members.insert(key.to_owned(), value.into());
    }
}

fn form(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

fn retry_after(response: &Response) -> Duration {
    let seconds =
        response.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).max(1))
}
