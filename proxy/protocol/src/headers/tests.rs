//! Agreement of headers and body, one row for each rule.

use super::*;
use crate::Limits;

const MODERN: &str = "2026-07-28";

/// The headers of one POST, as (name, value) pairs; JSON in, anything out, unless said otherwise.
fn agree_with(
    headers: &[(&str, &[u8])],
    body: &str,
    served: &[Revision],
) -> Result<(Revision, Era), HeaderError> {
    let envelope = Envelope::parse(body.as_bytes(), &Limits::default()).expect(body);
    let values = |wanted: &str| {
        let found = headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| *value);
        found.collect::<Vec<_>>()
    };
    let content_type = match values("content-type") {
        values if values.is_empty() => vec![b"application/json".as_slice()],
        values => values,
    };
    let headers = RequestHeaders {
        protocol_version: Field::from_values(values("version")),
        method: Field::from_values(values("method")),
        name: Field::from_values(values("name")),
        content_type: Field::from_values(content_type),
        accept: Accept::from_values(values("accept")),
    };
    headers.agree(&envelope, served).map(|agreement| (agreement.revision, agreement.era))
}

#[track_caller]
fn check(headers: &[(&str, &str)], body: &str, expected: Result<Revision, HeaderError>) {
    let bytes: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let found = agree_with(&bytes, body, Revision::SUPPORTED);
    assert_eq!(found, expected.map(|revision| (revision, revision.era())), "{headers:?} {body}");
}

fn meta(version: &str) -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    )
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
}

fn notification(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{{params}}}}}"#)
}

const RESPONSE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

fn unsupported(requested: &str) -> HeaderError {
    HeaderError::UnsupportedVersion { requested: requested.to_owned() }
}

#[test]
fn a_modern_request_needs_its_headers_and_they_equal_the_body() {
    let list = request("tools/list", &meta(MODERN));
    let version = ("version", MODERN);
    let method = ("method", "tools/list");
    check(&[version, method], &list, Ok(Revision::V2026_07_28));
    check(&[version, ("method", " \ttools/list  ")], &list, Ok(Revision::V2026_07_28));
    check(&[method], &list, Err(HeaderError::Missing(Header::ProtocolVersion)));
    check(&[version], &list, Err(HeaderError::Missing(Header::Method)));
    for other in ["prompts/list", "TOOLS/LIST", "tools/lis", "tools/list/", "=?base64?dG9vbHMvbGlzdA==?="] {
        check(&[version, ("method", other)], &list, Err(HeaderError::Mismatch(Header::Method)));
    }
    for other in ["2025-11-25", "2026-07-29", "v999.0.0"] {
        check(&[("version", other), method], &list, Err(HeaderError::Mismatch(Header::ProtocolVersion)));
    }
}

#[test]
fn a_version_that_is_not_served_is_refused_if_header_and_body_agree_on_it() {
    for version in ["v999.0.0", "2024-11-05", "2026-07-29", "2025-11-25", "2025-03-26"] {
        let body = request("tools/list", &meta(version));
        check(&[("version", version), ("method", "tools/list")], &body, Err(unsupported(version)));
        check(
            &[("version", MODERN), ("method", "tools/list")],
            &body,
            Err(HeaderError::Mismatch(Header::ProtocolVersion)),
        );
    }
    let body = request("tools/list", &meta(MODERN));
    let headers: [(&str, &[u8]); 2] = [("version", MODERN.as_bytes()), ("method", b"tools/list")];
    let found = agree_with(&headers, &body, &[Revision::V2025_11_25]);
    assert_eq!(found, Err(unsupported(MODERN)));
}

#[test]
fn a_modern_request_needs_its_metadata() {
    let protocol_version = HeaderError::MissingMeta { key: "io.modelcontextprotocol/protocolVersion" };
    let capabilities = HeaderError::MissingMeta { key: "io.modelcontextprotocol/clientCapabilities" };
    let headers = [("version", MODERN), ("method", "server/discover")];
    check(&headers, &request("server/discover", ""), Err(protocol_version.clone()));
    check(&headers, r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, Err(protocol_version.clone()));
    let only = r#""_meta":{"io.modelcontextprotocol/clientCapabilities":{}}"#;
    check(&headers, &request("server/discover", only), Err(protocol_version.clone()));
    let only = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    check(&headers, &request("server/discover", only), Err(capabilities));
    // Methods that only the modern revision has cannot be meant otherwise.
    check(&[], &request("server/discover", ""), Err(protocol_version.clone()));
    check(&[], &request("subscriptions/listen", ""), Err(protocol_version));
}

