//! Every token that is nearly one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{AUDIENCE, Issuer, bearer, now, ok};
use crate::identity::Outcome;
use crate::identity::certificate::PeerCertificate;
use crate::identity::jwt::Algorithm;
use crate::identity::jwt::testing::SigningKey;
use crate::identity::oidc::Oidc;

const NOW: u64 = 1_790_000_000;

async fn issuer() -> Issuer {
    Issuer::start(&[SigningKey::new(Algorithm::Es256, "k1")]).await
}

async fn check(oidc: &Oidc, token: &str, expected: Result<&str, &str>, case: &Value) {
    assert_eq!(ok(&oidc.resolve(&bearer(token), now()).await), expected, "{case}");
}

#[tokio::test]
async fn claims_must_all_hold() {
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({}));
    for (change, expected) in [
        (json!({}), Ok("user:alice")),
        (json!({"exp": NOW + 1}), Ok("user:alice")),
        (json!({"exp": NOW - 29}), Ok("user:alice")),
        (json!({"aud": ["a", AUDIENCE]}), Ok("user:alice")),
        (json!({"exp": NOW - 30}), Err("expired")),
        (json!({"exp": null}), Err("claim")),
        (json!({"exp": "1790000300"}), Err("claim")),
        (json!({"exp": 9_223_372_036_854_775_808_u64}), Err("claim")),
        (json!({"exp": -1}), Err("claim")),
        (json!({"exp": [NOW + 300]}), Err("claim")),
        (json!({"nbf": [NOW]}), Err("claim")),
        (json!({"nbf": NOW + 31}), Err("not_yet_valid")),
        (json!({"iat": NOW + 31}), Err("not_yet_valid")),
        (json!({"aud": null}), Err("audience")),
        (json!({"aud": []}), Err("audience")),
        (json!({"aud": ""}), Err("audience")),
        (json!({"aud": "https://mcp.acme.com/mc"}), Err("audience")),
        (json!({"aud": format!("{AUDIENCE}/")}), Err("audience")),
        (json!({"aud": [1]}), Err("claim")),
        (json!({"aud": {AUDIENCE: true}}), Err("claim")),
        (json!({"sub": null}), Err("subject")),
        (json!({"sub": ""}), Err("subject")),
        (json!({"sub": 7}), Err("claim")),
        (json!({"jti": 7}), Err("claim")),
        (json!({"scope": 7}), Err("claim_form")),
        (json!({"cnf": {"jkt": "x"}}), Err("bound_to_a_key")),
        (json!({"cnf": {"x5t#S256": "AAAA"}}), Err("bound_to_a_key")),
        (json!({"cnf": {"x5t#S256": "A".repeat(43), "jkt": "x"}}), Err("bound_to_a_key")),
        (json!({"cnf": "x"}), Err("bound_to_a_key")),
        (json!({"cnf": {}}), Err("bound_to_a_key")),
    ] {
        check(&oidc, &issuer.token(&change), expected, &change).await;
    }
    // One end of a name is another name: these are no issuer's at all.
    for iss in
        [format!("{}/", issuer.url), issuer.url.to_uppercase(), String::new(), "https://evil.example".into()]
    {
        let change = json!({ "iss": iss });
        check(&oidc, &issuer.token(&change), Err("absent"), &change).await;
    }
}

