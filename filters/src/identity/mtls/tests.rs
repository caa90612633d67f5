//! Whose certificate makes which caller, and whose word on it is heard.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use mcpg_sdk::{Base, Scope, Settings, SettingsError};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::identity::certificate::forge::{Draft, Forged, now};
use crate::registry::BuildContext;
use crate::secret::SecretResolver;

const PROXY: [u8; 4] = [10, 0, 0, 7];
const STRANGER: [u8; 4] = [203, 0, 113, 9];
const SPIFFE: &str = "spiffe://acme.org/sa/cron";

/// A root, a folder with its certificate, and a provider.
struct Scene {
    folder: tempfile::TempDir,
    root: Forged,
    mtls: Mtls,
}

fn build(folder: &Path, settings: Value) -> Result<Mtls, SettingsError> {
    let secrets = SecretResolver::new(&Base::trusted(folder));
    let (scope, shared) = (Scope::default(), Arc::default());
    let context = BuildContext {
        base: &Base::trusted(folder),
        secrets: &secrets,
        bindings: &[],
        scope: &scope,
        shared: &shared,
        now: now(),
    };
    Mtls::build(&Settings(settings), &context)
}

fn scene(mut settings: Value) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let root = Forged::root("Clients CA");
    std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
    std::fs::write(folder.path().join("revoked.txt"), "").unwrap();
    let ca = settings.as_object_mut().unwrap().entry("ca").or_insert(json!("ca.pem"));
    if ca.is_null() {
        settings.as_object_mut().unwrap().remove("ca");
    }
    let mtls = build(folder.path(), settings).unwrap();
    Scene { folder, root, mtls }
}

fn behind(header: &str) -> Value {
    json!({"subject": "uri", "trusted_proxies": ["10.0.0.0/8"], "forwarded": header})
}

fn summary(outcome: &Outcome) -> Result<Option<String>, &'static str> {
    match outcome {
        Outcome::Resolved { caller, .. } => {
            assert_eq!(caller.auth_method, AuthMethod::Mtls);
            Ok(Some(caller.subject.clone()))
        }
        Outcome::Absent => Ok(None),
        Outcome::Invalid(code) => Err(code),
        other => panic!("{other:?}"),
    }
}

impl Scene {
    fn client(&self) -> Forged {
        Draft::client("cron").uri(SPIFFE).dns("cron.acme.org").sign_by(&self.root)
    }

    fn connected(&self, certificate: PeerCertificate, expected: Result<Option<&str>, &str>) {
        let certificate = Arc::new(certificate);
        let credentials = Credentials::default().from_peer(STRANGER.into(), Some(&certificate));
        // Again, since then it may be known.
        for _ in 0..2 {
            let outcome = self.mtls.resolve(&credentials, now());
            assert_eq!(summary(&outcome).as_ref().map(Option::as_deref).map_err(|code| *code), expected);
        }
    }

