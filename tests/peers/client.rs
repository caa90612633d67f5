//! A client with a certificate, or without.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use boring::ssl::{SslConnector, SslFiletype, SslMethod};
use mcpg_tests::mcp::Request;
use mcpg_tests::tls::Authority;
use mcpg_tests::{DEADLINE, until};

use crate::openbao::Svid;

/// What a client connects with.
pub(crate) struct Client {
    root: tempfile::TempDir,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    text: String,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Client {
    /// Trusts `front`, and shows a certificate, whose files go beside `place`.
    pub(crate) fn with(front: &Authority, svid: &Svid, place: &Path) -> Self {
        let (certificate, key) = (place.with_extension("pem"), place.with_extension("key"));
        std::fs::write(&certificate, &svid.certificate).unwrap();
        std::fs::write(&key, &svid.key).unwrap();
        Self { certificate: Some((certificate, key)), ..Self::without(front) }
    }

    /// Trusts `front`, and shows no certificate.
    pub(crate) fn without(front: &Authority) -> Self {
        let root = tempfile::tempdir().unwrap();
        front.write(&root.path().join("root.pem"));
        Self { root, certificate: None }
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, address: SocketAddr, request: &Request) -> Answer {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.set_ca_file(self.root.path().join("root.pem")).unwrap();
        if let Some((certificate, key)) = &self.certificate {
            builder.set_certificate_chain_file(certificate).unwrap();
            builder.set_private_key_file(key, SslFiletype::PEM).unwrap();
        }
        let stream = until("the proxy should accept a connection", || TcpStream::connect(address).ok());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut stream = builder.build().connect("localhost", stream).expect("a handshake");
        stream.write_all(&request.clone().header("Connection", "close").bytes(address)).unwrap();
        let mut answer = Vec::new();
        // A server that closes without a farewell has said all the same what it said.
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer { status: status.unwrap_or_else(|| panic!("no answer: {text:?}")), text }
    }
}
