//! Which SVIDs make a caller, by the rows of the SPIFFE standards, and whose bundles they are judged by.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boring::nid::Nid;
use boring::x509::extension::KeyUsage;
use http::HeaderMap;
use mcpg_sdk::{Base, Scope, Settings, SettingsError};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::identity::Resource;
use crate::identity::certificate::PeerCertificate;
use crate::identity::certificate::forge::{Draft, Forged, now};
use crate::identity::jwt::Algorithm;
use crate::identity::jwt::testing::SigningKey;
use crate::registry::BuildContext;
use crate::secret::SecretResolver;

const CRON: &str = "spiffe://acme.org/sa/cron";
const ENDPOINT: Resource<'_> = Resource { scheme: "https", authority: "mcp.acme.org", path: "/mcp" };
const EXP: u64 = 1_800_000_300;

/// Two trust domains, each with an issuer and a key, and a provider for both.
struct Scene {
    folder: tempfile::TempDir,
    acme: Forged,
    umbrella: Forged,
    key: SigningKey,
    workload: Workload,
}

fn build(folder: &Path, settings: Value) -> Result<Workload, SettingsError> {
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
    Workload::build(&Settings(settings), &context)
}

fn x509(issuer: &Forged) -> Value {
    json!({"use": "x509-svid", "kty": "EC", "crv": "P-256", "x": "", "y": "", "x5c": [STANDARD.encode(issuer.der())]})
}

fn jwt(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    jwk["use"] = json!("jwt-svid");
    jwk
}

fn document(keys: &[Value]) -> String {
    json!({"spiffe_sequence": 3, "spiffe_refresh_hint": 300, "keys": keys}).to_string()
}

fn domains() -> Value {
    json!([{"name": "acme.org", "bundle": "acme.json"}, {"name": "umbrella.org", "bundle": "umbrella.pem"}])
}

fn scene_with(algorithm: Algorithm, settings: Value) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let (acme, umbrella) = (Forged::root("acme"), Forged::root("umbrella"));
    let key = SigningKey::new(algorithm, "k1");
    std::fs::write(folder.path().join("acme.json"), document(&[x509(&acme), jwt(&key)])).unwrap();
    std::fs::write(folder.path().join("umbrella.pem"), umbrella.pem()).unwrap();
    let workload = build(folder.path(), settings).unwrap();
    Scene { folder, acme, umbrella, key, workload }
}

fn scene() -> Scene {
    scene_with(
        Algorithm::Es256,
        json!({"trust_domains": domains(), "jwt": {}, "attributes": {"tier": "batch"}}),
    )
}

fn summary(outcome: Outcome) -> Result<Option<String>, &'static str> {
    match outcome {
        Outcome::Resolved { caller, .. } => {
            assert_eq!(caller.auth_method, AuthMethod::Workload);
            Ok(Some(caller.subject.clone()))
        }
        Outcome::Absent => Ok(None),
        Outcome::Invalid(code) | Outcome::Unavailable(code) => Err(code),
        other => panic!("{other:?}"),
    }
}

fn svid(id: &str) -> Draft {
    Draft::client("").uri(id)
}

fn claims() -> Value {
    json!({"sub": CRON, "aud": "https://mcp.acme.org/mcp", "exp": EXP})
}

impl Scene {
    fn certificate(&self, presented: PeerCertificate, expected: Result<Option<&str>, &str>) {
        let presented = Arc::new(presented);
        let credentials = Credentials::default().from_peer([10, 0, 0, 1].into(), Some(&presented));
        for _ in 0..2 {
            let summary = summary(self.workload.resolve(&credentials, now()));
            assert_eq!(summary.as_ref().map(Option::as_deref).map_err(|code| *code), expected);
        }
    }

    fn token_at(&self, token: &str, now: SystemTime) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        summary(self.workload.resolve(&Credentials::from_headers(&headers).to_resource(ENDPOINT), now))
    }

    fn token(&self, token: &str, expected: Result<Option<&str>, &str>) {
        for _ in 0..2 {
            let summary = self.token_at(token, now());
            assert_eq!(summary.as_ref().map(Option::as_deref).map_err(|code| *code), expected, "{token}");
        }
    }

    fn claims(&self, change: &Value, expected: Result<Option<&str>, &str>) {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        self.token(&self.key.token(&claims), expected);
    }
}

