//! Keys that change, keys that cannot be had, keys that nobody has.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::support::{AUDIENCE, Issuer, bearer, build, now, ok};
use crate::identity::jwt::Algorithm;
use crate::identity::jwt::testing::SigningKey;
use crate::identity::oidc::Oidc;
use crate::identity::oidc::keys::KeySource;
use crate::shared::Shared;

fn key(id: &str) -> SigningKey {
    SigningKey::new(Algorithm::Ed25519, id)
}

fn source(oidc: &Oidc) -> &Arc<KeySource> {
    &oidc.issuers[0].keys
}

async fn check(oidc: &Oidc, token: &str, expected: Result<&str, &str>) {
    assert_eq!(ok(&oidc.resolve(&bearer(token), now()).await), expected);
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_has_it() {
    let issuer = Issuer::start(&[key("k1"), key("k2")]).await;
    issuer.publishes(&[issuer.keys[0].jwk()]);
    let oidc = issuer.provider(json!({"jwks": {"cooldown_ms": 1000}}));
    check(&oidc, &issuer.token(&json!({})), Ok("user:alice")).await;
    issuer.publishes(&[issuer.keys[1].jwk()]);
    let new = issuer.token_by(&issuer.keys[1], &json!({}));
    check(&oidc, &new, Err("unknown_key")).await;
    source(&oidc).cooled_down();
    check(&oidc, &new, Ok("user:alice")).await;
    // The old key is gone with its tokens, but for what is remembered.
    check(&oidc, &issuer.token(&json!({"sub": "bob"})), Err("unknown_key")).await;
    check(&oidc, &issuer.token(&json!({})), Ok("user:alice")).await;
    assert_eq!(issuer.fetches("/jwks"), 2);
}

#[tokio::test]
async fn a_flood_of_invented_keys_costs_the_issuer_one_fetch() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let oidc = issuer.provider(json!({}));
    let tokens: Vec<String> =
        (0..200).map(|index| issuer.token_by(&key(&format!("x{index}")), &json!({}))).collect();
    let outcomes = tokens.iter().map(|token| check(&oidc, token, Err("unknown_key")));
    for outcome in outcomes {
        outcome.await;
    }
    assert_eq!(issuer.fetches("/jwks"), 1);
    check(&oidc, &issuer.token(&json!({})), Ok("user:alice")).await;
    source(&oidc).cooled_down();
    // At once, they wait for the same fetch.
    let (a, b) = (bearer(&tokens[0]), bearer(&tokens[1]));
    let both = tokio::join!(oidc.resolve(&a, now()), oidc.resolve(&b, now()));
    assert_eq!((ok(&both.0), ok(&both.1)), (Err("unknown_key"), Err("unknown_key")));
    assert_eq!(issuer.fetches("/jwks"), 2);
}

#[tokio::test]
async fn known_keys_outlast_an_outage_for_a_while() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let shared = Arc::<Shared>::default();
    let counted = || (shared.key_fetches.all(), shared.key_fetches.failed());
    let oidc = issuer.shared_provider(json!({"jwks": {"stale_ms": 600_000}}), &shared);
    check(&oidc, &issuer.token(&json!({})), Ok("user:alice")).await;
    assert_eq!(counted(), (1, 0));
    issuer.answers("/jwks", 500, "");
    source(&oidc).cooled_down();
    assert!(source(&oidc).renew().await, "it was tried");
    assert_eq!(counted(), (2, 1));
    check(&oidc, &issuer.token(&json!({"sub": "bob"})), Ok("user:bob")).await;
    let begun = Instant::now();
    assert!(source(&oidc).known(begun + Duration::from_secs(590)).is_some());
    assert!(source(&oidc).known(begun + Duration::from_secs(601)).is_none());
    source(&oidc).aged(Duration::from_secs(600));
    check(&oidc, &issuer.token(&json!({"sub": "carol"})), Err("keys")).await;
    issuer.publishes(&[issuer.keys[0].jwk()]);
    source(&oidc).cooled_down();
    check(&oidc, &issuer.token(&json!({"sub": "carol"})), Ok("user:carol")).await;
}

