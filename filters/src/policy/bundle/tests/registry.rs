//! Bundles of a real registry: the `docker-registry` of the system. Skipped, and said so, where it is not installed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use mcpg_sdk::{Base, Scope, Settings};
use serde_json::json;

use super::*;
use crate::net::{AllowAddresses, Bounds, ClientTls, HttpClient, Request, Response, Target};
use crate::secret::SecretResolver;

const PASSWORD: &str = "correct horse";
/// bcrypt of it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";

/// A registry with storage of its own.
struct Registry {
    address: SocketAddr,
    process: Child,
    login: bool,
    _storage: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    fn start(login: bool) -> Option<Self> {
        Self::start_at("127.0.0.1:0", login)
    }

    /// None where it is not installed.
    fn start_at(address: &str, login: bool) -> Option<Self> {
        let storage = tempfile::tempdir().unwrap();
        let at = |name: &str| storage.path().join(name).display().to_string();
        let mut settings = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": at("blobs")}, "delete": {"enabled": true}},
            "http": {"addr": address},
        });
        if login {
            fs::write(at("users"), format!("gateway:{HASH}\n")).unwrap();
            settings["auth"] = json!({"htpasswd": {"realm": "policies", "path": at("users")}});
        }
        // JSON is YAML.
        fs::write(at("config.yml"), settings.to_string()).unwrap();
        let started = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            assert!(
                std::env::var_os("MCPG_TESTS_REQUIRE_ALL").is_none(),
                "`docker-registry` is required here"
            );
            eprintln!("SKIPPED: no `docker-registry` here: `apt-get install docker-registry`");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = |line: String| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split(|one: char| one != ':' && one != '.' && !one.is_ascii_digit()).next()?.parse().ok()
        };
        let address = lines.find_map(listening).expect("the registry did not say where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { address, process, login, _storage: storage })
    }

    async fn ask(&self, method: Method, path: &str, media_type: &str, body: &[u8]) -> Response {
        let url = match path.starts_with("http://") {
            true => path.to_owned(),
            false => format!("http://{}{path}", self.address),
        };
        let target = Target::configured(
            url.parse().unwrap(),
            &AllowAddresses::default(),
            ClientTls::system().unwrap(),
        );
        let mut request = Request::get().with(header::CONTENT_TYPE, media_type.parse().unwrap());
        if self.login {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("gateway:{PASSWORD}"));
            request = request.with(header::AUTHORIZATION, format!("Basic {pair}").parse().unwrap());
        }
        (request.method, request.body) = (method, Bytes::copy_from_slice(body));
        HttpClient::default().fetch(&target, request, &Bounds::default()).await.unwrap()
    }

    async fn blob(&self, contents: &[u8]) -> ContentDigest {
        let digest = ContentDigest::of(contents);
        let begun = self.ask(Method::POST, "/v2/team/policies/blobs/uploads/", "text/plain", b"").await;
        assert_eq!(begun.status, StatusCode::ACCEPTED);
        let place = begun.headers[header::LOCATION].to_str().unwrap();
        let joint = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{joint}digest={digest}");
        let done = self.ask(Method::PUT, &place, "application/octet-stream", contents).await;
        assert_eq!(done.status, StatusCode::CREATED);
        digest
    }

    async fn manifest(&self, name: &str, media_type: &str, manifest: &serde_json::Value) -> ContentDigest {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let done =
            self.ask(Method::PUT, &format!("/v2/team/policies/manifests/{name}"), media_type, &bytes).await;
        assert_eq!(done.status, StatusCode::CREATED, "{:?}", done.body);
        ContentDigest::of(&bytes)
    }

    /// Pushes a policy as an artifact of one layer, and returns the digest of its manifest.
    async fn push(&self, tag: &str, policy: &str) -> ContentDigest {
        let layer = gzip(&files(&[("./a.cedar", policy.as_bytes())]));
        let (config, digest) = (self.blob(b"{}").await, self.blob(&layer).await);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.to_string(), "size": 2},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest.to_string(),
                "size": layer.len(),
            }],
        });
        self.manifest(tag, media_type, &manifest).await
    }

    fn written(&self, rest: &str) -> String {
        format!("oci://{}/team/policies{rest}", self.address)
    }
}

