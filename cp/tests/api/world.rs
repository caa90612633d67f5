//! A router over an empty database, and callers of every role.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use mcpg_cp::agents::seen::Seen;
use mcpg_cp::api::metrics::Metrics;
use mcpg_cp::api::pipeline::Pipeline;
use mcpg_cp::api::router;
use mcpg_cp::api::service::{Service, Settings};
use mcpg_cp::api::tenant_name::Hosts;
use mcpg_cp::audit::AuditSigner;
use mcpg_cp::publish::RevisionSigner;
use mcpg_cp::sign_in::token::{TokenKey, TokenKind};
use mcpg_cp::store::{
    self, Actor, Clock, NewApiToken, NewOrg, NewPlatformToken, Options, Store, SystemClock,
};
use mcpg_cp_api::{Grant, Slug, Target};
use mcpg_filters::net::{ClientTls, ClientTlsSettings, HttpClient};
use mcpg_license::LicenseKeys;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Runs every case on SQLite as a test of its own, and those of a module on PostgreSQL in one test.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        mod sqlite {
            $($(
                #[test]
                fn $case() {
                    crate::world::on_sqlite(|world| Box::pin(crate::$module::$case(world)));
                }
            )+)+
        }

        mod postgresql {
            $(
                #[test]
                fn $module() {
                    crate::world::on_postgresql(&[
                        $((stringify!($case), |world| Box::pin(crate::$module::$case(world))),)+
                    ]);
                }
            )+
        }
    };
}
pub(crate) use cases;

/// A case.
pub(crate) type Case = fn(World) -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// The organization that callers are of.
pub(crate) const ACME: &str = "acme-corp";
/// Another one.
pub(crate) const OTHER: &str = "other-corp";

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) service: Arc<Service>,
    /// An administrator of the service.
    pub(crate) platform: String,
    pub(crate) backend: &'static str,
    /// Its database.
    pub(crate) url: String,
    /// The same, for one who sees everything in it.
    pub(crate) database: String,
}

/// The system's clock, moved.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance_ms(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        SystemClock.now() + self.0.load(Ordering::SeqCst)
    }

    fn random(&self) -> [u8; 16] {
        SystemClock.random()
    }
}

pub(crate) fn on_sqlite(case: Case) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("cp.db").display());
    runtime().block_on(async { case(World::open(&url, &url, "sqlite").await).await });
}

