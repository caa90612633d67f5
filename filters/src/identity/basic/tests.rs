//! Names and passwords: every way in, and every way to stay out.

mod refused;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpg_sdk::{AuthMethod, Base, Scope, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::registry::BuildContext;
use crate::secret::SecretResolver;
use crate::shared::Shared;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
/// As cheap as is accepted.
const CHEAP: Scheme = Scheme::Argon2id { memory_kib: 7168, passes: 5, lanes: 1 };
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A configuration's folder with what a test writes, and a pool.
struct Folder {
    dir: TempDir,
    shared: Arc<Shared>,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), shared: Arc::default() }
    }

    fn with_pool(hashing: HashPool) -> Self {
        Self { shared: Arc::new(Shared { hashing, ..Shared::default() }), ..Self::new() }
    }

    fn write(&self, name: &str, contents: &str) {
        std::fs::write(self.dir.path().join(name), contents).unwrap();
    }

    fn build(&self, settings: Value) -> Result<Basic, (String, String)> {
        let secrets = SecretResolver::new(&Base::trusted(self.dir.path()));
        let scope = Scope::default();
        let context = BuildContext {
            base: &Base::trusted(self.dir.path()),
            secrets: &secrets,
            bindings: &[],
            scope: &scope,
            shared: &self.shared,
            now: NOW,
        };
        Basic::build(&Settings(settings), &context).map_err(|error| (error.pointer, error.message))
    }

    /// Users by name and password, and settings beside them.
    #[expect(clippy::needless_pass_by_value, reason = "JSON is passed as it is written")]
    fn users(&self, users: &[(&str, &str)], settings: Value) -> Arc<Basic> {
        let line = |(name, password): &(&str, &str)| {
            format!("{name}:{}\n", StoredHash::new(CHEAP, password.as_bytes()).unwrap())
        };
        self.write("users", &users.iter().map(line).collect::<String>());
        let mut all = json!({"users_file": "users"});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        Arc::new(self.build(all).unwrap())
    }
}

fn header(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn authorization(value: &str) -> Credentials<'_> {
    Credentials { authorization: Presented::Once(value.as_bytes()), peer: Some(PEER), ..Default::default() }
}

/// The subject, `absent`, or the code.
fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Resolved { caller, .. } => caller.subject.clone(),
        Outcome::Absent => "absent".to_owned(),
        Outcome::Invalid(code) | Outcome::Unavailable(code) => code.to_owned(),
        other => format!("{other:?}"),
    }
}

async fn ask(basic: &Basic, name: &str, password: &str) -> String {
    word(basic.resolve(&authorization(&header(name, password)), NOW).await)
}

/// Whether a credential is answered at once.
fn is_known(basic: &Basic, name: &str, password: &str, now: SystemTime) -> bool {
    matches!(basic.look(&authorization(&header(name, password)), now), Look::Known(Outcome::Resolved { .. }))
}

/// Keeps the one thread of a pool busy until it is told otherwise.
fn occupied(queue_max: usize) -> (HashPool, mpsc::Sender<()>) {
    let pool = HashPool::new(1, queue_max);
    let (started, begun) = mpsc::channel();
    let (free, wait) = mpsc::channel();
    let job = move |_: &mut _, _| {
        started.send(()).unwrap();
        let _ = wait.recv();
    };
    pool.submit(job).unwrap();
    begun.recv().unwrap();
    (pool, free)
}

#[tokio::test]
async fn a_user_with_the_password_is_the_caller() {
    let folder = Folder::new();
    let alice = StoredHash::new(CHEAP, b"wonderland").unwrap();
    let line = json!({
        "name": "alice", "hash": alice.to_string(), "subject": "user:alice@acme.com",
        "attributes": {"team": "platform"}, "audience": "https://mcp.acme.com",
    });
    let bob = StoredHash::new(Scheme::Bcrypt { cost: 10 }, "bu:ilder£".as_bytes()).unwrap();
    folder.write("users", &format!("# people\n\n{line}\nbob:{bob}\r\n"));
    folder.write("carol", &StoredHash::new(CHEAP, b"singer").unwrap().to_string());
    let users = json!([{"name": "carol", "hash": "$secret://file/carol", "subject": "service:carol"}]);
    let basic = folder.build(json!({"users_file": "users", "users": users, "realm": "Acme MCP"})).unwrap();
    assert_eq!((basic.len(), basic.is_empty(), basic.realm()), (3, false, "Acme MCP"));
    let outcome = basic.resolve(&authorization(&header("alice", "wonderland")), NOW).await;
    let Outcome::Resolved { caller, credential } = outcome else { panic!("{outcome:?}") };
    assert_eq!(caller.subject, "user:alice@acme.com");
    assert_eq!(caller.auth_method, AuthMethod::Basic);
    assert_eq!(caller.audience.as_deref(), Some("https://mcp.acme.com"));
    assert_eq!(caller.attributes["team"], "platform");
    assert_eq!(credential.as_deref(), Some("alice"));
    for (name, password, expected) in [
        ("bob", "bu:ilder£", "user:bob"),
        ("carol", "singer", "service:carol"),
        ("alice", "Wonderland", "mismatch"),
        ("alice", "wonderland ", "mismatch"),
        ("alice", "bu:ilder£", "mismatch"),
        ("Alice", "wonderland", "mismatch"),
        ("alice ", "wonderland", "mismatch"),
        ("dave", "wonderland", "mismatch"),
    ] {
        assert_eq!(ask(&basic, name, password).await, expected, "{name}, {password}");
    }
}