#[test]
fn an_x509_svid_is_verified_by_its_own_trust_domain() {
    let scene = scene();
    scene.certificate(svid(CRON).sign_by(&scene.acme).presented(&[]), Ok(Some(CRON)));
    let middle = Draft::issuer("middle").uri("spiffe://acme.org").sign_by(&scene.acme);
    scene.certificate(svid(CRON).dns("cron").sign_by(&middle).presented(&[&middle]), Ok(Some(CRON)));
    scene.certificate(
        svid("spiffe://umbrella.org/x").sign_by(&scene.umbrella).presented(&[]),
        Ok(Some("spiffe://umbrella.org/x")),
    );
    // An issuer of one trust domain has no say in another.
    scene.certificate(svid(CRON).sign_by(&scene.umbrella).presented(&[]), Err("certificate_untrusted"));
    scene.certificate(
        svid(CRON).sign_by(&scene.umbrella).presented(&[&scene.umbrella]),
        Err("certificate_untrusted"),
    );
    scene.certificate(
        svid("spiffe://umbrella.org/x").sign_by(&scene.acme).presented(&[]),
        Err("certificate_untrusted"),
    );
    scene.certificate(svid("spiffe://evil.org/x").sign_by(&scene.acme).presented(&[]), Err("trust_domain"));

    let certificate = Arc::new(svid(CRON).sign_by(&scene.acme).presented(&[]));
    let credentials = Credentials::default().from_peer([10, 0, 0, 1].into(), Some(&certificate));
    let Outcome::Resolved { caller, credential } = scene.workload.resolve(&credentials, now()) else {
        panic!()
    };
    assert_eq!(json!(caller.attributes), json!({"tier": "batch", "trust_domain": "acme.org"}));
    assert!(credential.unwrap().starts_with("sha256:"));
}

