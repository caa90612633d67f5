//! Every provider in one chain, against whatever a stranger may present: nothing panics, and nobody is let in but by a
//! credential that was issued.

use mcpg_sdk::Base;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::identity::certificate::forge::{Draft, Forged, now as forged_now};
use crate::identity::certificate::{PeerCertificate, hex};
use crate::identity::jwt::Algorithm;
use crate::identity::jwt::testing::SigningKey;
use crate::identity::oidc::tests::support::Issuer;
use crate::registry::{self, Filter};
use crate::shared::Shared;

const PROXY: [u8; 4] = [10, 0, 0, 7];
const STRANGER: [u8; 4] = [203, 0, 113, 9];
const SPIFFE: &str = "spiffe://acme.org/sa/cron";
const ENDPOINT: Resource<'_> = Resource { scheme: "https", authority: "mcp.acme.com", path: "/mcp" };
const SCHEMES: &[&str] = &["", "Bearer ", "Basic ", "bearer mcpg_test_", "Bearer eyJhbGciOiJFUzI1NiJ9."];
const HEADERS: &[&str] = &["client-cert", "client-cert-chain", "x-forwarded-client-cert", "x-forwarded-user"];
const SECONDS: u64 = 1_800_000_000;

/// What a client may present.
#[derive(Debug, Clone, Default)]
struct Shown {
    authorization: Vec<Vec<u8>>,
    api_key: Vec<Vec<u8>>,
    headers: Vec<(&'static str, Vec<u8>)>,
    certificate: Option<(Vec<u8>, Vec<Vec<u8>>)>,
    behind_proxy: bool,
}

/// A chain of every provider, and a credential for each.
struct Scene {
    runtime: tokio::runtime::Runtime,
    chain: IdentityChain,
    issued: Vec<(Shown, &'static str)>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let hash_key = "0123456789abcdef0123456789abcdef";
        let key = api_key::HashKey::new(&Secret::new(hash_key.into())).unwrap();
        let new = api_key::generate("test", "user:key@acme.com", &key).unwrap();
        write("hash.key", hash_key);
        write("keys", &serde_json::to_string(&new.record).unwrap());
        let cheap = basic::Scheme::Argon2id { memory_kib: 7168, passes: 5, lanes: 1 };
        let user = basic::NewUser { name: Some("alice".to_owned()), subject: None };
        write("users", &user.line(cheap, "wonderland").unwrap());
        let (clients, workloads) = (Forged::root("clients"), Forged::root("workloads"));
        write("clients.pem", &clients.pem());
        write("workloads.pem", &workloads.pem());
        let issuer = runtime.block_on(Issuer::start(&[SigningKey::new(Algorithm::Es256, "k1")]));
        let behind = |header| json!({"ca": "clients.pem", "subject": "common_name", "prefix": "user:", "trusted_proxies": ["10.0.0.0/8"], "forwarded": header});
        let shared = Arc::new(Shared::default());
        let providers = [
            ("identity.api-key", json!({"hash_key": "$secret://file/hash.key", "keys_file": "keys"})),
            ("identity.basic", json!({"users_file": "users", "tries_per_minute": 6000})),
            (
                "identity.workload",
                json!({"trust_domains": [{"name": "acme.org", "bundle": "workloads.pem"}]}),
            ),
            ("identity.mtls", behind("client-cert")),
            ("identity.mtls", behind("xfcc")),
            ("identity.oidc", json!({"issuers": [{"issuer": issuer.url}]})),
        ];
        let providers = providers.map(|(id, settings)| build(folder.path(), &shared, id, settings));
        let chain = IdentityChain::new(providers.into()).unwrap();
        let token = issuer.token(&json!({"exp": SECONDS + 300, "iat": SECONDS}));
        let client = Draft::client("cert").sign_by(&clients);
        let workload = Draft::client("").uri(SPIFFE).sign_by(&workloads);
        let issued = vec![
            (
                authorized(&format!("Bearer {}", String::from_utf8_lossy(new.token.expose()))),
                "user:key@acme.com",
            ),
            (Shown { api_key: vec![new.token.expose().to_vec()], ..Shown::default() }, "user:key@acme.com"),
            (authorized(&format!("Basic {}", STANDARD.encode("alice:wonderland"))), "user:alice"),
            (authorized(&format!("Bearer {token}")), "user:alice"),
            (connected(&client), "user:cert"),
            (connected(&workload), SPIFFE),
            (forwarded("client-cert", format!(":{}:", STANDARD.encode(client.der()))), "user:cert"),
            (forwarded("x-forwarded-client-cert", xfcc(&client)), "user:cert"),
        ];
        Self { runtime, chain, issued, _folder: folder }
    }

