//! The client against a server that says what a test has it say.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use mcpg_cp_api::PageQuery;
use serde_json::{Value, json};

use super::*;

/// Serves one connection for each of the answers, then returns the requests. An empty answer hangs up.
pub(crate) struct Script {
    url: String,
    served: JoinHandle<Vec<String>>,
}

impl Script {
    pub(crate) fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                // A connection that asks nothing was made ahead, by `Client::connect`.
                let (mut stream, request) = loop {
                    let (mut stream, _) = listener.accept().unwrap();
                    let request = read(&mut stream);
                    if !request.is_empty() {
                        break (stream, request);
                    }
                };
                requests.push(request);
                stream.write_all(answer.as_bytes()).unwrap();
            }
            requests
        });
        Self { url, served }
    }

    pub(crate) fn requests(self) -> Vec<String> {
        self.served.join().unwrap()
    }
}

fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).unwrap_or_default();
        text.extend_from_slice(&chunk[..count]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else {
            if count == 0 {
                return so_far;
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if count == 0 || body.len() >= length.unwrap_or(0) {
            return so_far;
        }
    }
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn ok(body: &Value) -> String {
    answer("200 OK", "Content-Type: application/json\r\n", &body.to_string())
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) async fn client(script: &Script) -> Client {
    let mut settings = Settings::new(script.url.parse().unwrap());
    settings.token = Some("mcpg_cp_secret".parse().unwrap());
    settings.answer_bytes_max = 1000;
    settings.trace_id = [0xab; 16];
    Client::connect(settings).await.unwrap()
}

pub(crate) fn line<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn all_pages_of_a_list_are_read() {
    let script = Script::start(vec![
        ok(&json!({ "items": [1, 2], "next_cursor": "61" })),
        ok(&json!({ "items": [3] })),
    ]);
    let items: Vec<u32> = run(async {
        client(&script)
            .await
            .list(&ApiPath::organizations(), &PageQuery { limit: Some(2), cursor: None })
            .await
            .unwrap()
    });
    assert_eq!(items, [1, 2, 3]);
    let requests = script.requests();
    assert!(requests[0].starts_with("GET /v1/orgs?limit=2 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /v1/orgs?limit=2&cursor=61 HTTP/1.1\r\n"), "{}", requests[1]);
    assert_eq!(line(&requests[1], "authorization"), Some("Bearer mcpg_cp_secret"));
    // One trace, and a place in it for each request.
    let [one, other] = [0, 1].map(|index| line(&requests[index], "traceparent").unwrap());
    let trace = format!("00-{}-", "ab".repeat(16));
    assert!(one.starts_with(&trace) && other.starts_with(&trace), "{one} {other}");
    assert_ne!(one, other);
}

#[test]
fn a_list_that_leads_back_ends() {
    let page = ok(&json!({ "items": [1], "next_cursor": "61" }));
    let script = Script::start(vec![page.clone(), page]);
    let listed =
        run(async { client(&script).await.list::<u32>(&ApiPath::organizations(), &json!({})).await });
    assert!(matches!(listed, Err(ClientError::Answer { .. })), "{listed:?}");
}

#[test]
fn a_busy_server_is_asked_again_with_the_same_key() {
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n", "");
    let script = Script::start(vec![busy.clone(), busy, ok(&json!("done"))]);
    let done = run(async {
        let client = client(&script).await;
        client.post::<String>(&ApiPath::organizations(), &json!({ "slug": "acme" })).await.unwrap()
    });
    assert_eq!(done.value, "done");
    let keys: Vec<_> = script
        .requests()
        .iter()
        .map(|request| line(request, "idempotency-key").unwrap().to_owned())
        .collect();
    assert!(keys.len() == 3 && keys[0].len() >= 20 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn patience_ends() {
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n", "");
    let script = Script::start(vec![busy; 4]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    assert!(matches!(&asked, Err(ClientError::Busy { refusal, .. }) if refusal.status == 503), "{asked:?}");
    // Without a time to come again it is a plain no.
    let script = Script::start(vec![answer("503 Service Unavailable", "", "")]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    assert!(matches!(&asked, Err(ClientError::Refused(_))), "{asked:?}");
}

#[test]
fn what_broke_off_is_repeated_where_that_is_harmless() {
    let (org, orgs) = (ApiPath::organizations().join("acme"), ApiPath::organizations());
    let again = || vec![String::new(), ok(&json!(1))];
    let script = Script::start(again());
    assert_eq!(run(async { client(&script).await.get::<u32>(&org).await }).unwrap(), 1);
    assert_eq!(script.requests().len(), 2);
    let script = Script::start(again());
    assert_eq!(
        run(async { client(&script).await.post::<u32>(&org.clone().join("workspaces"), &json!({})).await })
            .unwrap()
            .value,
        1
    );
    let requests = script.requests();
    assert_eq!(line(&requests[0], "idempotency-key"), line(&requests[1], "idempotency-key"));
    // The server keeps no keys outside organizations, and a change is told by its precondition alone.
    let script = Script::start(vec![String::new()]);
    let made = run(async { client(&script).await.post::<u32>(&orgs, &json!({})).await });
    assert!(matches!(made, Err(ClientError::Broken { .. })), "{made:?}");
    let script = Script::start(vec![String::new()]);
    let put = run(async {
        client(&script).await.put::<u32>(&org, &json!({}), &Condition::Is("3".to_owned())).await
    });
    assert!(matches!(put, Err(ClientError::Broken { .. })), "{put:?}");
    assert_eq!(line(&script.requests()[0], "if-match"), Some("\"3\""));
}

#[test]
fn a_redirect_is_not_followed() {
    let script =
        Script::start(vec![answer("307 Temporary Redirect", "Location: https://evil.example/\r\n", "")]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    let said = asked.unwrap_err().to_string();
    assert!(said.contains("https://evil.example/") && said.contains("not followed"), "{said}");
}

#[test]
fn an_answer_has_a_limit() {
    let script = Script::start(vec![ok(&json!("x".repeat(2000)))]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    assert_eq!(asked.unwrap_err().to_string(), "the answer cannot be used: it has more than 1000 bytes");
}

#[test]
fn a_problem_is_told_in_full_and_commands_no_terminal() {
    let problem = json!({
        "type": "/problems/invalid", "title": "the content cannot be accepted", "status": 422,
        "detail": "a name\u{1b}[31m", "instance": "req-1",
        "errors": [{ "pointer": "/slug", "detail": "`A` is not a slug" }, { "pointer": "", "detail": "all of it" }],
    });
    let headers = "Content-Type: application/problem+json\r\n";
    let script = Script::start(vec![answer("422 Unprocessable Content", headers, &problem.to_string())]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    let error = asked.unwrap_err();
    assert_eq!(error.code(), Some(mcpg_cp_api::ProblemCode::Invalid));
    assert_eq!(
        error.to_string(),
        "the content cannot be accepted: a name\u{fffd}[31m\n  /slug: `A` is not a slug\n  all of it\n  (422 invalid, GET /v1/whoami, request req-1, trace abababababababababababababababab)"
    );
}

#[test]
fn a_proxys_page_is_no_problem_document() {
    let page = answer("502 Bad Gateway", "Content-Type: text/html\r\nX-Request-Id: 7\r\n", "<h1>nginx</h1>");
    let script = Script::start(vec![page]);
    let asked = run(async { client(&script).await.get::<Value>(&ApiPath::fixed("/v1/whoami")).await });
    assert_eq!(
        asked.unwrap_err().to_string(),
        "bad gateway\n  (502 unknown, GET /v1/whoami, request 7, trace abababababababababababababababab)"
    );
}

#[test]
fn without_tls_only_this_machine_is_spoken_to() {
    let settings = Settings::new("http://cp.acme.com".parse().unwrap());
    let error = run(Client::connect(settings)).unwrap_err();
    assert!(matches!(error, ClientError::Plain { .. }), "{error}");
}

#[test]
fn nobody_there_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = Settings::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let error = run(Client::connect(settings)).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[test]
fn secrets_are_not_printed() {
    let settings = Settings {
        token: Some("mcpg_cp_secret".parse().unwrap()),
        ..Settings::new("http://[::1]:1".parse().unwrap())
    };
    assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    assert!("a b".parse::<Token>().is_err() && "".parse::<Token>().is_err());
    assert_eq!("mcpg_cp_x\n".parse::<Token>().unwrap().expose(), "mcpg_cp_x");
}