#[test]
fn mcp_name_is_needed_where_the_method_has_a_name() {
    let rows = [
        ("tools/call", "name", true),
        ("prompts/get", "name", true),
        ("resources/read", "uri", true),
        ("tasks/get", "taskId", true),
        ("tasks/update", "taskId", true),
        ("tasks/cancel", "taskId", true),
        ("resources/subscribe", "uri", false),
        ("tasks/result", "taskId", false),
    ];
    for (method, key, required) in rows {
        let body = request(method, &format!(r#""{key}":"a b","arguments":{{}},{}"#, meta(MODERN)));
        let headers = [("version", MODERN), ("method", method)];
        let named = |name| [headers[0], headers[1], ("name", name)];
        check(&named("a b"), &body, Ok(Revision::V2026_07_28));
        check(&named("  a b\t"), &body, Ok(Revision::V2026_07_28));
        check(&named("=?base64?YSBi?="), &body, Ok(Revision::V2026_07_28));
        check(&named("a  b"), &body, Err(HeaderError::Mismatch(Header::Name)));
        check(&named("A b"), &body, Err(HeaderError::Mismatch(Header::Name)));
        check(&named("=?base64?YSBj?="), &body, Err(HeaderError::Mismatch(Header::Name)));
        let absent =
            if required { Err(HeaderError::Missing(Header::Name)) } else { Ok(Revision::V2026_07_28) };
        check(&headers, &body, absent);
    }
    let list = request("tools/list", &meta(MODERN));
    let headers = [("version", MODERN), ("method", "tools/list"), ("name", "x")];
    check(&headers, &list, Err(HeaderError::Mismatch(Header::Name)));
}

#[test]
fn a_name_may_be_encoded_and_is_compared_decoded() {
    let check_name = |name: &str, header: &str, expected: Result<(), HeaderError>| {
        let name = serde_json::to_string(name).unwrap();
        let body = request("tools/call", &format!(r#""name":{name},{}"#, meta(MODERN)));
        let headers = [("version", MODERN), ("method", "tools/call"), ("name", header)];
        check(&headers, &body, expected.map(|()| Revision::V2026_07_28));
    };
    let malformed = || Err(HeaderError::Malformed(Header::Name));
    let mismatch = || Err(HeaderError::Mismatch(Header::Name));
    check_name("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?=", Ok(()));
    check_name(" padded ", "=?base64?IHBhZGRlZCA=?=", Ok(()));
    check_name("line1\nline2", "=?base64?bGluZTEKbGluZTI=?=", Ok(()));
    check_name("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Ok(()));
    check_name("", "=?base64??=", Ok(()));
    // The sentinel is exact; what does not match it is literal.
    check_name("SGVsbG8=", "SGVsbG8=", Ok(()));
    check_name("Hello", "SGVsbG8=", mismatch());
    check_name("Hello", "=?BASE64?SGVsbG8=?=", mismatch());
    check_name("=?BASE64?x?=", "=?BASE64?x?=", Ok(()));
    check_name("=?base64?=", "=?base64?=", Ok(()));
    check_name("=?base64?SGVsbG8=", "=?base64?SGVsbG8=", Ok(()));
    // Base64 has one spelling for each name: padded, no stray bits, no other alphabet.
    check_name("Hello", "=?base64?SGVsbG8?=", malformed());
    check_name("Hello", "=?base64?SGVsbG9=?=", malformed());
    check_name("Hello", "=?base64?SGVs!!!bG8=?=", malformed());
    check_name("Hello", "=?base64?SGVs bG8=?=", malformed());
    check_name("\u{3ff}\u{3ff}", "=?base64?z7_Pvw==?=", malformed());
    check_name("literal", "=?base64?literal?=", malformed());
    check_name("\u{fffd}", "=?base64?/w==?=", mismatch());
}

#[test]
fn a_repeated_or_malformed_header_is_refused() {
    let call = request("tools/call", &format!(r#""name":"x",{}"#, meta(MODERN)));
    let good = [("version", MODERN), ("method", "tools/call"), ("name", "x")];
    check(&good, &call, Ok(Revision::V2026_07_28));
    for (index, header) in [Header::ProtocolVersion, Header::Method, Header::Name].into_iter().enumerate() {
        // A second field, even if equal: others may read the first, the last or both joined.
        let twice: Vec<_> = good.iter().copied().chain([good[index]]).collect();
        check(&twice, &call, Err(HeaderError::Repeated(header)));
        for value in [&b""[..], b"  ", b"x\x00", b"x\x7f", b"\xe9", "é".as_bytes(), b"x\r\ny", b"x\x1b"] {
            let mut headers = good.map(|(name, value)| (name, value.as_bytes()));
            headers[index].1 = value;
            let found = agree_with(&headers, &call, Revision::SUPPORTED);
            assert_eq!(found, Err(HeaderError::Malformed(header)), "{header:?} {value:?}");
        }
    }
    check(
        &[("version", "2026-07-28 x"), good[1], good[2]],
        &call,
        Err(HeaderError::Malformed(Header::ProtocolVersion)),
    );
}

#[test]
fn a_legacy_message_may_omit_the_version_but_not_make_one_up() {
    let call = request("tools/call", r#""name":"x""#);
    check(&[], &call, Ok(Revision::V2025_03_26));
    for &revision in &Revision::SUPPORTED[1..] {
        check(&[("version", revision.as_str())], &call, Ok(revision));
        check(&[("version", revision.as_str())], &notification(""), Ok(revision));
        check(&[("version", revision.as_str())], RESPONSE, Ok(revision));
    }
    for version in ["2024-11-05", "1.0", "latest", "2025-11-25,2025-06-18"] {
        check(&[("version", version)], &call, Err(unsupported(version)));
        check(&[("version", version)], RESPONSE, Err(unsupported(version)));
        check(&[("version", version)], &request("initialize", ""), Err(unsupported(version)));
    }
}

#[test]
fn legacy_mirrors_are_optional_and_agree_if_there() {
    let call = request("tools/call", r#""name":"x""#);
    let version = ("version", "2025-11-25");
    check(&[version, ("method", "tools/call"), ("name", "x")], &call, Ok(Revision::V2025_11_25));
    check(&[version, ("name", "=?base64?eA==?=")], &call, Ok(Revision::V2025_11_25));
    check(&[version, ("method", "tools/list")], &call, Err(HeaderError::Mismatch(Header::Method)));
    check(&[version, ("name", "y")], &call, Err(HeaderError::Mismatch(Header::Name)));
    check(&[("name", "y")], &call, Err(HeaderError::Mismatch(Header::Name)));
    check(&[version, ("method", "tools/call")], RESPONSE, Err(HeaderError::Mismatch(Header::Method)));
    check(&[version, ("name", "x")], RESPONSE, Err(HeaderError::Mismatch(Header::Name)));
}

#[test]
fn initialize_speaks_what_it_asks_for() {
    let initialize = |version: &str| request("initialize", &format!(r#""protocolVersion":"{version}""#));
    check(&[], &initialize("2025-06-18"), Ok(Revision::V2025_06_18));
    check(&[("version", "2025-11-25")], &initialize("2025-06-18"), Ok(Revision::V2025_06_18));
    // The server negotiates what it does not know.
    check(&[], &initialize("2024-11-05"), Ok(Revision::V2025_11_25));
    check(&[], &initialize("2026-07-28"), Ok(Revision::V2025_11_25));
    check(&[], &request("initialize", ""), Ok(Revision::V2025_11_25));
}

#[test]
fn an_endpoint_without_sessions_takes_no_legacy_message() {
    let missing = Err(HeaderError::Missing(Header::ProtocolVersion));
    for body in [request("tools/list", ""), request("initialize", ""), notification(""), RESPONSE.to_owned()]
    {
        assert_eq!(agree_with(&[], &body, &[Revision::V2026_07_28]), missing, "{body}");
    }
}

#[test]
fn modern_notifications_pass_and_modern_responses_do_not_exist() {
    let version = ("version", MODERN);
    let method = ("method", "notifications/cancelled");
    check(&[version], &notification(""), Ok(Revision::V2026_07_28));
    check(&[version, method], &notification(""), Ok(Revision::V2026_07_28));
    check(&[version, method], &notification(&meta(MODERN)), Ok(Revision::V2026_07_28));
    check(&[version, ("method", "x")], &notification(""), Err(HeaderError::Mismatch(Header::Method)));
    check(&[method], &notification(&meta(MODERN)), Err(HeaderError::Missing(Header::ProtocolVersion)));
    check(&[version], RESPONSE, Err(HeaderError::Response));
}

#[test]
fn the_body_says_that_it_is_json() {
    let ping = request("ping", "");
    let check = |values: &[&str], expected: Option<HeaderError>| {
        let headers: Vec<_> = values.iter().map(|value| ("content-type", value.as_bytes())).collect();
        let found = agree_with(&headers, &ping, Revision::SUPPORTED).err();
        assert_eq!(found, expected, "{values:?}");
    };
    for value in [
        "application/json",
        "Application/JSON",
        " application/json ; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
    ] {
        check(&[value], None);
    }
    for value in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/jsonp",
        "json",
        "application/json-rpc",
        "application/json, text/plain",
        "application/json;charset=utf-16",
    ] {
        check(&[value], Some(HeaderError::MediaType));
    }
    check(&["application/json", "application/json"], Some(HeaderError::Repeated(Header::ContentType)));
    let envelope = Envelope::parse(ping.as_bytes(), &Limits::default()).unwrap();
    let none = RequestHeaders::default().agree(&envelope, Revision::SUPPORTED);
    assert_eq!(none, Err(HeaderError::MediaType));
}

#[test]
fn accept_is_read_as_rfc_9110_has_it() {
    let check = |values: &[&str], json, event_stream| {
        let found = Accept::from_values(values.iter().map(|value| value.as_bytes()));
        assert_eq!(found, Accept { json, event_stream }, "{values:?}");
    };
    check(&[], true, true);
    check(&["application/json, text/event-stream"], true, true);
    check(&["application/json", "text/event-stream"], true, true);
    check(&["*/*"], true, true);
    check(&["Application/JSON;q=0.5"], true, false);
    check(&["text/*;q=0.1, application/json; q=0"], false, true);
    check(&["text/html, application/json;q=0.000"], false, false);
    check(&[""], false, false);
    let ping = request("ping", "");
    let refused = agree_with(&[("accept", b"text/html")], &ping, Revision::SUPPORTED);
    assert_eq!(refused, Err(HeaderError::NotAcceptable));
    assert!(agree_with(&[("accept", b"text/event-stream")], &ping, Revision::SUPPORTED).is_ok());
}

#[test]
fn a_refusal_names_what_would_be_served() {
    let written = |error: HeaderError| {
        let mut buf = Vec::new();
        error.write(&mut buf, Some("7"), Revision::SUPPORTED);
        serde_json::from_slice::<serde_json::Value>(&buf).unwrap()
    };
    let error = &written(unsupported("1900-01-01\""))["error"];
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"]["requested"], "1900-01-01\"");
    let all = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!(error["data"]["supported"], serde_json::json!(all));
    let error = &written(unsupported("2025-11-25"))["error"];
    assert_eq!(error["data"]["supported"], serde_json::json!(["2026-07-28", "2025-06-18", "2025-03-26"]));
    let json = written(HeaderError::Mismatch(Header::Name));
    assert_eq!((&json["id"], &json["error"]["code"]), (&7.into(), &(-32020).into()));
    assert_eq!(json["error"]["message"], "`Mcp-Name` header does not match the body");
}

#[test]
fn each_refusal_has_its_error() {
    let check = |error: HeaderError, expected: RpcError| assert_eq!(error.rpc_error(), expected, "{error}");
    for header in [Header::ProtocolVersion, Header::Method, Header::Name] {
        check(HeaderError::Missing(header), RpcError::HeaderMismatch);
        check(HeaderError::Repeated(header), RpcError::HeaderMismatch);
        check(HeaderError::Malformed(header), RpcError::HeaderMismatch);
        check(HeaderError::Mismatch(header), RpcError::HeaderMismatch);
    }
    check(HeaderError::Repeated(Header::ContentType), RpcError::UnsupportedMediaType);
    check(HeaderError::MediaType, RpcError::UnsupportedMediaType);
    check(HeaderError::NotAcceptable, RpcError::NotAcceptable);
    check(HeaderError::MissingMeta { key: "k" }, RpcError::InvalidParams);
    check(HeaderError::Response, RpcError::InvalidRequest);
    check(unsupported("x"), RpcError::UnsupportedVersion);
}
