use serde_json::{Value, json};

use super::*;
use crate::{Era, Limits};

mod properties;

fn limits() -> Limits {
    Limits { depth_max: Limits::DEPTH_CEILING, ..Limits::default() }
}

fn page(text: &str, kind: ListKind) -> Result<ListPage<'_>, ListError> {
    ListPage::parse(text, kind, 100, &limits())
}

#[test]
fn a_page_has_its_items_as_they_were_written() {
    let text = r#"{ "tools" : [ {"name":"read","inputSchema":{"type":"object"}} , {"title":"W","name":"wr\u0069te"} ],
        "nextCursor":"a\"b", "ttlMs": 5000, "cacheScope":"public", "_meta":{"tools":[]} }"#;
    let page = page(text, ListKind::Tools).unwrap();
    let items: Vec<_> = page.items.iter().map(|item| (item.text, &*item.name, item.name_at)).collect();
    assert_eq!(
        items,
        [
            (r#"{"name":"read","inputSchema":{"type":"object"}}"#, "read", 9),
            (r#"{"title":"W","name":"wr\u0069te"}"#, "write", 21)
        ]
    );
    assert_eq!(page.next_cursor.as_deref(), Some("a\"b"));
    assert_eq!((page.ttl_ms, page.scope), (Some(5000), Some(CacheScope::Public)));
}

#[test]
fn every_kind_has_its_member_and_key() {
    for (kind, text, name) in [
        (ListKind::Tools, r#"{"tools":[{"name":"a"}]}"#, "a"),
        (ListKind::Prompts, r#"{"prompts":[{"name":"a"}]}"#, "a"),
        (ListKind::Resources, r#"{"resources":[{"name":"n","uri":"file:///a"}]}"#, "file:///a"),
        (ListKind::Templates, r#"{"resourceTemplates":[{"uriTemplate":"x://{a}"}]}"#, "x://{a}"),
    ] {
        assert_eq!(page(text, kind).unwrap().items[0].name, name);
        assert_eq!(ListKind::of(&Method::parse(kind.method().into())), Some(kind));
    }
}

#[test]
fn hints_that_cannot_be_read_are_the_careful_ones() {
    for (text, ttl, scope) in [
        (r#"{"tools":[]}"#, None, None),
        (r#"{"tools":[],"ttlMs":-1,"cacheScope":"PUBLIC"}"#, Some(0), Some(CacheScope::Private)),
        (r#"{"tools":[],"ttlMs":1.5,"cacheScope":1}"#, Some(0), Some(CacheScope::Private)),
        (r#"{"tools":[],"ttlMs":"9","cacheScope":"private"}"#, None, Some(CacheScope::Private)),
        (r#"{"tools":[],"ttlMs":99999999999999999999999}"#, Some(u64::MAX), None),
        (r#"{"tools":[],"TtlMs":7,"nextCursor":null}"#, None, None),
    ] {
        let page = page(text, ListKind::Tools).unwrap();
        assert_eq!((page.ttl_ms, page.scope, page.next_cursor), (ttl, scope, None), "{text}");
    }
}

#[test]
fn an_empty_cursor_is_a_cursor() {
    assert_eq!(
        page(r#"{"tools":[],"nextCursor":""}"#, ListKind::Tools).unwrap().next_cursor.as_deref(),
        Some("")
    );
}

#[test]
fn an_item_that_cannot_be_named_is_left_out_alone() {
    let long = "x".repeat(limits().name_bytes_max + 1);
    for (item, oddity) in [
        ("7", Oddity::NotAnObject),
        ("{}", Oddity::Nameless { key: "name" }),
        (r#"{"name":7}"#, Oddity::Nameless { key: "name" }),
        (r#"{"name":""}"#, Oddity::NameLength { key: "name" }),
        (&format!(r#"{{"name":"{long}"}}"#), Oddity::NameLength { key: "name" }),
        (r#"{"name":"a\nb"}"#, Oddity::NameCharacters { key: "name" }),
        (r#"{"name":"a\u009bb"}"#, Oddity::NameCharacters { key: "name" }),
        (r#"{"name":"a","Name":"github.delete_repo"}"#, Oddity::KeyVariant { key: "name" }),
        (r#"{"\u006eAME":"b","name":"a"}"#, Oddity::KeyVariant { key: "name" }),
    ] {
        let text = format!(r#"{{"tools":[{{"name":"first"}},{item},{{"name":"last"}}]}}"#);
        let page = page(&text, ListKind::Tools).unwrap();
        assert_eq!(page.odd, [OddItem { index: 1, oddity }], "{item}");
        assert_eq!(page.items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["first", "last"]);
    }
}

#[test]
fn a_text_that_is_no_page_is_refused() {
    let deep = format!(r#"{{"tools":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let many = format!(r#"{{"tools":[{}]}}"#, vec![r#"{"name":"a"}"#; 101].join(","));
    for (text, expected) in [
        ("[]", "the result is not an object"),
        ("{}", "`tools` is missing or not an array"),
        (r#"{"prompts":[]}"#, "`tools` is missing or not an array"),
        (r#"{"tools":{}}"#, "`tools` is missing or not an array"),
        (r#"{"tools":[],"nextCursor":7}"#, "`nextCursor` is not a string"),
        (r#"{"tools":[{"name":"a","name":"b"}]}"#, "duplicate key at byte 23"),
        (r#"{"tools":[],"tools":[]}"#, "duplicate key at byte 13"),
        (r#"{"tools":[]} {}"#, "bytes after the message at byte 13"),
        (&deep, "nested too deep at byte 136"),
        (&many, "more than 100 items"),
    ] {
        assert_eq!(page(text, ListKind::Tools).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn a_page_is_written_for_its_era() {
    let item = r#"{"title":"t","name":"read"}"#;
    let write = |prefix: &str, cursor, era, meta: &[(&str, &str)]| {
        let mut page = PageWriter::new(ListKind::Tools, 0);
        page.item(item, 21, prefix);
        page.item(item, 21, prefix);
        let mut out = page.finish(cursor);
        PageTail { era, ttl_ms: 5, scope: CacheScope::Private, meta }.write(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        write("files.", None, Era::Legacy, &[]),
        r#"{"tools":[{"title":"t","name":"files.read"},{"title":"t","name":"files.read"}]}"#
    );
    assert_eq!(
        write("", Some("c"), Era::Modern, &[("mcpg/unavailable", r#"["x"]"#)]),
        concat!(
            r#"{"tools":[{"title":"t","name":"read"},{"title":"t","name":"read"}],"nextCursor":"c","#,
            r#""_meta":{"mcpg/unavailable":["x"]},"ttlMs":5,"cacheScope":"private","resultType":"complete"}"#
        )
    );
}

#[test]
fn a_request_goes_inward_with_its_target_renamed() {
    for (body, name, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files.read","arguments":{"name":"files.read"}}}"#,
            "read",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"name":"files.read"}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"\u0066iles+file:\/\/\/a"}}"#,
            "file:///a",
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"files.p","type":"ref/prompt"},"argument":{}}}"#,
            "p\"\\",
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"p\"\\","type":"ref/prompt"},"argument":{}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"files.7"}}"#,
            "7",
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"7"}}"#,
        ),
    ] {
        let envelope = crate::Envelope::parse(body.as_bytes(), &limits()).unwrap();
        let inner = inward(body.as_bytes(), &envelope, name).unwrap();
        assert_eq!(String::from_utf8(inner).unwrap(), expected);
    }
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let envelope = crate::Envelope::parse(ping, &limits()).unwrap();
    assert_eq!(inward(ping, &envelope, "x"), None);
}

/// `URI` and `TASK` stand for a name of binding `files`, `BLOCKS` for content with `URI` in it.
fn check_outward(message: &str) {
    let blocks = r#"[{"type":"resource_link","uri":"URI","name":"n","_meta":{"uri":"x:y"}},
        {"type":"resource","resource":{"uri":"URI","text":"uri"}},
        {"type":"text","text":"{\"uri\":\"file:///a\"}"}]"#;
    let message = message.replace("BLOCKS", blocks);
    let fill = |uri: &str, task: &str| message.replace("\"URI\"", uri).replace("\"TASK\"", task);
    let own = fill(r#""file:\/\/\/a""#, r#""786512e2""#);
    let written = outward(own.as_bytes(), &Prefix::new("files"), &limits()).unwrap();
    let expected = fill(r#""files+file:\/\/\/a""#, r#""files.786512e2""#);
    assert_eq!(str::from_utf8(&written).unwrap(), expected);
}

#[test]
fn resources_in_messages_are_named_outwards() {
    for message in [
        r#"{"id":1,"result":{"content":BLOCKS,"structuredContent":{"uri":"file:///a"}}}"#,
        r#"{"id":1,"result":{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"URI"}}}]}}"#,
        r#"{"id":1,"result":{"contents":[{"uri":"URI","text":"t"},{"uri":"URI","blob":""}],"uri":"stays"}}"#,
        r#"{"method":"notifications/resources/updated","params":{"uri":"URI"}}"#,
        r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"resourceSubscriptions":["URI","URI"]}}}"#,
        r#"{"id":3,"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":[{"type":"tool_result","content":BLOCKS}]}]}}"#,
        r#"{"id":1,"result":{"inputRequests":{"1":{"method":"sampling/createMessage","params":{"messages":[{"content":BLOCKS}]}}}}}"#,
        r#"{"id":1,"result":{"status":"completed","result":{"content":BLOCKS}}}"#,
        r#"{"id":1,"error":{"code":-32002,"message":"no","data":{"uri":"URI"}}}"#,
    ] {
        check_outward(message);
    }
}

#[test]
fn tasks_are_named_outwards() {
    for message in [
        r#"{"id":1,"result":{"resultType":"task","taskId":"TASK"}}"#,
        r#"{"id":1,"result":{"content":BLOCKS,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"TASK"}}}}"#,
        r#"{"id":1,"result":{"task":{"taskId":"TASK","status":"working"}}}"#,
        r#"{"id":1,"result":{"tasks":[{"taskId":"TASK"},{"taskId":"TASK"}]}}"#,
        r#"{"method":"notifications/tasks","params":{"taskId":"TASK","status":"completed","result":{"content":BLOCKS}}}"#,
        r#"{"params":{"status":"working","taskId":"TASK"},"method":"notifications/tasks/status"}"#,
        r#"{"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"taskIds":["TASK"]}}}"#,
        r#"{"id":9,"method":"elicitation/create","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"TASK"}}}}"#,
    ] {
        check_outward(message);
    }
}

#[test]
fn what_is_not_the_servers_stays() {
    for message in [
        // The client's own task, asked for by the server.
        json!({"id": 9, "method": "tasks/get", "params": {"taskId": "mine"}}),
        json!({"id": 1, "result": {"structuredContent": {"taskId": "t", "content": [{"uri": "a:b"}]}}}),
        json!({"id": 1, "result": {"content": [{"type": "text", "text": "\"uri\":"}]}}),
        json!({"id": 1, "result": {"content": [{"uri": 7}], "taskId": null, "contents": "uri"}}),
        json!({"id": 1, "result": {"roots": [{"uri": "file:///home"}]}}),
        json!({"method": "notifications/message", "params": {"data": {"uri": "a:b", "taskId": "t"}}}),
    ] {
        let text = message.to_string();
        let written = outward(text.as_bytes(), &Prefix::new("files"), &limits()).unwrap();
        assert!(matches!(written, std::borrow::Cow::Borrowed(_)), "{message}");
    }
}

#[test]
fn a_key_is_found_however_it_is_spelled() {
    let text = br#"{"id":1,"result":{"contents":[{"\u0075ri":"b+file:///etc"}]}}"#;
    let written = outward(text, &Prefix::new("a"), &limits()).unwrap();
    assert_eq!(&*written, br#"{"id":1,"result":{"contents":[{"\u0075ri":"a+b+file:///etc"}]}}"#);
    let text = br#"{"id":1,"result":{"contents":[{"ur\u0069":"\u0062+file:///etc"}]}}"#;
    let written = outward(text, &Prefix::new("a"), &limits()).unwrap();
    assert_eq!(&*written, br#"{"id":1,"result":{"contents":[{"ur\u0069":"a+\u0062+file:///etc"}]}}"#);
}

#[test]
fn a_message_that_cannot_be_read_is_not_passed_on() {
    for text in [
        &b"{\"result\":{\"contents\":[{\"uri\":\"a\",\"uri\":\"b\"}]}}"[..],
        b"{\"result\":{\"contents\":[{\"uri\":\"a\"}]}} {}",
        b"{\"uri\":\"\xff\"}",
        b"\"uri\"  \"uri\"",
    ] {
        assert!(outward(text, &Prefix::new("a"), &limits()).is_err(), "{text:?}");
    }
}

#[test]
fn a_client_names_the_servers_task_inwards() {
    let prefix = Prefix::new("files");
    let message = |id: &str| {
        json!({"id": 1, "result": {"action": "accept", "_meta": {"io.modelcontextprotocol/related-task": {"taskId": id}}}})
            .to_string()
    };
    for (sent, expected) in
        [("files.7", "7"), ("other.7", "other.7"), ("7", "7"), ("files.files.7", "files.7")]
    {
        let text = message(sent);
        let own = unrelate(text.as_bytes(), &prefix, &limits()).unwrap();
        assert_eq!(*own, *message(expected).as_bytes());
    }
}

#[test]
fn a_list_is_filtered_where_it_stands() {
    let check = |message: &str, private: bool, expected: Option<&str>| {
        let filtered =
            filter_list(message.as_bytes(), ListKind::Tools, &limits(), private, |item| item.name != "no")
                .unwrap();
        let expected =
            expected.map_or(Filtered::Untouched, |text| Filtered::Changed(text.as_bytes().to_vec()));
        assert_eq!(filtered, expected, "{message}");
    };
    check(r#"{"id":1,"result":{"tools":[{"name":"a"}],"cacheScope":"public"}}"#, false, None);
    check(r#"{"id":1,"result":{"tools":[{"name":"a"}],"cacheScope":"private"}}"#, true, None);
    check(
        r#"{"id":1,"result":{"cacheScope":"public","tools":[ {"name":"no"}, {"name":"a","x":[1]} ,7], "ttlMs":1}}"#,
        true,
        Some(r#"{"id":1,"result":{"cacheScope":"private","tools":[{"name":"a","x":[1]}], "ttlMs":1}}"#),
    );
    check(
        r#"{"id":1,"result":{"tools":[{"name":"a"}]},"x":1}"#,
        true,
        Some(r#"{"id":1,"result":{"tools":[{"name":"a"}],"cacheScope":"private"},"x":1}"#),
    );
    check(
        r#"{"id":1,"result":{"tools":[{"name":"a","Name":"no"}]}}"#,
        false,
        Some(r#"{"id":1,"result":{"tools":[]}}"#),
    );
    check(r#"{"id":1,"error":{"code":-32603,"message":"m"}}"#, true, None);
    check(r#"{"method":"notifications/progress","params":{}}"#, true, None);
}

#[test]
fn a_list_that_cannot_be_read_is_not_shown() {
    for message in [
        &br#"{"result":{"tools":[{"name":"a","name":"no"}]}}"#[..],
        br#"{"result":{"tools":{"name":"no"}}}"#,
        br#"{"result":{"Tools":[]}}"#,
        b"{\"result\":{\"tools\":[]}}\xff",
    ] {
        assert!(filter_list(message, ListKind::Tools, &limits(), false, |_| true).is_err());
    }
}

#[test]
fn servers_are_read_in_both_eras() {
    let legacy = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"},"instructions":"do\n"}"#;
    let about = About::parse(legacy, &limits()).unwrap();
    assert_eq!(about.protocol.as_deref(), Some("2025-11-25"));
    assert_eq!((about.capabilities, about.info), (r#"{"tools":{}}"#, Some(r#"{"name":"s","version":"1"}"#)));
    assert_eq!(about.instructions.as_deref(), Some("do\n"));
    let modern = r#"{"supportedVersions":["2026-07-28"],"capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m"}},"ttlMs":3,"cacheScope":"public","resultType":"complete"}"#;
    let about = About::parse(modern, &limits()).unwrap();
    assert_eq!(
        (about.supported.as_slice(), about.info),
        (&["2026-07-28".into()][..], Some(r#"{"name":"m"}"#))
    );
    assert_eq!((about.ttl_ms, about.scope), (Some(3), Some(CacheScope::Public)));
    assert!(About::parse("[]", &limits()).is_err());
}

fn united(parts: &[(&str, &str, Era)], era: Era, prefixed: bool) -> Value {
    let abouts: Vec<String> =
        parts.iter().map(|(_, text, _)| format!(r#"{{"capabilities":{text}}}"#)).collect();
    let abouts: Vec<About<'_>> = abouts.iter().map(|text| About::parse(text, &limits()).unwrap()).collect();
    let parts: Vec<Part<'_>> = parts
        .iter()
        .zip(&abouts)
        .map(|((binding, _, era), about)| Part { binding, about, era: *era })
        .collect();
    serde_json::from_str(&united_capabilities(&parts, era, prefixed, &limits()).unwrap()).unwrap()
}

#[test]
fn capabilities_are_united_as_far_as_they_can_be_bridged() {
    let old = r#"{"tools":{"listChanged":true},"logging":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}},"experimental":{"x":{}}}"#;
    let new = r#"{"tools":{},"resources":{"subscribe":true},"completions":{},"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"a":1},"com.example/x":{}}}"#;
    let parts = [("a", old, Era::Legacy), ("b", new, Era::Modern)];
    let both = json!({"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true}, "completions": {}});
    let with = |name: &str, value: Value| {
        let mut both = both.clone();
        both[name] = value;
        both
    };
    assert_eq!(
        united(&parts, Era::Legacy, true),
        with("tasks", json!({"cancel": {}, "requests": {"tools": {"call": {}}}}))
    );
    assert_eq!(
        united(&parts, Era::Modern, true),
        with("extensions", json!({"io.modelcontextprotocol/tasks": {}}))
    );
    assert_eq!(
        united(&parts, Era::Modern, false),
        with(
            "extensions",
            json!({"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {"a": 1}})
        )
    );
}

#[test]
fn a_binding_alone_keeps_what_the_clients_era_has() {
    let old = r#"{"tools":{},"tasks":{"list":{}},"experimental":{"x":{}}}"#;
    let new = r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}},"y":1}"#;
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(united(&[("a", old, Era::Legacy)], Era::Legacy, false), json(old));
    assert_eq!(united(&[("b", new, Era::Modern)], Era::Modern, false), json(new));
    assert_eq!(
        united(&[("a", old, Era::Legacy)], Era::Modern, false),
        json!({"tools": {}, "experimental": {"x": {}}})
    );
    assert_eq!(
        united(&[("b", new, Era::Modern)], Era::Legacy, false),
        json!({"tools": {}, "extensions": {"com.example/x": {}}, "y": 1})
    );
}

#[test]
fn instructions_are_joined_under_headings() {
    let abouts = [
        r#"{"instructions":"Read first.\n"}"#,
        "{}",
        r#"{"instructions":""}"#,
        r#"{"instructions":"Be kind."}"#,
    ];
    let abouts: Vec<About<'_>> = abouts.iter().map(|text| About::parse(text, &limits()).unwrap()).collect();
    let parts: Vec<Part<'_>> = ["a", "b", "c", "d"]
        .iter()
        .zip(&abouts)
        .map(|(binding, about)| Part { binding, about, era: Era::Modern })
        .collect();
    assert_eq!(united_instructions(&parts, false).unwrap(), "# a\n\nRead first.\n\n# d\n\nBe kind.");
    assert_eq!(
        united_instructions(&parts[..1], true).unwrap(),
        "# a\n\nTools and prompts named here are called `a.NAME`, resources `a+URI`.\n\nRead first."
    );
    assert_eq!(united_instructions(&parts[..1], false).unwrap(), "Read first.\n");
    assert_eq!(united_instructions(&parts[1..2], true), None);
}

#[test]
fn clients_fall_into_few_classes() {
    let check = |capabilities: &str, expected: &str| {
        let class = ClientClass::of(capabilities, &limits());
        assert_eq!(class.capabilities(), expected);
        assert_eq!(ClientClass::of(expected, &limits()), class);
    };
    check("{}", "{}");
    check("nonsense", "{}");
    check(r#"{"experimental":{"x":{}},"roots":{}}"#, r#"{"roots":{"listChanged":true}}"#);
    check(
        r#"{"sampling":{"tools":{},"x":{}},"elicitation":{}}"#,
        r#"{"sampling":{"tools":{}},"elicitation":{"form":{}}}"#,
    );
    check(r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"url":{}}}"#);
    check(
        r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}}}"#,
        r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
    );
    check(
        r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#,
        r#"{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#,
    );
}
