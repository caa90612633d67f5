//! What is a message and what is not, and that an accepted one has one reading.

mod properties;

use super::EnvelopeErrorKind as Kind;
use super::*;
use crate::{JsonError, RpcError};

fn parse(body: &str) -> Result<Envelope<'_>, EnvelopeError<'_>> {
    Envelope::parse(body.as_bytes(), &Limits::default())
}

#[track_caller]
fn accept(body: &str) -> Envelope<'_> {
    parse(body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// `body` is refused with `kind`, and the refusal carries `id`.
#[track_caller]
fn refuse(body: impl AsRef<[u8]>, kind: Kind, id: Option<&str>) {
    let body = body.as_ref();
    let text = String::from_utf8_lossy(body);
    let error = Envelope::parse(body, &Limits::default()).expect_err(&text);
    assert_eq!((error.kind, error.id), (kind, id), "{text}");
    assert!(error.offset <= body.len(), "{text}");
}

/// A `tools/call` with these members beside `jsonrpc` and `method`.
fn call(rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"tools/call",{rest}}}"#)
}

const META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{"roots":{}},"progressToken":7,"#,
    r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01","tracestate":"a=b"}"#
);

#[test]
fn a_tool_call_is_taken_apart() {
    let body = call(&format!(r#""id":"a-1","params":{{"name":"add","arguments":{{"x":[1, 2]}},{META}}}"#));
    let envelope = accept(&body);
    assert_eq!(envelope.message, Message::Request { id: "\"a-1\"", method: Method::ToolsCall });
    assert_eq!(envelope.id(), Some("\"a-1\""));
    assert_eq!(envelope.target, Some(Target { kind: TargetKind::Tool, name: "add".into() }));
    assert_eq!(envelope.arguments, Some(r#"{"x":[1, 2]}"#));
    assert_eq!(
        envelope.meta,
        Meta {
            protocol_version: Some("2026-07-28".into()),
            client_capabilities: Some(r#"{"roots":{}}"#),
            progress_token: Some("7"),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01".into()),
            tracestate: Some("a=b".into()),
        }
    );
    let at = |span: &Option<Range<usize>>| body.get(span.clone().unwrap()).unwrap();
    assert_eq!(at(&envelope.spans.id), "\"a-1\"");
    assert_eq!(at(&envelope.spans.method), "\"tools/call\"");
    assert_eq!(at(&envelope.spans.name), "\"add\"");
    assert_eq!(at(&envelope.spans.arguments), r#"{"x":[1, 2]}"#);
    assert_eq!(at(&envelope.spans.meta), META.strip_prefix("\"_meta\":").unwrap());
    assert!(
        at(&envelope.spans.params).starts_with("{\"name\"") && at(&envelope.spans.params).ends_with("}}")
    );
}

#[test]
fn a_usual_request_borrows_all_it_hands_out() {
    let body = call(&format!(r#""id":1,"params":{{"name":"add",{META}}}"#));
    let envelope = accept(&body);
    assert!(matches!(envelope.target, Some(Target { name: Cow::Borrowed(_), .. })));
    assert!(matches!(envelope.meta.protocol_version, Some(Cow::Borrowed(_))));
    assert!(matches!(envelope.meta.traceparent, Some(Cow::Borrowed(_))));
}

#[test]
fn escapes_and_order_do_not_change_the_reading() {
    let body = concat!(
        r#" { "par\u0061ms" : {"argument\u0073":{},"\u006eame":"d\u0065l\u00e9te\n\ud834\udd1e"},"#,
        r#" "method":"tools\/call","id": -7 , "jsonrpc":"2\u002e0" } "#
    );
    let envelope = accept(body);
    assert_eq!(envelope.message, Message::Request { id: "-7", method: Method::ToolsCall });
    assert_eq!(envelope.target.unwrap().name, "deléte\n𝄞");
    assert_eq!(envelope.arguments, Some("{}"));
    assert_eq!(body.get(envelope.spans.name.unwrap()).unwrap(), r#""d\u0065l\u00e9te\n\ud834\udd1e""#);
}

#[test]
fn each_method_has_its_target() {
    use TargetKind::{Prompt, Resource, Task, Tool};
    let params = concat!(
        r#"{"name":"n","uri":"u:","taskId":"t","ref":{"type":"ref/prompt","name":"p","uri":"r:"},"#,
        r#""arguments":{"a":1},"requestState":"s","protocolVersion":"v"}"#
    );
    let rows = [
        ("tools/call", Some((Tool, "n")), true, true),
        ("prompts/get", Some((Prompt, "n")), true, true),
        ("resources/read", Some((Resource, "u:")), false, true),
        ("resources/subscribe", Some((Resource, "u:")), false, false),
        ("resources/unsubscribe", Some((Resource, "u:")), false, false),
        ("tasks/get", Some((Task, "t")), false, false),
        ("tasks/result", Some((Task, "t")), false, false),
        ("tasks/update", Some((Task, "t")), false, false),
        ("tasks/cancel", Some((Task, "t")), false, false),
        ("completion/complete", Some((Prompt, "p")), false, false),
        ("tools/list", None, false, false),
        ("initialize", None, false, false),
        ("x/unknown", None, false, false),
    ];
    for (method, target, arguments, state) in rows {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let envelope = accept(&body);
        let found = envelope.target.as_ref().map(|target| (target.kind, target.name.as_ref()));
        assert_eq!(found, target, "{method}");
        assert_eq!(envelope.arguments.is_some(), arguments, "{method}");
        assert_eq!(envelope.spans.arguments.is_some(), arguments, "{method}");
        assert_eq!(envelope.request_state.is_some(), state, "{method}");
        assert_eq!(envelope.requested_version.is_some(), method == "initialize", "{method}");
    }
}

#[test]
fn a_completion_is_about_a_prompt_or_a_resource() {
    let body = |reference: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{{reference}}}}}"#)
    };
    let resource = body(r#""ref":{"type":"ref/resource","uri":"f:{x}"}"#);
    assert_eq!(accept(&resource).target, Some(Target { kind: TargetKind::Resource, name: "f:{x}".into() }));
    let missing = |part| Kind::Missing { part };
    refuse(body(""), missing("params.ref"), Some("1"));
    refuse(body(r#""ref":{}"#), missing("params.ref.type"), Some("1"));
    refuse(body(r#""ref":{"type":"ref/prompt","uri":"u"}"#), missing("params.ref.name"), Some("1"));
    refuse(body(r#""ref":{"type":"ref/resource","name":"n"}"#), missing("params.ref.uri"), Some("1"));
    let expected = "`ref/prompt` or `ref/resource`";
    let wrong = Kind::WrongType { part: "params.ref.type", expected };
    refuse(body(r#""ref":{"type":"ref/tool","name":"n"}"#), wrong, Some("1"));
    let variant = Kind::KeyVariant { of: "name" };
    refuse(body(r#""ref":{"type":"ref/prompt","name":"n","Name":"m"}"#), variant, Some("1"));
}

#[test]
fn an_id_is_echoed_exactly_or_refused() {
    for id in [
        "1",
        "0",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "\"\"",
        "\"a\"",
        r#""\u00e9\"\n""#,
        "\"1e400\"",
    ] {
        let body = call(&format!(r#""id":{id},"params":{{"name":"n"}}"#));
        assert_eq!(accept(&body).id(), Some(id));
    }
    for id in [
        "null",
        "true",
        "1.0",
        "1.5",
        "1e3",
        "1E2",
        "-0",
        "-0.0",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740992",
        "18446744073709551616",
        "99999999999999999999999999",
        "[1]",
        "{}",
        "[]",
    ] {
        refuse(call(&format!(r#""id":{id},"params":{{"name":"n"}}"#)), Kind::Id, None);
    }
    refuse(call(r#""id":1e400"#), JsonError::NumberOutOfRange.into(), None);
    refuse(call(r#""id":01"#), JsonError::MalformedNumber.into(), None);
    let longest = format!("\"{}\"", "x".repeat(1022));
    assert!(parse(&call(&format!(r#""id":{longest},"params":{{"name":"n"}}"#))).is_ok());
    for length in [1023, 1024 * 1024] {
        let id = format!("\"{}\"", "x".repeat(length));
        refuse(call(&format!(r#""id":{id}"#)), Kind::TooLong { part: "id", max: 1024 }, None);
    }
}

#[test]
fn a_refusal_carries_the_id_only_if_there_is_one_beyond_doubt() {
    // Wherever the id stands, if the text is sound.
    refuse(r#"{"jsonrpc":"1.0","method":"ping","id":5}"#, Kind::Version, Some("5"));
    refuse(r#"{"id":"x","jsonrpc":"2.0","method":7}"#, wrong_type("method", "a string"), Some("\"x\""));
    // Only before the fault, if it is not.
    refuse(r#"{"id":5,"method":tru"#, JsonError::UnexpectedByte.into(), Some("5"));
    refuse(r#"{"method":tru,"id":5"#, JsonError::UnexpectedByte.into(), None);
    refuse(r#"{"id":5,"params":{"a":1,"a":2}}"#, JsonError::DuplicateKey.into(), Some("5"));
    refuse(r#"{"id":5,"params":{"Name":1}}"#, Kind::KeyVariant { of: "name" }, Some("5"));
    refuse(r#"{"id":5"#, JsonError::UnexpectedEnd.into(), Some("5"));
    // Never one of two.
    refuse(r#"{"id":5,"id":6}"#, JsonError::DuplicateKey.into(), None);
    refuse(r#"{"id":5,"\u0069d":5}"#, JsonError::DuplicateKey.into(), None);
    refuse(r#"{"id":5,"ID":6}"#, Kind::KeyVariant { of: "id" }, None);
    refuse(r#"{"id":5,"i\u0000d":6}"#, JsonError::NulInKey.into(), None);
    let many: String = (0..40).map(|key| format!(r#""k{key}":0,"#)).collect();
    refuse(format!(r#"{{{many}"id":5,"id":6}}"#), JsonError::DuplicateKey.into(), None);
    refuse(format!(r#"{{"id":5,{many}"id":6}}"#), JsonError::DuplicateKey.into(), None);
    refuse(format!(r#"{{"id":5,{many}"k3":6}}"#), JsonError::DuplicateKey.into(), None);
    // Never an invalid one.
    refuse(r#"{"id":1.5,"method":tru"#, JsonError::UnexpectedByte.into(), None);
    refuse(r#"{"id":{"id":1},"method":tru"#, JsonError::UnexpectedByte.into(), None);
    refuse(r#"{"params":{"id":1},"method":tru"#, JsonError::UnexpectedByte.into(), None);
}

fn wrong_type(part: &'static str, expected: &'static str) -> Kind {
    Kind::WrongType { part, expected }
}

#[test]
fn variants_of_keys_that_matter_are_refused() {
    let message = |key: &str| format!(r#"{{"jsonrpc":"2.0","{key}":1}}"#);
    let params = |key: &str| call(&format!(r#""params":{{"name":"n","{key}":1}}"#));
    let meta = |key: &str| call(&format!(r#""params":{{"name":"n","_meta":{{"{key}":1}}}}"#));
    type Row<'a> = (&'a dyn Fn(&str) -> String, &'static str, &'a [&'a str]);
    let rows: [Row<'_>; 14] = [
        (&message, "jsonrpc", &["JSONRPC", "jsonRpc", r"\u004asonrpc"]),
        (&message, "id", &["Id", "ID", "ıd", "İd", r"\u0049d"]),
        (&message, "method", &["Method", "METHOD", r"M\u0065thod"]),
        (&message, "params", &["Params", "param\u{17f}", r"param\u017f", "PARAMS"]),
        (&message, "result", &["Result", "re\u{17f}ult"]),
        (&message, "error", &["Error"]),
        (&params, "name", &["Name", "NAME", r"\u004eame"]),
        (&params, "uri", &["URI", "Uri", "ur\u{131}"]),
        (&params, "arguments", &["Arguments", "argument\u{17f}"]),
        (&params, "_meta", &["_Meta", "_META"]),
        (&params, "taskId", &["taskid", "TaskId", "ta\u{17f}kId", "tas\u{212a}Id"]),
        (&params, "requestState", &["requeststate", "reque\u{fb06}State"]),
        (&params, "ref", &["Ref"]),
        (&params, "protocolVersion", &["ProtocolVersion"]),
    ];
    for (body, of, keys) in rows {
        for key in keys {
            refuse(body(key), Kind::KeyVariant { of }, None);
        }
    }
    let prefix = "io.modelcontextprotocol/";
    for (of, key) in [
        ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/protocolversion"),
        ("io.modelcontextprotocol/protocolVersion", "IO.modelcontextprotocol/protocolVersion"),
        ("io.modelcontextprotocol/protocolVersion", r"io.modelcontextprotocol\/protocol\u0056er\u017fion"),
        ("io.modelcontextprotocol/clientCapabilities", "io.ModelContextProtocol/clientCapabilities"),
        ("io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/loglevel"),
        (prefix, "io.ModelContextProtocol/anything"),
        (prefix, "io.modelconte\u{78}tprotoco\u{4c}/é"),
        ("progressToken", "progresstoken"),
        ("traceparent", "Traceparent"),
    ] {
        refuse(meta(key), Kind::KeyVariant { of }, None);
    }
}

#[test]
fn keys_that_only_resemble_ours_elsewhere_are_nobodys_business() {
    let body = call(concat!(
        r#""id":1,"x-method":0,"meth":0,"params":{"name":"n","names":1,"Cursor":"c","#,
        r#""arguments":{"Name":1,"METHOD":2,"_Meta":3,"IO.modelcontextprotocol/x":4},"#,
        r#""_meta":{"Name":1,"com.example/X":2,"io.modelcontextprotocol/related-task":{"taskid":3}}}"#
    ));
    assert_eq!(accept(&body).target.unwrap().name, "n");
}

#[test]
fn duplicates_are_refused_wherever_they_are() {
    for body in [
        r#"{"method":"a","method":"b"}"#,
        r#"{"method":"a","\u006dethod":"b"}"#,
        r#"{"params":{"name":"a","name":"b"}}"#,
        r#"{"params":{"_meta":{"a":1,"a":1}}}"#,
        r#"{"params":{"arguments":{"x":[{"y":1,"y":2}]}}}"#,
        r#"{"params":{"ref":{"type":"ref/prompt","type":"ref/resource"}}}"#,
        r#"{"result":{"a":1,"a":1}}"#,
        r#"{"unknown":{"a":1,"a":1}}"#,
    ] {
        refuse(body, JsonError::DuplicateKey.into(), None);
    }
}

#[test]
fn a_body_is_one_whole_message_in_utf_8() {
    let good = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    refuse("", JsonError::UnexpectedEnd.into(), None);
    refuse("   ", JsonError::UnexpectedEnd.into(), None);
    refuse(format!("\u{feff}{good}"), Kind::ByteOrderMark, None);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refuse(&utf16, JsonError::UnexpectedByte.into(), None);
    refuse([b"\xff\xfe".as_slice(), &utf16].concat(), Kind::NotUtf8, None);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_be_bytes).collect();
    refuse(utf16, JsonError::UnexpectedByte.into(), None);
    // Overlong, a surrogate in UTF-8, beyond Unicode, cut off, Latin-1.
    for bytes in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xe9"] {
        refuse([br#"{"id":1,"a":""#, bytes, br#""}"#].concat(), Kind::NotUtf8, None);
    }
    refuse(format!("{good}{good}"), JsonError::TrailingBytes.into(), Some("1"));
    refuse(format!("{good}\0"), JsonError::TrailingBytes.into(), Some("1"));
    refuse(format!("{good}]"), JsonError::TrailingBytes.into(), Some("1"));
    refuse(r#"{"id":1,"a":"\ud800"}"#, JsonError::LoneSurrogate.into(), Some("1"));
    refuse(format!(r#"{{"id":1,"a":{}"#, "[".repeat(10_000)), JsonError::TooDeep.into(), Some("1"));
    assert!(parse(&format!("\r\n\t {good} \n")).is_ok());
}

#[test]
fn batches_and_scalars_are_refused() {
    let good = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    refuse(format!("[{good}]"), Kind::Batch, None);
    refuse(format!(" [{good},{good}]"), Kind::Batch, None);
    refuse("[]", Kind::Batch, None);
    for body in ["1", "\"a\"", "null", "true"] {
        refuse(body, Kind::NotAnObject, None);
    }
    refuse("nope", JsonError::UnexpectedByte.into(), None);
}

#[test]
fn the_shape_says_what_a_message_is() {
    let notification = |method| Message::Notification { method };
    let check = |rest: &str, expected: Message<'_>| {
        let body = format!(r#"{{"jsonrpc":"2.0"{rest}}}"#);
        assert_eq!(accept(&body).message, expected, "{body}");
    };
    check(r#","method":"notifications/initialized""#, notification(Method::Initialized));
    check(
        r#","method":"notifications/x","params":{}"#,
        notification(Method::Other("notifications/x".into())),
    );
    check(r#","method":"x/y""#, notification(Method::Other("x/y".into())));
    check(r#","id":3,"result":{}"#, Message::Response { id: Some("3"), outcome: Outcome::Result });
    check(
        r#","id":"a","error":{"code":1,"message":"m"}"#,
        Message::Response { id: Some("\"a\""), outcome: Outcome::Error },
    );
    check(r#","error":{"code":1,"message":"m"}"#, Message::Response { id: None, outcome: Outcome::Error });
}

#[test]
fn a_message_of_no_or_of_two_shapes_is_refused() {
    let check = |rest: &str, kind, id| refuse(format!(r#"{{"jsonrpc":"2.0"{rest}}}"#), kind, id);
    check("", Kind::Shapeless, None);
    check(r#","id":1"#, Kind::Shapeless, Some("1"));
    check(r#","id":1,"params":{}"#, Kind::Shapeless, Some("1"));
    check(r#","id":1,"method":"ping","result":{}"#, Kind::Mixed, Some("1"));
    check(r#","id":1,"method":"ping","error":{}"#, Kind::Mixed, Some("1"));
    check(r#","id":1,"result":{},"error":{}"#, Kind::Mixed, Some("1"));
    check(r#","id":1,"result":{},"params":{}"#, Kind::Mixed, Some("1"));
    check(r#","result":{}"#, Kind::IdMissing, None);
    check(r#","method":"tools/call","params":{"name":"n"}"#, Kind::IdMissing, None);
    check(r#","method":"ping""#, Kind::IdMissing, None);
    check(r#","id":1,"method":"notifications/initialized""#, Kind::IdUnexpected, Some("1"));
    for version in
        ["", r#""jsonrpc":2.0,"#, r#""jsonrpc":"2","#, r#""jsonrpc":"2.0 ","#, r#""jsonrpc":null,"#]
    {
        refuse(format!(r#"{{{version}"id":1,"method":"ping"}}"#), Kind::Version, Some("1"));
    }
}

#[test]
fn parts_have_the_types_of_the_protocol() {
    let check = |method: &str, params: &str, kind| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{params}}}"#);
        refuse(body, kind, Some("1"));
    };
    for method in ["1", "null", "[\"ping\"]", "{}"] {
        check(method, "{}", wrong_type("method", "a string"));
    }
    for params in ["[]", "null", "\"a\"", "1"] {
        check(r#""ping""#, params, wrong_type("params", "an object"));
    }
    let tool = r#""tools/call""#;
    check(tool, "{}", Kind::Missing { part: "params.name" });
    for name in ["1", "null", "[\"n\"]", "{\"n\":1}", "true"] {
        check(tool, &format!(r#"{{"name":{name}}}"#), wrong_type("params.name", "a string"));
    }
    for arguments in ["[]", "null", "\"{}\"", "1"] {
        let params = format!(r#"{{"name":"n","arguments":{arguments}}}"#);
        check(tool, &params, wrong_type("params.arguments", "an object"));
    }
    check(tool, r#"{"name":"n","requestState":1}"#, wrong_type("params.requestState", "a string"));
    check(tool, r#"{"name":"n","_meta":[]}"#, wrong_type("params._meta", "an object"));
    check(tool, r#"{"name":"n","_meta":null}"#, wrong_type("params._meta", "an object"));
    check(r#""resources/read""#, r#"{"name":"n"}"#, Kind::Missing { part: "params.uri" });
    check(r#""resources/read""#, r#"{"uri":7}"#, wrong_type("params.uri", "a string"));
    check(r#""tasks/get""#, r#"{"taskId":7}"#, wrong_type("params.taskId", "a string"));
    check(r#""initialize""#, r#"{"protocolVersion":7}"#, wrong_type("params.protocolVersion", "a string"));

    let meta = |key: &str, value: &str| format!(r#"{{"_meta":{{"{key}":{value}}}}}"#);
    let version = "params._meta.io.modelcontextprotocol/protocolVersion";
    check(
        r#""ping""#,
        &meta("io.modelcontextprotocol/protocolVersion", "20260728"),
        wrong_type(version, "a string"),
    );
    let capabilities = "params._meta.io.modelcontextprotocol/clientCapabilities";
    for value in ["null", "[]", "true"] {
        let params = meta("io.modelcontextprotocol/clientCapabilities", value);
        check(r#""ping""#, &params, wrong_type(capabilities, "an object"));
    }
    let token = wrong_type("params._meta.progressToken", "a string or a number");
    check(r#""ping""#, &meta("progressToken", "{}"), token);
    let body = call(r#""id":1,"params":{"name":"n","_meta":{"traceparent":7,"tracestate":[]}}"#);
    assert_eq!(accept(&body).meta, Meta::default());
}

#[test]
fn parts_that_a_method_does_not_use_may_be_anything() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":[],"uri":1,"arguments":null,"ref":7,"requestState":{}}}"#;
    let envelope = accept(body);
    assert_eq!((envelope.target, envelope.arguments, envelope.request_state), (None, None, None));
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits { body_bytes_max: 100, method_bytes_max: 8, name_bytes_max: 4, ..Limits::default() };
    let check = |body: String, expected: Option<Kind>| {
        assert_eq!(
            Envelope::parse(body.as_bytes(), &limits).err().map(|error| error.kind),
            expected,
            "{body}"
        );
    };
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    check(format!("{ping:100}"), None);
    check(format!("{ping:101}"), Some(Kind::TooLarge { max: 100 }));
    let method = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
    check(method("x/345678"), None);
    check(method("x/3456789"), Some(Kind::TooLong { part: "method", max: 8 }));
    let read = |uri: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{{"taskId":"{uri}"}}}}"#)
    };
    let limits = Limits { name_bytes_max: 4, ..Limits::default() };
    assert!(Envelope::parse(read("abcd").as_bytes(), &limits).is_ok());
    let error = Envelope::parse(read("abcde").as_bytes(), &limits).unwrap_err().kind;
    assert_eq!(error, Kind::TooLong { part: "params.taskId", max: 4 });
}

#[test]
fn a_hundred_thousand_keys_in_one_object_are_no_trouble() {
    let members = |last: &str| -> String {
        let keys: String = (0..100_000).map(|key| format!(r#""{key:x}":0,"#)).collect();
        call(&format!(r#""id":1,"params":{{"name":"n","arguments":{{{keys}"{last}":0}}}}"#))
    };
    assert!(parse(&members("fresh")).is_ok());
    refuse(members("1f"), JsonError::DuplicateKey.into(), Some("1"));
}

#[test]
fn each_refusal_has_its_error() {
    let check = |kind: Kind, expected: RpcError| assert_eq!(kind.rpc_error(), expected, "{kind}");
    check(Kind::TooLarge { max: 1 }, RpcError::PayloadTooLarge);
    check(Kind::NotUtf8, RpcError::ParseError);
    check(Kind::ByteOrderMark, RpcError::ParseError);
    check(JsonError::TrailingBytes.into(), RpcError::ParseError);
    check(JsonError::LoneSurrogate.into(), RpcError::ParseError);
    check(JsonError::DuplicateKey.into(), RpcError::InvalidRequest);
    check(JsonError::TooDeep.into(), RpcError::InvalidRequest);
    check(Kind::Batch, RpcError::InvalidRequest);
    check(Kind::Id, RpcError::InvalidRequest);
    check(wrong_type("params", "an object"), RpcError::InvalidParams);
    check(wrong_type("params.name", "a string"), RpcError::InvalidParams);
    check(wrong_type("method", "a string"), RpcError::InvalidRequest);
    check(Kind::Missing { part: "params.name" }, RpcError::InvalidParams);
}
