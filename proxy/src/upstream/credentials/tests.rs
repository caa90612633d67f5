use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_config::Grant;
use mcpg_sdk::{AuthMethod, Caller};
use parking_lot::Mutex;

use super::*;

/// A mock of an authorization server: grants `token-1`, `token-2`, … for 100 s, or fails.
#[derive(Default)]
struct MockEndpoint {
    forms: Mutex<Vec<String>>,
    down: std::sync::atomic::AtomicBool,
}

impl TokenEndpoint for MockEndpoint {
    async fn fetch(&self, form: Form) -> Fetched {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let number = {
            let mut forms = self.forms.lock();
            forms.push(String::from_utf8(form.as_ref().to_vec()).unwrap());
            forms.len()
        };
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(FetchError::Refused { status: 400, code: "invalid_grant".into() });
        }
        Ok(Granted {
            authorization: HeaderValue::try_from(format!("Bearer token-{number}")).unwrap(),
            lifetime: Duration::from_secs(100),
        })
    }
}

fn credentials(grant: Grant) -> Credentials<MockEndpoint> {
    let wanted = Wanted {
        grant,
        scope: Some("read write".into()),
        audience: vec!["https://a.example".into(), "b".into()],
        resource: vec!["https://mcp.example/mcp".into()],
    };
    Credentials::new(Arc::default(), &wanted)
}

fn exchange() -> Grant {
    Grant::TokenExchange {
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token".into(),
        requested_token_type: None,
    }
}

fn caller(subject: &str, auth_method: AuthMethod) -> Arc<Caller> {
    Arc::new(Caller { subject: subject.into(), audience: None, attributes: HashMap::new(), auth_method })
}

async fn ask(
    credentials: &Credentials<MockEndpoint>,
    caller: &Arc<Caller>,
    bearer: Option<&str>,
) -> Result<String, String> {
    let on_behalf = OnBehalf { caller, bearer: bearer.map(str::as_bytes), traceparent: None };
    let authorization = credentials.authorization(&on_behalf).await;
    authorization.map(|value| value.to_str().unwrap().to_owned()).map_err(|error| error.to_string())
}

fn expiring_in(seconds: u64) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)))
}

#[tokio::test(start_paused = true)]
async fn the_gateways_token_serves_everyone_until_it_ends() {
    let credentials = credentials(Grant::ClientCredentials);
    let (alice, bob) = (caller("user:alice", AuthMethod::Oidc), caller("user:bob", AuthMethod::ApiKey));
    assert_eq!(ask(&credentials, &alice, Some("secret-of-alice")).await.unwrap(), "Bearer token-1");
    assert_eq!(ask(&credentials, &bob, None).await.unwrap(), "Bearer token-1");
    tokio::time::advance(Duration::from_secs(91)).await;
    assert_eq!(ask(&credentials, &bob, None).await.unwrap(), "Bearer token-2");
    let form = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fa.example&audience=b\
                &resource=https%3A%2F%2Fmcp.example%2Fmcp";
    assert_eq!(*credentials.endpoint().forms.lock(), [form, form], "no caller's token goes out");
}

