//! Requests to what the quickstart has started, all on this machine.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::LOOK_EVERY;
use crate::client::dial_here;
use crate::failure::Failure;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The revision of MCP that the calls speak: it needs no session.
const REVISION: &str = "2026-07-28";

/// A call of MCP.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: &'static str,
    tool: Option<(&'static str, Value)>,
}

impl Call {
    /// What the example's policy permits, and what it refuses, with the status of each answer. Of an unknown server nothing is called that could do
    /// something.
    pub(super) fn of_example(is_demo: bool) -> [(Self, u16); 2] {
        let tool = |name, arguments| Self { method: "tools/call", tool: Some((name, arguments)) };
        let permitted = if is_demo {
            tool("lookup_customer", json!({ "id": "c-1" }))
        } else {
            Self { method: "tools/list", tool: None }
        };
        [(permitted, 200), (tool("delete_repo", json!({ "name": "hello" })), 403)]
    }

    /// Sends it with a key.
    pub(super) async fn send(&self, gateway: SocketAddr, key: &str) -> io::Result<(u16, String)> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientInfo": { "name": "mcpg-ctl", "version": env!("CARGO_PKG_VERSION") },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = match &self.tool {
            Some((name, arguments)) => json!({ "name": name, "arguments": arguments, "_meta": meta }),
            None => json!({ "_meta": meta }),
        };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": self.method, "params": params }).to_string();
        let mut request = Request::post("/mcp")
            .header("host", gateway.to_string())
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .header("mcp-method", self.method);
        if let Some((name, _)) = &self.tool {
            request = request.header("mcp-name", *name);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
        ask(gateway, request).await
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tool {
            Some((name, arguments)) => write!(f, "{} {name} {arguments}", self.method),
            None => f.write_str(self.method),
        }
    }
}

/// Waits until somebody accepts connections there.
pub(super) async fn answers(address: SocketAddr) -> Result<Option<()>, Failure> {
    while dial_here(address).await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Some(()))
}

/// Waits until `/readyz` there says that it is ready.
pub(super) async fn ready(address: SocketAddr) -> Result<Option<()>, Failure> {
    loop {
        let request =
            Request::get("/readyz").header("host", address.to_string()).body(Full::new(Bytes::new()));
        let request = request.map_err(|error| Failure::Failed(error.to_string()))?;
        if let Ok((200, _)) = ask(address, request).await {
            return Ok(Some(()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn ask(address: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<(u16, String)> {
    let asked = async {
        let stream = dial_here(address).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let body =
            Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other);
        driver.abort();
        Ok((status, String::from_utf8_lossy(&body?.to_bytes()).into_owned()))
    };
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
    }
}
