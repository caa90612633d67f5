//! The call that everything here is measured with: `tools/call` of the stateless revision, as a client sends it.

/// The name of a tool. The first is the usual one.
pub fn tool(index: usize) -> String {
    if index == 0 { "lookup_customer".to_owned() } else { format!("tool_{index}") }
}

const META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}"#
);

/// The body of a call of a tool, of exactly `bytes` bytes if that is more than the call needs anyway (about 300).
pub fn body(index: usize, bytes: usize) -> String {
    of_size(&tool(index), bytes)
}

fn of_size(tool: &str, bytes: usize) -> String {
    let around = compose(tool, "").len();
    compose(tool, &filler(bytes.saturating_sub(around)))
}

/// The body of an answer of about `bytes` bytes. It has a member `email` to redact, once as a member and once in
/// JSON within a text.
pub fn answer(bytes: usize) -> String {
    let result = |filler: &str| {
        format!(
            concat!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete","content":[{{"type":"text","text":"#,
                r#""{{\"id\":\"c-1\",\"email\":\"alice@example.com\"}}"}}],"structuredContent":"#,
                r#"{{"id":"c-1","name":"Alice","email":"alice@example.com","notes":"{}"}},"isError":false}}}}"#
            ),
            filler
        )
    };
    let around = result("").len();
    result(&filler(bytes.saturating_sub(around)))
}

/// A whole HTTP/1.1 request to `path` with a body of `bytes`, and a key if there is one.
pub fn request(path: &str, index: usize, bytes: usize, key: Option<&str>) -> Vec<u8> {
    call(path, &tool(index), bytes, key)
}

/// The same for a tool of this name.
pub fn call(path: &str, tool: &str, bytes: usize, key: Option<&str>) -> Vec<u8> {
    let body = of_size(tool, bytes);
    let authorization = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1.0\r\n{authorization}\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole HTTP/1.1 request to `path` that listens for changes of tools.
pub fn listen(path: &str) -> Vec<u8> {
    nameless(path, "subscriptions/listen", r#","notifications":{"toolsListChanged":true}"#)
}

/// A whole HTTP/1.1 request to `path` for a page of the list of tools.
pub fn list(path: &str, cursor: Option<&str>) -> Vec<u8> {
    let cursor = cursor.map_or_else(String::new, |cursor| format!(r#","cursor":"{cursor}""#));
    nameless(path, "tools/list", &cursor)
}

/// A request whose method has no name to mirror; `more` follows `_meta`.
fn nameless(path: &str, method: &str, more: &str) -> Vec<u8> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}{more}}}}}"#);
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1.0\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The result of `server/discover` of a server with tools.
pub const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"bench","version":"1"},"ttlMs":3600000,"cacheScope":"public"}"#;

/// The result of `tools/list` with so many tools, as a server would define them: about 600 bytes each.
pub fn tools(count: usize) -> String {
    let define = |index| {
        format!(
            concat!(
                r#"{{"name":"{}","title":"Look up number {}","description":"Looks up a customer by id and returns the record: name, "#,
                r#"address, open orders and notes. Answers with an error where there is none.","inputSchema":{{"type":"object","#,
                r#""properties":{{"id":{{"type":"string","description":"The customer's id"}},"notes":{{"type":"string"}},"#,
                r#""limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["id"]}},"outputSchema":{{"type":"object","#,
                r#""properties":{{"id":{{"type":"string"}},"name":{{"type":"string"}},"email":{{"type":"string"}}}}}},"#,
                r#""annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#
            ),
            tool(index),
            index
        )
    };
    let tools: Vec<String> = (0..count).map(define).collect();
    format!(
        r#"{{"resultType":"complete","tools":[{}],"ttlMs":3600000,"cacheScope":"public"}}"#,
        tools.join(",")
    )
}

fn compose(tool: &str, filler: &str) -> String {
    format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{}","#,
            r#""arguments":{{"id":"c-1","notes":"{}"}},{}}}}}"#
        ),
        tool, filler, META
    )
}

/// Text as tools get it: words and numbers, nothing to escape.
fn filler(bytes: usize) -> String {
    "the quick brown fox 0123456789 jumps over the lazy dog, ".chars().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_asked_for() {
        for bytes in [1024, 16 * 1024] {
            assert_eq!(body(7, bytes).len(), bytes);
            assert_eq!(answer(bytes).len(), bytes);
        }
        assert!(body(0, 0).len() < 400);
    }
}