    fn forwarded(
        &self,
        peer: [u8; 4],
        headers: &[(&'static str, &str)],
        expected: Result<Option<&str>, &str>,
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let credentials = Credentials::from_headers(&map).from_peer(peer.into(), None);
        for _ in 0..2 {
            let outcome = self.mtls.resolve(&credentials, now());
            let summary = summary(&outcome);
            assert_eq!(summary.as_ref().map(Option::as_deref).map_err(|code| *code), expected, "{headers:?}");
        }
    }
}

fn item(forged: &Forged) -> String {
    format!(":{}:", STANDARD.encode(forged.der()))
}

fn escaped(pem: &str) -> String {
    pem.replace('+', "%2B").replace('\n', "%0A").replace(' ', "%20").replace('=', "%3D")
}

fn element(forged: &Forged, rest: &str) -> String {
    let hash = hex(forged.presented(&[]).sha256());
    format!("Hash={hash};Cert=\"{}\"{rest}", escaped(&forged.pem()))
}

#[test]
fn a_certificate_of_the_connection_is_verified_here() {
    let scene = scene(json!({"subject": "uri", "attributes": {"tier": "batch"}}));
    let client = scene.client();
    scene.connected(client.presented(&[]), Ok(Some(SPIFFE)));
    scene.forwarded(STRANGER, &[], Ok(None));

    let Outcome::Resolved { caller, credential } = scene.mtls.resolve(
        &Credentials::default().from_peer(STRANGER.into(), Some(&Arc::new(client.presented(&[])))),
        now(),
    ) else {
        panic!("not resolved")
    };
    let fingerprint = hex(client.presented(&[]).sha256());
    assert_eq!(credential.as_deref(), Some(format!("sha256:{fingerprint}").as_str()));
    let attributes = json!({
        "tier": "batch", "uris": [SPIFFE], "dns": ["cron.acme.org"], "emails": [], "serial": "1092",
        "fingerprint": fingerprint, "issuer": "CN=Clients CA",
    });
    assert_eq!(json!(caller.attributes), attributes);

    let other = Forged::root("other");
    scene.connected(
        Draft::client("x").uri(SPIFFE).sign_by(&other).presented(&[&other]),
        Err("certificate_untrusted"),
    );
    scene
        .connected(Draft::client("x").uri(SPIFFE).sign_itself().presented(&[]), Err("certificate_untrusted"));
    scene.connected(scene.root.presented(&[]), Err("certificate_is_issuer"));
    scene.connected(
        Draft::client("x").valid(0, 1).uri(SPIFFE).sign_by(&scene.root).presented(&[]),
        Err("certificate_expired"),
    );
    scene.connected(PeerCertificate::from_der(b"x", []), Err("certificate_malformed"));
    let middle = Draft::issuer("middle").sign_by(&scene.root);
    let below = Draft::client("below").uri("https://acme.org/below").sign_by(&middle);
    scene.connected(below.presented(&[&middle]), Ok(Some("https://acme.org/below")));
}

#[test]
fn what_is_known_holds_no_longer_than_its_chain() {
    let scene = scene(json!({"subject": "uri"}));
    let certificate = Arc::new(scene.client().presented(&[]));
    let credentials = Credentials::default().from_peer(STRANGER.into(), Some(&certificate));
    let at = |seconds: i64| {
        let time = if seconds < 0 {
            now() - Duration::from_secs(seconds.unsigned_abs())
        } else {
            now() + Duration::from_secs(seconds.unsigned_abs())
        };
        summary(&scene.mtls.resolve(&credentials, time)).map(|subject| subject.is_some())
    };
    assert_eq!(at(0), Ok(true));
    assert_eq!(at(86_399), Ok(true));
    assert_eq!(at(86_400), Err("certificate_expired"));
    assert_eq!(at(-86_401), Err("certificate_not_yet_valid"));
    assert_eq!(at(0), Ok(true));
}

#[test]
fn the_subject_is_the_one_name_that_is_asked_for() {
    let subject = |settings: Value, client: Draft, expected| {
        let scene = scene(settings);
        scene.connected(client.sign_by(&scene.root).presented(&[]), expected);
    };
    let by = |source: &str| json!({"subject": source});
    subject(by("common_name"), Draft::client("alice"), Ok(Some("user:alice")));
    subject(by("subject_dn"), Draft::client("alice"), Ok(Some("user:CN=alice")));
    subject(by("dns"), Draft::client("x").dns("a.acme.org"), Ok(Some("user:a.acme.org")));
    subject(
        json!({"subject": "dns", "prefix": "host:"}),
        Draft::client("x").dns("a.acme.org"),
        Ok(Some("host:a.acme.org")),
    );
    let mail = Draft::client("x").name(|names| names.email("alice@acme.com"));
    subject(by("email"), mail, Ok(Some("user:alice@acme.com")));
    for source in ["uri", "dns", "email", "common_name", "subject_dn"] {
        subject(by(source), Draft::client(""), Err("no_subject"));
    }
    subject(by("uri"), Draft::client("x").uri("spiffe://a/b").uri("spiffe://a/c"), Err("ambiguous_subject"));
    subject(by("dns"), Draft::client("x").dns("a").dns("b"), Err("ambiguous_subject"));
    subject(by("uri"), Draft::client("x").uri("no-uri"), Err("subject_form"));
}

#[test]
fn a_header_is_heard_from_trusted_proxies_only() {
    let scene = scene(behind("client-cert"));
    let client = scene.client();
    let header = [("client-cert", item(&client))];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    scene.forwarded(PROXY, &header, Ok(Some(SPIFFE)));
    scene.forwarded(STRANGER, &header, Ok(None));
    scene.forwarded(PROXY, &[], Ok(None));
    let mapped = Credentials::default().from_peer("::ffff:10.0.0.7".parse().unwrap(), None);
    assert!(matches!(scene.mtls.resolve(&mapped, now()), Outcome::Absent));
    // A proxy's own certificate is not its client's.
    let own = Arc::new(client.presented(&[]));
    let credentials = Credentials::default().from_peer(PROXY.into(), Some(&own));
    assert_eq!(summary(&scene.mtls.resolve(&credentials, now())), Ok(None));
    // And a stranger's own is judged, whatever its headers say.
    let mut map = HeaderMap::new();
    map.insert("client-cert", item(&client).parse().unwrap());
    let alice =
        Arc::new(Draft::client("a").uri("spiffe://acme.org/alice").sign_by(&scene.root).presented(&[]));
    let credentials = Credentials::from_headers(&map).from_peer(STRANGER.into(), Some(&alice));
    assert_eq!(summary(&scene.mtls.resolve(&credentials, now())), Ok(Some("spiffe://acme.org/alice".into())));
    // The other header is not configured.
    scene.forwarded(PROXY, &[("x-forwarded-client-cert", &element(&client, ""))], Ok(None));
}

#[test]
fn a_connection_of_which_nothing_is_known_is_no_proxy() {
    let mut settings = behind("client-cert");
    settings["trusted_proxies"] = json!(["0.0.0.0/8", "::/8"]);
    let scene = scene(settings);
    let header = item(&scene.client());
    scene.forwarded([0, 0, 0, 0], &[("client-cert", &header)], Ok(None));
    scene.forwarded([0, 0, 0, 1], &[("client-cert", &header)], Ok(Some(SPIFFE)));
    let mut map = HeaderMap::new();
    map.insert("client-cert", header.parse().unwrap());
    assert_eq!(summary(&scene.mtls.resolve(&Credentials::from_headers(&map), now())), Ok(None));
}

#[tokio::test]
async fn a_certificate_that_fails_never_becomes_anonymous() {
    use crate::identity::{IdentityChain, IdentityProvider, Refusal};
    let Scene { root, mtls, folder: _folder } = scene(behind("xfcc"));
    let anonymous = crate::identity::anonymous::Anonymous::build(&Settings(Value::Null)).unwrap();
    let providers = vec![IdentityProvider::Mtls(mtls), IdentityProvider::Anonymous(anonymous)];
    let chain = IdentityChain::new(providers).unwrap();
    let good = Arc::new(Draft::client("x").uri(SPIFFE).sign_by(&root).presented(&[]));
    let bad = Arc::new(Draft::client("x").uri(SPIFFE).sign_itself().presented(&[]));
    let by = |certificate| Credentials::default().from_peer(STRANGER.into(), certificate);
    let subject = |identified: crate::identity::Identified| identified.caller().subject.clone();
    assert_eq!(chain.identify(&by(Some(&good)), now()).await.map(subject), Ok(SPIFFE.to_owned()));
    assert_eq!(chain.identify(&by(None), now()).await.map(subject), Ok("anonymous".to_owned()));
    let refusal = Refusal::Invalid { provider: ID, code: "certificate_untrusted" };
    assert_eq!(chain.identify(&by(Some(&bad)), now()).await.map(subject), Err(refusal));
    let mut map = HeaderMap::new();
    map.insert("x-forwarded-client-cert", "URI=spiffe://acme.org/root".parse().unwrap());
    let forged = Credentials::from_headers(&map).from_peer(PROXY.into(), None);
    let refusal = Refusal::Invalid { provider: ID, code: "forwarded_unverified" };
    assert_eq!(chain.identify(&forged, now()).await.map(subject), Err(refusal));
}

#[test]
fn rfc_9440_headers_are_verified() {
    let scene = scene(behind("client-cert"));
    let middle = Draft::issuer("middle").sign_by(&scene.root);
    let below = Draft::client("below").uri("https://acme.org/below").sign_by(&middle);
    let (cert, chain) = (item(&below), item(&middle));
    let both = format!("{chain}, {}", item(&scene.root));
    scene.forwarded(PROXY, &[("client-cert", &cert)], Err("certificate_untrusted"));
    scene.forwarded(
        PROXY,
        &[("client-cert", &cert), ("client-cert-chain", &chain)],
        Ok(Some("https://acme.org/below")),
    );
    scene.forwarded(
        PROXY,
        &[("client-cert", &cert), ("client-cert-chain", &both)],
        Ok(Some("https://acme.org/below")),
    );
    scene.forwarded(PROXY, &[("client-cert-chain", &chain)], Err("forwarded_malformed"));
    scene.forwarded(PROXY, &[("client-cert", &cert), ("client-cert", &cert)], Err("forwarded_repeated"));
    let chains = [("client-cert", &*cert), ("client-cert-chain", &*chain), ("client-cert-chain", &*chain)];
    scene.forwarded(PROXY, &chains, Err("forwarded_repeated"));
    scene.forwarded(PROXY, &[("client-cert", "")], Err("forwarded_malformed"));
    scene.forwarded(PROXY, &[("client-cert", &escaped(&below.pem()))], Err("forwarded_malformed"));
    scene.forwarded(PROXY, &[("client-cert", &cert), ("client-cert-chain", "")], Err("forwarded_malformed"));
}

#[test]
fn the_last_element_with_its_certificate_counts() {
    let scene = scene(behind("xfcc"));
    let client = scene.client();
    let check =
        |header: &str, expected| scene.forwarded(PROXY, &[("x-forwarded-client-cert", header)], expected);
    let good = element(&client, "");
    check(&good, Ok(Some(SPIFFE)));
    check(
        &element(&client, ";Subject=\"CN=cron\";URI=spiffe://acme.org/sa/cron;DNS=cron.acme.org"),
        Ok(Some(SPIFFE)),
    );
    scene.forwarded(STRANGER, &[("x-forwarded-client-cert", &good)], Ok(None));
    scene.forwarded(
        PROXY,
        &[("x-forwarded-client-cert", &good), ("x-forwarded-client-cert", &good)],
        Err("forwarded_repeated"),
    );
    let alice = Draft::client("a").uri("spiffe://acme.org/alice").sign_by(&scene.root);
    check(&format!("{good},{}", element(&alice, "")), Ok(Some("spiffe://acme.org/alice")));
    check(&format!("URI=spiffe://acme.org/alice,{good}"), Ok(Some(SPIFFE)));
    check(&format!("{good},URI=spiffe://acme.org/alice"), Err("forwarded_unverified"));
    check("URI=spiffe://acme.org/alice", Err("forwarded_unverified"));
    let hash = "0".repeat(64);
    check(&format!("Hash={hash};Cert=\"{}\"", escaped(&client.pem())), Err("forwarded_hash"));
    check(&element(&client, ";URI=spiffe://acme.org/alice"), Err("forwarded_names"));
    let other = Draft::client("x").uri(SPIFFE).sign_itself();
    check(&element(&other, ""), Err("certificate_untrusted"));
    check("URI=\"spiffe://acme.org/alice", Err("forwarded_malformed"));
    // A certificate whose name looks like an element with somebody else's public certificate.
    let forged = format!("spiffe://acme.org/x,{good}");
    let mallory = Draft::client("m").uri(&forged.replace(' ', "")).sign_by(&scene.root);
    check(&element(&mallory, &format!(";URI={forged}")), Err("forwarded_names"));
}

#[test]
fn a_proxy_s_word_is_taken_only_where_that_is_configured() {
    let mut settings = behind("xfcc");
    settings["forwarded_verified"] = json!("proxy");
    settings["ca"] = Value::Null;
    let scene = scene(settings);
    let hash = "ab".repeat(32);
    let check =
        |header: &str, expected| scene.forwarded(PROXY, &[("x-forwarded-client-cert", header)], expected);
    check(&format!("Hash={hash};URI={SPIFFE}"), Ok(Some(SPIFFE)));
    check(
        &format!(
            "By=spiffe://acme.org/proxy;Hash={hash};Subject=\"CN=x\\\";URI=spiffe://acme.org/root;\";URI={SPIFFE}"
        ),
        Ok(Some(SPIFFE)),
    );
    check(&format!("URI={SPIFFE}"), Err("forwarded_malformed"));
    check(&format!("Hash={hash};Subject=\"CN=x\""), Err("no_subject"));
    check(&format!("Hash={hash};URI=spiffe://a/b;URI={SPIFFE}"), Err("ambiguous_subject"));
    check(&format!("Hash={hash};DNS=a;URI={SPIFFE}"), Err("forwarded_malformed"));
    check(&format!("Hash={hash};URI=spiffe://a/x,Hash={hash};URI={SPIFFE}"), Err("forwarded_several"));
    scene.forwarded(STRANGER, &[("x-forwarded-client-cert", &format!("Hash={hash};URI={SPIFFE}"))], Ok(None));
    // Without issuers, a certificate of a connection proves nothing.
    scene.connected(scene.client().presented(&[]), Ok(None));
}

#[test]
fn revocations_and_issuers_are_read_again() {
    let scene = scene(json!({"subject": "uri", "revoked_file": "revoked.txt"}));
    let client = scene.client();
    scene.connected(client.presented(&[]), Ok(Some(SPIFFE)));
    let revoked = scene.folder.path().join("revoked.txt");
    std::fs::write(&revoked, format!("sha256:{}\n", hex(client.presented(&[]).sha256()))).unwrap();
    scene.mtls.trust.look();
    scene.connected(client.presented(&[]), Err("certificate_revoked"));
    std::fs::write(&revoked, "nonsense").unwrap();
    scene.mtls.trust.look();
    scene.connected(client.presented(&[]), Err("certificate_revoked"));
    std::fs::write(&revoked, "").unwrap();
    std::fs::write(scene.folder.path().join("ca.pem"), Forged::root("new").pem()).unwrap();
    scene.mtls.trust.look();
    scene.connected(client.presented(&[]), Err("certificate_untrusted"));
}

#[test]
fn settings_that_would_not_do_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = Forged::root("root");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", &root.pem());
    write("client.pem", &Draft::client("x").sign_itself().pem());
    write("key.pem", &(root.pem() + "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n"));
    write("empty.pem", "");
    write("broken.pem", "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n");
    let check = |settings: Value, pointer: &str, message: &str| {
        let error = build(folder.path(), settings.clone()).err().unwrap_or_else(|| panic!("{settings}"));
        assert_eq!(error.pointer, pointer, "{settings}: {error}");
        assert!(error.message.contains(message), "{settings}: {error}");
    };
    check(json!({"subject": "uri"}), "/ca", "name the PEM file");
    check(json!({"subject": "uri", "ca": "none.pem"}), "/ca", "none.pem");
    check(json!({"subject": "uri", "ca": "client.pem"}), "/ca", "may not issue others");
    check(json!({"subject": "uri", "ca": "key.pem"}), "/ca", "holds no `PRIVATE KEY`");
    check(json!({"subject": "uri", "ca": "empty.pem"}), "/ca", "it has no certificate");
    check(json!({"subject": "uri", "ca": "broken.pem"}), "/ca", "certificate 1 is malformed");
    check(json!({"ca": "ca.pem"}), "", "subject");
    check(json!({"subject": "ip", "ca": "ca.pem"}), "/subject", "ip");
    check(json!({"subject": "dns", "prefix": "", "ca": "ca.pem"}), "/prefix", "no subject");
    check(
        json!({"subject": "uri", "ca": "ca.pem", "attributes": {"issuer": "x"}}),
        "/attributes/issuer",
        "certificate says",
    );
    check(json!({"subject": "uri", "ca": "ca.pem", "revoked_file": "ca.pem"}), "/ca", "line 1");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut settings = behind("xfcc");
        settings["ca"] = json!("ca.pem");
        change(&mut settings);
        settings
    };
    assert!(build(folder.path(), with(&|_| ())).is_ok());
    for everyone in ["0.0.0.0/0", "::/0"] {
        check(
            with(&|it| it["trusted_proxies"] = json!(["10.0.0.1", everyone])),
            "/trusted_proxies/1",
            "everyone",
        );
    }
    check(with(&|it| it["trusted_proxies"] = json!([])), "/forwarded", "trusted_proxies");
    check(with(&|it| it["trusted_proxies"] = json!(["10.0.0.1/8"])), "/trusted_proxies/0", "10.0.0.0/8");
    check(with(&|it| it["forwarded"] = Value::Null), "/trusted_proxies", "needs `forwarded`");
    let by_word = |it: &mut Value| it["forwarded_verified"] = json!("proxy");
    assert!(build(folder.path(), with(&|it| by_word(it))).is_ok());
    check(
        with(&|it| {
            by_word(it);
            it["forwarded"] = json!("client-cert");
        }),
        "/forwarded_verified",
        "verified here",
    );
    check(
        with(&|it| {
            by_word(it);
            it["subject"] = json!("common_name");
        }),
        "/subject",
        "names no such thing",
    );
    check(
        json!({"subject": "uri", "ca": "ca.pem", "forwarded_verified": "proxy"}),
        "/forwarded_verified",
        "needs",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_header_is_granted(value in "[ -~]{0,80}", trusted: bool) {
        for header in ["client-cert", "xfcc"] {
            let scene = scene(behind(header));
            let mut map = HeaderMap::new();
            for name in ["client-cert", "client-cert-chain", "x-forwarded-client-cert"] {
                map.insert(name, value.parse().unwrap());
            }
            let peer = if trusted { PROXY } else { STRANGER };
            let outcome = scene.mtls.resolve(&Credentials::from_headers(&map).from_peer(peer.into(), None), now());
            let is_refused = matches!(outcome, Outcome::Invalid(_));
            prop_assert!(is_refused == trusted && (is_refused || matches!(outcome, Outcome::Absent)));
        }
    }
}
