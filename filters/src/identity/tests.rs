//! The chain: order, refusals, and what never becomes anonymous.

mod hostile;

use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};
use mcpg_sdk::{Base, Secret, SecretRef, Settings};
use serde_json::json;

use super::*;
use crate::registry::BuildContext;
use crate::secret::SecretResolver;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// A provider with one key, and its token.
fn api_keys(subject: &str) -> (IdentityProvider, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), [7; 32]).unwrap();
    let hash_key = api_key::HashKey::new(&Secret::new(vec![7; 32])).unwrap();
    let new = api_key::generate("test", subject, &hash_key).unwrap();
    let secrets = SecretResolver::new(&Base::trusted(folder.path()));
    let (scope, shared) = (mcpg_sdk::Scope::default(), Arc::default());
    let context = BuildContext {
        base: &Base::trusted(folder.path()),
        secrets: &secrets,
        bindings: &[],
        scope: &scope,
        shared: &shared,
        now: NOW,
    };
    let hash_key = SecretRef::File("key".to_owned());
    let settings = Settings(json!({"hash_key": hash_key, "keys": [new.record]}));
    let keys = ApiKeys::build(&settings, &context).unwrap();
    (IdentityProvider::ApiKey(keys), String::from_utf8(new.token.expose().to_vec()).unwrap())
}

fn anonymous() -> IdentityProvider {
    IdentityProvider::Anonymous(Anonymous::build(&Settings::default()).unwrap())
}

/// These providers have nobody to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    let waiting = &mut std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(waiting) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn check(chain: &IdentityChain, headers: &[(&'static str, &str)], expected: Result<(&str, &str), &Refusal>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let credentials = Credentials::from_headers(&map);
    let identified = now(chain.identify(&credentials, NOW + Duration::from_secs(1)));
    let answer = identified.as_ref().map(|identified| (identified.provider(), &*identified.caller().subject));
    assert_eq!(answer, expected, "{headers:?}");
}

fn invalid(provider: &'static str, code: &'static str) -> Refusal {
    Refusal::Invalid { provider, code }
}

#[test]
fn an_empty_chain_refuses_everyone() {
    let chain = IdentityChain::default();
    assert!(chain.is_empty());
    check(&chain, &[], Err(&Refusal::Missing));
    check(&chain, &[("authorization", "Bearer x")], Err(&invalid("identity", "unrecognized")));
}

#[test]
fn a_key_is_asked_for_and_accepted() {
    let (keys, token) = api_keys("user:alice@acme.com");
    let chain = IdentityChain::new(vec![keys]).unwrap();
    check(&chain, &[], Err(&Refusal::Missing));
    let bearer = format!("Bearer {token}");
    check(&chain, &[("authorization", &bearer)], Ok(("identity.api-key", "user:alice@acme.com")));
    check(&chain, &[("authorization", "Basic YTpi")], Err(&invalid("identity", "unrecognized")));
    check(&chain, &[("authorization", "")], Err(&invalid("identity", "unrecognized")));
    check(&chain, &[("cookie", &token), ("x-forwarded-user", "root")], Err(&Refusal::Missing));
}

#[test]
fn the_first_provider_that_knows_a_credential_decides() {
    let ((first, _), (second, token)) = (api_keys("user:a@acme.com"), api_keys("user:b@acme.com"));
    // The first provider takes every MCPG key for its own: one it does not know is refused, not passed on.
    let chain = IdentityChain::new(vec![first, second]).unwrap();
    let bearer = format!("Bearer {token}");
    check(&chain, &[("authorization", &bearer)], Err(&invalid("identity.api-key", "unknown")));
}

#[test]
fn a_presented_credential_never_becomes_anonymous() {
    let (keys, token) = api_keys("user:alice@acme.com");
    let chain = IdentityChain::new(vec![keys, anonymous()]).unwrap();
    check(&chain, &[], Ok(("identity.anonymous", "anonymous")));
    check(&chain, &[("x-api-key", &token)], Ok(("identity.api-key", "user:alice@acme.com")));
    let mistyped = token.replace("mcpg_test_", "mcpg_live_");
    check(&chain, &[("x-api-key", &mistyped)], Err(&invalid("identity.api-key", "checksum")));
    check(&chain, &[("authorization", "Bearer eyJ.e.s")], Err(&invalid("identity", "unrecognized")));
    check(&chain, &[("authorization", "Basic YTpi")], Err(&invalid("identity", "unrecognized")));
    let twice = [("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")];
    check(&chain, &twice, Err(&invalid("identity.api-key", "repeated")));
}

#[test]
fn a_public_scope_takes_no_notice_of_credentials() {
    let chain = IdentityChain::new(vec![anonymous()]).unwrap();
    check(&chain, &[], Ok(("identity.anonymous", "anonymous")));
    check(&chain, &[("authorization", "Bearer eyJ.e.s")], Ok(("identity.anonymous", "anonymous")));
}

#[test]
fn anonymous_comes_last() {
    let error = IdentityChain::new(vec![anonymous(), api_keys("user:a@acme.com").0]).unwrap_err();
    assert_eq!(error, ChainError::AnonymousNotLast { index: 0 });
    let error = IdentityChain::new(vec![anonymous(), anonymous()]).unwrap_err();
    assert_eq!(error, ChainError::AnonymousNotLast { index: 0 });
}

#[test]
fn credentials_are_not_printed() {
    let credentials = Credentials { authorization: Presented::Once(b"Bearer hunter2"), ..Default::default() };
    let printed = format!("{credentials:?}");
    assert!(printed.contains("Once(..)") && !printed.contains("hunter2"), "{printed}");
}

#[test]
fn kept_credentials_say_what_was_presented() {
    let mut headers = HeaderMap::new();
    assert!(Credentials::from_headers(&headers).to_kept().borrow().is_empty());
    headers.insert(AUTHORIZATION, "Bearer secret".parse().unwrap());
    headers.append(X_API_KEY, "one".parse().unwrap());
    headers.append(X_API_KEY, "two".parse().unwrap());
    let kept = Credentials::from_headers(&headers).to_kept();
    assert!(matches!(kept.borrow().authorization, Presented::Once(b"Bearer secret")));
    assert!(matches!(kept.borrow().api_key, Presented::Repeated));
}
