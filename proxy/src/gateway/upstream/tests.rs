use super::*;

fn stripped(headers: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut request = RequestHeader::build("POST", b"/mcp", None).unwrap();
    for (name, value) in headers {
        request.append_header(*name, *value).unwrap();
    }
    strip(&mut request);
    let mut names: Vec<String> = request.headers.keys().map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn credentials_and_forged_proxy_words_stay_here() {
    let left = stripped(&[
        ("authorization", "Bearer x"),
        ("proxy-authorization", "Basic x"),
        ("cookie", "a=b"),
        ("x-api-key", "x"),
        ("origin", "https://a.example"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-client-cert", "By=spiffe://x"),
        ("x-real-ip", "1.2.3.4"),
        ("client-cert", ":x:"),
        ("x-mcpg-tenant", "acme"),
        ("mcpg-subject", "root"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("content-type", "application/json"),
        ("mcp-session-id", "s"),
        ("mcp-param-region", "eu"),
        ("x-anything-else", "y"),
    ]);
    assert_eq!(left, ["content-type", "mcp-param-region", "mcp-session-id", "x-anything-else"]);
}

#[test]
fn connection_options_are_of_this_hop_but_cannot_strip_the_message() {
    let left = stripped(&[
        ("connection", "close, x-hop, Mcp-Method, content-length, content-type"),
        ("x-hop", "1"),
        ("mcp-method", "tools/call"),
        ("content-length", "2"),
        ("content-type", "application/json"),
    ]);
    assert_eq!(left, ["content-length", "content-type", "mcp-method"]);
}

#[test]
fn failures_have_a_meaning() {
    let upstream = |kind| Error::new(kind).into_up();
    for (error, expected) in [
        (upstream(ErrorType::ConnectRefused), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::InvalidCert), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::ConnectionClosed), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::ConnectTimedout), Some(RpcError::UpstreamTimeout)),
        (upstream(ErrorType::ReadTimedout), Some(RpcError::UpstreamTimeout)),
        (upstream(ErrorType::InvalidHTTPHeader), Some(RpcError::UpstreamInvalid)),
        (Error::new(ErrorType::ReadError).into_down(), None),
        (Error::new(ErrorType::InternalError).into_in(), Some(RpcError::InternalError)),
    ] {
        assert_eq!(classify(&error), expected, "{error}");
    }
}
