//! What is being asked: one MCP message, as policy and the other filters see it.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::Scope;

/// One MCP message of a verified caller, borrowed from the request that carries it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Where the request belongs.
    pub scope: &'a Scope,
    /// The binding that would serve the call.
    pub binding: &'a str,
    /// The JSON-RPC method (`tools/call`), or `mcp/response` for a client's answer to the server,
    /// `mcp/stream` and `mcp/end` for GET and DELETE of a session.
    pub method: &'a str,
    /// What the method is applied to.
    pub target: Target<'a>,
    /// The raw JSON text of `params.arguments`, exactly as received and as it will be sent.
    pub arguments: Option<&'a str>,
    /// The peer's address (or the one a trusted proxy vouches for).
    pub source: IpAddr,
    /// When the request arrived.
    pub now: SystemTime,
    /// Set by an approval gate only, never by the client.
    pub approval_token: Option<&'a str>,
}

/// What a method is applied to. Names are those of the upstream, without the binding's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `tools/call`: the tool's name. Its action is `Action::"<binding>.<tool>"`.
    Tool(&'a str),
    /// `resources/*`: the resource's URI.
    Resource(&'a str),
    /// `prompts/get`: the prompt's name.
    Prompt(&'a str),
    /// The binding as a whole.
    Binding,
}