#[tokio::test]
async fn headers() {
    let basic = Folder::new().users(&[("a", "b")], json!({}));
    let check = async |authorization: &[&str], api_key: &[&str], expected: &str| {
        let credentials = Credentials {
            authorization: authorization.iter().map(|value| value.as_bytes()).collect(),
            api_key: api_key.iter().map(|value| value.as_bytes()).collect(),
            ..Default::default()
        };
        assert_eq!(word(basic.resolve(&credentials, NOW).await), expected, "{authorization:?} {api_key:?}");
    };
    check(&[], &[], "absent").await;
    check(&["Basic YTpi"], &[], "user:a").await;
    check(&["bASIC  YTpi"], &[], "user:a").await;
    // Not for this provider.
    for value in ["Bearer YTpi", "Digest username=\"a\"", "Basics YTpi", "", "YTpi"] {
        check(&[value], &[], "absent").await;
    }
    check(&[], &["mcpg_live_x"], "absent").await;
    check(&["Bearer x"], &["mcpg_live_x"], "absent").await;
    // For this provider, and not one credential.
    check(&["Basic YTpi"], &["mcpg_live_x"], "ambiguous").await;
    check(&["Basic YTpi"], &["x", "y"], "ambiguous").await;
    check(&["Basic YTpi", "Basic YTpi"], &[], "repeated").await;
    check(&["Basic YTpi", "Bearer x"], &[], "repeated").await;
    for value in [
        "Basic",
        "Basic ",
        "Basic YTpi=",
        "Basic YTpi Yg==",
        "Basic YWI=",
        "Basic /w==",
        "Basic YTo=",
        "Basic OmI=",
    ] {
        check(&[value], &[], "malformed").await;
    }
    check(&[&header("a\0", "b")], &[], "malformed").await;
    check(&[&header("a", "b\n")], &[], "malformed").await;
    check(&[&header("a", &"b".repeat(2000))], &[], "malformed").await;
}

#[tokio::test]
async fn what_was_verified_is_known_for_a_while() {
    let folder = Folder::new();
    let basic = folder.users(&[("alice", "wonderland"), ("bob", "builder")], json!({"cache_ttl_ms": 5000}));
    let known = |name, password, ms| is_known(&basic, name, password, NOW + Duration::from_millis(ms));
    let start = NOW + Duration::from_secs(1);
    assert!(!known("alice", "wonderland", 1000));
    let header = header("alice", "wonderland");
    assert_eq!(word(basic.resolve(&authorization(&header), start).await), "user:alice");
    for (ms, expected) in [(1000, true), (5999, true), (6000, false), (999, false)] {
        assert_eq!(known("alice", "wonderland", ms), expected, "{ms}");
    }
    for (name, password) in
        [("alice", "builder"), ("bob", "wonderland"), ("Alice", "wonderland"), ("alice", "wonderland2")]
    {
        assert!(!known(name, password, 1000), "{name}, {password}");
    }
    let other = self::header("alice", "x");
    // What fails is not remembered, and takes nothing from what is.
    assert_eq!(word(basic.resolve(&authorization(&other), start).await), "mismatch");
    assert!(!known("alice", "x", 1000) && known("alice", "wonderland", 1000));
    // Another revision knows nothing; with 0 nothing is ever known.
    for settings in [json!({}), json!({"cache_ttl_ms": 0})] {
        let other = folder.users(&[("alice", "wonderland")], settings.clone());
        assert!(!is_known(&other, "alice", "wonderland", start));
        assert_eq!(word(other.resolve(&authorization(&header), start).await), "user:alice");
        assert_eq!(is_known(&other, "alice", "wonderland", start), settings == json!({}));
    }
}

#[tokio::test]
async fn names_of_nobody_are_verified_as_somebodys() {
    let folder = Folder::new();
    let dear = Scheme::Bcrypt { cost: 10 };
    let hash = |scheme| StoredHash::new(scheme, b"password").unwrap();
    let lines = format!("a:{}\nb:{}\nc:{}\n", hash(CHEAP), hash(dear), hash(CHEAP));
    folder.write("users", &lines);
    let build = || folder.build(json!({"users_file": "users"})).unwrap();
    let scheme = |basic: &Basic, name: &str| {
        let look = basic.look(&authorization(&header(name, "x")), NOW);
        let Look::Verify { user: None, attempt } = look else { panic!("{name} is known") };
        attempt.hash.scheme()
    };
    let (one, two) = (build(), build());
    let (mut cheap, mut other) = (0, 0);
    for number in 0..300 {
        let name = format!("user{number}");
        let first = scheme(&one, &name);
        assert_eq!(first, scheme(&two, &name), "the same in every process");
        if first == CHEAP { cheap += 1 } else { other += 1 }
    }
    // Two users of three have it.
    assert!((150..250).contains(&cheap) && cheap + other == 300, "{cheap}, {other}");
    assert_eq!(ask(&one, "nobody", "password").await, "mismatch");
}