#[tokio::test]
async fn without_keys_nothing_is_judged() {
    for (path, status, body) in [
        ("/jwks", 500, ""),
        ("/jwks", 200, "{}"),
        ("/jwks", 200, r#"{"keys":[]}"#),
        ("/jwks", 200, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
        ("/jwks", 302, ""),
        ("/.well-known/openid-configuration", 500, ""),
        ("/.well-known/openid-configuration", 404, ""),
        ("/.well-known/openid-configuration", 200, "<html>"),
        (
            "/.well-known/openid-configuration",
            200,
            r#"{"issuer":"https://evil.example","jwks_uri":"https://evil.example"}"#,
        ),
        (
            "/.well-known/openid-configuration",
            200,
            r#"{"issuer":"URL","jwks_uri":"http://169.254.169.254/latest"}"#,
        ),
        (
            "/.well-known/openid-configuration",
            200,
            r#"{"issuer":"URL","jwks_uri":"http://127.0.0.2:1/jwks"}"#,
        ),
        ("/.well-known/openid-configuration", 200, r#"{"issuer":"URL","jwks_uri":"file:///etc/passwd"}"#),
    ] {
        let issuer = Issuer::start(&[key("k1")]).await;
        let oidc = issuer.provider(json!({}));
        issuer.answers(path, status, &body.replace("URL", &issuer.url));
        check(&oidc, &issuer.token(&json!({})), Err("keys")).await;
        // Failures are not repeated for every token.
        check(&oidc, &issuer.token(&json!({"sub": "bob"})), Err("keys")).await;
        assert!(issuer.fetches(path) <= 1, "{path} {status}");
    }
}

#[tokio::test]
async fn metadata_may_be_where_oauth_has_it() {
    let issuer = Issuer::start(&[key("k1")]).await;
    issuer.answers("/.well-known/openid-configuration", 404, "");
    let metadata = json!({"issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url)});
    issuer.answers("/.well-known/oauth-authorization-server", 200, &metadata.to_string());
    check(&issuer.provider(json!({})), &issuer.token(&json!({})), Ok("user:alice")).await;
}

#[tokio::test]
async fn keys_may_be_where_the_operator_says() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let elsewhere = Issuer::start(&[]).await;
    elsewhere.publishes(&[issuer.keys[0].jwk()]);
    let oidc = issuer.provider(json!({"jwks_uri": format!("{}/jwks", elsewhere.url)}));
    check(&oidc, &issuer.token(&json!({})), Ok("user:alice")).await;
    assert_eq!(issuer.fetches("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn keys_are_known_to_all_who_fetch_them_alike() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let shared = Arc::default();
    let one = issuer.shared_provider(json!({}), &shared);
    let alike = issuer.shared_provider(json!({"required_scopes": ["x"]}), &shared);
    let other = issuer.shared_provider(json!({"allow_addresses": ["10.0.0.0/8"]}), &shared);
    assert!(Arc::ptr_eq(source(&one), source(&alike)));
    assert!(!Arc::ptr_eq(source(&one), source(&other)));
    check(&one, &issuer.token(&json!({})), Ok("user:alice")).await;
    check(&alike, &issuer.token(&json!({"scope": "x"})), Ok("user:alice")).await;
    assert_eq!(issuer.fetches("/jwks"), 1);
}

#[tokio::test]
async fn keys_are_fetched_in_the_background_as_long_as_somebody_has_them() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let oidc = issuer.provider(json!({}));
    let weak = Arc::downgrade(source(&oidc));
    oidc.start();
    oidc.start();
    while source(&oidc).known(Instant::now()).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.fetches("/jwks"), 1);
    drop(oidc);
    while weak.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fetch_does_not_end_with_the_request_that_caused_it() {
    let issuer = Issuer::start(&[key("k1")]).await;
    let oidc = issuer.provider(json!({}));
    let token = issuer.token(&json!({}));
    {
        let credentials = bearer(&token);
        let mut request = std::pin::pin!(oidc.resolve(&credentials, now()));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(request.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    while source(&oidc).known(Instant::now()).is_none() {
        tokio::task::yield_now().await;
    }
    check(&oidc, &token, Ok("user:alice")).await;
    assert_eq!(issuer.fetches("/jwks"), 1);
}

#[tokio::test]
async fn an_issuer_that_nobody_permits_is_not_asked() {
    let settings = json!({"issuers": [{"issuer": "https://login.invalid", "audiences": [AUDIENCE]}]});
    let oidc = build(&settings).unwrap();
    let mut header = key("k").header();
    header["typ"] = json!("at+jwt");
    let token = key("k").token_with(&header, &json!({"iss": "https://login.invalid"}));
    check(&oidc, &token, Err("keys")).await;
}