#[tokio::test]
async fn headers_must_all_hold() {
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({}));
    let (key, claims) = (&issuer.keys[0], issuer.claims(&json!({})));
    for (change, expected) in [
        (json!({"typ": "at+jwt"}), Ok("user:alice")),
        (json!({"typ": "application/AT+JWT"}), Ok("user:alice")),
        (json!({"typ": "JWT"}), Err("typ")),
        (json!({}), Err("typ")),
        (json!({"typ": "dpop+jwt"}), Err("typ")),
        (json!({"typ": "logout+jwt"}), Err("typ")),
        (json!({"typ": "at+jwt", "alg": "none"}), Err("algorithm")),
        (json!({"typ": "at+jwt", "alg": "HS256"}), Err("algorithm")),
        (json!({"typ": "at+jwt", "alg": "ES512"}), Err("algorithm")),
        (json!({"typ": "at+jwt", "alg": "RS256"}), Err("unknown_key")),
        (json!({"typ": "at+jwt", "crit": ["x"]}), Err("token_extension")),
        (json!({"typ": "at+jwt", "jku": "https://evil.example/jwks"}), Err("token_own_key")),
        (json!({"typ": "at+jwt", "x5u": "https://evil.example/x"}), Err("token_own_key")),
        (json!({"typ": "at+jwt", "jwk": key.jwk()}), Err("token_own_key")),
        (json!({"typ": "at+jwt", "kid": "../../etc/passwd"}), Err("unknown_key")),
        (json!({"typ": "at+jwt", "kid": "k1' OR 1=1 --"}), Err("unknown_key")),
        (json!({"typ": "at+jwt", "kid": "http://169.254.169.254/"}), Err("unknown_key")),
    ] {
        let mut header = key.header();
        change.as_object().unwrap().iter().for_each(|(name, value)| header[name] = value.clone());
        check(&oidc, &key.token_with(&header, &claims), expected, &change).await;
    }
    let two = claims.to_string().replacen('{', r#"{"sub":"root","#, 1);
    let header = json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}).to_string();
    check(&oidc, &key.raw(header.as_bytes(), two.as_bytes()), Err("token_json"), &claims).await;
    assert!(issuer.fetches("/jwks") <= 2, "fetched for what tokens invent");
}

#[tokio::test]
async fn tokens_of_another_kind_are_no_access_tokens() {
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({"typ": ["at+jwt", "JWT", "none"]}));
    let key = &issuer.keys[0];
    for (typ, change, expected) in [
        (json!("JWT"), json!({}), Ok("user:alice")),
        (Value::Null, json!({}), Ok("user:alice")),
        (json!("JWT"), json!({"typ": "Bearer", "token_use": "access"}), Ok("user:alice")),
        (json!("at+jwt"), json!({"nonce": "n"}), Ok("user:alice")),
        (json!("JWT"), json!({"nonce": "n"}), Err("not_an_access_token")),
        (Value::Null, json!({"at_hash": "h"}), Err("not_an_access_token")),
        (json!("JWT"), json!({"c_hash": "h"}), Err("not_an_access_token")),
        (json!("JWT"), json!({"events": {}}), Err("not_an_access_token")),
        (json!("JWT"), json!({"typ": "ID"}), Err("not_an_access_token")),
        (json!("JWT"), json!({"typ": "Refresh"}), Err("not_an_access_token")),
        (json!("JWT"), json!({"typ": 1}), Err("not_an_access_token")),
        (json!("JWT"), json!({"token_use": "id"}), Err("not_an_access_token")),
        (json!("id+jwt"), json!({}), Err("typ")),
        (json!("none"), json!({}), Err("typ")),
    ] {
        let mut header = key.header();
        if !typ.is_null() {
            header["typ"] = typ.clone();
        }
        let token = key.token_with(&header, &issuer.claims(&change));
        check(&oidc, &token, expected, &json!([typ, change])).await;
    }
}