/// A root, an issuer below it and an SVID, as OpenBao 2.7.2 has issued them (its PKI engine, `uri_sans`).
#[test]
fn svids_of_openbao_are_verified() {
    let [root, intermediate, svid] = [
        include_str!("testdata/openbao-root.pem"),
        include_str!("testdata/openbao-intermediate.pem"),
        include_str!("testdata/openbao-svid.pem"),
    ];
    let scene = scene();
    std::fs::write(scene.folder.path().join("openbao.pem"), root).unwrap();
    let settings = json!({"trust_domains": [{"name": "acme.org", "bundle": "openbao.pem"}]});
    let workload = build(scene.folder.path(), settings).unwrap();
    let der = |text| crate::identity::certificate::pem::blocks(text).unwrap().remove(0).contents;
    let whole = PeerCertificate::from_der(&der(svid), [der(intermediate).into()]);
    let alone = PeerCertificate::from_der(&der(svid), []);
    let check = |workload: &Workload, presented: &PeerCertificate, seconds, expected: Result<&str, &str>| {
        let presented = Arc::new(presented.clone());
        let credentials = Credentials::default().from_peer([10, 0, 0, 1].into(), Some(&presented));
        let summary = summary(workload.resolve(&credentials, UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(summary, expected.map(|subject| Some(subject.to_owned())));
    };
    let issued = 1_795_324_809;
    check(&workload, &whole, issued, Ok(CRON));
    check(&workload, &alone, issued, Err("certificate_untrusted"));
    check(&workload, &whole, issued + 3600, Err("certificate_expired"));
    check(&workload, &whole, issued - 3600, Err("certificate_not_yet_valid"));
    check(&scene.workload, &whole, issued, Err("certificate_untrusted"));
}

#[test]
fn a_leaf_is_as_the_standard_says() {
    let scene = scene();
    let check =
        |draft: Draft, expected| scene.certificate(draft.sign_by(&scene.acme).presented(&[]), expected);
    check(svid(CRON).uri("spiffe://acme.org/b"), Err("svid_uris"));
    check(svid(CRON).uri("https://acme.org/b"), Err("svid_uris"));
    check(Draft::client("x").uri("https://acme.org/b"), Ok(None));
    check(Draft::client(CRON).dns("acme.org"), Ok(None));
    check(svid("SPIFFE://acme.org/a"), Err("spiffe_id"));
    check(svid("spiffe://acme.org/a/"), Err("spiffe_id"));
    check(svid("spiffe://acme.org/../a"), Err("spiffe_id"));
    check(svid("spiffe://Acme.org/a"), Err("spiffe_id"));
    check(svid("spiffe://acme.org"), Err("svid_path"));
    check(Draft::issuer("x").uri(CRON), Err("certificate_is_issuer"));
    check(Draft::bare("x").uri(CRON), Err("svid_key_usage"));
    let usage = |fill: fn(&mut KeyUsage) -> &mut KeyUsage| {
        let mut usage = KeyUsage::new();
        let extension = fill(usage.critical()).build().unwrap();
        Draft::bare("x").uri(CRON).with(extension)
    };
    check(usage(|it| it.digital_signature()), Ok(Some(CRON)));
    check(usage(|it| it.digital_signature().key_encipherment()), Ok(Some(CRON)));
    check(usage(|it| it.key_encipherment()), Err("svid_key_usage"));
    check(usage(|it| it.digital_signature().key_cert_sign()), Err("svid_key_usage"));
    check(usage(|it| it.digital_signature().crl_sign()), Err("svid_key_usage"));
    check(svid(CRON).valid(0, 1), Err("certificate_expired"));
    check(svid(CRON).with_text(Nid::EXT_KEY_USAGE, "serverAuth"), Err("certificate_malformed"));
    scene.certificate(PeerCertificate::from_der(b"x", []), Err("certificate_malformed"));
}

#[test]
fn a_jwt_svid_is_as_the_standard_says() {
    let scene = scene();
    scene.claims(&json!({}), Ok(Some(CRON)));
    scene.claims(
        &json!({"aud": ["x", "https://mcp.acme.org/mcp"], "jti": "1", "iss": "https://acme.org"}),
        Ok(Some(CRON)),
    );
    for aud in [json!(null), json!([]), json!("https://mcp.acme.org/other"), json!(["x"]), json!("*")] {
        let missing = aud.is_null();
        let outcome = scene.token_at(
            &scene.key.token(&{
                let mut claims = claims();
                if missing {
                    claims.as_object_mut().unwrap().remove("aud");
                } else {
                    claims["aud"] = aud.clone();
                }
                claims
            }),
            now(),
        );
        assert!(matches!(outcome, Err("audience" | "claim")), "{aud} {outcome:?}");
    }
    scene.claims(&json!({"exp": null}), Err("claim"));
    for exp in [json!("1800000300"), json!([EXP]), json!(true)] {
        scene.claims(&json!({"exp": exp}), Err("claim"));
    }
    scene.claims(&json!({"exp": EXP - 300 - 30}), Err("expired"));
    scene.claims(&json!({"exp": EXP - 300 - 29}), Ok(Some(CRON)));
    scene.claims(&json!({"nbf": EXP}), Err("not_yet_valid"));
    scene.claims(&json!({"nbf": [1]}), Err("claim"));
    scene.claims(&json!({"sub": "alice"}), Ok(None));
    scene.claims(&json!({"sub": null}), Ok(None));
    scene.claims(&json!({"sub": "spiffe://acme.org/a/"}), Err("spiffe_id"));
    scene.claims(&json!({"sub": "spiffe://evil.org/a"}), Err("trust_domain"));
    // Another trust domain, whose bundle has no key.
    scene.claims(&json!({"sub": "spiffe://umbrella.org/a"}), Err("bundle_withdrawn"));
    let typed =
        |typ: Value| scene.key.token_with(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), &claims());
    scene.token(&typed(json!("JWT")), Ok(Some(CRON)));
    scene.token(&typed(json!("JOSE")), Ok(Some(CRON)));
    scene.token(&typed(json!("at+jwt")), Err("token_type"));
    scene.token(&typed(json!("jwt")), Err("token_type"));
    let with = |header: Value| scene.key.token_with(&header, &claims());
    scene.token(&with(json!({"alg": "ES256", "kid": "../k1"})), Err("unknown_key"));
    scene.token(&with(json!({"alg": "ES256"})), Ok(Some(CRON)));
    scene.token(&with(json!({"alg": "none"})), Ok(None));
    scene.token(&with(json!({"alg": "HS256", "kid": "k1"})), Ok(None));
    scene.token(&with(json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]})), Ok(None));
    scene.token(&with(json!({"alg": "ES256", "kid": "k1", "jku": "https://evil"})), Ok(None));
    let other = SigningKey::new(Algorithm::Es256, "k1");
    scene.token(&other.token(&claims()), Err("signature"));
    scene.token("not-a-token", Ok(None));
}

