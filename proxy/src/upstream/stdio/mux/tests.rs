//! Whose a message is, by tables; and that nothing crosses, by property.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const A: Owner = Owner::Session([0xa; 16]);
const B: Owner = Owner::Session([0xb; 16]);

fn mux(audience: Audience) -> Mux<&'static str> {
    Mux::new(audience, Limits::default())
}

fn session() -> Mux<&'static str> {
    let mut mux = mux(Audience::One);
    mux.begin(r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#, Owner::Nobody, "init").unwrap();
    mux.end(1);
    mux
}

fn text(bytes: &Bytes) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn arrived(mux: &mut Mux<&'static str>, line: &str) -> Arrived {
    let mut arrived = mux.arrived(&Bytes::copy_from_slice(line.as_bytes()));
    assert_eq!(arrived.len(), 1, "{line}");
    arrived.remove(0)
}

#[track_caller]
fn check_of(mux: &mut Mux<&'static str>, line: &str, number: u64, message: &str, last: bool) {
    let expected = Arrived::Of { number, message: Bytes::copy_from_slice(message.as_bytes()), last };
    assert_eq!(arrived(mux, line), expected, "{line}");
}

#[track_caller]
fn check_dropped(mux: &mut Mux<&'static str>, line: &str, stray: Stray) {
    assert_eq!(arrived(mux, line), Arrived::Dropped(stray), "{line}");
}

