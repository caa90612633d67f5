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
    let tool = tool(index);
    let around = compose(&tool, "").len();
    compose(&tool, &filler(bytes.saturating_sub(around)))
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
    let (tool, body) = (tool(index), body(index, bytes));
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
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{{META},"notifications":{{"toolsListChanged":true}}}}}}"#
    );
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1.0\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
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
