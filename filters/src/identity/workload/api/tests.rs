//! What an agent sends, and what stays when it is away. The agent here is a fake: a server of the two methods, whose
//! answers the test hands over.

use std::sync::atomic::AtomicUsize;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::broadcast;

use super::message::tests::answer;
use super::*;
use crate::identity::certificate::forge::{Forged, now};
use crate::identity::jwt::Algorithm;
use crate::identity::jwt::testing::SigningKey;

/// A fake agent.
struct FakeAgent {
    certificates: broadcast::Sender<Option<Vec<u8>>>,
    calls: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl FakeAgent {
    /// Serves on a socket. A call gets what is sent from then on, `None` ends it.
    fn serve(socket: &Path, first: &[u8]) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (certificates, _) = broadcast::channel(8);
        let calls = Arc::new(AtomicUsize::new(0));
        let (sender, counted, first) = (certificates.clone(), Arc::clone(&calls), first.to_vec());
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (sender, calls, first) = (sender.clone(), Arc::clone(&counted), first.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    let (messages, first) = (sender.subscribe(), first.clone());
                    async move { Ok::<_, std::convert::Infallible>(stream_of(&request, messages, first)) }
                });
                let connection = http2::Builder::new(TokioExecutor::new());
                connections.spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { certificates, calls, serving }
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame.into()
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

fn stream_of(
    request: &Request<Incoming>,
    mut messages: broadcast::Receiver<Option<Vec<u8>>>,
    first: Vec<u8>,
) -> Response<Body> {
    let is_ours = request.headers().get("workload.spiffe.io").is_some_and(|value| value == "true")
        && request.headers().get("content-type").is_some_and(|value| value == "application/grpc")
        && request.uri().path() == "/SpiffeWorkloadAPI/FetchX509Bundles";
    let response = Response::builder().header("content-type", "application/grpc");
    if !is_ours {
        let empty = http_body_util::Empty::new().boxed();
        return response
            .header("grpc-status", "3")
            .header("grpc-message", "security header missing")
            .body(empty)
            .unwrap();
    }
    let (mut sender, body) = Channel::<Bytes, std::convert::Infallible>::new(4);
    tokio::spawn(async move {
        // In two parts, as a message may come.
        let first = framed(&first);
        let _ = sender.send_data(first.slice(..3)).await;
        let _ = sender.send_data(first.slice(3..)).await;
        while let Ok(Some(message)) = messages.recv().await {
            if sender.send_data(framed(&message)).await.is_err() {
                return;
            }
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    response.body(body.boxed()).unwrap()
}

fn issuers(api: &WorkloadApi, now: SystemTime) -> Result<Option<u64>, &'static str> {
    api.bundle("acme.org", false, now).map(|bundle| bundle.issuers.as_ref().map(|_| bundle.generation))
}

/// Waits until something holds, without a clock of its own: every step is somebody else's turn.
async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it does not hold in time");
}

#[tokio::test]
async fn bundles_come_over_the_socket_and_outlast_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let root = Forged::root("acme").der();
    let both = [root.clone(), Forged::root("acme next").der()].concat();
    let api = WorkloadApi::new(socket.clone(), &["acme.org"], false, Duration::from_secs(60));
    assert_eq!(issuers(&api, now()), Err("bundle_missing"));
    // The agent is not there yet.
    api.start();
    api.start();
    let agent =
        FakeAgent::serve(&socket, &answer(2, &[("spiffe://acme.org", &root), ("spiffe://other.org", &root)]));
    until(|| issuers(&api, now()).is_ok()).await;
    let first = issuers(&api, now()).unwrap();
    agent.certificates.send(Some(answer(2, &[("spiffe://acme.org", &both)]))).unwrap();
    until(|| issuers(&api, now()) != Ok(first)).await;
    let second = issuers(&api, now());

    // What cannot be used changes nothing; what follows is read.
    agent.certificates.send(Some(answer(2, &[("spiffe://acme.org", &[1, 2, 3])]))).unwrap();
    agent.certificates.send(Some(vec![0xff])).unwrap();
    agent.certificates.send(Some(answer(2, &[]))).unwrap();
    until(|| issuers(&api, now()) == Ok(None)).await;
    assert_ne!(second, Ok(None));
    agent.certificates.send(Some(answer(2, &[("spiffe://acme.org", &root)]))).unwrap();
    until(|| issuers(&api, now()).is_ok_and(|issuers| issuers.is_some())).await;

    // It ends the call: the next one follows.
    let calls = agent.calls.load(Ordering::SeqCst);
    agent.certificates.send(None).unwrap();
    until(|| agent.calls.load(Ordering::SeqCst) > calls).await;
    until(|| api.certificates.lost_at.load(Ordering::SeqCst) == UP).await;

    // It dies: what it sent stays for a minute.
    agent.serving.abort();
    until(|| api.certificates.lost_at.load(Ordering::SeqCst) != UP).await;
    let lost = SystemTime::now();
    assert!(issuers(&api, lost).is_ok());
    assert_eq!(issuers(&api, lost + Duration::from_secs(61)), Err("bundle_stale"));
}

#[tokio::test]
async fn a_provider_that_is_gone_leaves_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let root = Forged::root("acme").der();
    let agent = FakeAgent::serve(&socket, &answer(2, &[("spiffe://acme.org", &root)]));
    let api = WorkloadApi::new(socket, &["acme.org"], false, Duration::from_secs(60));
    api.start();
    until(|| issuers(&api, now()).is_ok()).await;
    assert_eq!(agent.certificates.receiver_count(), 1);
    drop(api);
    // The agent notices when it next sends something.
    until(|| {
        let _ = agent.certificates.send(Some(answer(2, &[])));
        agent.certificates.receiver_count() == 0
    })
    .await;
    agent.serving.abort();
}

