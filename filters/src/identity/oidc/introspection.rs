//! Opaque tokens: the issuer says what they are worth.
//!
//! A token is sent to its issuer's endpoint over verified TLS, and nowhere else. Of the same token only one look-up is under
//! way, and only so many in all: what is beyond is refused for now.
//!
//! Source: RFC 7662.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use mcpg_sdk::Secret;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::cache::TokenKey;
use super::settings::ClientAuth;
use crate::identity::jwt::{Claims, JwtError, json};
use crate::net::{Bounds, FetchError, HttpClient, Request, Target};
use crate::shared::Fetches;

const TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
const PENDING_MAX: usize = 64;

/// As whom the gateway asks.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) auth: ClientAuth,
}

/// What asks.
pub(super) struct Introspector {
    client: Arc<Client>,
    http: HttpClient,
    fetches: Arc<Fetches>,
    pending: Arc<Mutex<HashMap<TokenKey, watch::Receiver<Option<Answer>>>>>,
}

/// What the issuer says of a token.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// It holds, and these are its claims.
    Active(Arc<Claims>),
    /// It does not.
    Inactive,
    /// No answer that can be used. A stable word.
    Failed(&'static str),
}

impl Introspector {
    /// Asks as a client.
    pub(super) fn new(client: Client, http: HttpClient, fetches: Arc<Fetches>) -> Self {
        Self { client: Arc::new(client), http, fetches, pending: Arc::default() }
    }

    /// Asks, or waits for the answer that somebody else waits for.
    pub(super) async fn ask(&self, endpoint: Target, key: TokenKey, token: &[u8]) -> Answer {
        let Some(mut pending) = self.pending(endpoint, key, token) else {
            return Answer::Failed("introspection_busy");
        };
        let answer = pending.wait_for(Option::is_some).await;
        match answer.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            _ => Answer::Failed("introspection"),
        }
    }

    fn pending(
        &self,
        endpoint: Target,
        key: TokenKey,
        token: &[u8],
    ) -> Option<watch::Receiver<Option<Answer>>> {
        let mut pending = self.pending.lock();
        if let Some(running) = pending.get(&key).filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if pending.len() >= PENDING_MAX {
            pending.retain(|_, running| running.has_changed().is_ok());
        }
        if pending.len() >= PENDING_MAX {
            return None;
        }
        let (answered, running) = watch::channel(None);
        pending.insert(key, running.clone());
        drop(pending);
        let request = self.client.request(token);
        let (http, all) = (self.http.clone(), Arc::clone(&self.pending));
        let fetches = Arc::clone(&self.fetches);
        // The answer is for everyone who waits, so it does not end with the first of them.
        tokio::spawn(async move {
            let answer = fetch(&http, &endpoint, request).await;
            fetches.note(!matches!(answer, Answer::Failed(_)));
            all.lock().remove(&key);
            answered.send_replace(Some(answer));
        });
        Some(running)
    }
}

impl Client {
    fn request(&self, token: &[u8]) -> Request {
        let mut form = Zeroizing::new(b"token_type_hint=access_token&token=".to_vec());
        encode(&mut form, token);
        if self.auth == ClientAuth::Post {
            form.extend_from_slice(b"&client_id=");
            encode(&mut form, self.id.as_bytes());
            form.extend_from_slice(b"&client_secret=");
            encode(&mut form, self.secret.expose());
        }
        let request = Request::post("application/x-www-form-urlencoded", form.to_vec())
            .with(header::ACCEPT, HeaderValue::from_static("application/json"));
        match self.auth {
            ClientAuth::Post => request,
            ClientAuth::Basic => match self.basic() {
                Some(value) => request.with(header::AUTHORIZATION, value),
                None => request,
            },
        }
    }

