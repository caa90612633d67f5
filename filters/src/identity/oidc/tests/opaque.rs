//! Tokens that only their issuer can read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{AUDIENCE, Issuer, bearer, build_in, now, ok};
use crate::identity::oidc::Oidc;
use crate::shared::Shared;

const NOW: u64 = 1_790_000_000;

async fn issuer() -> (Issuer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret").unwrap();
    (
        Issuer::start(&[crate::identity::jwt::testing::SigningKey::new(
            crate::identity::jwt::Algorithm::Ed25519,
            "k1",
        )])
        .await,
        folder,
    )
}

fn provider(issuer: &Issuer, folder: &tempfile::TempDir, more: &Value) -> Oidc {
    provider_in(issuer, folder, more, &Arc::default())
}

fn provider_in(issuer: &Issuer, folder: &tempfile::TempDir, more: &Value, shared: &Arc<Shared>) -> Oidc {
    let mut introspection = json!({"client_id": "gateway", "client_secret": "$secret://file/secret"});
    more.as_object().unwrap().iter().for_each(|(name, value)| introspection[name] = value.clone());
    let settings = json!({"issuers": [{
        "issuer": issuer.url, "audiences": [AUDIENCE], "required_scopes": ["mcp"], "introspection": introspection,
    }]});
    build_in(folder.path(), &settings, shared).unwrap()
}

async fn check(oidc: &Oidc, token: &str, expected: Result<&str, &str>, case: &str) {
    assert_eq!(ok(&oidc.resolve(&bearer(token), now()).await), expected, "{case}");
}

#[tokio::test]
async fn the_issuer_says_what_a_token_is_worth() {
    let (issuer, folder) = issuer().await;
    let active = json!({"active": true, "sub": "alice", "aud": AUDIENCE, "scope": "mcp", "exp": NOW + 300});
    for (index, (change, expected)) in [
        (json!({}), Ok("user:alice")),
        (json!({"iss": issuer.url}), Ok("user:alice")),
        (json!({"exp": null}), Ok("user:alice")),
        (json!({"iss": "https://evil.example"}), Err("issuer")),
        (json!({"active": false}), Err("inactive")),
        (json!({"active": "true"}), Err("introspection")),
        (json!({"active": null}), Err("introspection")),
        (json!({"aud": "https://other"}), Err("audience")),
        (json!({"aud": null}), Err("audience")),
        (json!({"exp": NOW - 31}), Err("expired")),
        (json!({"exp": "soon"}), Err("introspection")),
        (json!({"nbf": NOW + 31}), Err("not_yet_valid")),
        (json!({"scope": "other"}), Err("insufficient")),
        (json!({"sub": null}), Err("subject")),
        (json!({"token_type": "DPoP"}), Err("inactive")),
        (json!({"cnf": {"jkt": "x"}}), Err("bound_to_a_key")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = active.clone();
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(answer.as_object_mut().unwrap().remove(name)),
                value => answer[name] = value.clone(),
            }
        }
        issuer.answers("/introspect", 200, &answer.to_string());
        let oidc = provider(&issuer, &folder, &json!({}));
        check(&oidc, &format!("opaque-{index}"), expected, &change.to_string()).await;
    }
    let bodies = issuer.bodies("/introspect");
    assert_eq!(bodies[0], "token_type_hint=access_token&token=opaque-0");
}

#[tokio::test]
async fn an_answer_is_remembered_for_as_long_as_it_holds() {
    let (issuer, folder) = issuer().await;
    let shared = Arc::<Shared>::default();
    let oidc = provider_in(&issuer, &folder, &json!({"client_auth": "post"}), &shared);
    let answer = json!({"active": true, "sub": "alice", "aud": AUDIENCE, "scope": "mcp", "exp": NOW + 40});
    issuer.answers("/introspect", 200, &answer.to_string());
    check(&oidc, "opaque", Ok("user:alice"), "asked").await;
    issuer.answers("/introspect", 200, r#"{"active":false}"#);
    check(&oidc, "opaque", Ok("user:alice"), "remembered").await;
    check(&oidc, "opaqu", Err("inactive"), "another").await;
    let later = now() + Duration::from_secs(41);
    assert_eq!(ok(&oidc.resolve(&bearer("opaque"), later).await), Err("inactive"), "asked again");
    assert_eq!(issuer.fetches("/introspect"), 3);
    assert_eq!((shared.introspections.all(), shared.introspections.failed()), (3, 0));
    issuer.answers("/introspect", 500, "");
    check(&oidc, "more", Err("introspection"), "no answer").await;
    assert_eq!((shared.introspections.all(), shared.introspections.failed()), (4, 1));
    assert!(issuer.bodies("/introspect")[0].ends_with("&client_id=gateway&client_secret=s3cret"));
}

#[tokio::test]
async fn one_look_up_serves_all_who_wait() {
    let (issuer, folder) = issuer().await;
    let oidc = provider(&issuer, &folder, &json!({"url": format!("{}/introspect", issuer.url)}));
    let answer = json!({"active": true, "sub": "alice", "aud": AUDIENCE, "scope": "mcp"});
    issuer.answers("/introspect", 200, &answer.to_string());
    let credentials = bearer("opaque");
    let both = tokio::join!(oidc.resolve(&credentials, now()), oidc.resolve(&credentials, now()));
    assert_eq!((ok(&both.0), ok(&both.1)), (Ok("user:alice"), Ok("user:alice")));
    assert_eq!(issuer.fetches("/introspect"), 1);
}

#[tokio::test]
async fn an_audience_may_be_waived_but_not_contradicted() {
    let (issuer, folder) = issuer().await;
    let oidc = provider(&issuer, &folder, &json!({"allow_missing_audience": true}));
    issuer.answers("/introspect", 200, r#"{"active":true,"sub":"alice","scope":"mcp"}"#);
    check(&oidc, "one", Ok("user:alice"), "no audience").await;
    issuer.answers(
        "/introspect",
        200,
        r#"{"active":true,"sub":"alice","scope":"mcp","aud":"https://other"}"#,
    );
    check(&oidc, "two", Err("audience"), "another audience").await;
    issuer.answers("/introspect", 200, r#"{"active":true,"sub":"alice","scope":"mcp","aud":[]}"#);
    check(&oidc, "three", Err("audience"), "nobody").await;
}

#[tokio::test]
async fn no_answer_is_no_verdict() {
    let (issuer, folder) = issuer().await;
    for (status, body) in
        [(500, String::new()), (401, String::new()), (302, String::new()), (200, "x".repeat(70_000))]
    {
        let oidc = provider(&issuer, &folder, &json!({}));
        issuer.answers("/introspect", status, &body);
        check(&oidc, "opaque", Err("introspection"), &status.to_string()).await;
    }
    let oidc = provider(&issuer, &folder, &json!({"url": "http://127.0.0.1:1/introspect"}));
    check(&oidc, "opaque", Err("introspection"), "nobody there").await;
}