pub(crate) fn on_postgresql(cases: &[(&str, Case)]) {
    let server = crate::postgres::PostgresServer::start();
    let template = server.database(None);
    runtime().block_on(async {
        store::migrate(&template.owner_url, Some(crate::postgres::APP)).await.unwrap();
    });
    for (name, case) in cases {
        eprintln!("on PostgreSQL: {name}");
        let database = server.database(Some(&template));
        let (app, superuser) = (&database.app_url, &database.superuser_url);
        runtime().block_on(async { case(World::open(app, superuser, "postgresql").await).await });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The key that licences are signed with here.
fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

impl World {
    async fn open(url: &str, database: &str, backend: &'static str) -> Self {
        let clock = Arc::new(TestClock::default());
        let mut options = Options::new(url);
        options.clock = clock.clone();
        let store = Store::open(&options).await.unwrap();
        let pem = issuer().verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let hosts = Hosts { domain: Some("mcpg.dev".to_owned()), names: vec!["cp.test".to_owned()] };
        let allow_addresses = serde_json::from_value(json!(["127.0.0.1/32"])).unwrap();
        let service = Arc::new(Service {
            clock: clock.clone(),
            token_key: TokenKey::new([3; 32]),
            license_keys: LicenseKeys::from_pem(&pem).unwrap(),
            settings: Settings { hosts, allow_addresses, ..Settings::default() },
            signer: RevisionSigner::from_seed(&[5; 32]),
            audit: AuditSigner::from_seed(&[6; 32]),
            seen: Seen::default(),
            stopping: tokio::sync::watch::Sender::new(false),
            metrics: Metrics::new().unwrap(),
            http: HttpClient::default(),
            tls: ClientTls::new(ClientTlsSettings::default()).unwrap(),
            sign_ins: tokio::sync::Semaphore::new(4),
        });
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&service), store.clone()));
        let attending = Arc::clone(&pipeline);
        let followed = store.clone();
        tokio::spawn(async move { tokio::join!(attending.attend(), followed.follow_changes()) });
        let router = router(pipeline);
        let token = service.token(TokenKind::Platform);
        let new = NewPlatformToken {
            id: Some(token.id().as_str().parse().unwrap()),
            name: "bootstrap".to_owned(),
            hash: token.hash(&service.token_key),
            expires_at: None,
        };
        store.platform().create_platform_token(new).await.unwrap();
        let platform = token.reveal().to_owned();
        let (url, database) = (url.to_owned(), database.to_owned());
        let world = Self { router, store, clock, service, platform, backend, url, database };
        for slug in [ACME, OTHER] {
            world.make_org(slug).await;
        }
        world
    }

    /// `slug` with `platform-team/prod`, `platform-team/staging` and `finance-team`.
    async fn make_org(&self, slug: &str) {
        let slug: Slug = slug.parse().unwrap();
        let name = slug.as_str().parse().unwrap();
        let new = NewOrg { slug, display_name: name, subdomain: None };
        let org = self.store.platform().create_org(&Actor::system("system"), new).await.unwrap();
        let mut write = self.store.scope(org.id).begin(Actor::system("system")).await.unwrap();
        let slug = |text: &str| text.parse::<Slug>().unwrap();
        for workspace in ["platform-team", "finance-team"] {
            write.create_workspace(&slug(workspace), &workspace.parse().unwrap()).await.unwrap();
        }
        let workspace = write.workspace(&slug("platform-team")).await.unwrap();
        for environment in ["prod", "staging"] {
            let name = environment.parse().unwrap();
            write.create_environment(&workspace, &slug(environment), &name).await.unwrap();
        }
        write.commit().await.unwrap();
    }

    /// An API token of an organization with a role on a node.
    pub(crate) async fn token(&self, org: &str, role: &str, on: &str) -> String {
        self.credential(org, role, on, None).await
    }

    /// The session of a member, with whatever roles they have.
    pub(crate) async fn session(&self, org: &str, member: &str) -> String {
        self.credential(org, "viewer", &format!("org/{org}"), Some(member)).await
    }

    async fn credential(&self, org: &str, role: &str, on: &str, member: Option<&str>) -> String {
        let kind = if member.is_some() { TokenKind::Session } else { TokenKind::Api };
        let token = self.service.token(kind);
        let new = NewApiToken {
            id: Some(token.id().as_str().parse().unwrap()),
            name: "test".to_owned(),
            hash: token.hash(&self.service.token_key),
            kind: if member.is_some() { store::TokenKind::Session } else { store::TokenKind::Token },
            role: role.parse().unwrap(),
            on: on.parse().unwrap(),
            member: member.map(|member| member.parse().unwrap()),
            expires_at: self.clock.now() + 3_600_000,
        };
        let org = self.store.platform().org_by_slug(&org.parse().unwrap()).await.unwrap();
        let mut write = self.store.scope(org.id).begin(Actor::system("system")).await.unwrap();
        write.create_api_token(new).await.unwrap();
        write.commit().await.unwrap();
        token.reveal().to_owned()
    }

    /// Gives a member of an organization a role.
    pub(crate) async fn grant(&self, member: &str, role: &str, on: &str) {
        let on: Target = on.parse().unwrap();
        let org = self.store.platform().org_by_slug(on.organization()).await.unwrap();
        let mut write = self.store.scope(org.id).begin(Actor::system("system")).await.unwrap();
        let grant = Grant { member: member.parse().unwrap(), role: role.parse().unwrap(), on };
        write.grant(&grant).await.unwrap();
        write.commit().await.unwrap();
    }

    /// A licence for an organization.
    pub(crate) fn license(&self, org: &str, tier: &str) -> String {
        let now = self.clock.now() / 1000;
        let kid: String =
            blake3::hash(issuer().verifying_key().as_bytes()).to_hex().chars().take(16).collect();
        let header = json!({ "alg": "EdDSA", "typ": "mcpg-license+jwt", "kid": kid });
        let claims = json!({
            "sub": org, "jti": "lic-1", "iat": now, "exp": now + 86_400, "tier": tier, "entitlements": ["policy.*"],
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = issuer().sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Installs a licence of a tier.
    pub(crate) async fn buy(&self, org: &str, tier: &str) {
        let answer =
            Call::put(&format!("/v1/orgs/{org}/license"), &json!({ "license": self.license(org, tier) }))
                .header("if-match", "*")
                .send(self, &self.platform)
                .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        Call::new("GET", path).send(self, token).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        Call::post(path, &body).send(self, token).await
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    pub(crate) fn put(path: &str, body: &Value) -> Self {
        Self::new("PUT", path).json(body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it with a token; an empty one is none.
    pub(crate) async fn send(self, world: &World, token: &str) -> Answer {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", "cp.test");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(self.body.map_or_else(Body::empty, Body::from)).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The kind of problem, or the status.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{} {}",
            self.status,
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        let expected = StatusCode::from_u16(status).unwrap();
        assert_eq!(self.status, expected.as_u16(), "{}", self.text());
        self
    }
}
