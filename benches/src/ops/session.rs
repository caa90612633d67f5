//! A legacy session: its id opened and judged, and made.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use http::HeaderMap;
use mcpg::sessions::{
    Arrived, LocalSessions, SESSION_ID, Sealer, SessionKey, SessionKeys, SessionToken, UpstreamRef,
    caller_digest,
};
use mcpg::upstream::ClientProfile;
use mcpg_protocol::Revision;
use mcpg_sdk::{AuthMethod, Caller, Scope};

use super::Run;

struct Bench {
    keys: SessionKeys,
    local: LocalSessions,
    scope: Scope,
    caller: Caller,
    token: SessionToken,
    now: SystemTime,
}

impl Bench {
    fn new(upstreams: usize) -> anyhow::Result<Self> {
        let key = SessionKey::parse(b"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
        let scope = Scope::default();
        let caller = Caller {
            subject: "user:alice@acme.com".into(),
            audience: None,
            attributes: HashMap::new(),
            auth_method: AuthMethod::ApiKey,
        };
        let now = SystemTime::now();
        let expires = now + Duration::from_secs(3600);
        let upstream = |index| UpstreamRef {
            binding: format!("binding-{index}").into(),
            id: format!("1f0e2d3c-4b5a-6978-8796-{index:012x}").into(),
            protocol: Revision::V2025_11_25,
        };
        let token = SessionToken {
            nonce: [7; 16],
            caller: caller_digest(&scope, &caller),
            endpoint: "/mcp".into(),
            expires: expires.duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
            client: ClientProfile {
                protocol: Revision::V2025_11_25,
                capabilities: r#"{"sampling":{},"elicitation":{},"roots":{"listChanged":true}}"#.into(),
                info: r#"{"name":"claude-code","version":"2.0.1"}"#.into(),
            },
            upstreams: (0..upstreams).map(upstream).collect(),
        };
        Ok(Self {
            keys: SessionKeys::new(Sealer::new(vec![key])?),
            local: LocalSessions::new(1000),
            scope,
            caller,
            token,
            now,
        })
    }

    fn arrived<'a>(&'a self, headers: &'a HeaderMap) -> Arrived<'a> {
        Arrived { headers, endpoint: "/mcp", scope: &self.scope, caller: &self.caller, now: self.now }
    }
}

pub(super) fn admit(upstreams: usize) -> anyhow::Result<Run> {
    let bench = Bench::new(upstreams)?;
    let mut headers = HeaderMap::new();
    headers.insert(SESSION_ID, bench.keys.seal(&bench.token)?);
    ensure!(bench.keys.admit(&bench.arrived(&headers), &bench.local).is_ok(), "the session is not admitted");
    Ok(Box::new(move || {
        let _ = black_box(bench.keys.admit(black_box(&bench.arrived(&headers)), &bench.local));
    }))
}

pub(super) fn seal(upstreams: usize) -> anyhow::Result<Run> {
    let bench = Bench::new(upstreams)?;
    Ok(Box::new(move || {
        let _ = black_box(bench.keys.seal(black_box(&bench.token)));
    }))
}
