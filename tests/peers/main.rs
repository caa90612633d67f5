//! Certificates as others make and forward them: OpenBao issues SPIFFE SVIDs and revokes them, Envoy and nginx stand in
//! front of the gateway and tell it of their clients.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test"
)]

mod client;
mod openbao;
mod proxy;

use std::path::{Path, PathBuf};

use mcpg_tests::mcp::Request;
use mcpg_tests::tls::Authority;
use mcpg_tests::{Gateway, RawUpstream, Setup, packages, until};
use serde_json::json;

use client::Client;
use openbao::OpenBao;
use proxy::Proxy;

const CRON: &str = "spiffe://acme.org/sa/cron";
const OTHER: &str = "spiffe://acme.org/sa/other";

/// Only the one workload may call.
const POLICY: &str = r#"
permit (principal == Workload::"spiffe://acme.org/sa/cron", action, resource);
"#;

#[test]
fn envoy_forwards_svids_that_openbao_has_issued() {
    let Some(tools) = tools("Envoy in front") else { return };
    let bench = Bench::new(&tools, "xfcc");
    let envoy =
        Proxy::envoy(&tools, bench.gateway.address(), &bench.folder(), &bench.front, &bench.bao.root());
    bench.check(&envoy, "X-Forwarded-Client-Cert", "URI=spiffe://acme.org/sa/cron");
}

#[test]
fn nginx_forwards_certificates_as_rfc_9440_says() {
    let Some(tools) = tools("nginx in front") else { return };
    if let Err(missing) = packages::program(std::process::Command::new("nginx").arg("-v")) {
        return packages::skip("nginx in front", &missing);
    }
    let bench = Bench::new(&tools, "client-cert");
    let nginx = Proxy::nginx(bench.gateway.address(), &bench.folder(), &bench.front, &bench.bao.root());
    bench.check(&nginx, "Client-Cert", ":AQID:");
}

/// The folder of the programs, unless this machine cannot have them.
fn tools(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    match packages::python(&folder) {
        Ok(python) => Some(python.parent().expect("it is in a folder").to_owned()),
        Err(missing) => {
            packages::skip(test, &missing);
            None
        }
    }
}

/// OpenBao, a gateway that trusts what it issues, an upstream, and what a proxy shows to clients.
struct Bench {
    bao: OpenBao,
    gateway: Gateway,
    upstream: RawUpstream,
    front: Authority,
}

impl Bench {
    fn new(tools: &Path, header: &str) -> Self {
        let bao = OpenBao::start(tools);
        let upstream = RawUpstream::result(json!({ "content": [] }));
        let setup = Setup::new(&format!(
            "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
plugins:
  - id: identity.mtls
    config:
      ca: ./issuers
      subject: uri
      trusted_proxies: [127.0.0.1]
      forwarded: {header}
      reload_ms: 50
  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
bindings:
  - {{ id: files, type: mcp, url: {} }}
",
            upstream.url()
        ));
        let setup = setup.file("policies/policy.cedar", POLICY);
        let gateway = setup.file("issuers/ca.pem", &bao.root()).file("issuers/crl.pem", &bao.crl()).start();
        Self { bao, gateway, upstream, front: Authority::new() }
    }

    fn folder(&self) -> PathBuf {
        self.gateway.dir().join("proxy")
    }

    /// Whom the gateway lets in through a proxy, and what the upstream learns of it.
    fn check(&self, proxy: &Proxy, header: &str, forged: &str) {
        let call = || Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
        let (cron, other) = (self.bao.issue(CRON), self.bao.issue(OTHER));
        let client = Client::with(&self.front, &cron, &self.folder().join("cron"));
        let nobody = Client::without(&self.front);
        let answered = client.send(proxy.address(), &call());
        assert_eq!(answered.status, 200, "the permitted workload: {}", answered.text());
        let answered = client.send(proxy.address(), &call().header(header, forged));
        assert_eq!(answered.status, 200, "the proxy's word counts, not the client's: {}", answered.text());
        let another = Client::with(&self.front, &other, &self.folder().join("other"));
        assert_eq!(another.send(proxy.address(), &call()).status, 403, "another workload is another caller");
        assert_eq!(nobody.send(proxy.address(), &call()).status, 401, "no certificate");
        let answered = nobody.send(proxy.address(), &call().header(header, forged));
        assert_eq!(answered.status, 401, "no certificate, and a header of one's own");
        // Past the proxy, the header comes from a trusted address here; what it says is verified all the same.
        assert_eq!(call().header(header, forged).send(self.gateway.address()).status, 401, "forged");
        for seen in self.upstream.requests() {
            let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            assert!(!names.iter().any(|name| name.contains("client-cert")), "it went upstream: {names:?}");
        }
        self.bao.revoke(&cron);
        self.gateway.replace("issuers/crl.pem", &self.bao.crl());
        until("the revoked workload should be refused", || {
            (client.send(proxy.address(), &call()).status == 401).then_some(())
        });
        assert_eq!(another.send(proxy.address(), &call()).status, 403, "the other one is not revoked");
    }
}