#[test]
fn ids_and_tokens_are_ours_inside_and_the_callers_own_outside() {
    let mut mux = mux(Audience::Many);
    let call = r#"{ "jsonrpc":"2.0", "id" : "x\u0041", "method":"tools/call","params":{"name":"t","_meta":{"progressToken":7.50,"k":1}}}"#;
    for (number, owner) in [(1, A), (2, B)] {
        let begun = mux.begin(call, owner, "").unwrap();
        let expected = call.replace(r#""x\u0041""#, &number.to_string()).replace("7.50", &number.to_string());
        assert_eq!((begun.number, text(&begun.line)), (number, format!("{expected}\n").as_str()));
    }
    check_of(
        &mut mux,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken": 2 ,"progress":1}}"#,
        2,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken": 7.50 ,"progress":1}}"#,
        false,
    );
    check_of(
        &mut mux,
        r#"{"result":{"id":1},"id": 1,"jsonrpc":"2.0"}"#,
        1,
        r#"{"result":{"id":1},"id": "x\u0041","jsonrpc":"2.0"}"#,
        true,
    );
    check_of(
        &mut mux,
        r#"{"id":2,"error":{"code":1,"message":""}}"#,
        2,
        r#"{"id":"x\u0041","error":{"code":1,"message":""}}"#,
        true,
    );
}

#[test]
fn a_message_is_one_line() {
    let mut mux = mux(Audience::One);
    let pretty = "{\n  \"id\": 5,\r\n  \"method\": \"a\\nb\"\n}";
    let begun = mux.begin(pretty, A, "").unwrap();
    assert_eq!(text(&begun.line), "{   \"id\": 1,    \"method\": \"a\\nb\" }\n");
}

#[test]
fn an_answer_to_nothing_reaches_nobody() {
    let mut mux = mux(Audience::One);
    mux.begin(r#"{"id":9,"method":"a"}"#, A, "").unwrap();
    for id in ["9", "0", "2", "\"1\"", "1.0", "01", "-1", "18446744073709551617", "null"] {
        let stray = if matches!(id, "01") { Stray::Invalid } else { Stray::Unasked };
        check_dropped(&mut mux, &format!(r#"{{"id":{id},"result":{{}}}}"#), stray);
    }
    check_of(&mut mux, r#"{"id":1,"result":{}}"#, 1, r#"{"id":9,"result":{}}"#, true);
    mux.end(1);
    check_dropped(&mut mux, r#"{"id":1,"result":{}}"#, Stray::Unasked);
    check_dropped(
        &mut mux,
        r#"{"method":"notifications/progress","params":{"progressToken":1}}"#,
        Stray::Late,
    );
}

#[test]
fn what_is_no_message_is_dropped() {
    let mut mux = mux(Audience::One);
    mux.begin(r#"{"id":1,"method":"a"}"#, A, "").unwrap();
    for line in [
        "Server listening",
        "{}",
        "1",
        "[]",
        r#"{"id":1}"#,
        r#"{"id":1,"result":{},"error":{}}"#,
        r#"{"id":1,"id":1,"result":{}}"#,
        r#"{"id":1,"result":{}} {"id":1,"result":{}}"#,
        r#"{"id":1,"result":{}"#,
        r#"{"id":{},"method":"ping"}"#,
        r#"{"method":7}"#,
    ] {
        check_dropped(&mut mux, line, Stray::Invalid);
    }
    assert_eq!(mux.arrived(&Bytes::from_static(b"\xff")), [Arrived::Dropped(Stray::Invalid)]);
}

#[test]
fn a_batch_is_several_messages() {
    let mut mux = mux(Audience::One);
    mux.begin(r#"{"id":"a","method":"a"}"#, A, "").unwrap();
    mux.begin(r#"{"id":"b","method":"a"}"#, A, "").unwrap();
    let batch = Bytes::from_static(br#"[{"id":2,"result":{}}, {"id":1,"result":{}}, 3]"#);
    let of = |number, message: &'static str| Arrived::Of {
        number,
        message: Bytes::from_static(message.as_bytes()),
        last: true,
    };
    assert_eq!(
        mux.arrived(&batch),
        [
            of(2, r#"{"id":"b","result":{}}"#),
            of(1, r#"{"id":"a","result":{}}"#),
            Arrived::Dropped(Stray::Invalid)
        ]
    );
}

#[test]
fn subscriptions_are_told_apart_by_their_tag() {
    let mut mux = mux(Audience::Many);
    for owner in [A, B] {
        mux.begin(r#"{"id":"s","method":"subscriptions/listen","params":{}}"#, owner, "").unwrap();
    }
    let tagged = |method: &str, tag: &str| {
        format!(
            r#"{{"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{tag}}}}}}}"#
        )
    };
    let method = "notifications/tools/list_changed";
    check_of(&mut mux, &tagged(method, "2"), 2, &tagged(method, r#""s""#), false);
    check_dropped(&mut mux, &tagged(method, "3"), Stray::Late);
    check_dropped(&mut mux, &tagged(method, r#""s""#), Stray::Late);
    check_of(
        &mut mux,
        r#"{"id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
        1,
        r#"{"id":"s","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
        true,
    );
    check_of(
        &mut mux,
        r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#,
        2,
        r#"{"method":"notifications/cancelled","params":{"requestId":"s"}}"#,
        true,
    );
}

#[test]
fn who_shares_a_process_hears_nothing_that_is_another_s() {
    let mut mux = mux(Audience::Many);
    mux.begin(r#"{"id":1,"method":"initialize"}"#, Owner::Nobody, "").unwrap();
    mux.begin(r#"{"id":1,"method":"tools/call","params":{"_meta":{}}}"#, A, "").unwrap();
    for line in [
        r#"{"method":"notifications/tasks/status","params":{"taskId":"t"}}"#,
        r#"{"method":"notifications/elicitation/complete","params":{}}"#,
        r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#,
        r#"{"method":"x/unheard_of"}"#,
    ] {
        check_dropped(&mut mux, line, Stray::Unknown);
    }
    // A progress token that was never given.
    check_dropped(
        &mut mux,
        r#"{"method":"notifications/progress","params":{"progressToken":2}}"#,
        Stray::Late,
    );
    for method in
        ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"]
    {
        let line = format!(r#"{{"method":"notifications/{method}","params":{{}}}}"#);
        assert_eq!(arrived(&mut mux, &line), Arrived::OfAll(Bytes::from(line.clone())));
    }
    let log = r#"{"method":"notifications/message","params":{"data":"of one call"}}"#;
    assert_eq!(arrived(&mut mux, log), Arrived::Log(Bytes::from(log)));
}

#[test]
fn only_a_session_can_be_asked() {
    let ask = r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#;
    let refusal = refusal("\"q\"");
    for mut mux in [mux(Audience::Many), mux(Audience::One)] {
        assert_eq!(arrived(&mut mux, ask), Arrived::Answered(refusal.clone()));
        assert_eq!(mux.respond(r#"{"id":"q","result":{}}"#), Ok(None));
    }
    let mut session = session();
    let asked =
        Arrived::OfCaller { message: Bytes::from(ask), asks: Some("\"q\"".into()), list_changed: false };
    assert_eq!(arrived(&mut session, ask), asked);
    let answer = r#"{"id":"q","result":{}}"#;
    assert_eq!(session.respond(answer), Ok(Some(Bytes::from(format!("{answer}\n")))));
    assert_eq!(session.respond(r#"{"id":"q","method":"x"}"#), Err(MuxError::Shape));
    let pong = Arrived::Answered(Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n"));
    assert_eq!(arrived(&mut session, r#"{"id":7,"method":"ping"}"#), pong);
}

#[test]
fn a_caller_cancels_its_own_requests_only() {
    let mut mux = mux(Audience::Many);
    for owner in [A, B, Owner::Nobody] {
        mux.begin(r#"{"id":"c","method":"tools/call"}"#, owner, "").unwrap();
    }
    let cancel = |id: &str| {
        format!(r#"{{"method":"notifications/cancelled","params":{{"requestId":{id},"reason":"r"}}}}"#)
    };
    assert_eq!(mux.note(&cancel(r#""c""#), Owner::Nobody), Ok(None));
    assert_eq!(mux.note(&cancel("1"), B), Ok(None));
    let line = Some(Bytes::from(cancel("2") + "\n"));
    assert_eq!(mux.note(&cancel(r#""\u0063""#), B), Ok(line));
    assert!(mux.call(1).is_some() && mux.call(2).is_none() && mux.call(3).is_some());
    assert_eq!(mux.note(&cancel(r#""c""#), B), Ok(None));
    check_dropped(&mut mux, r#"{"id":2,"result":{}}"#, Stray::Late);
    // What else a caller says of itself is not for a process that others use.
    assert_eq!(mux.note(r#"{"method":"notifications/roots/list_changed"}"#, A), Ok(None));
    assert_eq!(mux.note(r#"{"id":1,"method":"notifications/cancelled"}"#, A), Err(MuxError::Shape));
}

#[test]
fn a_message_without_a_number_goes_to_the_one_request_that_it_can_be_of() {
    let mut mux = session();
    assert_eq!((mux.sole(), mux.latest()), (None, None));
    mux.begin(r#"{"id":1,"method":"subscriptions/listen"}"#, A, "").unwrap();
    assert_eq!((mux.sole(), mux.latest()), (None, None));
    mux.begin(r#"{"id":1,"method":"tools/call"}"#, A, "").unwrap();
    assert_eq!((mux.sole(), mux.latest()), (Some(3), Some(3)));
    mux.begin(r#"{"id":2,"method":"tools/call"}"#, A, "").unwrap();
    assert_eq!((mux.sole(), mux.latest()), (None, Some(4)));
    assert!(mux.give_up(4).is_some() && mux.give_up(4).is_none());
    assert_eq!(mux.sole(), Some(3));
}

#[test]
fn requests_and_what_is_forgotten_are_bounded() {
    let mut mux = mux(Audience::Many);
    for _ in 0..CALLS_MAX {
        mux.begin(r#"{"id":1,"method":"a"}"#, A, "").unwrap();
    }
    assert_eq!(mux.begin(r#"{"id":1,"method":"a"}"#, A, ""), Err(MuxError::Full));
    drop(mux.drain());
    for _ in 0..=FORGOTTEN_MAX {
        let begun = mux.begin(r#"{"id":1,"method":"a"}"#, A, "").unwrap();
        mux.give_up(begun.number).unwrap();
    }
    assert_eq!((mux.forgotten.len(), mux.under_way()), (FORGOTTEN_MAX, 0));
}

/// What happens to a process that two callers share.
#[derive(Debug, Clone)]
enum Step {
    /// A caller asks, with an id and a token that the other uses too.
    Ask { caller: usize, id: u8 },
    /// The process reports on one of the requests that it has got.
    Report(prop::sample::Index),
    /// It answers one, perhaps for the second time.
    Answer(prop::sample::Index),
    /// A caller cancels.
    Cancel { caller: usize, id: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_usize..2, 0_u8..3).prop_map(|(caller, id)| Step::Ask { caller, id }),
        2 => any::<prop::sample::Index>().prop_map(Step::Report),
        2 => any::<prop::sample::Index>().prop_map(Step::Answer),
        1 => (0_usize..2, 0_u8..3).prop_map(|(caller, id)| Step::Cancel { caller, id }),
    ]
}

/// Everything that the process knows of a request, and what only its caller knows.
struct Known {
    number: u64,
    secret: String,
    id: u8,
    over: bool,
}

proptest! {
    #[test]
    fn nothing_crosses(steps in prop::collection::vec(step(), 1..60)) {
        let owners = [A, B];
        let mut mux: Mux<String> = Mux::new(Audience::Many, Limits::default());
        let mut known: Vec<Known> = Vec::new();
        for (round, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ask { caller, id } => {
                    let secret = format!("{caller}-{round}");
                    let ask = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                        "params": {"name": secret, "_meta": {"progressToken": id}}}).to_string();
                    let begun = mux.begin(&ask, owners[caller], secret.clone()).unwrap();
                    let line: Value = serde_json::from_slice(&begun.line).unwrap();
                    prop_assert_eq!(&line["id"], &json!(begun.number));
                    prop_assert_eq!(&line["params"]["_meta"]["progressToken"], &json!(begun.number));
                    prop_assert_eq!(&line["params"]["name"], &json!(secret));
                    known.push(Known { number: begun.number, secret, id, over: false });
                }
                Step::Report(index) if !known.is_empty() => {
                    let of = index.get(&known);
                    let line = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": of.number, "message": of.secret}}).to_string();
                    match mux.arrived(&Bytes::from(line)).remove(0) {
                        Arrived::Of { number, message, last } => {
                            prop_assert!(!of.over && !last);
                            prop_assert_eq!(&mux.call(number).unwrap().sink, &of.secret);
                            let message: Value = serde_json::from_slice(&message).unwrap();
                            prop_assert_eq!(&message["params"]["progressToken"], &json!(of.id));
                        }
                        other => prop_assert!(of.over && matches!(other, Arrived::Dropped(_))),
                    }
                }
                Step::Answer(index) if !known.is_empty() => {
                    let at = index.index(known.len());
                    let of = &mut known[at];
                    let line = json!({"jsonrpc": "2.0", "id": of.number, "result": of.secret}).to_string();
                    match mux.arrived(&Bytes::from(line)).remove(0) {
                        Arrived::Of { number, message, last } => {
                            prop_assert!(!of.over && last);
                            prop_assert_eq!(mux.end(number).unwrap().sink, of.secret.clone());
                            let message: Value = serde_json::from_slice(&message).unwrap();
                            prop_assert_eq!(&message["id"], &json!(of.id));
                            of.over = true;
                        }
                        other => prop_assert!(of.over && matches!(other, Arrived::Dropped(_))),
                    }
                }
                Step::Cancel { caller, id } => {
                    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
                    let line = mux.note(&cancel.to_string(), owners[caller]).unwrap();
                    let owns = |of: &&mut Known| !of.over && of.id == id && of.secret.starts_with(&format!("{caller}-"));
                    let cancelled = known.iter_mut().rfind(owns);
                    prop_assert_eq!(line.is_some(), cancelled.is_some());
                    if let (Some(line), Some(of)) = (line, cancelled) {
                        let line: Value = serde_json::from_slice(&line).unwrap();
                        prop_assert_eq!(&line["params"]["requestId"], &json!(of.number));
                        of.over = true;
                    }
                }
                Step::Report(_) | Step::Answer(_) => {}
            }
        }
        prop_assert_eq!(mux.under_way(), known.iter().filter(|of| !of.over).count());
    }

    #[test]
    fn nothing_panics(line in prop::collection::vec(any::<u8>(), 0..80), text in ".{0,60}") {
        let mut mux = session();
        mux.begin(r#"{"id":1,"method":"a"}"#, A, "").unwrap();
        let _ = mux.arrived(&Bytes::from(line));
        let _ = mux.arrived(&Bytes::from(text.clone()));
        let _ = (mux.note(&text, A), mux.begin(&text, A, ""), mux.respond(&text));
    }
}
