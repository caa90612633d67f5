//! OpenBao's PKI as the issuer of a trust domain.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Process, RawHttp, free_port, until};
use serde_json::{Value, json};

const TOKEN: &str = "peers-root";

/// A server in memory, with a PKI for `acme.org`.
pub(crate) struct OpenBao {
    address: SocketAddr,
    root: String,
    // Dropped before the folder of its log.
    _process: Process,
    _folder: tempfile::TempDir,
}

/// A certificate with its key, both PEM.
pub(crate) struct Svid {
    pub(crate) certificate: String,
    pub(crate) key: String,
    serial: String,
}

impl OpenBao {
    /// Starts it, makes a root, and a role for workloads.
    pub(crate) fn start(tools: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new(tools.join("bao"));
        command.args(["server", "-dev", "-dev-no-store-token"]).current_dir(folder.path());
        command.arg(format!("-dev-root-token-id={TOKEN}")).arg(format!("-dev-listen-address={address}"));
        command.env("HOME", folder.path());
        let process = Process::start("bao", &mut command, &folder.path().join("bao.log"));
        let mut bao = Self { address, root: String::new(), _process: process, _folder: folder };
        until("OpenBao should be ready", || {
            let mut connection = RawHttp::try_connect(address)?;
            connection.send(&Request::new("GET", "/v1/sys/health").bytes(address));
            connection.response().filter(|response| response.status == 200).map(drop)
        });
        bao.write("sys/mounts/pki", &json!({ "type": "pki", "config": { "max_lease_ttl": "240h" } }));
        let root = json!({
            "common_name": "acme.org", "uri_sans": "spiffe://acme.org", "ttl": "240h", "key_type": "ec", "key_bits": 256,
        });
        bao.root = text(&bao.write(concat!("pki/root", "/generate/internal"), &root), "certificate");
        let role = json!({
            "allowed_uri_sans": "spiffe://acme.org/*", "require_cn": false, "key_type": "ec", "key_bits": 256,
            "key_usage": ["DigitalSignature"], "server_flag": false, "client_flag": true, "ttl": "1h",
        });
        bao.write("pki/roles/svid", &role);
        bao
    }

    /// The root.
    pub(crate) fn root(&self) -> String {
        self.root.clone()
    }

    /// An X.509-SVID.
    pub(crate) fn issue(&self, id: &str) -> Svid {
        let issued = self.write("pki/issue/svid", &json!({ "uri_sans": id }));
        let [certificate, key, serial] =
            ["certificate", "private_key", "serial_number"].map(|name| text(&issued, name));
        Svid { certificate, key, serial }
    }

    /// Revokes one.
    pub(crate) fn revoke(&self, svid: &Svid) {
        self.write("pki/revoke", &json!({ "serial_number": svid.serial.trim() }));
    }

    /// The list of what is revoked, PEM.
    pub(crate) fn crl(&self) -> String {
        let response = Request::new("GET", "/v1/pki/crl/pem").send(self.address);
        assert_eq!(response.status, 200, "{}", response.text());
        response.text() + "\n"
    }

    fn write(&self, path: &str, body: &Value) -> Value {
        let request = Request::new("POST", &format!("/v1/{path}")).header("X-Vault-Token", TOKEN);
        let response = request.body(body.to_string()).send(self.address);
        assert!(matches!(response.status, 200 | 204), "{path}: {} {}", response.status, response.text());
        if response.status == 204 { Value::Null } else { response.json()["data"].take() }
    }
}

fn text(data: &Value, name: &str) -> String {
    format!("{}\n", data[name].as_str().unwrap_or_else(|| panic!("there is no `{name}`: {data}")))
}