#[tokio::test]
async fn scopes_and_tenants_are_told_apart_from_bad_tokens() {
    let issuer = issuer().await;
    let oidc =
        issuer.provider(json!({"required_scopes": ["mcp", "tools:call"], "tenant_claim": "/acme/org"}));
    let ours = json!({"org": "acme-corp"});
    for (change, expected) in [
        (json!({"acme": ours, "scope": "tools:call mcp x"}), Ok("user:alice")),
        (json!({"acme": ours, "scope": null, "scp": ["mcp", "tools:call"]}), Ok("user:alice")),
        (json!({"acme": ours, "scope": "mcp"}), Err("insufficient")),
        (json!({"acme": ours, "scope": "mcp tools:calls"}), Err("insufficient")),
        (json!({"acme": ours, "scope": "mcp,tools:call"}), Err("insufficient")),
        (json!({"acme": ours, "scope": "MCP tools:call"}), Err("insufficient")),
        (json!({"acme": {"org": "umbrella"}, "scope": "mcp tools:call"}), Err("tenant")),
        (json!({"acme": {"org": "umbrella"}, "scope": ""}), Err("tenant")),
        (json!({"acme": {"org": ["acme-corp"]}, "scope": "mcp tools:call"}), Err("tenant")),
        (json!({"acme": {"org": "Acme-corp"}, "scope": "mcp tools:call"}), Err("tenant")),
        (json!({"scope": "mcp tools:call"}), Err("no_tenant")),
    ] {
        check(&oidc, &issuer.token(&change), expected, &change).await;
    }
    let outcome = oidc.resolve(&bearer(&issuer.token(&json!({ "acme": ours }))), now()).await;
    assert!(
        matches!(&outcome, Outcome::Insufficient { scope } if &**scope == "mcp tools:call"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_comes_with_it() {
    use base64::Engine as _;
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({}));
    let certificate = Arc::new(PeerCertificate::from_der(b"leaf", []));
    let other = Arc::new(PeerCertificate::from_der(b"other", []));
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(certificate.sha256());
    let token = issuer.token(&json!({"cnf": {"x5t#S256": thumbprint}}));
    // The second round is answered from memory.
    for _ in 0..2 {
        for (presented, expected) in [
            (Some(&certificate), Ok("user:alice")),
            (Some(&other), Err("certificate")),
            (None, Err("certificate")),
        ] {
            let mut credentials = bearer(&token);
            credentials.certificate = presented;
            assert_eq!(ok(&oidc.resolve(&credentials, now()).await), expected);
        }
    }
}

#[tokio::test]
async fn who_lacks_the_certificate_does_not_use_a_token_up() {
    use base64::Engine as _;
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({"replay": "jti_once"}));
    let certificate = Arc::new(PeerCertificate::from_der(b"leaf", []));
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(certificate.sha256());
    let token = issuer.token(&json!({"jti": "one", "cnf": {"x5t#S256": thumbprint}}));
    check(&oidc, &token, Err("certificate"), &Value::Null).await;
    let mut credentials = bearer(&token);
    credentials.certificate = Some(&certificate);
    assert_eq!(ok(&oidc.resolve(&credentials, now()).await), Ok("user:alice"));
    assert_eq!(ok(&oidc.resolve(&credentials, now()).await), Err("replayed"));
}

#[tokio::test]
async fn a_token_may_be_used_once() {
    let issuer = issuer().await;
    let shared = Arc::default();
    let oidc = issuer.shared_provider(json!({"replay": "jti_once"}), &shared);
    let token = issuer.token(&json!({"jti": "one"}));
    check(&oidc, &token, Ok("user:alice"), &Value::Null).await;
    check(&oidc, &token, Err("replayed"), &Value::Null).await;
    // What a revision has seen, the next one knows.
    let next = issuer.shared_provider(json!({"replay": "jti_once", "clock_skew_ms": 0}), &shared);
    drop(oidc);
    check(&next, &token, Err("replayed"), &Value::Null).await;
    for (change, expected) in [
        (json!({"jti": "two"}), Ok("user:alice")),
        (json!({"jti": "one", "sub": "bob"}), Err("replayed")),
        (json!({"jti": null}), Err("claim")),
        (json!({"jti": ""}), Err("claim")),
        (json!({"jti": "three", "iat": null}), Err("claim")),
        (json!({"jti": "four", "iat": NOW - 1}), Err("replayed")),
    ] {
        check(&next, &issuer.token(&change), expected, &change).await;
    }
    // A token that is refused for something else is not used up.
    check(&next, &issuer.token(&json!({"jti": "five", "aud": "x"})), Err("audience"), &Value::Null).await;
    check(&next, &issuer.token(&json!({"jti": "five"})), Ok("user:alice"), &Value::Null).await;
}

#[tokio::test]
async fn what_is_remembered_ends_with_the_token_or_its_time() {
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({"clock_skew_ms": 0}));
    let token = issuer.token(&json!({"exp": NOW + 30}));
    check(&oidc, &token, Ok("user:alice"), &Value::Null).await;
    issuer.publishes(&[SigningKey::new(Algorithm::Es256, "k2").jwk()]);
    let later = |seconds| now() + Duration::from_secs(seconds);
    assert_eq!(ok(&oidc.resolve(&bearer(&token), later(29)).await), Ok("user:alice"));
    assert_eq!(ok(&oidc.resolve(&bearer(&token), later(30)).await), Err("expired"));
}

#[tokio::test]
async fn old_tokens_can_be_refused_whatever_they_say() {
    let issuer = issuer().await;
    let oidc = issuer.provider(json!({"token_age_max_ms": 60_000}));
    for (change, expected) in [
        (json!({"iat": NOW - 90}), Ok("user:alice")),
        (json!({"iat": NOW - 91}), Err("too_old")),
        (json!({"iat": null}), Err("claim")),
    ] {
        check(&oidc, &issuer.token(&change), expected, &change).await;
    }
}