#[tokio::test(start_paused = true)]
async fn one_callers_token_never_serves_another() {
    let credentials = credentials(exchange());
    let (alice, bob) = (caller("user:alice", AuthMethod::Oidc), caller("user:bob", AuthMethod::Oidc));
    assert_eq!(ask(&credentials, &alice, Some("a")).await.unwrap(), "Bearer token-1");
    assert_eq!(ask(&credentials, &bob, Some("b")).await.unwrap(), "Bearer token-2");
    assert_eq!(ask(&credentials, &bob, Some("a")).await.unwrap(), "Bearer token-3");
    assert_eq!(ask(&credentials, &alice, Some("a2")).await.unwrap(), "Bearer token-4");
    assert_eq!(ask(&credentials, &alice, Some("a")).await.unwrap(), "Bearer token-1");
    assert_eq!(ask(&credentials, &bob, Some("b")).await.unwrap(), "Bearer token-2");
    let forms = credentials.endpoint().forms.lock().clone();
    assert!(forms[0].starts_with(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&scope=read+write"
    ));
    let subjects = forms.iter().map(|form| form.rsplit_once("subject_token=").unwrap().1);
    assert!(subjects.eq(["a", "b", "a", "a2"]));
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_token_ends_with_the_callers() {
    let credentials = credentials(exchange());
    let alice = caller("user:alice", AuthMethod::Oidc);
    let token = expiring_in(50);
    assert_eq!(ask(&credentials, &alice, Some(&token)).await.unwrap(), "Bearer token-1");
    tokio::time::advance(Duration::from_secs(46)).await;
    // The clock on the wall has not moved, so the caller's token is good still.
    assert_eq!(ask(&credentials, &alice, Some(&token)).await.unwrap(), "Bearer token-2");
    let error = ask(&credentials, &alice, Some(&expiring_in(0))).await.unwrap_err();
    assert_eq!(error, "no credentials for the upstream: the caller's token has expired");
}

#[tokio::test(start_paused = true)]
async fn without_a_verified_token_nothing_is_asked() {
    let credentials = credentials(exchange());
    for (method, bearer, reason) in [
        (AuthMethod::Oidc, None, "the caller presented no bearer token to exchange"),
        (AuthMethod::Mtls, None, "the caller presented no bearer token to exchange"),
        (
            AuthMethod::ApiKey,
            Some("mcpg_key"),
            "the caller was identified by `api_key`, which is no token that can be exchanged",
        ),
    ] {
        let error = ask(&credentials, &caller("user:alice", method), bearer).await.unwrap_err();
        assert_eq!(error, format!("no credentials for the upstream: {reason}"));
    }
    assert!(credentials.endpoint().forms.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_asked_for_again_at_once_and_hits_one_caller_only() {
    let credentials = credentials(exchange());
    let (alice, bob) = (caller("user:alice", AuthMethod::Oidc), caller("user:bob", AuthMethod::Oidc));
    credentials.endpoint().down.store(true, std::sync::atomic::Ordering::Relaxed);
    let refused = "no credentials for the upstream: the token endpoint refuses: HTTP 400, `invalid_grant`";
    for _ in 0..3 {
        assert_eq!(ask(&credentials, &alice, Some("a")).await.unwrap_err(), refused);
    }
    assert_eq!(credentials.endpoint().forms.lock().len(), 1);
    credentials.endpoint().down.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ask(&credentials, &bob, Some("b")).await.unwrap(), "Bearer token-2");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&credentials, &alice, Some("a")).await.unwrap(), "Bearer token-3");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_upstream_refuses_is_replaced() {
    let credentials = credentials(exchange());
    let alice = caller("user:alice", AuthMethod::Oidc);
    let on_behalf = OnBehalf { caller: &alice, bearer: Some(b"a"), traceparent: None };
    let first = credentials.authorization(&on_behalf).await.unwrap();
    assert!(!credentials.refused(&on_behalf, &first), "it is new");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(credentials.refused(&on_behalf, &first));
    assert_eq!(credentials.authorization(&on_behalf).await.unwrap(), "Bearer token-2");
    let other = OnBehalf { bearer: Some(b"other"), ..on_behalf };
    assert!(!credentials.refused(&other, &first), "nothing is known of that token");
}

#[tokio::test(start_paused = true)]
async fn expired_tokens_are_swept() {
    let credentials = credentials(exchange());
    let alice = caller("user:alice", AuthMethod::Oidc);
    ask(&credentials, &alice, Some("a")).await.unwrap();
    let known = || match &credentials.tokens {
        Tokens::PerCaller(tokens) => tokens.len(),
        Tokens::Own(_) => 0,
    };
    credentials.sweep();
    assert_eq!(known(), 1);
    tokio::time::advance(Duration::from_secs(91)).await;
    credentials.sweep();
    assert_eq!(known(), 0);
}