#[tokio::test]
async fn tries_at_one_user_from_one_address_are_limited() {
    let folder = Folder::new();
    let basic = folder.users(&[("alice", "wonderland"), ("bob", "builder")], json!({"tries_per_minute": 3}));
    let from = async |peer: IpAddr, name: &str, password: &str, second: u64| {
        let header = header(name, password);
        let credentials = Credentials { peer: Some(peer), ..authorization(&header) };
        word(basic.resolve(&credentials, NOW + Duration::from_secs(second)).await)
    };
    let v6 = |net: u16, host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host));
    // A right password is no try.
    for _ in 0..5 {
        assert_eq!(from(PEER, "alice", "wonderland", 100).await, "user:alice");
    }
    // A name of nobody is limited like any other.
    for name in ["alice", "nobody"] {
        for number in 0..3 {
            assert_eq!(from(PEER, name, &format!("guess{number}"), 120).await, "mismatch");
        }
        assert_eq!(from(PEER, name, "guess3", 120).await, "throttled");
    }
    assert_eq!(from(PEER, "alice", "wonderland", 120).await, "user:alice", "what is known needs no try");
    assert_eq!(from(PEER, "alice", "wonderland", 161).await, "user:alice", "and it comes back with time");
    assert_eq!(from(PEER, "bob", "builder", 120).await, "user:bob", "another user");
    // All of a /64 is one address; the next is not.
    for host in 0..3 {
        assert_eq!(from(v6(1, host), "bob", &format!("{host}"), 200).await, "mismatch");
    }
    assert_eq!(from(v6(1, 9), "bob", "x", 200).await, "throttled");
    assert_eq!(from(v6(2, 9), "bob", "x", 200).await, "mismatch");
}

#[tokio::test]
async fn one_credential_at_once_is_hashed_once() {
    let (pool, free) = occupied(256);
    let basic = Folder::with_pool(pool).users(&[("alice", "wonderland")], json!({"tries_per_minute": 2}));
    let mut asking = JoinSet::new();
    for number in 0..500 {
        let basic = Arc::clone(&basic);
        let password = if number % 2 == 0 { "wonderland" } else { "x" };
        asking.spawn(async move { (password, ask(&basic, "alice", password).await) });
    }
    while basic.verifier.flying() < 2 {
        tokio::task::yield_now().await;
    }
    free.send(()).unwrap();
    for (password, outcome) in asking.join_all().await {
        assert_eq!(outcome, if password == "x" { "mismatch" } else { "user:alice" });
    }
    assert_eq!(basic.verifier.flying(), 0);
}

#[tokio::test]
async fn five_hundred_guesses_at_once_are_capped_and_do_not_lock_up() {
    let (pool, free) = occupied(1000);
    let basic = Folder::with_pool(pool).users(&[("alice", "wonderland")], json!({}));
    let mut asking = JoinSet::new();
    for number in 0..500 {
        let basic = Arc::clone(&basic);
        asking.spawn(async move { ask(&basic, &format!("user{number}"), "guess").await });
    }
    while basic.verifier.flying() < verifier::FLIGHTS_MAX {
        tokio::task::yield_now().await;
    }
    free.send(()).unwrap();
    let outcomes = asking.join_all().await;
    let count = |word: &str| outcomes.iter().filter(|outcome| *outcome == word).count();
    assert_eq!(count("mismatch") + count("busy"), 500);
    assert!(count("busy") >= 500 - verifier::FLIGHTS_MAX, "{}", count("busy"));
    assert_eq!(ask(&basic, "alice", "wonderland").await, "user:alice");
}

#[tokio::test]
async fn a_full_pool_refuses_and_charges_nothing() {
    let (pool, free) = occupied(1);
    pool.submit(|_, _| {}).unwrap();
    let basic = Folder::with_pool(pool).users(&[("alice", "wonderland")], json!({"tries_per_minute": 1}));
    for _ in 0..5 {
        assert_eq!(ask(&basic, "alice", "wonderland").await, "busy");
    }
    assert_eq!(basic.verifier.flying(), 0);
    drop(free);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_hashed() {
    let (pool, free) = occupied(100);
    let basic = Folder::with_pool(pool).users(&[("alice", "wonderland")], json!({"tries_per_minute": 1}));
    let header = header("alice", "x");
    {
        let credentials = authorization(&header);
        let mut left = std::pin::pin!(basic.resolve(&credentials, NOW));
        let waiting = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(left.as_mut().poll(waiting).is_pending());
    }
    free.send(()).unwrap();
    while basic.verifier.flying() > 0 {
        tokio::task::yield_now().await;
    }
    // It was no try, so there is still one.
    assert_eq!(ask(&basic, "alice", "wonderland").await, "user:alice");
}