#[test]
fn eddsa_is_no_algorithm_of_a_jwt_svid() {
    let settings = || json!({"trust_domains": domains(), "jwt": {"audiences": ["https://mcp.acme.org/mcp"]}});
    let scene = scene_with(Algorithm::Ed25519, settings());
    scene.token(&scene.key.token(&claims()), Err("algorithm"));
    for algorithm in [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es384] {
        let scene = scene_with(algorithm, settings());
        scene.token(&scene.key.token(&claims()), Ok(Some(CRON)));
    }
}

#[test]
fn a_token_is_for_the_audiences_that_are_configured() {
    let settings = json!({"trust_domains": domains(), "jwt": {"audiences": ["mcp", "gateway"]}});
    let scene = scene_with(Algorithm::Es256, settings);
    scene.claims(&json!({"aud": "gateway"}), Ok(Some(CRON)));
    scene.claims(&json!({"aud": "https://mcp.acme.org/mcp"}), Err("audience"));
    // What is known is for the endpoint that it was verified for, and no other.
    let scene = self::scene();
    let token = scene.key.token(&claims());
    scene.token(&token, Ok(Some(CRON)));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("bearer {token}").parse().unwrap());
    let elsewhere = Credentials::from_headers(&headers).to_resource(Resource { path: "/other", ..ENDPOINT });
    assert_eq!(summary(scene.workload.resolve(&elsewhere, now())), Err("audience"));
    headers.append("authorization", "Bearer x".parse().unwrap());
    assert_eq!(summary(scene.workload.resolve(&Credentials::from_headers(&headers), now())), Err("repeated"));
}

#[test]
fn what_is_known_holds_no_longer_than_it_says() {
    let scene = scene();
    let token = scene.key.token(&claims());
    let at = |seconds| {
        scene.token_at(&token, UNIX_EPOCH + Duration::from_secs(seconds)).map(|found| found.is_some())
    };
    assert_eq!(at(EXP - 1), Ok(true));
    assert_eq!(at(EXP + 29), Ok(true));
    assert_eq!(at(EXP + 30), Err("expired"));
    assert_eq!(at(EXP - 1), Ok(true));
}

#[test]
fn tokens_are_accepted_only_where_that_is_configured() {
    let scene = scene_with(Algorithm::Es256, json!({"trust_domains": domains()}));
    scene.token(&scene.key.token(&claims()), Ok(None));
}

#[test]
fn only_allowed_ids_come_in() {
    let settings = json!({"trust_domains": domains(), "jwt": {}, "allowed_ids": ["spiffe://acme.org/sa/*", "spiffe://umbrella.org/x"]});
    let scene = scene_with(Algorithm::Es256, settings);
    scene.certificate(svid(CRON).sign_by(&scene.acme).presented(&[]), Ok(Some(CRON)));
    scene.certificate(
        svid("spiffe://acme.org/other").sign_by(&scene.acme).presented(&[]),
        Err("id_not_allowed"),
    );
    scene.certificate(
        svid("spiffe://umbrella.org/x/y").sign_by(&scene.umbrella).presented(&[]),
        Err("id_not_allowed"),
    );
    scene.claims(&json!({}), Ok(Some(CRON)));
    scene.claims(&json!({"sub": "spiffe://acme.org/sa"}), Err("id_not_allowed"));
}

#[test]
fn bundles_are_read_again() {
    let scene = scene();
    let write = |text: String| std::fs::write(scene.folder.path().join("acme.json"), text).unwrap();
    let look = || scene.workload.domains[0].look();
    let presented = || svid(CRON).sign_by(&scene.acme).presented(&[]);
    let kept = Arc::new(presented());
    let again = || {
        summary(
            scene
                .workload
                .resolve(&Credentials::default().from_peer([10, 0, 0, 1].into(), Some(&kept)), now()),
        )
    };
    scene.certificate(presented(), Ok(Some(CRON)));
    assert_eq!(again(), Ok(Some(CRON.to_owned())));
    scene.claims(&json!({}), Ok(Some(CRON)));

    for broken in ["{", "", r#"{"keys": 1}"#] {
        write(broken.to_owned());
        assert!(look().is_some(), "{broken}");
        scene.certificate(presented(), Ok(Some(CRON)));
    }
    write(document(&[]).replace(":3", ":2"));
    assert!(look().unwrap().contains("older"));
    scene.certificate(presented(), Ok(Some(CRON)));

    let next = Forged::root("acme");
    write(document(&[x509(&next)]));
    assert_eq!(look(), None);
    // What was known was known by the old bundle.
    assert!(again().is_err());
    scene.certificate(svid(CRON).sign_by(&next).presented(&[]), Ok(Some(CRON)));
    scene.claims(&json!({}), Err("unknown_key"));
    write(document(&[]));
    assert_eq!(look(), None);
    scene.certificate(svid(CRON).sign_by(&next).presented(&[]), Err("bundle_withdrawn"));
}