#[tokio::test]
async fn an_agent_that_refuses_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let error = |opened: Result<Stream, StreamError>| opened.err().unwrap().to_string();
    assert!(error(Stream::open(&socket, "FetchX509Bundles").await).contains("cannot connect"));
    let agent = FakeAgent::serve(&socket, &[]);
    let refused = error(Stream::open(&socket, "FetchJWTBundles").await);
    assert_eq!(refused, "the agent refuses with gRPC status 3: `security header missing`");
    agent.serving.abort();
}

#[test]
fn keys_come_beside_issuers() {
    let api = WorkloadApi::new("/nowhere".into(), &["acme.org"], true, Duration::from_secs(60));
    let root = Forged::root("acme").der();
    api.receive(Kind::Certificates, &answer(2, &[("spiffe://acme.org", &root)])).unwrap();
    assert!(api.bundle("acme.org", false, now()).is_ok());
    assert_eq!(api.bundle("acme.org", true, now()).err(), Some("bundle_missing"));
    // Agents send keys without a use, and keys with that of the bundle format.
    let (plain, mut marked) =
        (SigningKey::new(Algorithm::Es256, "a").jwk(), SigningKey::new(Algorithm::Es256, "b").jwk());
    marked["use"] = json!("jwt-svid");
    let jwks = json!({"keys": [plain, marked]}).to_string();
    api.receive(Kind::Tokens, &answer(1, &[("spiffe://acme.org", jwks.as_bytes())])).unwrap();
    let bundle = api.bundle("acme.org", true, now()).unwrap();
    assert_eq!(bundle.keys.iter().map(|keys| keys.keys().len()).sum::<usize>(), 2);
    assert!(bundle.issuers.is_some());
    // All of an answer or nothing.
    assert!(api.receive(Kind::Tokens, &answer(1, &[("spiffe://acme.org", b"{")])).is_err());
    assert_eq!(api.bundle("acme.org", true, now()).unwrap().generation, bundle.generation);
    // The same again is no new bundle: what was verified by it stays known.
    api.receive(Kind::Certificates, &answer(2, &[("spiffe://acme.org", &root)])).unwrap();
    assert_eq!(api.bundle("acme.org", true, now()).unwrap().generation, bundle.generation);
    // A loss is counted from its beginning.
    api.lose(Kind::Tokens, now());
    api.lose(Kind::Tokens, now() + Duration::from_secs(50));
    assert!(api.bundle("acme.org", true, now() + Duration::from_secs(59)).is_ok());
    assert_eq!(api.bundle("acme.org", true, now() + Duration::from_secs(60)).err(), Some("bundle_stale"));
    assert!(api.bundle("acme.org", false, now() + Duration::from_secs(60)).is_ok());
}