    /// Who is let in.
    fn ask(&self, shown: &Shown) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &shown.headers {
            // What is no header value never gets here.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(*name, value);
            }
        }
        let certificate = shown.certificate.as_ref().map(|(leaf, chain)| {
            let chain = chain.iter().map(|der| der.clone().into_boxed_slice());
            Arc::new(PeerCertificate::from_der(leaf, chain))
        });
        let peer = IpAddr::from(if shown.behind_proxy { PROXY } else { STRANGER });
        let mut credentials =
            Credentials::from_headers(&headers).from_peer(peer, certificate.as_ref()).to_resource(ENDPOINT);
        credentials.authorization = shown.authorization.iter().map(Vec::as_slice).collect();
        credentials.api_key = shown.api_key.iter().map(Vec::as_slice).collect();
        let identified = self.runtime.block_on(self.chain.identify(&credentials, forged_now()));
        identified.ok().map(|identified| identified.caller().subject.clone())
    }
}

fn build(folder: &Path, shared: &Arc<Shared>, id: &str, settings: serde_json::Value) -> IdentityProvider {
    let (secrets, scope) = (SecretResolver::new(&Base::trusted(folder)), mcpg_sdk::Scope::default());
    let now = forged_now();
    let context = BuildContext {
        base: &Base::trusted(folder),
        secrets: &secrets,
        bindings: &[],
        scope: &scope,
        shared,
        now,
    };
    match registry::build(id, &Settings(settings), &context) {
        Ok(Filter::Identity(provider)) => provider,
        Ok(_) => panic!("{id} is no identity provider"),
        Err(error) => panic!("{id}: {} {}", error.pointer, error.message),
    }
}

fn authorized(value: &str) -> Shown {
    Shown { authorization: vec![value.into()], ..Shown::default() }
}

fn connected(client: &Forged) -> Shown {
    Shown { certificate: Some((client.der(), Vec::new())), ..Shown::default() }
}

fn forwarded(name: &'static str, value: String) -> Shown {
    Shown { headers: vec![(name, value.into_bytes())], behind_proxy: true, ..Shown::default() }
}

fn xfcc(client: &Forged) -> String {
    let pem = client.pem().replace('+', "%2B").replace('\n', "%0A").replace(' ', "%20").replace('=', "%3D");
    format!("Hash={};Cert=\"{pem}\"", hex(client.presented(&[]).sha256()))
}

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, u8),
    Remove(usize),
    Swap(usize, usize),
    Append(Vec<u8>),
    Twice,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match self {
            Self::Flip(at, bit) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Cut(at) => bytes.truncate(at % length),
            Self::Insert(at, byte) => bytes.insert(at % length, *byte),
            Self::Remove(at) if !bytes.is_empty() => drop(bytes.remove(at % length)),
            Self::Remove(_) => {}
            Self::Swap(one, other) if !bytes.is_empty() => bytes.swap(one % length, other % length),
            Self::Swap(..) => {}
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Twice => bytes.extend_from_within(..),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<usize>().prop_map(Change::Remove),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Swap(one, other)),
        vec(any::<u8>(), 1..40).prop_map(Change::Append),
        Just(Change::Twice),
    ]
}

/// What `Authorization` says but for what RFC 9110 section 11.1 leaves open: the scheme's case, blanks behind it.
fn canonical(value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(at);
    (scheme.to_ascii_lowercase(), rest.trim_ascii_start().to_vec())
}