#[test]
fn settings_that_would_not_do_are_refused() {
    let scene = scene();
    let folder = scene.folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let with = |bundle: &str| json!({"trust_domains": [{"name": "acme.org", "bundle": bundle}]});
    let check = |settings: Value, pointer: &str, message: &str| {
        let error = build(folder, settings.clone()).err().unwrap_or_else(|| panic!("{settings}"));
        assert_eq!(error.pointer, pointer, "{settings}: {error}");
        assert!(error.message.contains(message), "{settings}: {error}");
    };
    let bundle = "/trust_domains/0/bundle";
    check(json!({"trust_domains": []}), "/trust_domains", "no trust domain");
    check(
        json!({"trust_domains": [{"name": "Acme.org", "bundle": "acme.json"}]}),
        "/trust_domains/0/name",
        "a-z",
    );
    check(
        json!({"trust_domains": [{"name": "spiffe://acme.org", "bundle": "acme.json"}]}),
        "/trust_domains/0/name",
        "a-z",
    );
    let twice =
        json!([{"name": "acme.org", "bundle": "acme.json"}, {"name": "acme.org", "bundle": "acme.json"}]);
    check(json!({"trust_domains": twice}), "/trust_domains/1/name", "twice");
    check(json!({"trust_domains": [{"name": "acme.org"}]}), bundle, "workload_api");
    check(with("none.json"), bundle, "none.json");
    write("leaf.pem", &svid(CRON).sign_by(&scene.acme).pem());
    check(with("leaf.pem"), bundle, "may not issue");
    write("leaf.json", &document(&[x509(&svid(CRON).sign_by(&scene.acme))]));
    check(with("leaf.json"), bundle, "may not issue");
    let mut without = x509(&scene.acme);
    without["x5c"] = json!([]);
    write("without.json", &document(&[without]));
    check(with("without.json"), bundle, "keys[0].x5c");
    let mut weak = jwt(&scene.key);
    weak["crv"] = json!("P-224");
    write("weak.json", &document(&[x509(&scene.acme), weak]));
    check(with("weak.json"), bundle, "keys[1]");
    let mut nameless = jwt(&scene.key);
    nameless.as_object_mut().unwrap().remove("kid");
    write("nameless.json", &document(&[nameless]));
    check(with("nameless.json"), bundle, "kid");
    write(
        "other.json",
        &document(&[json!({"use": "sig", "kty": "oct"}), json!({"kty": "EC"}), x509(&scene.acme)]),
    );
    assert!(build(folder, with("other.json")).is_ok());
    let api = |address: &str| json!({"trust_domains": [{"name": "acme.org"}], "workload_api": address});
    assert!(build(folder, api("unix:///run/spire/agent.sock")).is_ok());
    for wrong in ["tcp://127.0.0.1:8081", "/run/spire/agent.sock", "unix://agent.sock", ""] {
        check(api(wrong), "/workload_api", "absolute path");
    }
    let mut both = with("acme.json");
    both["workload_api"] = json!("unix:///run/spire/agent.sock");
    check(both, "/workload_api", "leave this out");
    let mut settings = with("acme.json");
    settings["allowed_ids"] = json!(["spiffe://acme.org/*", "spiffe://evil.org/*"]);
    check(settings, "/allowed_ids/1", "not configured");
    let mut settings = with("acme.json");
    settings["jwt"] = json!({"clock_skew_ms": 300_001});
    check(settings, "/jwt/clock_skew_ms", "a few minutes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_is_granted(authorization in "(Bearer )?[ -~]{0,60}", leaf: Vec<u8>) {
        let scene = scene();
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        let certificate = Arc::new(PeerCertificate::from_der(&leaf, []));
        let credentials = Credentials::from_headers(&headers).to_resource(ENDPOINT);
        prop_assert!(summary(scene.workload.resolve(&credentials, now())).is_ok_and(|found| found.is_none()));
        let credentials = credentials.from_peer([10, 0, 0, 1].into(), Some(&certificate));
        prop_assert!(summary(scene.workload.resolve(&credentials, now())).is_err());
    }
}
