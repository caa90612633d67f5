//! Every stage up to the dispatch, without the network: what governance costs a request.

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{anyhow, ensure};
use bytes::Bytes;
use http::request::Parts;
use mcpg::audit::AuditMode;
use mcpg::gateway::Gateway;
use mcpg::metrics::Metrics;
use mcpg::pipeline::{Arrival, BodyError, Exchange, admit as admit_request};
use mcpg::revision::{Builder, Revision, RevisionStore};
use mcpg_config::Config;
use mcpg_filters::identity::api_key::{HashKey, generate};
use mcpg_sdk::Secret;

use super::{Run, audit, policy};
use crate::message;

const CONFIG: &str = r#"
server: { listen: 127.0.0.1:8787 }
plugins:
  - { id: identity.api-key, config: { hash_key: $secret://file/hash.key, keys_file: keys.jsonl } }
  - { id: reliability.rate-limit, config: { per_caller: { requests: 1000000, per: 1s } } }
  - { id: policy.cedar, config: { bundle: ./policies } }
bindings: [{ id: demo, type: mcp, url: "http://127.0.0.1:3001/mcp" }]
"#;

/// A request that has arrived whole.
struct Arrived {
    head: Parts,
    body: Bytes,
}

impl Exchange for Arrived {
    fn head(&self) -> &Parts {
        &self.head
    }

    fn source(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    async fn body(&mut self, _revision: &Revision) -> Result<Bytes, BodyError> {
        Ok(self.body.clone())
    }
}

pub(super) fn admit(bytes: usize) -> anyhow::Result<Run> {
    let dir = audit::folder()?;
    let secret = "0123456789abcdef0123456789abcdef";
    fs::write(dir.path().join("hash.key"), secret)?;
    let hash_key = HashKey::new(&Secret::new(secret.as_bytes().to_vec()))?;
    let key = generate("test", "user:bench@acme.com", &hash_key)?;
    fs::write(dir.path().join("keys.jsonl"), serde_json::to_string(&key.record)?)?;
    policy::write_bundle(&dir.path().join("policies"), 10, 10)?;
    let config = Config::from_yaml(CONFIG.as_bytes(), "gateway.yaml", dir.path());
    let config = config.map_err(|error| anyhow!("{error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let metrics = Metrics::new()?;
    let ledgers = audit::ledgers(dir.path(), AuditMode::Written);
    let builder = Builder::new(Arc::clone(&metrics)).with_ledgers(Arc::clone(&ledgers));
    let first = runtime.block_on(builder.generation(&config, [1; 32], 1, None, SystemTime::now()))?;
    let log = ledgers.of(config.tenancy.scope.organization());
    let gateway = Gateway::new(Arc::new(RevisionStore::new(first)), log, metrics, 16);
    let generation = gateway.revisions.load();
    let mut request = arrived(bytes, key.token.expose())?;
    let mut run = move || {
        let _in_use = &dir;
        let arrival = Arrival { wall: SystemTime::now(), monotonic_ns: 1_000_000_000 };
        let admitted =
            admit_request(black_box(&generation), &gateway, black_box(&mut request), [1; 16], arrival);
        runtime.block_on(admitted).map(black_box).is_ok()
    };
    ensure!(run(), "the call is refused");
    Ok(Box::new(move || {
        black_box(run());
    }))
}

fn arrived(bytes: usize, key: &[u8]) -> anyhow::Result<Arrived> {
    let body = message::body(0, bytes);
    let request = http::Request::post("/mcp")
        .header("host", "localhost")
        .header("user-agent", "bench/1.0")
        .header("authorization", [b"Bearer ", key].concat())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", message::tool(0))
        .header("content-length", body.len())
        .body(())?;
    Ok(Arrived { head: request.into_parts().0, body: Bytes::from(body) })
}
