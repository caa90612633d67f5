//! The provider against an issuer on this machine.

mod keys;
mod opaque;
mod settings;
pub(in crate::identity) mod support;
mod tokens;

use serde_json::json;

use super::super::jwt::Algorithm;
use super::super::jwt::testing::SigningKey;
use super::super::{Outcome, Presented, Resource};
use support::{AUDIENCE, Issuer, RESOURCE, bearer, now, ok};

#[tokio::test]
async fn a_token_of_the_issuer_makes_a_caller() {
    let issuer = Issuer::start(&[SigningKey::new(Algorithm::Es256, "k1")]).await;
    let oidc = issuer.provider(json!({}));
    let token = issuer.token(&json!({"groups": ["eng"], "scope": "a b", "jti": "t-1", "client_id": "cli"}));
    for _ in 0..2 {
        let outcome = oidc.resolve(&bearer(&token), now()).await;
        let Outcome::Resolved { caller, credential } = outcome else { panic!("{outcome:?}") };
        assert_eq!(caller.subject, "user:alice");
        assert_eq!(caller.audience.as_deref(), Some(AUDIENCE));
        assert_eq!(caller.auth_method.as_str(), "oidc");
        assert_eq!(caller.attributes["groups"], json!(["eng"]));
        assert_eq!(caller.attributes["scope"], json!(["a", "b"]));
        assert_eq!(caller.attributes["client_id"], json!("cli"));
        assert_eq!(caller.attributes["issuer"], json!(issuer.url));
        assert_eq!(credential.as_deref(), Some("t-1"));
    }
    assert_eq!(issuer.fetches("/jwks"), 1);
    assert_eq!(oidc.cache.len(), 1);
}

#[tokio::test]
async fn what_is_no_bearer_token_is_left_to_others() {
    let issuer = Issuer::start(&[]).await;
    let oidc = issuer.provider(json!({}));
    let other =
        SigningKey::new(Algorithm::Es256, "k").token(&json!({"iss": "https://other.example", "sub": "x"}));
    let without = SigningKey::new(Algorithm::Es256, "k").token(&json!({"sub": "spiffe://acme.org/x"}));
    let (other, without) = (format!("Bearer {other}"), format!("Bearer {without}"));
    for value in
        ["Basic YTpi", "Bearer opaque", "Bearer mcpg_prod_abc", "DPoP x", "Bearerx y", "", &other, &without]
    {
        let credentials = support::credentials(value.as_bytes());
        let outcome = oidc.resolve(&credentials, now()).await;
        assert!(matches!(outcome, Outcome::Absent), "{value}: {outcome:?}");
    }
    let outcome = oidc.resolve(&Default::default(), now()).await;
    assert!(matches!(outcome, Outcome::Absent));
    assert_eq!(issuer.fetches("/jwks"), 0, "nobody asked for these");
}

#[tokio::test]
async fn what_cannot_be_read_is_malformed() {
    let issuer = Issuer::start(&[]).await;
    let oidc = issuer.provider(json!({}));
    for value in [
        &b"Bearer"[..],
        b"Bearer ",
        b"bearer a b",
        b"Bearer a,b",
        b"Bearer \"a\"",
        b"Bearer =",
        b"Bearer a=b",
        b"Bearer a ",
        b"Bearer \xff",
        b"Bearer a\tb",
    ] {
        let outcome = oidc.resolve(&support::credentials(value), now()).await;
        assert!(matches!(outcome, Outcome::Malformed("token_form")), "{value:?}: {outcome:?}");
    }
    let mut credentials = support::credentials(b"");
    credentials.authorization = Presented::Repeated;
    let outcome = oidc.resolve(&credentials, now()).await;
    assert!(matches!(outcome, Outcome::Malformed("repeated")), "{outcome:?}");
}

#[tokio::test]
async fn the_endpoint_is_the_audience_unless_others_are_configured() {
    let issuer = Issuer::start(&[SigningKey::new(Algorithm::Es256, "k1")]).await;
    let here = issuer.token(&json!({"aud": RESOURCE}));
    let elsewhere = issuer.token(&json!({"aud": "https://mcp.acme.com/other"}));
    let by_name = issuer.token(&json!({"aud": ["x", "mcpg"]}));
    let own = issuer.provider(json!({"audiences": []}));
    let named = issuer.provider(json!({"audiences": ["mcpg", "gateway"]}));
    for (provider, token, expected) in [
        (&own, &here, Ok("user:alice")),
        (&own, &elsewhere, Err("audience")),
        (&own, &by_name, Err("audience")),
        (&named, &by_name, Ok("user:alice")),
        (&named, &here, Err("audience")),
    ] {
        assert_eq!(ok(&provider.resolve(&bearer(token), now()).await), expected);
    }
    // What is remembered for one endpoint is not taken for another.
    let mut credentials = bearer(&here);
    credentials.resource = Resource { path: "/other", ..credentials.resource };
    assert_eq!(ok(&own.resolve(&credentials, now()).await), Err("audience"));
}

#[tokio::test]
async fn tokens_are_judged_by_the_issuer_that_they_name() {
    let one = Issuer::start(&[SigningKey::new(Algorithm::Es256, "k")]).await;
    let two = Issuer::start(&[SigningKey::new(Algorithm::Es256, "k")]).await;
    let settings = json!({"issuers": [
        {"issuer": one.url, "audiences": [AUDIENCE]},
        {"issuer": two.url, "audiences": [AUDIENCE], "claims": {"prefix": "user:two/"}},
    ]});
    let oidc = support::build(&settings).unwrap();
    assert_eq!(ok(&oidc.resolve(&bearer(&one.token(&json!({}))), now()).await), Ok("user:alice"));
    assert_eq!(ok(&oidc.resolve(&bearer(&two.token(&json!({}))), now()).await), Ok("user:two/alice"));
    let crossed = one.token(&json!({"iss": two.url}));
    assert_eq!(ok(&oidc.resolve(&bearer(&crossed), now()).await), Err("signature"));
}

#[test]
fn the_characters_of_a_token_are_those_of_rfc_6750() {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    for byte in 0..=u8::MAX {
        for length in [1, 15, 16, 17, 64] {
            let mut token = vec![b'a'; length];
            for place in [0, length / 2, length - 1] {
                token[place] = byte;
                assert_eq!(super::is_b64token(&token), named(byte), "{byte} at {place} of {length}");
                token[place] = b'a';
            }
        }
    }
}
