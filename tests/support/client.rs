//! A client of either era that asks for one thing at a time.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::mcp::{Request, Session};
use crate::{Event, RawHttp, Response};

/// Everything that a server may ask of a client.
pub fn capabilities() -> Value {
    json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {} })
}

/// A client of one era at one endpoint.
#[derive(Debug, Clone)]
pub enum Client {
    /// Of 2026-07-28, without any state.
    Modern {
        /// The server's address.
        address: SocketAddr,
        /// The endpoint's path.
        path: String,
        /// An API key.
        key: Option<String>,
        /// What it declares.
        capabilities: Value,
    },
    /// Of 2025-11-25, in a session.
    Legacy(Session),
}

impl Client {
    /// A client of 2026-07-28.
    pub fn modern(address: SocketAddr, path: &str) -> Self {
        Self::Modern { address, path: path.into(), key: None, capabilities: capabilities() }
    }

    /// A client of 2025-11-25, with its session.
    pub fn legacy(address: SocketAddr, path: &str) -> Self {
        Self::Legacy(Session::open_with(address, path, None, capabilities()))
    }

    /// One of each era, by name.
    pub fn both(address: SocketAddr, path: &str) -> [(&'static str, Self); 2] {
        [("modern", Self::modern(address, path)), ("legacy", Self::legacy(address, path))]
    }

    /// The same client with an API key.
    pub fn with_key(self, key: &str) -> Self {
        match self {
            Self::Modern { address, path, capabilities, .. } => {
                Self::Modern { address, path, key: Some(key.into()), capabilities }
            }
            Self::Legacy(session) => Self::Legacy(session.with_key(key)),
        }
    }

    /// The id of the last request.
    pub fn last_id(&self) -> u64 {
        match self {
            Self::Modern { .. } => 1,
            Self::Legacy(session) => session.last_id(),
        }
    }

    /// The request for a method: with the id 1 without a session, with the next one in a session.
    pub fn request(&self, method: &str, params: Value) -> Request {
        match self {
            Self::Modern { path, key, capabilities, .. } => {
                let mut params = if params.is_null() { json!({}) } else { params };
                params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
                let request = Request::modern(path, method, params);
                match key {
                    Some(key) => request.bearer(key),
                    None => request,
                }
            }
            Self::Legacy(session) => {
                let mut message = json!({ "jsonrpc": "2.0", "id": session.next_id(), "method": method });
                if !params.is_null() {
                    message["params"] = params;
                }
                session.request(&message)
            }
        }
    }

    /// Asks, and reads the whole response.
    pub fn send(&self, method: &str, params: Value) -> Response {
        self.request(method, params).send(self.address())
    }

    /// Asks, and returns the message that ends the call.
    pub fn ask(&self, method: &str, params: Value) -> Value {
        self.send(method, params).json()
    }

    /// Calls a tool and returns its result, which is no error.
    pub fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        assert!(answer["result"].is_object(), "{tool}: {answer}");
        answer["result"].clone()
    }

    /// Asks, and leaves the answer to be read message by message.
    pub fn begin(&self, method: &str, params: Value) -> Stream {
        let mut connection = RawHttp::connect(self.address());
        connection.send(&self.request(method, params).bytes(self.address()));
        Stream(connection)
    }

    /// All pages of a list.
    pub fn list(&self, method: &str) -> Vec<Value> {
        let field = match method {
            "tools/list" => "tools",
            "prompts/list" => "prompts",
            "resources/list" => "resources",
            _ => "resourceTemplates",
        };
        let mut items = Vec::new();
        let mut cursor = Value::Null;
        for _ in 0..1_000 {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let answer = self.ask(method, params);
            let page = answer["result"][field].as_array();
            items.extend(page.unwrap_or_else(|| panic!("{method}: {answer}")).iter().cloned());
            cursor = answer["result"]["nextCursor"].clone();
            if cursor.is_null() {
                return items;
            }
        }
        panic!("{method} has no end");
    }

    /// One field of every item of a list.
    pub fn names(&self, method: &str) -> Vec<String> {
        let field = match method {
            "resources/list" => "uri",
            "resources/templates/list" => "uriTemplate",
            _ => "name",
        };
        let text = |item: &Value| item[field].as_str().unwrap_or_else(|| panic!("{item}")).to_owned();
        self.list(method).iter().map(text).collect()
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Modern { address, .. } => *address,
            Self::Legacy(session) => session.address(),
        }
    }
}

/// An answer that is still coming.
#[derive(Debug)]
pub struct Stream(RawHttp);

impl Stream {
    /// A stream whose request was sent elsewhere.
    pub fn over(connection: RawHttp) -> Self {
        Self(connection)
    }

    /// The response's head.
    pub fn head(&mut self) -> Response {
        self.0.head().expect("the server should answer")
    }

    /// The next event with a message in it, whole; none at the end.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            let event = self.0.event()?;
            if !event.data.is_empty() {
                return Some(event);
            }
        }
    }

    /// The next message.
    pub fn message(&mut self) -> Value {
        let event = self.event().expect("the stream should go on");
        serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error} in {}", event.data))
    }

    /// The next message of a method, or without one, the answer; others are skipped.
    pub fn until(&mut self, method: Option<&str>) -> Value {
        loop {
            let message = self.message();
            if message["method"].as_str() == method {
                return message;
            }
        }
    }
}