/// A gateway's view: a store, and a folder for its state.
struct Gateway {
    store: BundleStore,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        Self { store: BundleStore::default(), folder }
    }

    /// The same state, and nothing in memory.
    fn restarted(self) -> Self {
        Self { store: BundleStore::default(), folder: self.folder }
    }

    async fn fetch_with(&self, written: &str, registry: serde_json::Value) -> Result<String, String> {
        let settings = Settings(json!({"bundle": written, "registry": registry}));
        let secrets = SecretResolver::new(&Base::trusted(self.folder.path()));
        let order = BundleOrder::of(&settings, &Base::trusted(self.folder.path()), &secrets)
            .map_err(|error| error.message)?;
        let (http, scope) = (HttpClient::default(), Scope::default());
        let orders = order.into_iter().collect();
        let errors = self.store.fetch(&http, &scope, orders, Some(self.folder.path())).await;
        if let Some((_, error)) = errors.into_iter().next() {
            return Err(error.to_string());
        }
        self.policy(written)
    }

    async fn fetch(&self, written: &str) -> Result<String, String> {
        self.fetch_with(written, json!({"plain_http": true, "refresh_ms": 5000})).await
    }

    fn policy(&self, written: &str) -> Result<String, String> {
        let fetched = self.store.of(&Scope::default());
        let base = Base::trusted(self.folder.path());
        let request =
            BundleRequest { base: &base, written, wants: &wants, file_bytes_max: 100, fetched: &fetched };
        let bundle = Bundle::load(&request).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bundle.files["a.cedar"].clone()).unwrap())
    }

    fn warnings(&self, written: &str) -> String {
        self.store.of(&Scope::default()).warnings(written).join("\n")
    }
}

#[tokio::test]
async fn a_tag_and_a_digest_are_fetched() {
    let Some(registry) = Registry::start(false) else { return };
    let first = registry.push("1.0", "first").await;
    let second = registry.push("1.0", "second").await;
    let gateway = Gateway::new();
    let tag = registry.written(":1.0");
    assert_eq!(gateway.fetch(&tag).await.unwrap(), "second");
    assert!(gateway.warnings(&tag).contains(&format!("`{tag}@{second}` pins")), "{}", gateway.warnings(&tag));
    for pinned in [format!(":1.0@{first}"), format!("@{first}")] {
        let pinned = registry.written(&pinned);
        assert_eq!(gateway.fetch(&pinned).await.unwrap(), "first");
        assert_eq!(gateway.warnings(&pinned), "");
    }
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let Some(registry) = Registry::start(false) else { return };
    registry.push("1.0", "first").await;
    let gateway = Gateway::new();
    let error = gateway.fetch(&registry.written(":2.0")).await.unwrap_err();
    assert!(error.contains("the registry has no `manifests/2.0`"), "{error}");
    let nothing = ContentDigest::of(b"nothing");
    let error = gateway.fetch(&registry.written(&format!(":1.0@{nothing}"))).await.unwrap_err();
    assert!(error.contains("the registry has no `manifests/sha256:"), "{error}");
    let error = gateway.fetch_with(&registry.written(":1.0"), json!({})).await.unwrap_err();
    assert!(error.contains("TLS with"), "a registry without TLS must be named as such: {error}");
}

#[tokio::test]
async fn an_index_names_its_manifests() {
    let Some(registry) = Registry::start(false) else { return };
    let manifest = registry.push("1.0", "first").await;
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest.to_string(), "size": 500},
    ]});
    registry.manifest("all", media_type, &index).await;
    let error = Gateway::new().fetch(&registry.written(":all")).await.unwrap_err();
    assert!(error.contains(&format!("write the digest of one: `@{manifest}`")), "{error}");
}

