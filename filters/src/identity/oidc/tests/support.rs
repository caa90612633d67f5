//! An issuer that says what a test wants it to, and counts what it is asked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_sdk::{Base, Scope, Settings, SettingsError};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::identity::jwt::testing::SigningKey;
use crate::identity::oidc::Oidc;
use crate::identity::{Credentials, Outcome, Presented, Resource};
use crate::registry::BuildContext;
use crate::secret::SecretResolver;
use crate::shared::Shared;

pub(in crate::identity) const AUDIENCE: &str = "https://mcp.acme.com/mcp";
pub(in crate::identity) const RESOURCE: &str = AUDIENCE;
const NOW: u64 = 1_790_000_000;

pub(in crate::identity) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(in crate::identity) fn credentials(authorization: &[u8]) -> Credentials<'_> {
    let resource = Resource { scheme: "https", authority: "mcp.acme.com", path: "/mcp" };
    Credentials { authorization: Presented::Once(authorization), resource, ..Credentials::default() }
}

/// The credentials of who presents a token.
pub(in crate::identity) fn bearer(token: &str) -> Credentials<'static> {
    credentials(Box::leak(format!("Bearer {token}").into_boxed_str()).as_bytes())
}

/// The subject, or the word of the refusal.
pub(in crate::identity) fn ok(outcome: &Outcome) -> Result<&str, &str> {
    match outcome {
        Outcome::Resolved { caller, .. } => Ok(&caller.subject),
        Outcome::Absent => Err("absent"),
        Outcome::Insufficient { .. } => Err("insufficient"),
        Outcome::Invalid(code)
        | Outcome::Malformed(code)
        | Outcome::Foreign(code)
        | Outcome::Unavailable(code) => Err(code),
    }
}

pub(in crate::identity) fn build(settings: &Value) -> Result<Oidc, SettingsError> {
    build_in(Path::new("."), settings, &Arc::default())
}

pub(in crate::identity) fn build_in(
    folder: &Path,
    settings: &Value,
    shared: &Arc<Shared>,
) -> Result<Oidc, SettingsError> {
    let (secrets, scope) =
        (SecretResolver::new(&Base::trusted(folder)), "acme-corp/platform/prod".parse::<Scope>().unwrap());
    let context = BuildContext {
        base: &Base::trusted(folder),
        secrets: &secrets,
        bindings: &[],
        scope: &scope,
        shared,
        now: now(),
    };
    Oidc::build(&Settings(settings.clone()), &context)
}

/// An issuer.
pub(in crate::identity) struct Issuer {
    pub(in crate::identity) url: String,
    pub(in crate::identity) keys: Vec<SigningKey>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, (u16, String)>,
    asked: Vec<(String, String)>,
}

impl Issuer {
    pub(in crate::identity) async fn start(keys: &[SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        tokio::spawn(serve(listener, Arc::clone(&state)));
        let keys: Vec<SigningKey> = keys.to_vec();
        let issuer = Self { url, keys, state };
        let metadata = json!({
            "issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url),
            "introspection_endpoint": format!("{}/introspect", issuer.url),
        });
        issuer.answers("/.well-known/openid-configuration", 200, &metadata.to_string());
        issuer.publishes(&issuer.keys.iter().map(SigningKey::jwk).collect::<Vec<_>>());
        issuer
    }

    /// What it says from now on.
    pub(in crate::identity) fn answers(&self, path: &str, status: u16, body: &str) {
        self.state.lock().answers.insert(path.to_owned(), (status, body.to_owned()));
    }

    pub(in crate::identity) fn publishes(&self, keys: &[Value]) {
        self.answers("/jwks", 200, &json!({ "keys": keys }).to_string());
    }

    /// How often it was asked for something.
    pub(in crate::identity) fn fetches(&self, path: &str) -> usize {
        self.state.lock().asked.iter().filter(|(asked, _)| asked == path).count()
    }

    /// The bodies that were sent somewhere.
    pub(in crate::identity) fn bodies(&self, path: &str) -> Vec<String> {
        self.state
            .lock()
            .asked
            .iter()
            .filter(|(asked, _)| asked == path)
            .map(|(_, body)| body.clone())
            .collect()
    }

    /// A provider for this issuer alone, with other settings of it.
    pub(in crate::identity) fn provider(&self, settings: Value) -> Oidc {
        self.shared_provider(settings, &Arc::default())
    }

    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    pub(in crate::identity) fn shared_provider(&self, settings: Value, shared: &Arc<Shared>) -> Oidc {
        let mut issuer = json!({"issuer": self.url, "audiences": [AUDIENCE]});
        settings.as_object().unwrap().iter().for_each(|(name, value)| issuer[name] = value.clone());
        build_in(Path::new("."), &json!({"issuers": [issuer]}), shared).unwrap()
    }

    /// Claims that are accepted, with these instead; null removes one.
    pub(in crate::identity) fn claims(&self, change: &Value) -> Value {
        let mut claims = json!({
            "iss": self.url, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW, "scope": "",
        });
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// An access token by the first key.
    pub(in crate::identity) fn token(&self, change: &Value) -> String {
        self.token_by(&self.keys[0], change)
    }

    pub(in crate::identity) fn token_by(&self, key: &SigningKey, change: &Value) -> String {
        let mut header = key.header();
        header["typ"] = json!("at+jwt");
        key.token_with(&header, &self.claims(change))
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    let (path, body) = loop {
        let read = stream.read(&mut buffer).await.unwrap();
        received.extend_from_slice(&buffer[..read]);
        if let Some(request) = whole(&received) {
            break request;
        }
        assert!(read > 0, "half a request");
    };
    let (status, body) = {
        let mut state = state.lock();
        state.asked.push((path.clone(), body));
        state.answers.get(&path).cloned().unwrap_or((404, String::new()))
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Who has hung up meanwhile gets nothing.
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn whole(received: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8(received.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then(|| (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned()))
}
