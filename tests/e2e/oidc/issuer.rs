//! npm `oidc-provider`, with grants that stand for what takes a person and a browser (`e2e/issuer/oidc.mjs`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpg_tests::{Process, exchange, packages, until};
use serde_json::Value;

/// The one client that it knows.
pub(super) const CLIENT: &str = "mcpg";
/// The client's secret.
pub(super) const SECRET: &str = "a-secret-of-the-gateway";

pub(super) struct Issuer {
    pub(super) url: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Issuer {
    /// None, aloud, where there is no Node.
    pub(super) fn start() -> Option<Self> {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/issuer");
        let installed = packages::npm(&pins).and_then(|modules| Ok((packages::node(&modules)?, modules)));
        let (node, modules) = match installed {
            Ok(installed) => installed,
            Err(missing) => {
                packages::skip("oidc", &missing);
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(node);
        command.arg(modules.join("oidc.mjs")).args([CLIENT, SECRET]);
        let mut process = Process::start("issuer", &mut command, &folder.path().join("issuer.log"));
        let url = until("the issuer should announce its address", || {
            assert_eq!(process.exited(), None, "{}", process.log());
            let log = process.log();
            let (line, _) = log.split_once("listening on ")?.1.split_once('\n')?;
            Some(line.to_owned())
        });
        Some(Self { url, process, _folder: folder })
    }

    /// An access token of a person for a resource.
    pub(super) fn token(&self, login: &str, resource: &str, scope: &str) -> String {
        let form = format!(
            "grant_type=urn:mcpg:test:person&kind=access&login={login}&resource={resource}&scope={scope}"
        );
        self.granted(&form, "access_token")
    }

    /// An ID token of a person, for the client.
    pub(super) fn id_token(&self, login: &str) -> String {
        self.granted(&format!("grant_type=urn:mcpg:test:person&kind=id&login={login}"), "id_token")
    }

    /// An access token of the client itself: opaque where it is for no resource.
    pub(super) fn client_token(&self, resource: Option<&str>) -> String {
        let resource = resource.map(|resource| format!("&resource={resource}")).unwrap_or_default();
        self.granted(&format!("grant_type=client_credentials&scope=mcp{resource}"), "access_token")
    }

    /// Has it do something to itself.
    pub(super) fn control(&self, what: &str) {
        let response = self.post(&format!("/control/{what}"), "");
        assert_eq!(response.status, 200);
    }

    /// What it said of exchanges, oldest first.
    pub(super) fn said(&self) -> Vec<Value> {
        self.process.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn granted(&self, form: &str, member: &str) -> String {
        let response = self.post("/token", form);
        let granted = response.json();
        granted[member].as_str().unwrap_or_else(|| panic!("{granted}")).to_owned()
    }

    fn post(&self, path: &str, form: &str) -> mcpg_tests::Response {
        let authority = self.url.strip_prefix("http://").unwrap();
        let address: SocketAddr = authority.parse().unwrap();
        let basic = STANDARD.encode(format!("{CLIENT}:{SECRET}"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        exchange(address, request.as_bytes())
    }
}

/// The claims of a token, as it has them.
pub(super) fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("a token has claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