#[tokio::test]
async fn a_restart_does_not_need_the_registry() {
    let Some(registry) = Registry::start(false) else { return };
    let digest = registry.push("1.0", "first").await;
    let (tag, pinned) = (registry.written(":1.0"), registry.written(&format!(":1.0@{digest}")));
    let gateway = Gateway::new();
    assert!(gateway.fetch(&tag).await.is_ok());
    drop(registry);
    let gateway = gateway.restarted();
    assert_eq!(gateway.fetch(&tag).await.unwrap(), "first");
    assert!(gateway.warnings(&tag).contains("was fetched before and stays in use"));
    let gateway = gateway.restarted();
    assert_eq!(gateway.fetch(&pinned).await.unwrap(), "first", "found by its digest, nobody is asked");
    // What is on disk is believed for its digest only.
    for entry in fs::read_dir(gateway.folder.path().join("bundles")).unwrap() {
        fs::write(entry.unwrap().path(), "forged").unwrap();
    }
    let gateway = gateway.restarted();
    assert!(gateway.fetch(&tag).await.unwrap_err().contains("cannot connect"));
    assert!(gateway.fetch(&pinned).await.unwrap_err().contains("cannot connect"));
    assert_eq!((gateway.store.fetches().all(), gateway.store.fetches().failed()), (2, 2));
}

#[tokio::test]
async fn a_tag_is_looked_at_again() {
    let Some(registry) = Registry::start(false) else { return };
    registry.push("1.0", "first").await;
    let (gateway, tag, http) = (Gateway::new(), registry.written(":1.0"), HttpClient::default());
    gateway.fetch(&tag).await.unwrap();
    let next = gateway.store.next_poll().unwrap();
    assert!(!gateway.store.poll(&http).await, "not yet");
    registry.push("1.0", "second").await;
    tokio::time::sleep_until(next.into()).await;
    assert!(gateway.store.poll(&http).await);
    assert_eq!(gateway.policy(&tag).unwrap(), "second");
    assert!(gateway.store.next_poll().unwrap() >= next + Duration::from_secs(5));
    let pinned = Gateway::new();
    let digest = registry.push("1.0", "third").await;
    pinned.fetch(&registry.written(&format!("@{digest}"))).await.unwrap();
    assert_eq!(pinned.store.next_poll(), None, "what is pinned cannot change");
}

#[tokio::test]
async fn a_registry_that_asks_for_a_password_gets_the_secret() {
    let Some(registry) = Registry::start(true) else { return };
    registry.push("1.0", "first").await;
    let tag = registry.written(":1.0");
    let gateway = Gateway::new();
    let with = |username: &str, secret: &str| json!({"plain_http": true, "username": username, "password": format!("$secret://file/{secret}")});
    assert_eq!(gateway.fetch_with(&tag, with("gateway", "password")).await.unwrap(), "first");
    let gateway = Gateway::new();
    for refused in [json!({"plain_http": true}), with("somebody", "password")] {
        let error = gateway.fetch_with(&tag, refused).await.unwrap_err();
        assert!(error.contains("does not let the gateway read it"), "{error}");
        assert!(!error.contains(PASSWORD), "{error}");
    }
    for (settings, expected) in [
        (json!({"username": "gateway"}), "needs `password`"),
        (json!({"password": "$secret://file/password"}), "needs `username`"),
        (with("a:b", "password"), "has no `:`"),
        (json!({"refresh_ms": 1}), "5 seconds"),
        (json!({"username": "gateway", "password": PASSWORD}), "must be a reference"),
    ] {
        let error = gateway.fetch_with(&tag, settings).await.unwrap_err();
        assert!(error.contains(expected) && !error.contains(PASSWORD), "{error}");
    }
}
