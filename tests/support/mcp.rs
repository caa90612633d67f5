//! MCP requests of both eras, as clients send them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::{RawHttp, Response, exchange};

/// The stateless revision.
pub const MODERN: &str = "2026-07-28";
/// The newest revision with sessions.
pub const LEGACY: &str = "2025-11-25";

/// One HTTP request, built part by part and sent as it is.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A POST of `body` with the headers that every MCP client sends.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::new("POST", path)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        request.body = body.into();
        request
    }

    /// A stateless request: `_meta` and the mirrored headers are as the body's parameters need them.
    pub fn modern(path: &str, method: &str, params: Value) -> Self {
        let body = modern_body(method, params);
        let target = ["name", "uri", "taskId"].into_iter().find_map(|key| body["params"][key].as_str());
        let request = Self::post(path, body.to_string())
            .header("MCP-Protocol-Version", MODERN)
            .header("Mcp-Method", method);
        match target {
            Some(target) if needs_name(method) => request.header("Mcp-Name", target),
            _ => request,
        }
    }

    /// A stateless call of a tool.
    pub fn modern_call(path: &str, tool: &str, arguments: Value) -> Self {
        Self::modern(path, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// A request within a session.
    pub fn legacy(path: &str, session: &str, message: &Value) -> Self {
        Self::post(path, message.to_string())
            .header("MCP-Protocol-Version", LEGACY)
            .header("Mcp-Session-Id", session)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds an API key.
    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    /// Takes a header away, or replaces all its values.
    #[must_use]
    pub fn set(mut self, name: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Replaces the body, and nothing else.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire for a server at `address`.
    pub fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {address}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head += "\r\n";
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends the request on a connection of its own and reads the response.
    pub fn send(&self, address: SocketAddr) -> Response {
        exchange(address, &self.bytes(address))
    }
}

/// The body of a stateless request with the id 1.
pub fn modern_body(method: &str, mut params: Value) -> Value {
    if params.is_null() {
        params = json!({});
    }
    let meta = params["_meta"].as_object().cloned().unwrap_or_default();
    let mut full = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": { "name": "mcpg-tests", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    full.as_object_mut().expect("it is an object").extend(meta);
    params["_meta"] = full;
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn needs_name(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read") || method.starts_with("tasks/")
}

/// A session of the revision before 2026-07-28.
#[derive(Debug, Clone)]
pub struct Session {
    address: SocketAddr,
    path: String,
    key: Option<String>,
    id: String,
    /// How many requests were made in it: no id is used twice (MCP `basic`, "Requests").
    asked: Arc<AtomicU64>,
}

impl Session {
    /// Shakes hands, with an API key or without.
    pub fn open(address: SocketAddr, path: &str, key: Option<&str>) -> Self {
        Self::open_with(address, path, key, json!({}))
    }

    /// Shakes hands and declares these capabilities.
    pub fn open_with(address: SocketAddr, path: &str, key: Option<&str>, capabilities: Value) -> Self {
        let response = Self::initialize_with(address, path, key, capabilities);
        assert_eq!(response.status, 200, "initialize: {}", response.text());
        let id = response.header("mcp-session-id").expect("initialize should begin a session").to_owned();
        let session =
            Self { address, path: path.into(), key: key.map(Into::into), id, asked: Arc::default() };
        let initialized = session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(initialized.status, 202, "initialized: {}", initialized.text());
        session
    }

    /// Sends the first request of a session and nothing more.
    pub fn initialize(address: SocketAddr, path: &str, key: Option<&str>) -> Response {
        Self::initialize_with(address, path, key, json!({}))
    }

    fn initialize_with(address: SocketAddr, path: &str, key: Option<&str>, capabilities: Value) -> Response {
        let body = json!({
            "jsonrpc": "2.0",
            "id": 0,
            "method": "initialize",
            "params": {
                "protocolVersion": LEGACY,
                "capabilities": capabilities,
                "clientInfo": { "name": "mcpg-tests", "version": "1" },
            },
        });
        with_key(Request::post(path, body.to_string()), key).send(address)
    }

    /// The same session, asked for at another server.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same session, asked for at another path.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    /// The same session, asked for with another API key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    /// A session that may not exist.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        Self { id: id.into(), ..self.clone() }
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The request that would carry `message`.
    pub fn request(&self, message: &Value) -> Request {
        with_key(Request::legacy(&self.path, &self.id, message), self.key.as_deref())
    }

    /// Sends one message.
    pub fn send(&self, message: &Value) -> Response {
        self.request(message).send(self.address)
    }

    /// The id of the next request.
    pub fn next_id(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The id of the last request.
    pub fn last_id(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Calls a tool.
    pub fn call(&self, tool: &str, arguments: Value) -> Response {
        let params = json!({ "name": tool, "arguments": arguments });
        self.send(
            &json!({ "jsonrpc": "2.0", "id": self.next_id(), "method": "tools/call", "params": params }),
        )
    }

    /// Opens the session's event stream and reads the response's head.
    pub fn listen(&self) -> (RawHttp, Response) {
        let request = self.bare("GET").header("Accept", "text/event-stream");
        let mut connection = RawHttp::connect(self.address);
        connection.send(&request.bytes(self.address));
        let head = connection.head().expect("the server should answer");
        (connection, head)
    }

    /// Ends the session.
    pub fn end(&self) -> Response {
        self.bare("DELETE").send(self.address)
    }

    fn bare(&self, method: &str) -> Request {
        let request = Request::new(method, &self.path)
            .header("MCP-Protocol-Version", LEGACY)
            .header("Mcp-Session-Id", &self.id);
        with_key(request, self.key.as_deref())
    }
}

fn with_key(request: Request, key: Option<&str>) -> Request {
    match key {
        Some(key) => request.bearer(key),
        None => request,
    }
}
