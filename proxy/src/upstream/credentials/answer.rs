//! What a token endpoint answers. Sources: RFC 6749 sections 5.1 and 5.2, RFC 8693 section 2.2.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

/// The longest answer.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest token: it must fit in a header beside others.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How long a token is used that does not say how long it lives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// No token is used for longer, whatever it says.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A token as it was granted.
#[derive(Clone)]
pub struct Granted {
    /// `Bearer` and the token, for a header.
    pub(super) authorization: HeaderValue,
    /// How long it is good from when it was asked for.
    pub(super) lifetime: Duration,
}

impl Granted {
    /// The same, for no longer than that.
    pub(super) fn within(self, lifetime_max: Duration) -> Self {
        Self { lifetime: self.lifetime.min(lifetime_max), ..self }
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// What comes of asking for a token.
pub type Fetched = Result<Granted, FetchError>;

/// Why there is no token. For the operator; holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The token endpoint cannot be reached or broke off.
    #[error("the token endpoint cannot be reached: {0}")]
    Unavailable(Cow<'static, str>),
    /// It took too long.
    #[error("the token endpoint did not answer in time")]
    Timeout,
    /// It refuses.
    #[error("the token endpoint refuses: HTTP {status}, `{code}`")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code of OAuth.
        code: Box<str>,
    },
    /// It answers with an error that is none of OAuth's.
    #[error("the token endpoint answers with HTTP {0}")]
    Status(u16),
    /// Its answer is no token that can be used.
    #[error("the token endpoint's answer {0}")]
    Invalid(&'static str),
}

impl FetchError {
    /// The stable word for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Timeout => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Status(status) if *status >= 500 => "unavailable",
            Self::Status(_) => "refused",
            Self::Invalid(_) => "invalid",
        }
    }
}

#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Number>,
}

impl Drop for Success {
    fn drop(&mut self) {
        self.access_token.zeroize();
    }
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Reads an answer.
///
/// # Errors
/// When it is no bearer token.
pub(super) fn read(status: StatusCode, media_type: &[u8], body: &[u8]) -> Result<Granted, FetchError> {
    let is_json = media_type.eq_ignore_ascii_case(b"application/json");
    if status != StatusCode::OK {
        return Err(refusal(status, is_json, body));
    }
    if !is_json {
        return Err(FetchError::Invalid("is not `application/json`"));
    }
    // Serde refuses a member that is there twice.
    let success: Success = serde_json::from_slice(body)
        .map_err(|_| FetchError::Invalid("is no JSON object with `access_token` and `token_type`"))?;
    if !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err(FetchError::Invalid("has a `token_type` other than `Bearer`"));
    }
    Ok(Granted {
        authorization: bearer(success.access_token.as_bytes())
            .ok_or(FetchError::Invalid("has an `access_token` that fits in no header"))?,
        lifetime: lifetime(success.expires_in.as_ref())?,
    })
}

fn refusal(status: StatusCode, is_json: bool, body: &[u8]) -> FetchError {
    let failure = is_json.then(|| serde_json::from_slice::<Failure>(body).ok()).flatten();
    // The code only: a description may repeat what was sent.
    let code = failure.map(|failure| failure.error).filter(|code| {
        (1..=64).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    });
    match code {
        Some(code) if status.is_client_error() => {
            FetchError::Refused { status: status.as_u16(), code: code.into() }
        }
        _ => FetchError::Status(status.as_u16()),
    }
}

