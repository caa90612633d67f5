//! Stage 3: callers that are known already, by each kind of credential, and what it costs to get to know one.

mod certificate;
mod token;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use anyhow::{anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use mcpg_filters::identity::api_key::{HashKey, generate};
use mcpg_filters::identity::basic::{NewUser, Scheme};
use mcpg_filters::identity::certificate::PeerCertificate;
use mcpg_filters::identity::{Credentials, IdentityChain};
use mcpg_filters::registry::{self, BuildContext, Filter};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::{Base, Scope, Secret, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(super) use certificate::certificate;
pub(super) use token::{Algorithm, token, verify};

use super::Run;

/// A folder with what a provider reads, and the runtime that it waits in.
struct Scene {
    dir: TempDir,
    runtime: Runtime,
}

impl Scene {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { dir: tempfile::tempdir()?, runtime })
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(fs::write(self.dir.path().join(name), contents)?)
    }

    /// A chain of one provider.
    fn chain(&self, id: &str, settings: Value) -> anyhow::Result<IdentityChain> {
        let secrets = SecretResolver::new(&Base::trusted(self.dir.path()));
        let (scope, shared) = (Scope::default(), Arc::default());
        let context = BuildContext {
            base: &Base::trusted(self.dir.path()),
            secrets: &secrets,
            bindings: &["demo"],
            scope: &scope,
            shared: &shared,
            now: SystemTime::now(),
        };
        match registry::build(id, &Settings(settings), &context).map_err(|error| anyhow!("{error}"))? {
            Filter::Identity(provider) => Ok(IdentityChain::new(vec![provider])?),
            _ => bail!("`{id}` is no identity provider"),
        }
    }

    /// Identifies a caller who has been here before.
    fn known(
        self,
        chain: IdentityChain,
        headers: HeaderMap,
        certificate: Option<PeerCertificate>,
    ) -> anyhow::Result<Run> {
        let certificate = certificate.map(Arc::new);
        let now = SystemTime::now();
        let peer = [127, 0, 0, 1].into();
        let first = Credentials::from_headers(&headers).from_peer(peer, certificate.as_ref());
        self.runtime.block_on(chain.identify(&first, now))?;
        ensure!(
            at_once(chain.identify(&first, now)).is_some_and(|known| known.is_ok()),
            "the caller is not known"
        );
        Ok(Box::new(move || {
            // The runtime has to last as long as what began in it.
            let _ = &self.runtime;
            let credentials =
                Credentials::from_headers(black_box(&headers)).from_peer(peer, certificate.as_ref());
            let _ = black_box(at_once(chain.identify(&credentials, now)));
        }))
    }
}

/// A key among others.
pub(super) fn api_key(keys: usize) -> anyhow::Result<Run> {
    let scene = Scene::new()?;
    let secret = "0123456789abcdef0123456789abcdef";
    scene.write("hash.key", secret)?;
    let hash_key = HashKey::new(&Secret::new(secret.as_bytes().to_vec()))?;
    let (mut records, mut token) = (String::new(), Vec::new());
    for index in 0..keys {
        let key = generate("test", &format!("user:{index}@acme.com"), &hash_key)?;
        writeln!(records, "{}", serde_json::to_string(&key.record)?)?;
        token = key.token.expose().to_vec();
    }
    scene.write("keys.jsonl", records)?;
    let settings = json!({ "hash_key": "$secret://file/hash.key", "keys_file": "keys.jsonl" });
    let chain = scene.chain("identity.api-key", settings)?;
    scene.known(chain, authorization(&[b"Bearer ", token.as_slice()].concat())?, None)
}

/// A name and a password that were verified before.
pub(super) fn basic() -> anyhow::Result<Run> {
    let scene = Scene::new()?;
    let user = NewUser { name: Some("alice".into()), subject: None };
    scene.write("users", user.line(Scheme::default(), "wonderland")?)?;
    let settings = json!({ "users_file": "users", "cache_ttl_ms": 3_600_000 });
    let chain = scene.chain("identity.basic", settings)?;
    let value = format!("Basic {}", STANDARD.encode("alice:wonderland"));
    scene.known(chain, authorization(value.as_bytes())?, None)
}

fn authorization(value: &[u8]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value)?);
    Ok(headers)
}

/// What needs no waiting, as it does not where the caller is known already.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