    /// Both are encoded as in a form first (RFC 6749 section 2.3.1).
    fn basic(&self) -> Option<HeaderValue> {
        let mut pair = Zeroizing::new(Vec::new());
        encode(&mut pair, self.id.as_bytes());
        pair.push(b':');
        encode(&mut pair, self.secret.expose());
        let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// `application/x-www-form-urlencoded`, of what is not plain.
fn encode(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*') {
            out.push(*byte);
        } else {
            let digit = |index: u8| HEX.get(usize::from(index & 15)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
        }
    }
}

async fn fetch(http: &HttpClient, endpoint: &Target, request: Request) -> Answer {
    let bounds = Bounds { total: TIMEOUT, response_bytes_max: RESPONSE_BYTES_MAX, ..Bounds::default() };
    let answer = match http.fetch(endpoint, request, &bounds).await {
        Ok(response) if response.status == StatusCode::OK => read(&response.body),
        Ok(response) => Err(IntrospectionError::Status(response.status.as_u16())),
        Err(error) => Err(error.into()),
    };
    answer.unwrap_or_else(|error| {
        tracing::warn!(endpoint = %endpoint.url, %error, "a token cannot be looked up");
        Answer::Failed("introspection")
    })
}

fn read(body: &[u8]) -> Result<Answer, IntrospectionError> {
    let members = json::object(body).map_err(|_| IntrospectionError::Json)?;
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Answer::Inactive),
        _ => return Err(IntrospectionError::Active),
    }
    // RFC 6750: a token of another type is not used by bearing it.
    let of_type = members.get("token_type").map(|found| found.as_str().unwrap_or_default());
    if of_type.is_some_and(|found| {
        !found.eq_ignore_ascii_case("bearer") && !found.eq_ignore_ascii_case("access_token")
    }) {
        return Ok(Answer::Inactive);
    }
    Ok(Answer::Active(Arc::new(Claims::read(members).map_err(IntrospectionError::Claims)?)))
}

#[derive(Debug, thiserror::Error)]
enum IntrospectionError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is {0}")]
    Status(u16),
    #[error("the answer is no JSON object")]
    Json,
    #[error("the answer has no `active`")]
    Active,
    #[error("the answer cannot be used: {0}")]
    Claims(JwtError),
}

impl std::fmt::Debug for Introspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspector").field("client", &self.client.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let found = match read(body.as_bytes()) {
            Ok(Answer::Active(claims)) => format!("active {}", claims.subject().unwrap_or("-")),
            Ok(Answer::Inactive) => "inactive".to_owned(),
            Ok(Answer::Failed(word)) => word.to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        check(r#"{"active":true,"sub":"alice"}"#, "active alice");
        check(r#"{"active":true,"token_type":"Bearer"}"#, "active -");
        check(r#"{"active":false}"#, "inactive");
        check(r#"{"active":true,"token_type":"DPoP"}"#, "inactive");
        check(r#"{"active":true,"token_type":7}"#, "inactive");
        check(r#"{"active":"true"}"#, "the answer has no `active`");
        check(r#"{"active":1}"#, "the answer has no `active`");
        check("{}", "the answer has no `active`");
        check(r#"{"active":false,"active":true}"#, "the answer is no JSON object");
        check("true", "the answer is no JSON object");
        check(r#"{"active":true,"exp":"never"}"#, "the answer cannot be used: the token has no usable `exp`");
    }

    #[test]
    fn clients_prove_themselves_in_either_way() {
        let client =
            |auth| Client { id: "gate way".into(), secret: Secret::new(b"s3:&\xc3\xa9".to_vec()), auth };
        let request = client(ClientAuth::Basic).request(b"a+b/c=");
        assert_eq!(&request.body[..], b"token_type_hint=access_token&token=a%2Bb%2Fc%3D");
        let value = request.headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        let pair = STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"gate%20way:s3%3A%26%C3%A9");
        let request = client(ClientAuth::Post).request(b"t");
        let form = b"token_type_hint=access_token&token=t&client_id=gate%20way&client_secret=s3%3A%26%C3%A9";
        assert_eq!(&request.body[..], form);
        assert!(!request.headers.contains_key(header::AUTHORIZATION));
    }
}
