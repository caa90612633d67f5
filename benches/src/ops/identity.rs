//! Stage 3: an API key among others.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use anyhow::{anyhow, ensure};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use mcpg_filters::identity::api_key::{ApiKeys, HashKey, generate};
use mcpg_filters::identity::{Credentials, IdentityChain, IdentityProvider};
use mcpg_filters::registry::BuildContext;
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::{Scope, Secret, Settings};
use serde_json::json;

use super::Run;

pub(super) fn api_key(keys: usize) -> anyhow::Result<Run> {
    let dir = tempfile::tempdir()?;
    let secret = "0123456789abcdef0123456789abcdef";
    fs::write(dir.path().join("hash.key"), secret)?;
    let hash_key = HashKey::new(&Secret::new(secret.as_bytes().to_vec()))?;
    let (mut records, mut token) = (String::new(), Vec::new());
    for index in 0..keys {
        let key = generate("test", &format!("user:{index}@acme.com"), &hash_key)?;
        writeln!(records, "{}", serde_json::to_string(&key.record)?)?;
        token = key.token.expose().to_vec();
    }
    fs::write(dir.path().join("keys.jsonl"), records)?;
    let settings = json!({ "hash_key": "$secret://file/hash.key", "keys_file": "keys.jsonl" });
    let secrets = SecretResolver::new(dir.path());
    let now = SystemTime::now();
    let (scope, shared) = (Scope::default(), Arc::default());
    let context = BuildContext {
        base_dir: dir.path(),
        secrets: &secrets,
        bindings: &["demo"],
        scope: &scope,
        shared: &shared,
        now,
    };
    let keys = ApiKeys::build(&Settings(settings), &context).map_err(|error| anyhow!("{error}"))?;
    let chain = IdentityChain::new(vec![IdentityProvider::ApiKey(keys)])?;
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(&[b"Bearer ", token.as_slice()].concat())?);
    ensure!(
        at_once(chain.identify(&Credentials::from_headers(&headers), now)).is_some_and(|it| it.is_ok()),
        "the key is refused"
    );
    Ok(Box::new(move || {
        let credentials = Credentials::from_headers(black_box(&headers));
        let _ = black_box(at_once(chain.identify(&credentials, now)));
    }))
}

/// What needs no waiting, as it does not where the caller is known already.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
