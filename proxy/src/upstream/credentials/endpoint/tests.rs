use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use mcpg_config::Config;
use mcpg_sdk::{AuthMethod, Caller};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::metrics::Metrics;
use crate::revision::{Builder, Route};
use crate::upstream::{OnBehalf, Outgoing, UpstreamError, Verb};

/// A mock of an HTTP server: answers in the order of its script, then 500, and remembers what it was asked.
struct MockServer {
    address: SocketAddr,
    script: Mutex<VecDeque<String>>,
    requests: Mutex<Vec<String>>,
}

impl MockServer {
    async fn start(script: &[String]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            script: Mutex::new(script.iter().cloned().collect()),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        server
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            self.requests.lock().push(request);
            let answer = self.script.lock().pop_front().unwrap_or_else(|| answer(500, "text/plain", "done"));
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.ok()?;
        text.push(byte[0]);
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(text).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn answer(status: u16, media_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn token(token: &str) -> String {
    let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
    answer(200, "application/json;charset=UTF-8", &body)
}

fn result() -> String {
    answer(200, "application/json", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
}

/// A gateway's route to a mock of an upstream, with tokens of a mock of an authorization server.
struct Bench {
    tokens: Arc<MockServer>,
    upstream: Arc<MockServer>,
    metrics: Arc<Metrics>,
    route: Arc<Route>,
}

impl Bench {
    async fn new(credentials: &str, tokens: &[String], upstream: &[String]) -> Self {
        let (tokens, upstream) = (MockServer::start(tokens).await, MockServer::start(upstream).await);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s3cret&more").unwrap();
        let (token_address, upstream_address) = (tokens.address, upstream.address);
        let config = format!(
            "server: {{ listen: 127.0.0.1:0 }}\n\
             bindings:\n\
             - id: files\n  \
               type: mcp\n  \
               url: http://{upstream_address}/mcp\n  \
               credentials:\n    \
                 token_url: http://{token_address}/oauth/token?x=1\n    \
                 client_id: gateway 1\n    \
                 client_secret: $secret://file/secret\n{credentials}\n"
        );
        let metrics = Metrics::new().unwrap();
        let route = route(&config, folder.path(), &metrics).await;
        Self { tokens, upstream, metrics, route }
    }

    async fn call(&self, caller: &Arc<Caller>, bearer: Option<&str>) -> Result<StatusCode, UpstreamError> {
        let on_behalf = OnBehalf { caller, bearer: bearer.map(str::as_bytes), traceparent: None };
        let outgoing = Outgoing {
            verb: Verb::Post,
            headers: Vec::new(),
            body: r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.into(),
            repeatable: false,
            lasting: false,
            aside: false,
        };
        self.route.exchange(&on_behalf, outgoing).await.map(|reply| reply.status)
    }

    /// The `Authorization` of every request to the upstream.
    fn authorizations(&self) -> Vec<String> {
        let requests = self.upstream.requests();
        let field = |request: &String| {
            request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("").to_owned()
        };
        requests.iter().map(field).collect()
    }

    fn counted(&self, result: &str) -> bool {
        let text = String::from_utf8(self.metrics.render()).unwrap();
        text.lines().any(|line| {
            line.starts_with(r#"mcpg_upstream_token_fetches_total{binding="files","#)
                && line.contains(&format!(r#"result="{result}""#))
                && line.ends_with(" 1")
        })
    }
}

async fn route(config: &str, folder: &Path, metrics: &Arc<Metrics>) -> Arc<Route> {
    let config = Config::from_yaml(config.as_bytes(), "gateway.yaml", folder).unwrap();
    let builder = Builder::new(Arc::clone(metrics));
    let revision = builder.build(&config, [0; 32], 1, None, SystemTime::now()).await.unwrap();
    revision.scope.routes.iter().next().cloned().unwrap()
}

fn caller(auth_method: AuthMethod) -> Arc<Caller> {
    Arc::new(Caller { subject: "user:alice".into(), audience: None, attributes: HashMap::new(), auth_method })
}

const CLIENT_CREDENTIALS: &str = "    type: client_credentials\n    scope: read";
const POSTED: &str = "    type: client_credentials\n    auth: post";
const EXCHANGE: &str = "    type: token_exchange\n    audience: files";

#[tokio::test]
async fn a_token_is_fetched_once_and_goes_to_the_upstream_alone() {
    let bench = Bench::new(CLIENT_CREDENTIALS, &[token("t1")], &[result(), result()]).await;
    for _ in 0..2 {
        let status = bench.call(&caller(AuthMethod::ApiKey), Some("mcpg_key_of_alice")).await;
        assert_eq!(status, Ok(StatusCode::OK));
    }
    assert_eq!(bench.authorizations(), ["Bearer t1", "Bearer t1"]);
    let [request] = &bench.tokens.requests()[..] else { panic!("one request") };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /oauth/token?x=1 HTTP/1.1\r\n"), "{head}");
    // `gateway 1` and `s3cret&more`, each encoded, then joined (RFC 6749 section 2.3.1).
    assert!(head.contains("\r\nauthorization: Basic Z2F0ZXdheSsxOnMzY3JldCUyNm1vcmU=\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert_eq!(body, "grant_type=client_credentials&scope=read");
    let everything = bench.tokens.requests().concat() + &bench.upstream.requests().concat();
    assert!(!everything.contains("key_of_alice"), "what the caller presented stays here");
    assert!(bench.counted("granted"));
}

#[tokio::test]
async fn the_client_may_prove_itself_in_the_body() {
    let bench = Bench::new(POSTED, &[token("t1")], &[result()]).await;
    assert_eq!(bench.call(&caller(AuthMethod::ApiKey), None).await, Ok(StatusCode::OK));
    let requests = bench.tokens.requests();
    assert!(
        requests[0]
            .ends_with("grant_type=client_credentials&client_id=gateway+1&client_secret=s3cret%26more")
    );
    assert!(!requests[0].contains("authorization"), "{}", requests[0]);
}

#[tokio::test]
async fn a_callers_token_is_exchanged_and_never_passed_on() {
    let bench = Bench::new(EXCHANGE, &[token("t1")], &[result()]).await;
    let status = bench.call(&caller(AuthMethod::Oidc), Some("token-of-alice")).await;
    assert_eq!(status, Ok(StatusCode::OK));
    assert!(bench.tokens.requests()[0].ends_with("&audience=files&subject_token=token-of-alice"));
    assert_eq!(bench.authorizations(), ["Bearer t1"]);
    assert!(!bench.upstream.requests().concat().contains("token-of-alice"));
    assert!(bench.route.is_per_caller());
}

#[tokio::test]
async fn without_a_token_the_upstream_is_not_asked() {
    let down = answer(503, "text/html", "<h1>down</h1>");
    let bench = Bench::new(CLIENT_CREDENTIALS, &[down], &[result()]).await;
    let reason = "the token endpoint answers with HTTP 503";
    for _ in 0..2 {
        let error = bench.call(&caller(AuthMethod::ApiKey), None).await.unwrap_err();
        assert_eq!(error, UpstreamError::Credentials(reason.into()));
    }
    assert_eq!(bench.tokens.requests().len(), 1, "it is left alone for a while");
    assert!(bench.upstream.requests().is_empty());
    assert!(bench.counted("unavailable"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_it_is_old_enough() {
    let refusal = || answer(401, "application/json", "{}");
    let script = [result(), refusal(), result(), refusal()];
    let bench = Bench::new(CLIENT_CREDENTIALS, &[token("t1"), token("t2")], &script).await;
    let caller = caller(AuthMethod::ApiKey);
    assert_eq!(bench.call(&caller, None).await, Ok(StatusCode::OK));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(bench.call(&caller, None).await, Ok(StatusCode::OK));
    assert_eq!(bench.authorizations(), ["Bearer t1", "Bearer t1", "Bearer t2"]);
    assert_eq!(bench.call(&caller, None).await, Ok(StatusCode::UNAUTHORIZED), "the second is new");
    assert_eq!(bench.tokens.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_is_bounded_and_redirects_are_not_followed() {
    let large = answer(200, "application/json", &format!(r#"{{"access_token":"{}"}}"#, "a".repeat(70_000)));
    let elsewhere = "HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    for (script, reason) in [
        (large, "the token endpoint's answer is too large"),
        (elsewhere, "the token endpoint answers with HTTP 307"),
        (
            "no HTTP at all\r\n\r\n".to_owned(),
            "the token endpoint cannot be reached: no HTTP: InvalidHTTPHeader",
        ),
    ] {
        let bench = Bench::new(CLIENT_CREDENTIALS, &[script], &[]).await;
        let error = bench.call(&caller(AuthMethod::ApiKey), None).await.unwrap_err();
        assert_eq!(error, UpstreamError::Credentials(reason.into()));
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_is_told() {
    let bench = Bench::new(CLIENT_CREDENTIALS, &[], &[]).await;
    let http = &bench.route.http().unwrap().credentials.as_ref().unwrap().endpoint().http;
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = reserved.local_addr().unwrap();
    drop(reserved);
    http.set_addresses(&[nobody]);
    let error = bench.call(&caller(AuthMethod::ApiKey), None).await.unwrap_err().to_string();
    assert!(error.contains("the token endpoint cannot be reached: Connect"), "{error}");
    assert!(bench.counted("unavailable"));
}

#[tokio::test]
async fn nothing_goes_to_another_machine_in_clear_text() {
    let bench = Bench::new(CLIENT_CREDENTIALS, &[token("t1")], &[]).await;
    let http = &bench.route.http().unwrap().credentials.as_ref().unwrap().endpoint().http;
    http.set_addresses(&["192.0.2.1:80".parse().unwrap()]);
    let error = bench.call(&caller(AuthMethod::ApiKey), None).await.unwrap_err().to_string();
    assert!(error.contains("another machine's"), "{error}");
}
