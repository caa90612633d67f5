//! What finds its way back, and that nothing else of a message changes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn limits() -> Limits {
    Limits::default()
}

fn out(message: &str) -> String {
    outward(message, "gh", &limits()).unwrap().into_owned()
}

#[track_caller]
fn check_out(message: &str, expected: &str) {
    assert_eq!(out(message), expected, "{message}");
}

#[test]
fn requests_go_out_under_routed_ids() {
    check_out(r#"{"id": 7 ,"method":"roots/list"}"#, r#"{"id": "gh:7" ,"method":"roots/list"}"#);
    check_out(
        r#"{"method":"sampling/createMessage","params":{"_meta":{"progressToken":"p"},"uri":"u","requestId":4},"id":"a:\"b"}"#,
        r#"{"method":"sampling/createMessage","params":{"_meta":{"progressToken":"gh:\"p\""},"uri":"u","requestId":4},"id":"gh:\"a:\\\"b\""}"#,
    );
}

#[test]
fn a_cancelled_request_is_the_one_that_went_out() {
    check_out(
        r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#,
        r#"{"method":"notifications/cancelled","params":{"requestId":"gh:7"}}"#,
    );
}

#[test]
fn what_is_the_clients_own_stays() {
    for message in [
        r#"{"id":1,"result":{"_meta":{"progressToken":1}}}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":7,"progress":1.0}}"#,
        r#"{"method":"notifications/message","params":{"uri":"a:b","requestId":1}}"#,
    ] {
        check_out(message, message);
    }
}

#[test]
fn an_id_without_room_goes_nowhere() {
    let long = format!(r#"{{"id":"{}","method":"roots/list"}}"#, "x".repeat(1020));
    assert_eq!(outward(&long, "gh", &limits()), Err(OutwardError::IdTooLong));
    let twice = r#"{"id":1,"id":2,"method":"roots/list"}"#;
    assert_eq!(outward(twice, "gh", &limits()), Err(JsonError::DuplicateKey.into()));
}

#[track_caller]
fn check_in(message: &str, expected: Option<(&str, &str)>) {
    let read = inward(message, &limits()).unwrap();
    let read = read.as_ref().map(|routed| (&*routed.binding, &*routed.message));
    assert_eq!(read, expected, "{message}");
}

#[test]
fn answers_find_their_way_back() {
    check_in(r#"{"id": "gh:7","result":{"id":"gh:8"}}"#, Some(("gh", r#"{"id": 7,"result":{"id":"gh:8"}}"#)));
    check_in(r#"{"error":{},"id":"gh:\"a\""}"#, Some(("gh", r#"{"error":{},"id":"a"}"#)));
    check_in(
        r#"{"method":"notifications/progress","params":{"progressToken":"gh:1"}}"#,
        Some(("gh", r#"{"method":"notifications/progress","params":{"progressToken":1}}"#)),
    );
}

#[test]
fn what_names_no_binding_is_not_routed() {
    for id in [
        "7",
        "\"gh\"",
        "\"gh:\"",
        "\":7\"",
        "\"GH:7\"",
        "\"gh:7,\\\"x\\\":1\"",
        "\"gh:null\"",
        "\"gh:{}\"",
        "\"gh:1.5\"",
        "\"gh:7 8\"",
    ] {
        check_in(&format!(r#"{{"id":{id},"result":{{}}}}"#), None);
    }
    check_in(r#"{"id":"gh:7","method":"tools/call"}"#, None);
    check_in(r#"{"method":"notifications/cancelled","params":{"progressToken":"gh:1"}}"#, None);
    check_in(r#"{"method":1,"id":"gh:7"}"#, None);
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i32>().prop_map(Value::from), ".{0,30}".prop_map(Value::from)]
}

proptest! {
    #[test]
    fn an_id_comes_back_as_it_was(id in id(), binding in "[a-z0-9-]{1,40}") {
        let raw = id.to_string();
        let routed = RoutedId::encode(&binding, &raw, &limits()).unwrap();
        let back = RoutedId::parse(&routed, &limits()).unwrap();
        prop_assert_eq!((&*back.binding, &*back.raw), (&*binding, &*raw));
    }

    #[test]
    fn all_else_is_kept(id in id(), text in ".{0,20}", pad in "[ \n\t]{0,3}") {
        let quoted = json!(text).to_string();
        let around = |id: &str| format!("{{{pad}\"k\":{quoted},\"id\"{pad}:{id}{pad},\"method\":\"roots/list\",\"params\":{{\"n\":1.10e0}}}}");
        let sent = out(&around(&id.to_string()));
        let routed = RoutedId::encode("gh", &id.to_string(), &limits()).unwrap();
        prop_assert_eq!(&sent, &around(&routed));
        let answer = |id: &str| format!("{{\"result\":{quoted}{pad},\"id\":{id}}}");
        let back = inward(&answer(&routed), &limits()).unwrap().unwrap();
        prop_assert_eq!(back.message, answer(&id.to_string()));
    }

    #[test]
    fn forgeries_do_not_panic(text in ".{0,60}") {
        let _ = RoutedId::parse(&text, &limits());
        let _ = RoutedId::parse(&json!(text).to_string(), &limits());
        let _ = inward(&text, &limits());
    }
}