/// The value of a header, in memory that is wiped when the last copy goes.
fn bearer(token: &[u8]) -> Option<HeaderValue> {
    let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len());
    if !fits || !token.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        return None;
    }
    let value = Zeroizing::new([b"Bearer ", token].concat());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn lifetime(expires_in: Option<&serde_json::Number>) -> Result<Duration, FetchError> {
    let Some(seconds) = expires_in else { return Ok(LIFETIME_DEFAULT) };
    match seconds.as_f64() {
        Some(seconds) if seconds >= 1.0 => {
            Ok(Duration::from_secs_f64(seconds.min(LIFETIME_MAX.as_secs_f64())))
        }
        _ => Err(FetchError::Invalid("has an `expires_in` below one second")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, media_type: &str, body: &str, expected: Result<(&str, u64), &str>) {
        let status = StatusCode::from_u16(status).unwrap();
        let read = read(status, media_type.as_bytes(), body.as_bytes());
        let found = read
            .as_ref()
            .map(|granted| (granted.authorization.to_str().unwrap(), granted.lifetime.as_secs()));
        assert_eq!(found.map_err(ToString::to_string), expected.map_err(str::to_owned), "{body}");
    }

    fn ok(body: &str, expected: Result<(&str, u64), &str>) {
        check(200, "application/json", body, expected);
    }

    #[test]
    fn a_token_and_its_life_are_read() {
        ok(r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#, Ok(("Bearer t", 60)));
        ok(
            r#"{"expires_in":59.9,"token_type":"bearer","access_token":"t-._~+/=","scope":"x"}"#,
            Ok(("Bearer t-._~+/=", 59)),
        );
        ok(r#"{"access_token":"t","token_type":"Bearer"}"#, Ok(("Bearer t", 300)));
        ok(r#"{"access_token":"t","token_type":"Bearer","expires_in":null}"#, Ok(("Bearer t", 300)));
        ok(r#"{"access_token":"t","token_type":"Bearer","expires_in":1e300}"#, Ok(("Bearer t", 86_400)));
    }

    #[test]
    fn anything_else_is_no_token() {
        let invalid = |what: &'static str| format!("the token endpoint's answer {what}");
        let shape = invalid("is no JSON object with `access_token` and `token_type`");
        for body in [
            "",
            "{}",
            "[]",
            r#"{"access_token":"t"}"#,
            r#"{"token_type":"Bearer"}"#,
            r#"{"access_token":7,"token_type":"Bearer"}"#,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":"60"}"#,
            r#"{"access_token":"t","access_token":"u","token_type":"Bearer"}"#,
            r#"{"access_token":"t","token_type":"Bearer"} {}"#,
            r#"{"error":"invalid_client"}"#,
        ] {
            ok(body, Err(&shape));
        }
        for kind in ["DPoP", "N_A", "mac", ""] {
            let body = format!(r#"{{"access_token":"t","token_type":"{kind}"}}"#);
            ok(&body, Err(&invalid("has a `token_type` other than `Bearer`")));
        }
        for token in ["", "a b", "a\\r\\nx: y", "a\\u0000", "ü", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer"}}"#);
            ok(&body, Err(&invalid("has an `access_token` that fits in no header")));
        }
        for seconds in ["0", "-1", "0.5", "-1e300"] {
            let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{seconds}}}"#);
            ok(&body, Err(&invalid("has an `expires_in` below one second")));
        }
        let body = r#"{"access_token":"t","token_type":"Bearer"}"#;
        check(200, "text/html", body, Err(&invalid("is not `application/json`")));
    }

    #[test]
    fn refusals_are_told_without_what_was_sent() {
        let refused =
            |status: u16, code: &str| format!("the token endpoint refuses: HTTP {status}, `{code}`");
        let status = |status: u16| format!("the token endpoint answers with HTTP {status}");
        let json = "application/json";
        check(
            401,
            json,
            r#"{"error":"invalid_client","error_description":"secret"}"#,
            Err(&refused(401, "invalid_client")),
        );
        check(400, json, r#"{"error":"x y\n"}"#, Err(&status(400)));
        check(400, json, "no json", Err(&status(400)));
        check(400, "text/html", r#"{"error":"invalid_client"}"#, Err(&status(400)));
        check(503, json, r#"{"error":"temporarily_unavailable"}"#, Err(&status(503)));
        // Redirects are not followed, and only 200 is a token.
        for other in [201, 204, 301, 302, 307] {
            check(other, json, r#"{"access_token":"t","token_type":"Bearer"}"#, Err(&status(other)));
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let granted =
            Granted { authorization: bearer(b"hunter2").unwrap(), lifetime: Duration::from_secs(1) };
        assert!(!format!("{granted:?} {:?}", granted.authorization).contains("hunter2"));
    }
}
