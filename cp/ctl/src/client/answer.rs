//! Answers: done, or why not.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, response::Parts};
use mcpg_cp_api::trace_context::Hex;
use mcpg_cp_api::{PROBLEM_MEDIA_TYPE, Problem};

use super::error::{ClientError, Refusal};
use super::exchange::Exchange;
use super::settings::Settings;
use crate::text::plain;

/// The longest that a busy server is waited for.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    pub(super) status: StatusCode,
    /// What was answered.
    pub value: T,
}

impl<T> Answer<T> {
    /// Whether something was made by it that was not there.
    pub fn is_made(&self) -> bool {
        self.status == StatusCode::CREATED
    }
}

/// Tells what was done from what was not.
pub(super) fn judged(
    head: &Parts,
    body: Bytes,
    settings: &Settings,
    exchange: &Exchange,
) -> Result<(StatusCode, Bytes), ClientError> {
    if head.status.is_success() {
        return Ok((head.status, body));
    }
    if head.status.is_redirection() {
        let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = plain(location.unwrap_or("somewhere else")).into_owned();
        return Err(ClientError::answer(format!(
            "`{}` redirects to {location}, which is not followed with a token: say that server, if it is the control plane",
            settings.server
        )));
    }
    let id = head.headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let problem = media
        .filter(|media| media.starts_with(PROBLEM_MEDIA_TYPE))
        .and_then(|_| serde_json::from_slice::<Problem>(&body).ok());
    let mut refusal = match problem {
        Some(problem) => Refusal::new(problem, id),
        None => Refusal::bare(head.status, id),
    };
    refusal.asked = exchange.to_string();
    refusal.trace_id = Hex(&settings.trace_id).to_string();
    let refusal = Box::new(refusal);
    match patience(&head.headers) {
        Some(after) if head.status == StatusCode::SERVICE_UNAVAILABLE => {
            Err(ClientError::Busy { after, refusal })
        }
        _ => Err(ClientError::Refused(refusal)),
    }
}

/// When to come again, if the server says so, in seconds.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds).min(PATIENCE_MAX))
}
