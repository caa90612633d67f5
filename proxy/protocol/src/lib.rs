//! Sans-IO JSON-RPC envelope, MCP revisions and SSE framing.