fn run<T: std::fmt::Debug>(cases: u32, strategy: impl Strategy<Value = T>, test: impl Fn(T)) {
    // No file of failures: what fails is printed, and becomes a test of its own.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_was_issued_is_let_in() {
    let scene = Scene::new();
    for (shown, subject) in &scene.issued {
        assert_eq!(scene.ask(shown).as_deref(), Some(*subject), "{shown:?}");
    }
    assert_eq!(scene.ask(&Shown::default()), None);
    for (shown, _) in scene.issued.iter().filter(|(shown, _)| shown.behind_proxy) {
        let from_anyone = Shown { behind_proxy: false, ..shown.clone() };
        assert_eq!(scene.ask(&from_anyone), None, "{from_anyone:?}");
    }
}

#[test]
fn noise_lets_nobody_in() {
    let scene = Scene::new();
    let noise = || vec(any::<u8>(), 0..120);
    let value =
        (prop::sample::select(SCHEMES), noise(), any::<bool>()).prop_map(|(scheme, noise, encoded)| {
            let noise = if encoded { STANDARD.encode(noise).into_bytes() } else { noise };
            [scheme.as_bytes(), &noise].concat()
        });
    let headers = vec((prop::sample::select(HEADERS), "[ -~]{0,200}"), 0..4);
    let certificate = proptest::option::of((noise(), vec(noise(), 0..3)));
    let shown = (vec(value, 0..3), vec(noise(), 0..3), headers, certificate, any::<bool>());
    run(300, shown, |(authorization, api_key, headers, certificate, behind_proxy)| {
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let shown = Shown { authorization, api_key, headers, certificate, behind_proxy };
        assert_eq!(scene.ask(&shown), None, "{shown:?}");
    });
}

#[test]
fn a_changed_credential_is_none() {
    let scene = Scene::new();
    let strategy = (0..scene.issued.len(), vec(change(), 1..3), any::<bool>());
    run(600, strategy, |(which, changes, behind_proxy)| {
        let (issued, subject) = &scene.issued[which];
        let mut shown = issued.clone();
        let values = shown.authorization.iter_mut().chain(&mut shown.api_key);
        let values = values.chain(shown.headers.iter_mut().map(|(_, value)| value));
        let values = values.chain(shown.certificate.as_mut().map(|(leaf, _)| leaf));
        for value in values {
            changes.iter().for_each(|change| change.apply(value));
        }
        shown.behind_proxy = issued.behind_proxy && behind_proxy;
        let Some(caller) = scene.ask(&shown) else { return };
        // A certificate, and the header around it, may be written in several ways: what counts is whose it is.
        assert_eq!(caller, *subject, "{shown:?}");
        let said =
            |shown: &Shown| shown.authorization.iter().map(|value| canonical(value)).collect::<Vec<_>>();
        assert_eq!((said(&shown), &shown.api_key), (said(issued), &issued.api_key), "{shown:?}");
        assert!(issued.headers.is_empty() || shown.behind_proxy, "{shown:?}");
    });
}

#[test]
fn two_credentials_make_no_third_caller() {
    let scene = Scene::new();
    let count = scene.issued.len();
    run(200, (0..count, 0..count), |(one, other)| {
        let ((first, first_subject), (second, second_subject)) = (&scene.issued[one], &scene.issued[other]);
        let shown = Shown {
            authorization: [first.authorization.clone(), second.authorization.clone()].concat(),
            api_key: [first.api_key.clone(), second.api_key.clone()].concat(),
            headers: [first.headers.clone(), second.headers.clone()].concat(),
            certificate: first.certificate.clone().or_else(|| second.certificate.clone()),
            behind_proxy: first.behind_proxy || second.behind_proxy,
        };
        if let Some(caller) = scene.ask(&shown) {
            assert!(caller == *first_subject || caller == *second_subject, "{shown:?}");
            assert!(shown.authorization.len() < 2 && shown.api_key.len() < 2, "{shown:?}");
        }
    });
}
