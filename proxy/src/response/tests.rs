use super::*;
use futures_util::FutureExt;
use mcpg_filters::transform::redact::{HashKey, RedactLimits};
use mcpg_sdk::{Obligation, RedactMode};
use proptest::prelude::*;
use std::time::Duration;

const LIMITS: BodyLimits = BodyLimits {
    request_bytes_max: 1024,
    request_timeout: Duration::from_secs(1),
    response_bytes_max: 64,
    event_bytes_max: 256,
    held_bytes_max: 256,
};

fn emails() -> Redactor {
    let obligation = Obligation::redact_field("email", RedactMode::Mask);
    Redactor::compile(&[obligation], RedactLimits::default()).unwrap()
}

struct Sent {
    status: u16,
    body: String,
    completion: Completion,
    chunked: bool,
    cut_off: bool,
}

/// Sends an upstream's answer through in pieces of `piece` bytes.
fn send(head: &[(&'static str, &str)], status: u16, body: &str, redactor: Redactor, piece: usize) -> Sent {
    let mut response = ResponseHeader::build(status, None).unwrap();
    for (name, value) in head {
        response.insert_header(*name, *value).unwrap();
    }
    let mut answer =
        Answer::begin(&mut response, Changes { rewrite: None, redactor }, Some("7".into()), LIMITS).unwrap();
    let mut sent = Vec::new();
    let mut cut_off = false;
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(piece).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let mut piece = Some(Bytes::copy_from_slice(piece));
        if answer.chunk(&mut piece, index + 1 == pieces.len()).now_or_never().unwrap().is_err() {
            cut_off = true;
            break;
        }
        sent.extend_from_slice(&piece.unwrap_or_default());
    }
    assert_eq!(sent.len(), answer.sent);
    Sent {
        status: response.status.as_u16(),
        body: String::from_utf8(sent).unwrap(),
        completion: answer.completion,
        chunked: response.headers.contains_key(TRANSFER_ENCODING),
        cut_off,
    }
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

#[test]
fn without_obligations_an_answer_passes_untouched() {
    let body = r#"{"jsonrpc":"2.0","id":7,"result":{"email":"a@b.c"}}"#;
    for piece in [1, 9, 1000] {
        let sent = send(&[JSON, ("content-length", "51")], 200, body, Redactor::default(), piece);
        assert_eq!((sent.status, sent.body.as_str(), sent.chunked), (200, body, false));
        assert_eq!(sent.completion, Completion::Complete);
    }
}

#[test]
fn an_endless_answer_is_cut_off_but_a_stream_is_not() {
    let sent = send(&[JSON], 200, &"x".repeat(65), Redactor::default(), 10);
    assert!(sent.cut_off && sent.body.len() <= 64);
    assert_eq!(sent.completion, Completion::UpstreamError);
    let stream = "data: {}\n\n".repeat(20);
    let sent = send(&[EVENTS], 200, &stream, Redactor::default(), 10);
    assert!(!sent.cut_off && sent.body == stream);
}

#[test]
fn json_is_redacted_however_it_is_cut() {
    let body = r#"{"jsonrpc":"2.0","id":7,"result":{"email":"a@b.c","n":1}}"#;
    for piece in [1, 7, 1000] {
        let sent = send(&[JSON, ("content-length", "57")], 200, body, emails(), piece);
        assert_eq!(sent.body, r#"{"jsonrpc":"2.0","id":7,"result":{"email":"[redacted]","n":1}}"#);
        assert!(sent.chunked, "the length is another");
    }
}

#[test]
fn events_are_redacted_however_they_are_cut() {
    let body = ": hi\n\nid: 1\ndata: {\"result\":{\"email\":\"a@b.c\"}}\n\ndata: {\"result\":\ndata: {\"email\":\"x@y.z\"}}\n\n";
    for piece in [1, 3, 1000] {
        let sent = send(&[EVENTS], 200, body, emails(), piece);
        assert!(!sent.body.contains('@') && sent.body.matches("[redacted]").count() == 2, "{}", sent.body);
        assert!(sent.body.contains("id: 1") && sent.body.contains(": hi"), "{}", sent.body);
    }
}

proptest! {
    /// The same whole answer, cut in two ways: by an event stream's or a body's pieces.
    #[test]
    fn where_an_answer_is_cut_changes_nothing(
        piece in 1_usize..300,
        texts in proptest::collection::vec(prop_oneof![
            Just("to alice@acme.com".to_owned()), Just("{\"email\":\"x@y.zz\"}".to_owned()), Just("+49 30 1234567".to_owned()),
            "[ -~]{0,12}", any::<String>(),
        ], 1..4),
        in_lines in any::<bool>(),
    ) {
        let obligations = ["redact:email", "redact:detector=email", "hash:detector=phone", "remove:pointer=/structuredContent/b"]
            .map(|text| text.parse::<Obligation>().unwrap());
        let redactor = || {
            let key = HashKey::derive(&[7; 32], &mcpg_sdk::Scope::default());
            Redactor::default().keyed(key).with(&obligations).unwrap()
        };
        let message = serde_json::json!({ "id": 7, "result": { "a": texts, "structuredContent": { "b": texts[0] } } });
        let json = if in_lines { format!("{message:#}") } else { message.to_string() };
        let event: String = json.lines().map(|line| format!("data: {line}\n")).collect();
        let stream = format!("id: 1\n{event}\n: keep\n\n{event}\n");
        for (head, body) in [(JSON, &json), (EVENTS, &stream)] {
            let (cut, whole) = (send(&[head], 200, body, redactor(), piece), send(&[head], 200, body, redactor(), 100_000));
            prop_assert_eq!(&cut.body, &whole.body);
            prop_assert!(!cut.body.contains("alice@acme.com") && !cut.body.contains("1234567"), "{}", cut.body);
        }
    }
}

#[test]
fn what_cannot_be_redacted_is_withheld() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(300));
    let event = format!("data: {}\n\n", "x".repeat(300));
    let cases: &[(&[(&'static str, &str)], &str)] = &[
        (&[JSON], r#"{"email":"a@b.c""#),
        (&[JSON], "a@b.c"),
        (&[JSON, ("content-encoding", "gzip")], "a@b.c"),
        (&[("content-type", "text/plain")], "email a@b.c"),
        (&[], "email a@b.c"),
        (&[JSON], &long),
        (&[EVENTS], "data: email a@b.c\n\n"),
        (&[EVENTS], &event),
    ];
    for (head, body) in cases {
        for piece in [5, 1000] {
            let sent = send(head, 200, body, emails(), piece);
            assert!(!sent.body.contains("a@b.c") && !sent.body.contains("xxxx"), "{}", sent.body);
            assert!(sent.body.contains("obligation_not_applicable"), "{}", sent.body);
            assert!(sent.body.contains(r#""id":7"#), "{}", sent.body);
            assert_eq!(sent.completion, Completion::Withheld);
        }
    }
}

#[test]
fn events_before_a_fault_are_sent_and_none_after() {
    let body = "data: {\"n\":1}\n\ndata: nonsense a@b.c\n\ndata: {\"n\":2}\n\n";
    let sent = send(&[EVENTS], 200, body, emails(), 4);
    assert!(sent.body.contains(r#"{"n":1}"#) && !sent.body.contains(r#"{"n":2}"#), "{}", sent.body);
}

#[test]
fn an_upstream_401_is_not_ours() {
    let head = [("www-authenticate", "Bearer resource_metadata=\"https://evil.example\""), JSON];
    let sent = send(&head, 401, r#"{"error":"no"}"#, Redactor::default(), 1000);
    assert_eq!((sent.status, sent.completion), (502, Completion::UpstreamError));
    assert!(sent.body.contains("upstream_invalid"), "{}", sent.body);
}

#[test]
fn a_declared_length_over_the_limit_is_refused_at_once() {
    let sent = send(&[JSON, ("content-length", "65")], 200, &"x".repeat(65), Redactor::default(), 10);
    assert_eq!(sent.status, 502);
    assert!(!sent.body.contains("xx"));
}

#[test]
fn other_errors_of_the_upstream_are_kept() {
    let body = r#"{"error":"unknown session"}"#;
    let sent = send(&[JSON], 404, body, Redactor::default(), 1000);
    assert_eq!((sent.status, sent.body.as_str()), (404, body));
}
